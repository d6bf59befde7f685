//! Tells which records were not taken: the first few on the standard error, all of them in the
//! rejects file.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use anyhow::Error;
use customerio::{Cause, Outcome, Rejection};
use serde::Serialize;

use crate::counted::counted;
use crate::reject::{Column, Reject};

/// More lines would push the plan and the summary out of sight.
const MAX_SHOWN: u64 = 20;

/// Collects the problems of one run.
#[derive(Debug)]
pub(crate) struct Problems {
    input: String,
    count: u64,
    file: Option<BufWriter<File>>,
}

/// One record that was not taken. Its `Display` is for the terminal and leaves out the server's
/// words, which may repeat people's data; the rejects file, which only its owner may read, has
/// them.
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

/// Says that a rejects file cannot be written, and what to do.
pub(crate) fn rejects_failed(error: io::Error) -> Error {
    Error::new(error)
        .context("the rejects file cannot be written; free some space or leave out --rejects")
}

// === impl Problems ===

impl Problems {
    /// Keeps all problems in the rejects file, if there is one.
    pub(crate) fn new(input: String, rejects: Option<File>) -> Self {
        Self {
            input,
            count: 0,
            file: rejects.map(BufWriter::new),
        }
    }

    /// Keeps a problem. Returns what to print of it: nothing once enough was printed.
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

    /// Brings the rejects file to the disk. Returns what to print of the problems that were not
    /// printed.
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
                    "the rejects file has them"
                } else {
                    "--rejects FILE keeps them all"
                };
                let more = counted(more, "more such record", "more such records");
                format!("{}: {more}; {all}", self.input)
            }))
    }
}

// === impl Problem ===

impl Problem {
    /// Returns the problem of a record that ended with `outcome`; accepted records have none.
    pub(crate) fn of(line: u64, outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Accepted => None,
            Outcome::Rejected(rejection) => Some(Self::rejected(line, rejection)),
            Outcome::Unknown(cause) => Some(Self::caused(
                line,
                "unknown",
                "it may have been applied",
                cause,
            )),
            Outcome::NotSent(cause) => {
                Some(Self::caused(line, "not_sent", "it was not sent", cause))
            }
        }
    }

    fn rejected(line: u64, rejection: &Rejection) -> Self {
        let status = rejection
            .status()
            .map(|status| format!(" with status {}", status.as_u16()))
            .unwrap_or_default();
        Self {
            line,
            column: None,
            outcome: "rejected",
            reason: rejection.to_string(),
            shown: format!("rejected by the API{status}; --rejects FILE keeps its reason"),
        }
    }

    fn caused(line: u64, outcome: &'static str, meaning: &str, cause: &Cause) -> Self {
        let status = cause
            .status()
            .map(|status| format!(" (status {})", status.as_u16()))
            .unwrap_or_default();
        Self {
            line,
            column: None,
            outcome,
            reason: cause.to_string(),
            shown: format!("{meaning}{status}; --rejects FILE keeps the cause"),
        }
    }
}

impl From<Reject> for Problem {
    fn from(reject: Reject) -> Self {
        let shown = reject.fault.to_string();
        let Reject { line, fault } = reject;
        let column = fault.column.map(|column| match column {
            Column::Name(name) => name,
            Column::Number(number) => number.to_string(),
        });
        Self {
            line,
            column,
            outcome: "rejected",
            reason: fault.reason,
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
    use crate::reject::Fault;

    fn problem(line: u64) -> Problem {
        Fault::named("id", "has no value; give every record one")
            .at(line)
            .into()
    }

    #[test]
    fn the_first_problems_are_shown_and_the_rest_is_counted() {
        let mut problems = Problems::new("a.csv".into(), None);
        let shown: Vec<_> = (1..=MAX_SHOWN + 3)
            .filter_map(|line| problems.add(&problem(line)).unwrap())
            .collect();
        assert_eq!(shown.len(), 20);
        assert_eq!(
            shown[1],
            r#"a.csv:2: column "id": has no value; give every record one"#
        );
        let more = problems.finish().unwrap();
        assert_eq!(
            more.as_deref(),
            Some("a.csv: 3 more such records; --rejects FILE keeps them all")
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
        let expected = r#"{"line":1,"column":"id","outcome":"rejected","reason":"has no value; give every record one"}"#;
        assert_eq!(written.lines().next(), Some(expected));
    }

    #[test]
    fn the_words_of_a_cause_stay_in_the_file() {
        let outcome = Outcome::Unknown(Cause::new(io::Error::other("ada@example.com")));
        let problem = Problem::of(7, &outcome).unwrap();
        assert_eq!(
            problem.to_string(),
            "7: it may have been applied; --rejects FILE keeps the cause"
        );
        assert!(Problem::of(7, &Outcome::Accepted).is_none());
    }
}
