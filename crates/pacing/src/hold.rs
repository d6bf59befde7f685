use crate::Moment;

/// What holds a request back, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The part of the limiter that holds the request back.
    pub by: HoldCause,
    /// The earliest moment at which it may leave; none if it waits for the end of a request in
    /// flight.
    pub until: Option<Moment>,
}

/// The parts of a limiter that hold requests back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HoldCause {
    /// The last departure was too short a time ago.
    Pace,
    /// Earlier requests may still count at the server.
    Window,
    /// More requests have left unanswered than the pace sends in a typical round trip, so the path
    /// may be blocked. Single requests probe it meanwhile.
    Cap,
    /// The server has stated that nothing remains until its limit starts anew.
    Allowance,
    /// A throttled response, or a penalty, closed the gate.
    Gate,
}

impl Hold {
    #[inline]
    pub(crate) fn until(by: HoldCause, until: Moment) -> Self {
        Self {
            by,
            until: Some(until),
        }
    }

    /// Returns the same hold, until `then` at the latest.
    pub(crate) fn no_later_than(self, then: Moment) -> Self {
        Self {
            until: Some(self.until.map_or(then, |until| until.min(then))),
            ..self
        }
    }

    /// Returns the one that lasts longer. One with a time comes before one that waits for an end:
    /// the end of a request helps only after that time.
    #[inline]
    pub(crate) fn longer(self, other: Self) -> Self {
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
    fn of_two_holds_the_later_time_counts_and_a_time_before_an_end() {
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
