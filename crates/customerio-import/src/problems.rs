//! Reports the records that were not accepted: the first ones on the standard error, all of them
//! in the rejects file.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use anyhow::Error;
use customerio::{Cause, Outcome, Rejection};
use serde::Serialize;

use crate::display::counted;
use crate::reasons::Reasons;
use crate::reject::{Column, Reject};

/// The most problems that are printed. More lines would scroll the plan out of a terminal.
const MAX_SHOWN: u64 = 20;

/// The most problems with the same reason that are printed one by one: enough to see a pattern in
/// the lines. With more, a frequent reason would hide the others.
const MAX_SHOWN_OF_REASON: u64 = 3;

/// Collects the problems of one run.
#[derive(Debug)]
pub(crate) struct Problems {
    input: String,
    count: u64,
    shown: u64,
    reasons: Reasons,
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
    /// The problems with the same reason are one group.
    #[serde(skip)]
    group: (Option<Column>, String),
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
            shown: 0,
            reasons: Reasons::default(),
            file: rejects.map(BufWriter::new),
        }
    }

    /// Adds a problem. Returns the line to print, or nothing after [`MAX_SHOWN`] of them, or
    /// [`MAX_SHOWN_OF_REASON`] with the same reason.
    pub(crate) fn add(&mut self, problem: &Problem) -> io::Result<Option<String>> {
        self.count += 1;
        if let Some(file) = &mut self.file {
            serde_json::to_writer(&mut *file, problem)?;
            file.write_all(b"\n")?;
        }
        let (column, reason) = &problem.group;
        let same = self.reasons.add(column.as_ref(), reason, problem.line);
        if self.shown == MAX_SHOWN || same > MAX_SHOWN_OF_REASON {
            return Ok(None);
        }
        self.shown += 1;
        Ok(Some(format!("{}:{problem}", self.input)))
    }

    /// Returns the problems by reason.
    pub(crate) fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    /// Syncs the rejects file to disk. Returns the number of problems for each reason, unless each
    /// problem was printed.
    pub(crate) fn finish(mut self) -> io::Result<Option<String>> {
        if let Some(file) = &mut self.file {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        if self.count == self.shown {
            return Ok(None);
        }
        let all = match self.file {
            Some(_) => "all are in the rejects file",
            None => "to see all of them, add --rejects FILE",
        };
        let records = counted(self.count, "record was", "records were");
        let (input, reasons) = (&self.input, self.reasons.to_string());
        let reasons = reasons.trim_end();
        Ok(Some(format!(
            "{input}: {records} not accepted; {all}; by reason:\n{reasons}"
        )))
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
            group: (None, format!("rejected by the API{status}")),
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
            group: (None, format!("{shown}{status}")),
        }
    }
}

impl From<Reject> for Problem {
    fn from(reject: Reject) -> Self {
        let shown = reject.error.to_string();
        let Reject { line, error } = reject;
        let reason = error.full_reason();
        let column = error.column.as_ref().map(Column::value);
        // Without the lines of a record over several lines: they do not make another reason.
        let group = (error.column, error.reason);
        Self {
            line,
            column,
            outcome: "rejected",
            reason,
            shown,
            group,
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
    fn the_first_problems_of_each_reason_are_shown_and_all_are_counted() {
        let mut problems = Problems::new("a.csv".into(), None);
        let mut shown = Vec::new();
        for line in 1..=23 {
            shown.extend(problems.add(&problem(line)).unwrap());
        }
        let error = RecordError::named("age", "is no int").over((24, 25));
        shown.extend(problems.add(&error.at(24).into()).unwrap());
        let outcome = Outcome::Unknown(Cause::new(io::Error::other("ada@example.com")));
        let unknown = Problem::of(26, &outcome).unwrap();
        shown.extend(problems.add(&unknown).unwrap());
        let expected = [
            "a.csv:1: column \"id\": has no value; add one",
            "a.csv:2: column \"id\": has no value; add one",
            "a.csv:3: column \"id\": has no value; add one",
            "a.csv:24: column \"age\": is no int; the record goes from line 24 to line 25",
            "a.csv:26: unknown: the record may have been applied; for the cause, see --rejects FILE",
        ];
        assert_eq!(shown, expected);
        let expected = "\
            a.csv: 25 records were not accepted; to see all of them, add --rejects FILE; by reason:\n  \
            23 records: column \"id\": has no value; add one (the first on line 1)\n  \
            1 record: column \"age\": is no int (on line 24)\n  \
            1 record: unknown: the record may have been applied (on line 26)";
        assert_eq!(problems.finish().unwrap().as_deref(), Some(expected));
    }

    #[test]
    fn problems_that_were_all_shown_are_not_repeated() {
        let mut problems = Problems::new("a.csv".into(), None);
        (1..=3).for_each(|line| assert!(problems.add(&problem(line)).unwrap().is_some()));
        assert_eq!(problems.finish().unwrap(), None);
    }

    #[test]
    fn at_most_20_problems_are_shown() {
        let mut problems = Problems::new("a.csv".into(), None);
        let shown = (1..=300).filter_map(|line| {
            let error = RecordError::new(format!("takes {line} bytes"));
            problems.add(&error.at(line).into()).unwrap()
        });
        assert_eq!(shown.count() as u64, MAX_SHOWN);
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
