use customerio::{Outcome, Rejection};

use super::server::is_about_a_record;

/// How many records the API may reject from the beginning for the same reason before the run ends.
pub(crate) const MAX_ALIKE: u32 = 100;

/// Watches whether the API rejects one record like the other, from the first on.
#[derive(Debug)]
pub(super) enum Alike {
    /// No record was judged yet.
    Unseen,
    /// So many were rejected, all for this reason.
    Rejected { first: Rejection, records: u32 },
    /// They end differently, or nobody asks.
    Over,
}

impl Alike {
    pub(super) fn new(is_watched: bool) -> Self {
        if is_watched { Self::Unseen } else { Self::Over }
    }

    /// Returns whether all that is known of the API is that it rejects, or nothing.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self, Self::Over)
    }

    /// Takes how a record ended. Returns whether that makes one too many.
    pub(super) fn see(&mut self, outcome: &Outcome) -> bool {
        let Outcome::Rejected(rejection) = outcome else {
            *self = Self::Over;
            return false;
        };
        match self {
            Self::Unseen if is_about_a_record(outcome) => {
                let first = rejection.clone();
                *self = Self::Rejected { first, records: 1 };
                false
            }
            Self::Rejected { first, records } if is_same(first, rejection) => {
                *records = records.saturating_add(1);
                *records == MAX_ALIKE
            }
            _ => {
                *self = Self::Over;
                false
            }
        }
    }
}

/// Compares why, and not which request it was.
fn is_same(one: &Rejection, other: &Rejection) -> bool {
    (one.status(), one.reason()) == (other.status(), other.reason())
}
