//! The report of a run, and the exit code that follows from it.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::display::{self, counted};

/// The exit codes of `cio-import`. Code 2, wrong usage, comes from the parser of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every record was accepted.
    Complete = 0,
    /// The file, the mapping or the settings cannot be used; nothing was sent.
    Unusable = 1,
    /// Every record has an outcome, but some were rejected or are unknown.
    Incomplete = 3,
    /// The API rejected the credentials; the remaining records were not sent.
    CredentialsRejected = 4,
    /// The run was stopped before its end.
    Stopped = 5,
}

/// Counts records by their outcome. Each record is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) unknown: u64,
    pub(crate) not_sent: u64,
}

/// Counts requests that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) throttled: u64,
}

/// The report of a run, as `--report` writes it and the journal keeps it. Its field names are
/// public: scripts read them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) records: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) unknown: u64,
    pub(crate) not_sent: u64,
    /// The records that earlier runs have accepted or rejected. They are counted above too.
    pub(crate) settled_earlier: u64,
    /// The numbers of the first records that are neither accepted nor rejected, as in `7, 100-200`.
    /// The same command sends them.
    pub(crate) left: String,
    /// The requests with records, and the time, of this run only.
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) throttled: u64,
    /// The time of the first request, as RFC 3339. Reports of earlier versions have none.
    #[serde(default)]
    pub(crate) started_at: Option<String>,
    /// The time after the last request. Reports of earlier versions have none.
    #[serde(default)]
    pub(crate) ended_at: Option<String>,
    pub(crate) elapsed_seconds: f64,
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

// === impl Totals ===

impl Totals {
    pub(crate) fn records(&self) -> u64 {
        self.accepted + self.rejected + self.unknown + self.not_sent
    }
}

// === impl Report ===

impl Report {
    /// Returns the report of a run over `records` records. Those without an outcome count as not
    /// sent.
    ///
    /// # Panics
    ///
    /// Panics if there are more outcomes than records: a record was settled twice.
    pub(crate) fn new(records: u64, totals: Totals, traffic: Traffic, elapsed: Duration) -> Self {
        let without_outcome = records
            .checked_sub(totals.records())
            .expect("no record is settled twice");
        Self {
            records,
            accepted: totals.accepted,
            rejected: totals.rejected,
            unknown: totals.unknown,
            not_sent: totals.not_sent + without_outcome,
            settled_earlier: 0,
            left: String::new(),
            requests: traffic.requests,
            retries: traffic.retries,
            throttled: traffic.throttled,
            started_at: None,
            ended_at: None,
            elapsed_seconds: elapsed.as_secs_f64(),
        }
    }

    /// Adds the times of the first and after the last request, in seconds since 1970, rounded down.
    pub(crate) fn between(self, started: i64, ended: i64) -> Self {
        Self {
            started_at: Some(clock::rfc3339(started)),
            // Rounded up: a failure of the last request must not be later.
            ended_at: Some(clock::rfc3339(ended.saturating_add(1))),
            ..self
        }
    }

    /// Returns the time of the first request, in seconds since 1970.
    pub(crate) fn started(&self) -> Option<i64> {
        clock::parse_rfc3339(self.started_at.as_deref()?)
    }

    /// Returns the time after the last request, in seconds since 1970.
    pub(crate) fn ended(&self) -> Option<i64> {
        match &self.ended_at {
            Some(time) => clock::parse_rfc3339(time),
            // The clock of `elapsed_seconds` stops while the machine sleeps, but earlier versions
            // have no other.
            None => Some(
                self.started()?
                    .saturating_add(self.elapsed_seconds.ceil() as i64),
            ),
        }
    }

    /// Adds the number of records that earlier runs have settled, and the numbers of those that are
    /// left.
    pub(crate) fn continued(self, settled_earlier: u64, left: String) -> Self {
        Self {
            settled_earlier,
            left,
            ..self
        }
    }

    /// Returns whether each record was accepted or rejected: nothing is left for another run.
    pub(crate) fn is_settled(&self) -> bool {
        self.unknown == 0 && self.not_sent == 0
    }

    /// Returns the exit code of a run that reached the end of its input.
    pub(crate) fn exit(&self) -> Exit {
        if self.accepted == self.records {
            Exit::Complete
        } else {
            Exit::Incomplete
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            records,
            accepted,
            rejected,
            unknown,
            not_sent,
            ..
        } = self;
        writeln!(
            f,
            "{}: {accepted} accepted, {rejected} rejected, {unknown} unknown, {not_sent} not sent",
            display::records(*records)
        )?;
        if self.settled_earlier > 0 {
            let earlier = display::records(self.settled_earlier);
            writeln!(f, "{earlier} settled by earlier runs and not sent again")?;
        }
        let Self {
            requests,
            retries,
            throttled,
            elapsed_seconds,
            ..
        } = self;
        write!(
            f,
            "{} in {elapsed_seconds:.1} s: {}, {throttled} throttled",
            display::requests(*requests),
            counted(*retries, "retry", "retries")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(records: u64, totals: Totals) -> Report {
        Report::new(
            records,
            totals,
            Traffic::default(),
            Duration::from_millis(1500),
        )
    }

    #[test]
    fn records_without_an_outcome_are_not_sent() {
        let totals = Totals {
            accepted: 5,
            rejected: 1,
            unknown: 1,
            not_sent: 1,
        };
        let report = report(10, totals);
        assert_eq!(report.not_sent, 3);
        assert_eq!(
            report.accepted + report.rejected + report.unknown + report.not_sent,
            report.records
        );
    }

    #[test]
    #[should_panic(expected = "no record is settled twice")]
    fn more_outcomes_than_records_are_a_defect() {
        report(
            1,
            Totals {
                accepted: 2,
                ..Totals::default()
            },
        );
    }

    #[test]
    fn only_a_run_with_all_records_accepted_is_complete() {
        let totals = Totals {
            accepted: 2,
            ..Totals::default()
        };
        assert_eq!(report(2, totals).exit(), Exit::Complete);
        assert_eq!(
            report(
                3,
                Totals {
                    unknown: 1,
                    ..totals
                }
            )
            .exit(),
            Exit::Incomplete
        );
        assert_eq!(report(0, Totals::default()).exit(), Exit::Complete);
    }

    #[test]
    fn the_report_has_exactly_the_documented_keys() {
        let json = serde_json::to_value(report(1, Totals::default())).unwrap();
        let mut keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        let mut expected = ["records", "accepted", "rejected", "unknown", "not_sent"].to_vec();
        expected.extend([
            "settled_earlier",
            "left",
            "requests",
            "retries",
            "throttled",
        ]);
        expected.extend(["started_at", "ended_at", "elapsed_seconds"]);
        expected.sort_unstable();
        assert_eq!(keys, expected);
    }
}
