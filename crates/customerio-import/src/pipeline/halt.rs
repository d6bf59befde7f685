use std::time::Duration;

use anyhow::Error;
use customerio::{Cause, Outcome};

use crate::report::Totals;

/// How many requests in a row may bring no word about a record before the run ends: then it is not the records.
pub(crate) const MAX_FRUITLESS: u32 = 100;

/// Why a run ended before its input did.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The API rejected the first records, all for the same reason; the status is that of its answers.
    Alike(Option<u16>),
    /// The API refused the credentials.
    Credentials,
    /// The input, the rejects file or this program failed.
    Failed(Error),
    /// Many requests in a row brought no word about a record; the status is that of the last answer, if one came.
    Fruitless(Option<u16>),
    /// The user asked for it.
    Interrupted,
    /// The server took nothing for as long as the run may wait; the cause is that of the last failure, if there was one.
    Patience(Duration, Option<Cause>),
    /// A request was turned away for a reason that waiting does not mend.
    TurnedAway(Cause),
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) totals: Totals,
    /// Records that were read; those that are in no total were not sent.
    pub(crate) read: u64,
    pub(crate) halt: Option<Halt>,
}

/// Tells whether the API takes no requests, for a reason that waiting does not mend. What is not sent only because it
/// follows an unknown part says nothing of it.
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

/// Returns a cause with what lies behind it.
pub(crate) fn chain(cause: &Cause) -> String {
    format!("{:#}", Error::new(cause.clone()))
}
