//! Reports the records that were not accepted: the first ones on the standard error. The rejects
//! file has all of them.

use std::fmt;
use std::io;

use anyhow::Error;
use customerio::{Cause, Outcome, Rejection};

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
    has_rejects_file: bool,
}

/// A record that was not accepted.
///
/// Its `Display` is for the terminal and leaves out the server's text, which may repeat people's
/// data. The rejects file has it, and only its owner may read that file.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) line: u64,
    pub(crate) outcome: &'static str,
    pub(crate) reason: String,
    /// The text of the API's answer, or of the error if there was none.
    pub(crate) response: Option<String>,
    /// The problems with the same reason are one group.
    pub(crate) group: (Option<Column>, String),
}

/// Returns the error of a rejects file that cannot be written.
pub(crate) fn rejects_failed(error: io::Error) -> Error {
    Error::new(error)
        .context("the rejects file cannot be written; free some disk space or leave out --rejects")
}

// === impl Problems ===

impl Problems {
    /// Returns an empty collection. `has_rejects_file` is whether all problems are in a file too.
    pub(crate) fn new(input: String, has_rejects_file: bool) -> Self {
        Self {
            input,
            count: 0,
            shown: 0,
            reasons: Reasons::default(),
            has_rejects_file,
        }
    }

    /// Adds a problem. Returns the line to print, or nothing after [`MAX_SHOWN`] of them, or
    /// [`MAX_SHOWN_OF_REASON`] with the same reason.
    pub(crate) fn add(&mut self, problem: &Problem) -> Option<String> {
        self.count += 1;
        let (column, reason) = &problem.group;
        let same = self.reasons.add(column.as_ref(), reason, problem.line);
        if self.shown == MAX_SHOWN || same > MAX_SHOWN_OF_REASON {
            return None;
        }
        self.shown += 1;
        Some(format!("{}:{problem}", self.input))
    }

    /// Returns the problems by reason.
    pub(crate) fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    /// Returns the number of problems for each reason, unless each problem was printed.
    pub(crate) fn finish(self) -> Option<String> {
        if self.count == self.shown {
            return None;
        }
        let all = match self.has_rejects_file {
            true => "all are in the rejects file",
            false => "to see all of them, add --rejects FILE",
        };
        let records = counted(self.count, "record was", "records were");
        let (input, reasons) = (&self.input, self.reasons.to_string());
        let reasons = reasons.trim_end();
        Some(format!(
            "{input}: {records} not accepted; {all}; by reason:\n{reasons}"
        ))
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
        let status = rejection.status().map(|status| status.as_u16());
        let reason = format!("rejected by the API{}", in_parentheses(status));
        Self {
            line,
            outcome: "rejected",
            group: (None, reason.clone()),
            reason,
            response: Some(rejection.reason().to_owned()),
        }
    }

    fn caused(line: u64, outcome: &'static str, shown: &str, cause: &Cause) -> Self {
        let status = cause.status().map(|status| status.as_u16());
        let reason = format!("{shown}{}", in_parentheses(status));
        Self {
            line,
            outcome,
            group: (None, reason.clone()),
            reason,
            response: Some(cause.to_string()),
        }
    }
}

fn in_parentheses(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!(" (status {status})"))
}

impl From<Reject> for Problem {
    fn from(reject: Reject) -> Self {
        Self {
            line: reject.line,
            outcome: "rejected",
            reason: reject.error.to_string(),
            response: None,
            // Without the lines of a record over several lines: they do not make another reason.
            group: (reject.error.column, reject.error.reason),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.reason)?;
        match (&self.response, self.outcome) {
            (None, _) => Ok(()),
            (Some(_), "rejected") => f.write_str("; for the reason, see --rejects FILE"),
            (Some(_), _) => f.write_str("; for the cause, see --rejects FILE"),
        }
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
        let mut problems = Problems::new("a.csv".into(), false);
        let mut shown = Vec::new();
        for line in 1..=23 {
            shown.extend(problems.add(&problem(line)));
        }
        let error = RecordError::named("age", "is no int").over((24, 25));
        shown.extend(problems.add(&error.at(24).into()));
        let outcome = Outcome::Unknown(Cause::new(io::Error::other("ada@example.com")));
        let unknown = Problem::of(26, &outcome).unwrap();
        shown.extend(problems.add(&unknown));
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
        assert_eq!(problems.finish().as_deref(), Some(expected));
    }

    #[test]
    fn problems_that_were_all_shown_are_not_repeated() {
        let mut problems = Problems::new("a.csv".into(), false);
        (1..=3).for_each(|line| assert!(problems.add(&problem(line)).is_some()));
        assert_eq!(problems.finish(), None);
    }

    #[test]
    fn at_most_20_problems_are_shown() {
        let mut problems = Problems::new("a.csv".into(), false);
        let shown = (1..=300).filter_map(|line| {
            let error = RecordError::new(format!("takes {line} bytes"));
            problems.add(&error.at(line).into())
        });
        assert_eq!(shown.count() as u64, MAX_SHOWN);
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
