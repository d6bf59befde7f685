//! Finds the time of the first and the last request of a run, in its journal or its report.

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::display;
use crate::mapping::TimeFormat;

/// The most bytes of a line that are read. The lines with times are shorter; those with the settled
/// records may have megabytes, and are of no use here.
const MAX_LINE: usize = 64 * 1024;

/// What a journal or a report says about a run. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// The time of the first request.
    pub(super) started: Option<i64>,
    /// The time of the last request.
    pub(super) ended: Option<i64>,
    /// Whether the journal or the report has an outcome for each record.
    pub(super) is_finished: bool,
    pub(super) kind: Option<String>,
    pub(super) base_url: Option<String>,
}

impl Run {
    /// Reads a journal.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is in use by a run, or is not a journal.
    pub(super) fn of_journal(file: &File, path: &Path) -> Result<Self> {
        let shown = display::path(path);
        if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
            bail!("{shown}: an import is using this journal; wait until it ends");
        }
        let mut run = Self::of(file).with_context(|| format!("{shown}: cannot be read"))?;
        ensure!(
            run.base_url.is_some(),
            "{shown}: this file is not an import journal; name another with --journal"
        );
        // A run that was stopped has no report. Its last line was written after its last answer.
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        if let (None, Ok(modified)) = (run.ended, modified) {
            run.ended = unix_seconds(modified);
        }
        Ok(run)
    }

    /// Reads a report.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, or is not a report.
    pub(super) fn of_report(path: &Path) -> Result<Self> {
        let shown = || display::path(path);
        let file = File::open(path).with_context(|| format!("{}: cannot be opened", shown()))?;
        let report: Map<String, Value> = serde_json::from_reader(BufReader::new(file))
            .with_context(|| format!("{}: this file is not a report", shown()))?;
        let mut run = Self::default();
        run.add(&report);
        // The report of a run that was continued begins with its last part.
        if report.get("settled_earlier").and_then(Value::as_u64) > Some(0) {
            run.started = None;
        }
        Ok(run)
    }

    fn of(file: &File) -> io::Result<Self> {
        let mut run = Self::default();
        let mut reader = BufReader::new(file);
        while let Some(line) = next_line(&mut reader)? {
            // Other text may stand before and after the object, such as a checksum.
            let Some(start) = line.iter().position(|byte| *byte == b'{') else {
                continue;
            };
            let mut values = serde_json::Deserializer::from_slice(&line[start..]).into_iter();
            if let Some(Ok(object)) = values.next() {
                run.add(&object);
            }
        }
        Ok(run)
    }

    /// Adds what an object says: the header of a journal, the start of a run, or a report.
    fn add(&mut self, object: &Map<String, Value>) {
        if let Some(report) = object.get("complete").and_then(Value::as_object) {
            return self.add(report);
        }
        let count = |name: &str| object.get(name).and_then(Value::as_u64);
        // A report has these counts, and no other line of a journal has.
        if let (Some(unknown), Some(not_sent)) = (count("unknown"), count("not_sent")) {
            self.is_finished = unknown + not_sent == 0;
        }
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(started) = text("started_at").and_then(|time| parsed(&time)) {
            // A run that was continued has several beginnings.
            self.started = Some(self.started.map_or(started, |first| first.min(started)));
            let elapsed = object.get("elapsed_seconds").and_then(Value::as_f64);
            if let Some(elapsed) = elapsed {
                self.ended = Some(started.saturating_add(elapsed.ceil() as i64));
            }
        }
        self.base_url = text("base_url").or_else(|| self.base_url.take());
        self.kind = text("kind").or_else(|| self.kind.take());
    }
}

fn parsed(time: &str) -> Option<i64> {
    TimeFormat::Rfc3339.parse(time).ok()
}

fn unix_seconds(time: SystemTime) -> Option<i64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// Returns the next line, at most [`MAX_LINE`] bytes of it, or nothing at the end.
fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut is_end = true;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok((!is_end).then_some(line));
        }
        is_end = false;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = MAX_LINE - line.len();
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_journal(text: &str) -> Result<Run> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv.cio-journal");
        std::fs::write(&path, text).unwrap();
        Run::of_journal(&File::open(&path).unwrap(), &path)
    }

    const HEADER: &str = r#"{"base_url":"https://track.customer.io","kind":"people"}"#;

    #[test]
    fn a_finished_run_has_a_beginning_and_an_end() {
        let report = r#"{"started_at":"2026-01-31T20:00:00Z","elapsed_seconds":89.2,"unknown":0,"not_sent":0}"#;
        for journal in [
            format!("{HEADER}\n{{\"complete\":{report}}}\n"),
            format!("journal 2 {HEADER} #1\nsettled 1-4 #2\ncomplete {report} #3\n"),
        ] {
            let run = of_journal(&journal).unwrap();
            assert_eq!(run.started, Some(1_769_889_600), "{journal}");
            assert_eq!(run.ended, Some(1_769_889_690), "{journal}");
            assert_eq!(run.kind.as_deref(), Some("people"));
            assert!(run.is_finished, "{journal}");
            assert_eq!(run.base_url.as_deref(), Some("https://track.customer.io"));
        }
    }

    #[test]
    fn a_run_that_was_continued_begins_with_its_first_request_and_ends_with_the_file() {
        let started = |hour| format!("run {{\"started_at\":\"2026-01-31T{hour}:00:00Z\"}} #1\n");
        let (first, second) = (started(20), started(22));
        let long = format!("settled {} #2\n", "1,".repeat(MAX_LINE));
        let run = of_journal(&format!("journal 2 {HEADER} #0\n{first}{long}{second}")).unwrap();
        assert_eq!(run.started, Some(1_769_889_600));
        assert!(run.ended.unwrap() > 1_769_889_600);
        assert!(!run.is_finished);
    }

    #[test]
    fn the_report_of_a_continued_run_does_not_say_when_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let started = |earlier| {
            let report = format!(
                r#"{{"started_at":"2026-01-31T20:00:00Z","elapsed_seconds":1,"settled_earlier":{earlier}}}"#
            );
            std::fs::write(&path, report).unwrap();
            Run::of_report(&path).unwrap().started
        };
        assert_eq!(started(0), Some(1_769_889_600));
        assert_eq!(started(1), None);
    }

    #[test]
    fn another_file_is_no_journal() {
        for text in ["", "id,name\n1,Ada\n", "{}\n", "{\"started_at\":1}\n"] {
            let error = of_journal(text).unwrap_err().to_string();
            assert!(error.contains("is not an import journal"), "{error}");
        }
        assert_eq!(of_journal(HEADER).unwrap().started, None);
    }

    #[test]
    fn a_journal_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv.cio-journal");
        std::fs::write(&path, HEADER).unwrap();
        let held = File::open(&path).unwrap();
        held.lock().unwrap();
        let error = Run::of_journal(&File::open(&path).unwrap(), &path).unwrap_err();
        assert!(error.to_string().contains("wait until it ends"), "{error}");
    }

    #[test]
    fn lines_are_cut_and_the_last_one_needs_no_end() {
        let text = format!("a\n\n{}\nb", "x".repeat(MAX_LINE + 9));
        let mut reader = BufReader::with_capacity(7, text.as_bytes());
        let lines = std::iter::from_fn(|| next_line(&mut reader).unwrap());
        let lengths: Vec<_> = lines.map(|line| line.len()).collect();
        assert_eq!(lengths, [1, 0, MAX_LINE, 1]);
    }
}
