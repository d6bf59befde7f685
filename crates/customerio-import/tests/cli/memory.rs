//! The memory of long imports.

use std::fs;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::fixture::{Fixture, ended};
use crate::outages::{command_to, serve};

/// Half of the records are of one person, whose first record makes the server fail: the others of
/// that person are not sent, so that each record of the other half is a range of its own.
const RECORDS: u32 = 300_000;

/// Records before them: the server works.
const FIRST: u32 = 4_000;

/// The bound, in kB as in `/proc`.
const MOST: u64 = 64 * 1024;

#[test]
fn memory_does_not_grow_with_the_file_nor_with_the_gaps_between_settled_records() {
    let is_failing = Arc::new(AtomicBool::new(true));
    let fails = Arc::clone(&is_failing);
    let port = serve(
        move |body| match body.contains(r#""id":"p""#) && fails.load(Relaxed) {
            true => "500 Internal Server Error",
            false => "200 OK",
        },
    );
    let fixture = Fixture::new();
    let mut rows: String = (0..FIRST).map(|n| format!("first{n},x\n")).collect();
    for n in 0..RECORDS / 2 {
        rows += &format!("u{n},x\np,{n}\n");
    }
    let file = fixture.file("a.csv", format!("id,n\n{rows}"));
    drop(rows);
    let line = format!(
        "people {} --id-column id --limit 10000/1s --record-limit 1000000/1s",
        file.display()
    );
    let mut most = [0; 2];
    let settled = [RECORDS / 2 + FIRST, RECORDS + FIRST];
    for (most, settled) in most.iter_mut().zip(settled) {
        let mut child = command_to(port, &line).spawn().unwrap();
        // Read, so that a full pipe does not stop the run.
        let mut stderr = child.stderr.take().unwrap();
        let reading = std::thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
        let status = format!("/proc/{}/status", child.id());
        while child.try_wait().unwrap().is_none() {
            *most = peak(&fs::read_to_string(&status).unwrap_or_default()).max(*most);
            let (_open, never) = mpsc::channel::<()>();
            assert!(never.recv_timeout(Duration::from_millis(20)).is_err());
        }
        reading.join().unwrap().unwrap();
        let run = ended(child.wait_with_output().unwrap());
        let expected = format!("{settled} accepted, 0 rejected, ");
        assert!(run.stdout.contains(&expected), "{}", run.stdout);
        is_failing.store(false, Relaxed);
    }
    assert!(most.iter().all(|most| *most < MOST), "{most:?} kB");
    println!("at most {most:?} kB");
}

/// Returns the peak of the resident memory, in kB.
pub(crate) fn peak(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.map_or(0, |number| number.parse().unwrap())
}
