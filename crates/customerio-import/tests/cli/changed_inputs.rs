//! Inputs that another program changes while they are read and sent.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Child;

use crate::fixture::{Fixture, Run, ended, rejects};

/// The records of the import. Each takes a KiB, so that most of them are not read when the first
/// request is done.
const RECORDS: u64 = 2_000;

/// An import of people of whom every tenth cannot be sent.
struct Import {
    fixture: Fixture,
    file: PathBuf,
    content: Vec<u8>,
}

impl Import {
    fn new() -> Self {
        let fixture = Fixture::new();
        let padding = "x".repeat(1_000);
        let row = |n: u64| match n % 10 {
            0 => format!("..,{n},{padding}\n"),
            _ => format!("u{n},{n},{padding}\n"),
        };
        let rows: String = (1..=RECORDS).map(row).collect();
        let content = format!("id,n,padding\n{rows}").into_bytes();
        let file = fixture.file("a.csv", &content);
        Self {
            fixture,
            file,
            content,
        }
    }

    fn line(&self) -> String {
        let folder = self.fixture.folder.path().display();
        format!(
            "people {folder}/a.csv --id-column id --concurrency 1 --batch-items 10 -vv \
             --rejects {folder}/rejects.csv"
        )
    }

    /// Runs the import, and changes the file after the first request.
    fn run_and_change(&self, change: impl FnOnce(&Self)) -> Run {
        let line = format!("{} --limit 100/1s", self.line());
        let mut child: Child = self.fixture.command(&line).spawn().unwrap();
        let mut stderr = crate::signals::read_until(&mut child, "request done");
        change(self);
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        let mut run = ended(child.wait_with_output().unwrap());
        run.stderr = text;
        run
    }

    /// Checks that the journal and the rejects file have exactly the records that were settled, and
    /// that the same command sends the rest once the file is as it was.
    fn check_rest_is_sent(&self) {
        let report = self.fixture.report();
        let accepted = self.fixture.simulator.totals().accepted;
        assert_eq!(report["accepted"], accepted);
        assert_eq!(report["unknown"], 0);
        let rejected = report["rejected"].as_u64().unwrap();
        assert!(0 < accepted && accepted < RECORDS / 2, "{accepted}");
        let path = self.fixture.folder.path().join("rejects.csv");
        assert_eq!(rejects(&path).len() as u64, rejected);
        let status = format!("status {} --json", self.file.display());
        let status = crate::fixture::finish(crate::fixture::bare(&status), b"");
        let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
        assert_eq!(status["accepted"], accepted);
        assert_eq!(status["rejected"], rejected);

        let changed = fs::read(&self.file).unwrap();
        let run = self.fixture.run(&self.line());
        run.check(1, "the content of the file differs");
        assert_eq!(fs::read(&self.file).unwrap(), changed);
        fs::write(&self.file, &self.content).unwrap();
        self.fixture.run(&self.line()).check(3, "");
        let each = RECORDS / 10;
        self.fixture.check_report([RECORDS, 9 * each, each, 0, 0]);
        assert_eq!(self.fixture.simulator.totals().accepted, 9 * each);
        let rows = rejects(&path);
        let numbers: Vec<u64> = rows.iter().map(|row| row["n"].parse().unwrap()).collect();
        let expected: Vec<_> = (1..=each).map(|ten| ten * 10).collect();
        assert_eq!(numbers, expected);
    }
}

#[test]
fn an_input_that_grows_while_it_is_sent_stops_the_run() {
    let import = Import::new();
    let run = import.run_and_change(|import| {
        let mut file = OpenOptions::new().append(true).open(&import.file).unwrap();
        file.write_all(b"late,1,x\n").unwrap();
    });
    run.check(5, "cio-import: ");
    let was = import.content.len();
    let expected = format!(
        "a.csv: the input cannot be read from line {{}} on: another program has changed the file: \
         it had {was} bytes when it was opened, and has {} now; to send the rest, restore the file \
         as it was and run the same command again; to send the changed file, all of it, name a \
         new journal with --journal",
        was + 9
    );
    let (before, after) = expected.split_once("{}").unwrap();
    assert!(
        run.stderr.contains(before) && run.stderr.contains(after),
        "{}",
        run.stderr
    );
    import.check_rest_is_sent();
    assert!(import.fixture.simulator.person("late").is_none());
}

#[test]
fn an_input_that_is_cut_off_while_it_is_sent_stops_the_run() {
    let import = Import::new();
    let run = import.run_and_change(|import| {
        let file = OpenOptions::new().write(true).open(&import.file).unwrap();
        file.set_len(import.content.len() as u64 / 2).unwrap();
    });
    run.check(5, "another program has changed the file: it had ");
    import.check_rest_is_sent();
}

#[test]
fn an_input_with_another_value_of_the_same_length_stops_the_run() {
    let import = Import::new();
    let run = import.run_and_change(|import| {
        let content = String::from_utf8(import.content.clone()).unwrap();
        let mut file = OpenOptions::new().write(true).open(&import.file).unwrap();
        file.write_all(content.replace("u1999,", "u1998,").as_bytes())
            .unwrap();
    });
    run.check(
        5,
        "another program has changed the file: it was written to at 20",
    );
    import.check_rest_is_sent();
}

/// A write through a memory map, or one on a file system with coarse times, shows in the content
/// only.
#[test]
fn a_change_that_keeps_length_and_time_is_found_at_the_end() {
    let import = Import::new();
    let run = import.run_and_change(|import| {
        let content = String::from_utf8(import.content.clone()).unwrap();
        let content = content.replace("u1999,", "u1998,");
        let mut file = OpenOptions::new().write(true).open(&import.file).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        // The last page only: the others stay as they are.
        let at = content.len() - 4096;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&content.as_bytes()[at..]).unwrap();
        file.set_modified(modified).unwrap();
    });
    run.check(
        5,
        "another program has changed the content of the file since this run has checked it, so \
         records may have been sent from the changed content",
    );
    let report = import.fixture.report();
    assert_eq!(
        report["accepted"],
        import.fixture.simulator.totals().accepted
    );
    let journal = import.fixture.folder.path().join("a.csv.cio-journal");
    assert!(!fs::read_to_string(journal).unwrap().contains("\ncomplete "));
}
