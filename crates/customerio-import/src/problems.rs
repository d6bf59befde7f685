//! Reports the records that were not accepted: the first ones on the standard error, all of them
//! in the rejects file.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use anyhow::Error;
use customerio::{Cause, Outcome, Rejection};
use serde::Serialize;

use crate::display::counted;
use crate::reject::{Column, Reject};

/// The most problems that are printed. More lines would scroll the plan out of a terminal.
const MAX_SHOWN: u64 = 20;

/// Collects the problems of one run.
#[derive(Debug)]
pub(crate) struct Problems {
    input: String,
    count: u64,
    file: Option<BufWriter<File>>,
}

/// A record that was not accepted.
///
/// Its `Display` is for the terminal and leaves out the server's text, which may repeat people's
/// data. The rejects file has it, and only its owner may read that file. The serialized field names
/// are public: scripts read them.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    outcome: &'static str,
    reason: String,
    #[serde(skip)]
    shown: String,
}

/// Returns the error of a rejects file that cannot be written.
pub(crate) fn rejects_failed(error: io::Error) -> Error {
    Error::new(error)
        .context("the rejects file cannot be written; free some disk space or leave out --rejects")
}

// === impl Problems ===

impl Problems {
    /// Returns an empty collection that writes to the rejects file, if there is one.
    pub(crate) fn new(input: String, rejects: Option<File>) -> Self {
        Self {
            input,
            count: 0,
            file: rejects.map(BufWriter::new),
        }
    }

    /// Adds a problem. Returns the line to print, or nothing after [`MAX_SHOWN`] of them.
    pub(crate) fn add(&mut self, problem: &Problem) -> io::Result<Option<String>> {
        self.count += 1;
        if let Some(file) = &mut self.file {
            serde_json::to_writer(&mut *file, problem)?;
            file.write_all(b"\n")?;
        }
        Ok(match self.count {
            1..=MAX_SHOWN => Some(format!("{}:{problem}", self.input)),
            _ => None,
        })
    }

    /// Syncs the rejects file to disk. Returns a line about the problems that were not printed, if
    /// there are any.
    pub(crate) fn finish(mut self) -> io::Result<Option<String>> {
        if let Some(file) = &mut self.file {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        Ok(self
            .count
            .checked_sub(MAX_SHOWN)
            .filter(|more| *more > 0)
            .map(|more| {
                let all = if self.file.is_some() {
                    "see the rejects file"
                } else {
                    "to see all of them, add --rejects FILE"
                };
                let more = counted(more, "more record", "more records");
                format!("{}: {more} not accepted; {all}", self.input)
            }))
    }
}

// === impl Problem ===

impl Problem {
    /// Returns the problem of a record with this outcome; accepted records have none.
    pub(crate) fn of(line: u64, outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Accepted => None,
            Outcome::Rejected(rejection) => Some(Self::rejected(line, rejection)),
            Outcome::Unknown(cause) => {
                let shown = "unknown: the record may have been applied";
                Some(Self::caused(line, "unknown", shown, cause))
            }
            Outcome::NotSent(cause) => Some(Self::caused(line, "not_sent", "not sent", cause)),
        }
    }

    fn rejected(line: u64, rejection: &Rejection) -> Self {
        let status = rejection
            .status()
            .map(|status| format!(" (status {})", status.as_u16()))
            .unwrap_or_default();
        Self {
            line,
            column: None,
            outcome: "rejected",
            reason: rejection.to_string(),
            shown: format!("rejected by the API{status}; for the reason, see --rejects FILE"),
        }
    }

    fn caused(line: u64, outcome: &'static str, shown: &str, cause: &Cause) -> Self {
        let status = cause
            .status()
            .map(|status| format!(" (status {})", status.as_u16()))
            .unwrap_or_default();
        Self {
            line,
            column: None,
            outcome,
            reason: cause.to_string(),
            shown: format!("{shown}{status}; for the cause, see --rejects FILE"),
        }
    }
}

impl From<Reject> for Problem {
    fn from(reject: Reject) -> Self {
        let shown = reject.error.to_string();
        let Reject { line, error } = reject;
        let reason = error.full_reason();
        let column = error.column.as_ref().map(Column::value);
        Self {
            line,
            column,
            outcome: "rejected",
            reason,
            shown,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reject::RecordError;

    fn problem(line: u64) -> Problem {
        RecordError::named("id", "has no value; add one")
            .at(line)
            .into()
    }

    #[test]
    fn the_first_problems_are_shown_and_the_others_are_counted() {
        let mut problems = Problems::new("a.csv".into(), None);
        let shown: Vec<_> = (1..=MAX_SHOWN + 3)
            .filter_map(|line| problems.add(&problem(line)).unwrap())
            .collect();
        assert_eq!(shown.len(), 20);
        assert_eq!(shown[1], r#"a.csv:2: column "id": has no value; add one"#);
        let more = problems.finish().unwrap();
        assert_eq!(
            more.as_deref(),
            Some("a.csv: 3 more records not accepted; to see all of them, add --rejects FILE")
        );
    }

    #[test]
    fn the_rejects_file_has_every_problem() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects");
        let mut problems = Problems::new("a.csv".into(), Some(File::create(&path).unwrap()));
        (1..=30).for_each(|line| drop(problems.add(&problem(line)).unwrap()));
        problems.finish().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written.lines().count(), 30);
        let expected =
            r#"{"line":1,"column":"id","outcome":"rejected","reason":"has no value; add one"}"#;
        assert_eq!(written.lines().next(), Some(expected));
    }

    #[test]
    fn the_text_of_a_cause_is_only_in_the_file() {
        let outcome = Outcome::Unknown(Cause::new(io::Error::other("ada@example.com")));
        let problem = Problem::of(7, &outcome).unwrap();
        assert_eq!(
            problem.to_string(),
            "7: unknown: the record may have been applied; for the cause, see --rejects FILE"
        );
        assert!(Problem::of(7, &Outcome::Accepted).is_none());
    }
}
