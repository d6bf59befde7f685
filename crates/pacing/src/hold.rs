use crate::Moment;

/// The reason why a request may not depart yet, and the end of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The part of the limiter that holds the request back.
    pub by: HoldCause,
    /// The earliest moment at which it may depart; none if it waits for the end of a request in
    /// flight.
    pub until: Option<Moment>,
}

/// The parts of a limiter that hold requests back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HoldCause {
    /// The interval since the last departure is not over.
    Pace,
    /// Earlier requests may still count at the server.
    Window,
    /// More requests are unanswered than depart in a typical round trip, so the path may be
    /// blocked. Single requests probe it meanwhile.
    Cap,
    /// The server stated that nothing remains until the reset of its limit.
    Allowance,
    /// A throttled response, or a penalty, closed the gate.
    Gate,
    /// The store of a shared quota has handed out no departure time yet, or a later one.
    Shared,
}

impl Hold {
    /// Returns a hold that ends at a known time.
    #[inline]
    pub(crate) fn until(by: HoldCause, until: Moment) -> Self {
        Self {
            by,
            until: Some(until),
        }
    }

    /// Returns the same hold, which ends at `then` at the latest.
    pub(crate) fn no_later_than(self, then: Moment) -> Self {
        Self {
            until: Some(self.until.map_or(then, |until| until.min(then))),
            ..self
        }
    }

    /// Returns the hold that lasts longer. A hold with a time wins over one that waits for the end
    /// of a request, since that end has no effect before the time.
    #[inline]
    #[must_use]
    pub fn longer(self, other: Self) -> Self {
        match (self.until, other.until) {
            (Some(one), Some(two)) if two > one => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }
}

/// Returns the longer of two holds, if there is one.
#[inline]
pub(crate) fn longer(one: Option<Hold>, other: Option<Hold>) -> Option<Hold> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.longer(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_times_wins_and_a_time_wins_over_the_end_of_a_request() {
        let hold = |by, until: Option<u64>| Hold {
            by,
            until: until.map(Moment::from_nanos),
        };
        let (pace, gate) = (
            hold(HoldCause::Pace, Some(5)),
            hold(HoldCause::Gate, Some(7)),
        );
        let window = hold(HoldCause::Window, None);
        for (one, other, expected) in [
            (Some(pace), Some(gate), Some(gate)),
            (Some(pace), Some(window), Some(pace)),
            (Some(pace), None, Some(pace)),
            (Some(window), None, Some(window)),
            (None, None, None),
        ] {
            assert_eq!(longer(one, other), expected);
            assert_eq!(longer(other, one), expected);
        }
        let same = hold(HoldCause::Cap, Some(5));
        assert_eq!(longer(Some(pace), Some(same)), Some(pace));
    }
}
