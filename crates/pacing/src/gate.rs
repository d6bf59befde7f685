use std::time::Duration;

use crate::Moment;

/// A pause is doubled with every further refusal up to this factor.
const MOST_DOUBLINGS: u32 = 5;

/// Stops everyone who shares the limiter after a refusal, until the server wants to be asked again.
///
/// Refusals of requests that left before the gate closed belong to the same event: they can make
/// the pause longer, if the server says so, but they are no further refusal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gate {
    closed_at: Option<Moment>,
    open_from: Moment,
    events: u32,
}

/// What a refusal meant for the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The gate closed because of it.
    New,
    /// The request had left before the gate closed.
    Known,
}

impl Gate {
    /// Returns the moment from which requests may leave again; it has passed if the gate is open.
    #[must_use]
    #[inline]
    pub(crate) fn open_from(&self) -> Moment {
        self.open_from
    }

    /// Closes the gate at `now` after the refusal of a request that was `sent` earlier.
    ///
    /// `retry_after` is what the server asked for. Without it the pause is `pause`, doubled for
    /// each further refusal since the last success, up to 32 times.
    pub(crate) fn close(
        &mut self,
        sent: Moment,
        now: Moment,
        retry_after: Option<Duration>,
        pause: Duration,
    ) -> Closing {
        let known = self.closed_at.is_some_and(|closed| sent <= closed);
        if known {
            if let Some(hint) = retry_after {
                self.open_from = self.open_from.max(now + hint);
            }
            return Closing::Known;
        }
        let pause = retry_after
            .unwrap_or_else(|| pause.saturating_mul(1 << self.events.min(MOST_DOUBLINGS)));
        self.open_from = self.open_from.max(now + pause);
        self.closed_at = Some(now);
        self.events = self.events.saturating_add(1);
        Closing::New
    }

    /// Stays closed until `until` at least, without a refusal.
    pub(crate) fn close_until(&mut self, until: Moment) {
        self.open_from = self.open_from.max(until);
    }

    /// Forgets earlier refusals once a request that was `sent` after the last of them succeeds.
    #[inline]
    pub(crate) fn succeed(&mut self, sent: Moment) {
        if self.closed_at.is_none_or(|closed| sent > closed) {
            self.events = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn the_server_says_when_it_opens() {
        let mut gate = Gate::default();
        let refusal = gate.close(at(0), at(100), Some(Duration::from_secs(2)), PAUSE);
        assert_eq!((refusal, gate.open_from()), (Closing::New, at(2_100)));
    }

    #[test]
    fn refusals_of_what_left_before_are_the_same_event() {
        let mut gate = Gate::default();
        gate.close(at(0), at(100), None, PAUSE);
        assert_eq!(gate.close(at(100), at(150), None, PAUSE), Closing::Known);
        assert_eq!(gate.open_from(), at(1_100));
        gate.close(at(60), at(160), Some(Duration::from_secs(3)), PAUSE);
        assert_eq!(gate.open_from(), at(3_160));
    }

    #[test]
    fn every_further_refusal_doubles_the_pause_up_to_32_times() {
        let mut gate = Gate::default();
        for pause in [1, 2, 4, 8, 16, 32, 32, 32] {
            let sent = gate.open_from() + Duration::from_millis(1);
            assert_eq!(gate.close(sent, sent, None, PAUSE), Closing::New);
            assert_eq!(gate.open_from().since(sent), PAUSE * pause);
        }
    }

    #[test]
    fn a_penalty_closes_it_and_does_not_shorten_a_pause() {
        let mut gate = Gate::default();
        gate.close_until(at(500));
        assert_eq!(gate.open_from(), at(500));
        assert_eq!(gate.close(at(0), at(100), None, PAUSE), Closing::New);
        gate.close_until(at(700));
        assert_eq!(gate.open_from(), at(1_100));
    }

    #[test]
    fn a_success_ends_the_doubling_unless_it_left_before_the_refusal() {
        let mut gate = Gate::default();
        gate.close(at(0), at(10), None, PAUSE);
        gate.succeed(at(5));
        gate.succeed(at(10));
        gate.close(at(2_000), at(2_000), None, PAUSE);
        assert_eq!(gate.open_from(), at(4_000));
        gate.succeed(at(4_001));
        gate.close(at(5_000), at(5_000), None, PAUSE);
        assert_eq!(gate.open_from(), at(6_000));
    }
}
