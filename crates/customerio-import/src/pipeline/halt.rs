use std::fmt;
use std::time::Duration;

use anyhow::Error;
use customerio::{Cause, Outcome};

use crate::clock;
use crate::report::Totals;

/// How many requests in a row may bring no word about a record before the run ends: then it is not
/// the records.
pub(crate) const MAX_FRUITLESS: u32 = 100;

/// Why a run ended before its input did.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The API rejected the first records, all for the same reason; the status is that of its
    /// answers.
    Alike(Option<u16>),
    /// The API refused the credentials.
    Credentials,
    /// The input, the rejects file or this program failed.
    Failed(Error),
    /// Many requests in a row brought no word about a record; the status is that of the last
    /// answer, if one came.
    Fruitless(Option<u16>),
    /// The user asked for it.
    Interrupted,
    /// The run has waited for as long as it may.
    Patience(Duration, Wait),
    /// A request was turned away for a reason that waiting does not mend.
    TurnedAway(Cause),
}

/// What a run waits for.
#[derive(Clone, Debug)]
pub(crate) enum Wait {
    /// The server asked for it by this field, until then in seconds since 1970.
    Asked { until: i64, field: String },
    /// The server fails for all.
    Outage { since: i64, cause: Cause },
    /// The server throttles and names no time.
    Throttled { since: i64 },
}

impl fmt::Display for Wait {
    /// Leaves out the server's words, which may repeat people's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { until, field } => {
                let until = clock::shown(*until);
                write!(f, "server asked to wait until {until} ({field})")
            }
            Self::Throttled { since } => {
                let since = clock::shown(*since);
                write!(
                    f,
                    "waiting since {since}: the server answers with status 429"
                )
            }
            Self::Outage { since, cause } => {
                write!(f, "waiting since {}: ", clock::shown(*since))?;
                match cause.status() {
                    Some(status) => write!(f, "the server answers with status {}", status.as_u16()),
                    None => write!(f, "no request gets through: {}", chain(cause)),
                }
            }
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) totals: Totals,
    /// Records that were read; those that are in no total were not sent.
    pub(crate) read: u64,
    pub(crate) halt: Option<Halt>,
}

/// Tells whether the API takes no requests, for a reason that waiting does not mend. What is not
/// sent only because it follows an unknown part says nothing of it.
pub(super) fn turned_away(outcome: &Outcome) -> Option<Halt> {
    match outcome {
        Outcome::NotSent(cause) if cause.is_credentials() => Some(Halt::Credentials),
        Outcome::NotSent(cause) if !cause.is_withheld() => Some(Halt::TurnedAway(cause.clone())),
        _ => None,
    }
}

pub(super) fn status(outcome: &Outcome) -> Option<u16> {
    let status = match outcome {
        Outcome::Accepted => None,
        Outcome::Rejected(rejection) => rejection.status(),
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => cause.status(),
    };
    status.map(|status| status.as_u16())
}

/// Returns a cause with what lies behind it. The words with which a server of HTTP/2 closes a
/// connection are left out: they may repeat people's data.
pub(crate) fn chain(cause: &Cause) -> String {
    let error = Error::new(cause.clone());
    let levels = error.chain().map(|level| {
        let text = level.to_string();
        // The words come last, and quoted as bytes.
        let end = text.find(" (b\"").unwrap_or(text.len());
        text[..end].to_owned()
    });
    levels.collect::<Vec<_>>().join(": ")
}
