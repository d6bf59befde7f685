//! Finds the time of the first and the last request of a run, in its journal or its report.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::journal::{self, State};
use crate::{clock, display};

/// The most bytes of the header of a journal of an earlier version.
const MAX_HEADER: u64 = 64 * 1024;

/// What a journal or a report says about a run. Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// The time of the first request.
    pub(super) started: Option<i64>,
    /// The time after the last request. A run that has crashed did not write it.
    pub(super) ended: Option<i64>,
    /// Whether the journal or the report has an outcome for each record.
    pub(super) is_finished: bool,
    pub(super) kind: Option<String>,
    pub(super) base_url: Option<String>,
    /// The digest of the content that was sent.
    pub(super) content: Option<String>,
}

/// The header of a journal of version 1, which has no times.
#[derive(Debug, Deserialize)]
struct OldHeader {
    base_url: String,
    kind: String,
}

impl Run {
    /// Reads a journal.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is in use by a run, is damaged, or is not a journal.
    pub(super) fn of_journal(file: &File, path: &Path) -> Result<Self> {
        let shown = || display::path(path);
        // Not locked while it is read: a run that starts then only appends to what is read here.
        ensure!(
            !journal::is_in_use(file).with_context(shown)?,
            "{}: an import is using this journal; wait until it ends",
            shown()
        );
        if let Some(header) = old_header(file).with_context(shown)? {
            return Ok(Self {
                base_url: Some(header.base_url),
                kind: Some(header.kind),
                ..Self::default()
            });
        }
        let state = journal::read(file).with_context(shown)?;
        let header = state.header.as_ref().ok_or_else(|| {
            anyhow!(
                "{}: this file is not an import journal; name another with --journal",
                shown()
            )
        })?;
        Ok(Self {
            kind: Some(header.kind.clone()),
            base_url: Some(header.base_url.clone()),
            content: header.content.clone(),
            ..Self::of_state(&state)
        })
    }

    fn of_state(state: &State) -> Self {
        Self {
            started: state.started,
            ended: state.ended,
            is_finished: state.report.is_some(),
            ..Self::default()
        }
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
        let count = |name: &str| report.get(name).and_then(Value::as_u64);
        let time = |name: &str| clock::parse_rfc3339(report.get(name)?.as_str()?);
        let started = time("started_at");
        let elapsed = report.get("elapsed_seconds").and_then(Value::as_f64);
        // Earlier versions wrote no end. The clock of the elapsed time stops while the machine
        // sleeps.
        let counted = || Some(started?.saturating_add(elapsed?.ceil() as i64));
        Ok(Self {
            // The report of a run that was continued begins with its last part.
            started: started.filter(|_| count("settled_earlier").unwrap_or(0) == 0),
            ended: time("ended_at").or_else(counted),
            is_finished: count("unknown") == Some(0) && count("not_sent") == Some(0),
            ..Self::default()
        })
    }
}

/// Returns the header of a journal of version 1, which was JSON. Returns nothing for another file.
fn old_header(mut file: &File) -> Result<Option<OldHeader>> {
    let cannot_be_read = "cannot be read; name another journal with --journal";
    let mut line = Vec::new();
    let read = BufReader::new(file)
        .take(MAX_HEADER)
        .read_until(b'\n', &mut line);
    read.and_then(|_| file.rewind()).context(cannot_be_read)?;
    match line.starts_with(b"{\"version\":1,") {
        true => Ok(serde_json::from_slice(&line).ok()),
        false => Ok(None),
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

    const OLD: &str =
        r#"{"version":1,"base_url":"https://track.customer.io","site":"1","kind":"people"}"#;

    #[test]
    fn a_journal_of_an_earlier_version_has_an_address_and_no_times() {
        let run = of_journal(OLD).unwrap();
        assert_eq!(
            (run.started, run.ended, run.is_finished),
            (None, None, false)
        );
        assert_eq!(run.base_url.as_deref(), Some("https://track.customer.io"));
        assert_eq!(run.kind.as_deref(), Some("people"));
    }

    #[test]
    fn a_report_has_a_beginning_and_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let of_report = |more: &str| {
            let report = format!(
                r#"{{"started_at":"2026-01-31T20:00:00Z","elapsed_seconds":89.2,"unknown":0,"not_sent":0{more}}}"#
            );
            std::fs::write(&path, report).unwrap();
            Run::of_report(&path).unwrap()
        };
        let run = of_report("");
        assert_eq!(
            (run.started, run.ended),
            (Some(1_769_889_600), Some(1_769_889_690))
        );
        assert!(run.is_finished);
        let run = of_report(r#","ended_at":"2026-01-31T21:00:00Z""#);
        assert_eq!(run.ended, Some(1_769_893_200), "the machine has slept");
        // It begins with its last part.
        assert_eq!(of_report(r#","settled_earlier":1"#).started, None);
        assert_eq!(
            of_report(r#","settled_earlier":0"#).started,
            Some(1_769_889_600)
        );
    }

    #[test]
    fn another_file_is_no_journal() {
        let old = r#"{"version":1,"base_url":7}"#;
        for text in [
            "",
            "id,name\n1,Ada\n",
            "{}\n",
            "{\"started_at\":1}\n",
            "cio-im",
            old,
        ] {
            let error = format!("{:#}", of_journal(text).unwrap_err());
            let is_said = error.contains("is not an import journal")
                || text == old && error.contains("another version of cio-import");
            assert!(is_said, "{text}: {error}");
        }
    }

    #[test]
    fn a_journal_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv.cio-journal");
        std::fs::write(&path, OLD).unwrap();
        let held = File::open(&path).unwrap();
        held.lock().unwrap();
        let error = Run::of_journal(&File::open(&path).unwrap(), &path).unwrap_err();
        assert!(error.to_string().contains("wait until it ends"), "{error}");
    }
}
