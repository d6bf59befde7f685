use std::fmt;
use std::time::Duration;

use anyhow::Error;
use customerio::{Cause, Outcome};

use crate::clock;
use crate::report::Totals;

/// The result of a run.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) totals: Totals,
    /// The number of records that were read. Those in no total were not sent.
    pub(crate) read: u64,
    /// Why the run stopped before the end of its input, if it did.
    pub(crate) stop: Option<Stop>,
}

/// Why a run stopped before the end of its input. A status is that of the last answer, if there
/// was one.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The API rejected the credentials.
    Credentials,
    /// The input, the rejects file or this program failed.
    Failed(Error),
    /// A signal was received.
    Interrupted,
    /// The API refused a request for a reason that waiting does not change.
    Permanent(Cause),
    /// The API rejected the first records, all for the same reason.
    SameRejection(Option<u16>),
    /// The run waited for the server as long as `--max-wait` allows.
    WaitedTooLong(Duration, Wait),
    /// Many requests in a row got no answer about any record.
    WithoutAnswer(Option<u16>),
}

/// A wait for the server. Times are in seconds since 1970.
#[derive(Clone, Debug)]
pub(crate) enum Wait {
    /// The server asked for it in this header field.
    Requested { until: i64, field: String },
    /// Every request fails.
    Outage { since: i64, cause: Cause },
    /// The server throttles and names no time.
    Throttled { since: i64 },
}

impl fmt::Display for Wait {
    /// Leaves out the server's text, which may repeat people's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested { until, field } => {
                let until = clock::rfc3339(*until);
                write!(f, "waiting until {until}, as the server asked ({field})")
            }
            Self::Throttled { since } => {
                let since = clock::rfc3339(*since);
                write!(
                    f,
                    "waiting since {since}: the server answers with status 429"
                )
            }
            Self::Outage { since, cause } => {
                write!(f, "waiting since {}: ", clock::rfc3339(*since))?;
                match cause.status() {
                    Some(status) => write!(f, "the server answers with status {}", status.as_u16()),
                    None => write!(f, "no request gets an answer: {}", chain(cause)),
                }
            }
        }
    }
}

/// Returns why the run must stop if the API refuses requests for a reason that waiting does not
/// change.
///
/// A record that was not sent because it follows an unknown one is no reason to stop.
pub(super) fn permanent_failure(outcome: &Outcome) -> Option<Stop> {
    match outcome {
        Outcome::NotSent(cause) if cause.is_credentials() => Some(Stop::Credentials),
        Outcome::NotSent(cause) if !cause.is_withheld() => Some(Stop::Permanent(cause.clone())),
        _ => None,
    }
}

/// Returns the status of the answer that led to an outcome.
pub(super) fn status(outcome: &Outcome) -> Option<u16> {
    let status = match outcome {
        Outcome::Accepted => None,
        Outcome::Rejected(rejection) => rejection.status(),
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => cause.status(),
    };
    status.map(|status| status.as_u16())
}

/// Returns a cause and its sources. The text of an HTTP/2 GOAWAY frame is left out: it may repeat
/// people's data.
pub(crate) fn chain(cause: &Cause) -> String {
    let error = Error::new(cause.clone());
    let levels = error.chain().map(|level| {
        let text = level.to_string();
        // h2 writes that text last, as a byte string.
        let end = text.find(" (b\"").unwrap_or(text.len());
        text[..end].to_owned()
    });
    levels.collect::<Vec<_>>().join(": ")
}
