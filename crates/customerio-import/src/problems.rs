//! Reports the records that were not accepted: the first ones on the standard error. The rejects
//! file has all of them.

use std::fmt;
use std::io;

use anyhow::Error;
use customerio::{Cause, Outcome, Rejection};

use crate::display::counted;
use crate::reject::Reject;

/// The most problems that are printed. More lines would scroll the plan out of a terminal.
const MAX_SHOWN: u64 = 20;

/// Collects the problems of one run.
#[derive(Debug)]
pub(crate) struct Problems {
    input: String,
    count: u64,
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
            has_rejects_file,
        }
    }

    /// Adds a problem. Returns the line to print, or nothing after [`MAX_SHOWN`] of them.
    pub(crate) fn add(&mut self, problem: &Problem) -> Option<String> {
        self.count += 1;
        match self.count {
            1..=MAX_SHOWN => Some(format!("{}:{problem}", self.input)),
            _ => None,
        }
    }

    /// Returns a line about the problems that were not printed, if there are any.
    pub(crate) fn finish(self) -> Option<String> {
        let more = self.count.checked_sub(MAX_SHOWN).filter(|more| *more > 0)?;
        let all = if self.has_rejects_file {
            "see the rejects file"
        } else {
            "to see all of them, add --rejects FILE"
        };
        let more = counted(more, "more record", "more records");
        Some(format!("{}: {more} not accepted; {all}", self.input))
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
        Self {
            line,
            outcome: "rejected",
            reason: format!("rejected by the API{}", in_parentheses(status)),
            response: Some(rejection.reason().to_owned()),
        }
    }

    fn caused(line: u64, outcome: &'static str, shown: &str, cause: &Cause) -> Self {
        let status = cause.status().map(|status| status.as_u16());
        Self {
            line,
            outcome,
            reason: format!("{shown}{}", in_parentheses(status)),
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
    fn the_first_problems_are_shown_and_the_others_are_counted() {
        let mut problems = Problems::new("a.csv".into(), false);
        let shown: Vec<_> = (1..=MAX_SHOWN + 3)
            .filter_map(|line| problems.add(&problem(line)))
            .collect();
        assert_eq!(shown.len(), 20);
        assert_eq!(shown[1], r#"a.csv:2: column "id": has no value; add one"#);
        let more = problems.finish();
        assert_eq!(
            more.as_deref(),
            Some("a.csv: 3 more records not accepted; to see all of them, add --rejects FILE")
        );
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
