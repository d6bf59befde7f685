use std::time::Duration;

use crate::Moment;

/// How often a pause doubles: up to 32 times the first one. With fewer doublings a server that
/// stays closed is asked too often. With more, a limiter sleeps for minutes after the server is
/// open again.
const MAX_DOUBLINGS: u32 = 5;

/// The pause of all requests of a limiter after a throttled response.
///
/// The gate is open or closed. A throttled response closes it. Time opens it.
///
/// Requests that departed before the gate closed may be throttled too. Their responses belong to
/// the same closing: a `Retry-After` can extend the pause, but the pause does not double.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gate {
    closed_at: Option<Moment>,
    open_from: Moment,
    /// The number of times that the gate closed since the last success.
    closings: u32,
}

/// The effect of a throttled response on the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The gate closed anew.
    New,
    /// The request had departed before the gate closed, so its response belongs to the last
    /// closing.
    Known,
}

impl Gate {
    /// Returns the moment from which requests may depart. It has passed if the gate is open.
    #[must_use]
    #[inline]
    pub(crate) fn open_from(&self) -> Moment {
        self.open_from
    }

    /// Closes the gate at `now`, since a request that was `sent` earlier was throttled.
    ///
    /// The pause is the server's `retry_after`. Without it, it is `pause`, doubled for each closing
    /// since the last success, up to 32 times.
    pub(crate) fn close(
        &mut self,
        sent: Moment,
        now: Moment,
        retry_after: Option<Duration>,
        pause: Duration,
    ) -> Closing {
        let known = self.closed_at.is_some_and(|closed| sent <= closed);
        // Closed => Closed: the response is of an earlier departure. It can only extend the pause.
        if known {
            if let Some(hint) = retry_after {
                self.open_from = self.open_from.max(now + hint);
            }
            return Closing::Known;
        }
        // (Open | Closed) => Closed: a request that departed after the last closing was throttled.
        let pause = retry_after
            .unwrap_or_else(|| pause.saturating_mul(1 << self.closings.min(MAX_DOUBLINGS)));
        self.open_from = self.open_from.max(now + pause);
        self.closed_at = Some(now);
        self.closings = self.closings.saturating_add(1);
        Closing::New
    }

    /// Keeps the gate closed until `until` at least, without a throttled response.
    pub(crate) fn close_until(&mut self, until: Moment) {
        self.open_from = self.open_from.max(until);
    }

    /// Resets the doubling if a request that was `sent` after the last closing succeeded.
    #[inline]
    pub(crate) fn succeed(&mut self, sent: Moment) {
        // A success of an earlier departure was decided before the server throttled.
        if self.closed_at.is_none_or(|closed| sent > closed) {
            self.closings = 0;
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
    fn retry_after_sets_the_time_at_which_the_gate_opens() {
        let mut gate = Gate::default();
        let closing = gate.close(at(0), at(100), Some(Duration::from_secs(2)), PAUSE);
        assert_eq!((closing, gate.open_from()), (Closing::New, at(2_100)));
    }

    #[test]
    fn throttled_requests_that_departed_before_belong_to_the_same_closing() {
        let mut gate = Gate::default();
        gate.close(at(0), at(100), None, PAUSE);
        assert_eq!(gate.close(at(100), at(150), None, PAUSE), Closing::Known);
        assert_eq!(gate.open_from(), at(1_100));
        gate.close(at(60), at(160), Some(Duration::from_secs(3)), PAUSE);
        assert_eq!(gate.open_from(), at(3_160));
    }

    #[test]
    fn every_further_closing_doubles_the_pause_up_to_32_times() {
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
    fn a_success_resets_the_doubling_unless_it_departed_before_the_closing() {
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
