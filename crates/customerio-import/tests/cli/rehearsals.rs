//! The memory and the time of a large rehearsal, from `/proc`.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::fixture::{Fixture, bare};
use crate::memory::peak as peak_kib;

/// The rows in CI. A rehearsal that kept the records of these people would take over 300 MiB.
const ROWS: u64 = 300_000;

/// The bound for [`ROWS`] rows.
const MOST_KIB_OF_ROWS: u64 = 64 * 1024;

/// The bound for any number of rows. The difference is the search for repeated records, which takes
/// 12 bytes for each of up to 2,000,000 of them.
const MOST_KIB: u64 = 100 * 1024;

fn write_people(path: &Path, rows: u64) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    writeln!(file, "id,email,first_name,city,plan,visits").unwrap();
    for n in 0..rows {
        let visits = n % 977;
        writeln!(file, "{n},p{n}@example.com,Ada,London,premium,{visits}").unwrap();
    }
    file.flush().unwrap();
}

fn read(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
}

/// Rehearses a file of `rows` people. Returns the peak of memory in KiB, and the microseconds per
/// row as the report has them. Checks that the log has a line for every ten seconds.
fn rehearse(rows: u64) -> (u64, f64) {
    let fixture = Fixture::new();
    let file = fixture.folder.path().join("a.csv");
    write_people(&file, rows);
    let report = fixture.folder.path().join("report");
    let line = format!(
        "people {} --id-column id --type visits=int --rehearse --record-limit 10000000/1s --report {}",
        file.display(),
        report.display()
    );
    let mut child = bare(&line).spawn().unwrap();
    let mut peak = 0;
    let (_open, never) = mpsc::channel::<()>();
    let stdout = read(child.stdout.take().unwrap());
    let stderr = read(child.stderr.take().unwrap());
    // The kernel keeps the peak, so that only the growth since the last look can be missed.
    let code = loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        peak = peak_kib(&status.unwrap_or_default()).max(peak);
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        assert!(never.recv_timeout(Duration::from_millis(5)).is_err());
    };
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    assert_eq!(code, Some(0), "{stdout}");
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!(report["accepted"], rows, "{stdout}");
    let seconds = report["elapsed_seconds"].as_f64().unwrap();
    let lines = stderr.matches(&format!(" of {rows} records: ")).count();
    let expected = (seconds / 10.0) as usize;
    // A check takes place twice a second, so that a line may be late.
    assert!(
        lines <= expected && lines + 1 + expected / 20 >= expected,
        "{seconds} s: {stderr}"
    );
    (peak, seconds * 1e6 / rows as f64)
}

#[test]
fn neither_the_memory_nor_the_time_per_row_grows_with_the_file() {
    let rows = std::env::var("IMPORT_ROWS").ok();
    let rows: Option<u64> = rows.map(|rows| rows.replace('_', "").parse().unwrap());
    let (peak, micros) = rehearse(rows.unwrap_or(ROWS));
    println!(
        "{} rows: {} MiB, {micros:.1} us per row",
        rows.unwrap_or(ROWS),
        peak / 1024
    );
    let most = match rows {
        Some(rows) if rows > ROWS => MOST_KIB,
        Some(_) | None => MOST_KIB_OF_ROWS,
    };
    assert!(peak > 1024 && peak < most, "{peak} KiB");
    // Only where it was asked for: in CI, other tests take the processor meanwhile.
    if let Some(rows) = rows {
        let (_, of_a_tenth) = rehearse(rows / 10);
        println!("{} rows: {of_a_tenth:.1} us per row", rows / 10);
        assert!(micros < 1.5 * of_a_tenth, "{micros} and {of_a_tenth}");
    }
}
