use customerio::{Outcome, Rejection};

/// The number of records, from the first one on, that the API may reject for the same reason before
/// the run stops.
///
/// So many equal answers mean that the mapping or the account is wrong. A smaller number would stop
/// files that begin with a block of bad records; a larger one sends more requests in vain.
pub(crate) const MAX_SAME_REJECTIONS: u32 = 100;

/// Detects that the API rejects every record for the same reason, from the first one on.
#[derive(Debug)]
pub(super) enum FirstRejections {
    /// No record has an outcome yet.
    NoneYet,
    /// All records so far were rejected for the same reason.
    Same { first: Rejection, records: u32 },
    /// The records have different outcomes, or the check is off (`--keep-going`).
    Passed,
}

impl FirstRejections {
    pub(super) fn new(is_checked: bool) -> Self {
        if is_checked {
            Self::NoneYet
        } else {
            Self::Passed
        }
    }

    /// Returns whether the check goes on.
    pub(super) fn is_checking(&self) -> bool {
        !matches!(self, Self::Passed)
    }

    /// Observes the outcome of a record. Returns whether it is the last of
    /// [`MAX_SAME_REJECTIONS`].
    pub(super) fn observe(&mut self, outcome: &Outcome) -> bool {
        // (NoneYet | Same) => Passed
        let Outcome::Rejected(rejection) = outcome else {
            *self = Self::Passed;
            return false;
        };
        match self {
            // NoneYet => Same
            Self::NoneYet if outcome.is_about_operation() => {
                let first = rejection.clone();
                *self = Self::Same { first, records: 1 };
                false
            }
            // Same => Same
            Self::Same { first, records } if is_same(first, rejection) => {
                *records = records.saturating_add(1);
                *records == MAX_SAME_REJECTIONS
            }
            // Any => Passed: another reason, or an answer that is not about a record.
            _ => {
                *self = Self::Passed;
                false
            }
        }
    }
}

/// Compares the reasons, and not the ids of the requests.
fn is_same(one: &Rejection, other: &Rejection) -> bool {
    (one.status(), one.reason()) == (other.status(), other.reason())
}
