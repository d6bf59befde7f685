//! The memory of long imports.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::fixture::{Fixture, ended};
use crate::outages::{command_to, serve};

/// The number of records. `IMPORT_RECORDS` sets another one.
const RECORDS: u64 = 300_000;

/// Of as many records, half are of one person, whose first record makes the server fail. The others
/// of that person are not sent, so that each record of the other half is a range of its own.
const WITH_GAPS: u64 = 290_000;

/// The bounds, in kB as in `/proc`: of 300,000 records, and of any number.
const MOST: [u64; 2] = [64 * 1024, 100 * 1024];

fn write_rows(path: &Path, records: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "id,n")?;
    for n in 0..records {
        // Not from the first record on: the server works.
        let has_gap = n % 2 == 1 && (4_000..4_000 + WITH_GAPS).contains(&n);
        match has_gap {
            true => writeln!(file, "p,{n}")?,
            false => writeln!(file, "u{n},x")?,
        }
    }
    file.flush()
}

#[test]
fn memory_grows_neither_with_the_file_nor_with_gaps_between_settled_records() {
    let records = std::env::var("IMPORT_RECORDS").map(|records| records.parse().unwrap());
    let records = records.unwrap_or(RECORDS);
    let is_failing = Arc::new(AtomicBool::new(true));
    let fails = Arc::clone(&is_failing);
    let port = serve(
        move |body| match body.contains(r#""id":"p""#) && fails.load(Relaxed) {
            true => "500 Internal Server Error",
            false => "200 OK",
        },
    );
    let fixture = Fixture::new();
    let file = fixture.folder.path().join("a.csv");
    write_rows(&file, records).unwrap();
    let line = format!(
        "people {} --id-column id --limit 10000/1s --record-limit 1000000/1s",
        file.display()
    );
    let bound = MOST[usize::from(records > RECORDS)];
    for accepted in [records - WITH_GAPS / 2, records] {
        let mut child = command_to(port, &line).spawn().unwrap();
        // Read, so that a full pipe does not stop the run.
        let mut stderr = child.stderr.take().unwrap();
        let reading = thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
        let status = format!("/proc/{}/status", child.id());
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            most = peak(&fs::read_to_string(&status).unwrap_or_default()).max(most);
            let (_open, never) = mpsc::channel::<()>();
            assert!(never.recv_timeout(Duration::from_millis(20)).is_err());
        }
        reading.join().unwrap().unwrap();
        let run = ended(child.wait_with_output().unwrap());
        let expected = format!("{accepted} accepted, 0 rejected, ");
        assert!(run.stdout.contains(&expected), "{}", run.stdout);
        let journal = fs::metadata(fixture.folder.path().join("a.csv.cio-journal")).unwrap();
        println!(
            "at most {most} kB, a journal of {} bytes\n{}",
            journal.len(),
            run.stdout
        );
        assert!(most < bound, "{most} kB");
        is_failing.store(false, Relaxed);
    }
}

/// Returns the peak of the resident memory, in kB.
pub(crate) fn peak(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.map_or(0, |number| number.parse().unwrap())
}
