use std::time::Duration;

use crate::Moment;
use crate::moment::{Span, duration, nanos};

/// The configured rate. Shares are millionths of it, so that steps of 0.5 % are whole numbers.
const FULL: u64 = 1_000_000;
/// The lowest share, 5 %. A lower share departs too seldom to notice that the server has room
/// again. A higher one keeps the sum of many clients above a limit that they share.
const LEAST: u64 = 50_000;
/// A throttled response lowers the rate in force to 80 %. A higher share is throttled again before
/// other clients make room; a lower one gives up throughput for minutes.
const AFTER_THROTTLED: u64 = 800_000;
/// A relapse lowers it to 70 %, since the last climb was too fast. A higher share hardly differs
/// from 80 %. A lower one gives up more throughput.
const AFTER_RELAPSE: u64 = 700_000;
/// The first steps climb by 0.5 %: 2 to 5 requests a minute are throttled if other clients take a
/// part of the limit. A larger step throttles more.
const SLOW_STEP: u64 = 5_000;
/// Later steps climb by 3 %, since the other clients have probably gone. With a smaller step the
/// climb from the lowest share takes minutes. With a larger one the rate jumps past the free part
/// of a shared limit.
const FAST_STEP: u64 = 30_000;
/// The number of slow steps, 15 % of the rate. With fewer, the rate climbs fast into a limit that
/// is still shared. More delay the climb after the cause is over.
const SLOW_STEPS: u64 = 30;
/// A throttled response within this number of windows of the last opening is a relapse. With fewer,
/// the rate has hardly climbed. With more, an unrelated throttled response lowers the rate too far.
const RELAPSE_WINDOWS: u32 = 5;
/// The shortest step. In steps of 10 ms the whole climb takes less than a second, too short to
/// observe other clients. Longer steps keep limits with a short window slow for longer.
const SHORTEST_STEP: Duration = Duration::from_secs(1);

/// The climb back to the configured rate after throttled responses.
///
/// A throttled response lowers the rate in force to 80 %, or to 70 % within five windows of the
/// last opening of the gate. The rate never falls below 5 % of the configured one.
///
/// The climb starts when the gate opens. A step takes a window, but at least a second. The first 30
/// steps add 0.5 % of the configured rate each, and later steps 3 %.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    window: Duration,
    /// The share at `reopened`.
    share: u64,
    /// The start of the climb; none before the first throttled response.
    reopened: Option<Moment>,
}

impl Recovery {
    /// Returns a recovery that is complete, at the full rate.
    #[must_use]
    pub(crate) fn full(window: Duration) -> Self {
        Self {
            window,
            share: FULL,
            reopened: None,
        }
    }

    /// Lowers the rate for a throttled response at `now`. The climb starts when the gate opens, at
    /// `reopens`.
    pub(crate) fn lower(&mut self, now: Moment, reopens: Moment) {
        let relapse = self
            .reopened
            .is_some_and(|reopened| now < reopened + self.window.saturating_mul(RELAPSE_WINDOWS));
        // (Full | Climbing) => Climbing: the share in force counts, so that a second throttled
        // response during the climb lowers the rate further.
        let kept = match relapse {
            true => AFTER_RELAPSE,
            false => AFTER_THROTTLED,
        };
        self.share = (self.share_at(now).0 * kept / FULL).max(LEAST);
        self.reopened = Some(reopens);
    }

    /// Moves the start of the climb, if the gate opens later than was known at first.
    pub(crate) fn postpone(&mut self, reopens: Moment) {
        self.reopened = self.reopened.map(|reopened| reopened.max(reopens));
    }

    /// Sets the window. It changes the length of every step, also of past ones.
    pub(crate) fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// Returns the share in force at `now`.
    #[must_use]
    pub(crate) fn share_at(&self, now: Moment) -> Share {
        let Some(reopened) = self.reopened else {
            return Share(FULL);
        };
        // Climbing => Full: the sum reaches the whole rate. Nothing is stored, so time that goes
        // back lowers the share again.
        let steps = nanos(now.since(reopened)) / self.step();
        let slow = steps.min(SLOW_STEPS) * SLOW_STEP;
        let fast = steps.saturating_sub(SLOW_STEPS).saturating_mul(FAST_STEP);
        let climbed = self.share.saturating_add(slow).saturating_add(fast);
        Share(climbed.min(FULL))
    }

    /// Returns when the share rises next after `now`; none at the full rate.
    pub(crate) fn rises_at(&self, now: Moment) -> Option<Moment> {
        let reopened = self.reopened.filter(|_| !self.share_at(now).is_full())?;
        let steps = nanos(now.since(reopened)) / self.step();
        let next = self.step().saturating_mul(steps + 1);
        Some(reopened + Span::from_nanos(next))
    }

    /// Returns the length of a step in nanoseconds.
    fn step(&self) -> u64 {
        nanos(self.window.max(SHORTEST_STEP))
    }
}

/// A share of the configured rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share(u64);

impl Share {
    /// Returns whether it is the full rate.
    #[must_use]
    pub(crate) fn is_full(self) -> bool {
        self.0 == FULL
    }

    /// Returns `interval`, which is that of the full rate, stretched to this share and rounded up.
    #[must_use]
    pub(crate) fn stretch(self, interval: Duration) -> Duration {
        duration((interval.as_nanos() * u128::from(FULL)).div_ceil(u128::from(self.0)))
    }

    /// Returns a span stretched as [`stretch`](Self::stretch) does.
    pub(crate) fn stretched(self, interval: Span) -> Span {
        Span::of(self.stretch(interval.duration()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }

    #[test]
    fn a_throttled_response_keeps_four_fifths_of_the_rate() {
        let mut recovery = Recovery::full(WINDOW);
        recovery.lower(at(10), at(12));
        assert_eq!(recovery.share_at(at(12)).0, 800_000);
        let stretched = recovery.share_at(at(12)).stretch(Duration::from_millis(8));
        assert_eq!(stretched, Duration::from_millis(10));
    }

    #[test]
    fn a_relapse_keeps_seven_tenths_of_the_rate_in_force() {
        let mut recovery = Recovery::full(WINDOW);
        recovery.lower(at(10), at(12));
        recovery.lower(at(16), at(18));
        assert_eq!(recovery.share_at(at(18)).0, 820_000 * 7 / 10);
        recovery.lower(at(23), at(24));
        assert_eq!(recovery.share_at(at(24)).0, (574_000 + 25_000) * 8 / 10);
    }

    #[test]
    fn the_rate_climbs_slowly_for_thirty_steps_and_then_fast() {
        let mut recovery = Recovery::full(WINDOW);
        recovery.share = 200_000;
        recovery.reopened = Some(at(0));
        let shares = [0, 1, 30, 31, 40].map(|second| recovery.share_at(at(second)).0);
        assert_eq!(shares, [200_000, 205_000, 350_000, 380_000, 650_000]);
        assert_eq!(recovery.share_at(at(1_000_000)).0, FULL);
    }

    #[test]
    fn the_next_rise_is_known_until_the_rate_is_full() {
        let mut recovery = Recovery::full(WINDOW);
        assert_eq!(recovery.rises_at(at(0)), None);
        recovery.lower(at(10), at(12));
        for (now, rises) in [(10, 13), (12, 13), (13, 14), (43, 44)] {
            assert_eq!(recovery.rises_at(at(now)), Some(at(rises)), "{now}");
        }
        assert!(recovery.share_at(at(44)).is_full());
        assert_eq!(recovery.rises_at(at(44)), None);
        recovery.set_window(Duration::MAX);
        assert!(recovery.rises_at(at(44)).is_some());
    }

    #[test]
    fn the_longest_window_does_not_overflow() {
        let mut recovery = Recovery::full(Duration::MAX);
        recovery.lower(at(0), at(1));
        recovery.lower(at(2), at(3));
        assert_eq!(recovery.share_at(at(3)).0, 560_000);
    }

    #[test]
    fn another_window_changes_the_length_of_a_step() {
        let mut recovery = Recovery::full(WINDOW);
        recovery.lower(at(0), at(0));
        recovery.set_window(Duration::from_secs(10));
        let shares = [9, 10].map(|second| recovery.share_at(at(second)).0);
        assert_eq!(shares, [800_000, 805_000]);
    }

    #[test]
    fn the_rate_never_falls_below_a_twentieth() {
        let mut recovery = Recovery::full(WINDOW);
        for second in 0..100 {
            recovery.lower(at(second), at(second));
        }
        assert_eq!(recovery.share_at(at(99)).0, LEAST);
    }

    #[test]
    fn a_window_under_a_second_climbs_by_the_second_and_a_long_one_by_itself() {
        let step_after = |window, seconds| {
            let mut recovery = Recovery::full(window);
            recovery.lower(at(0), at(0));
            recovery.share_at(at(seconds)).0
        };
        assert_eq!(step_after(Duration::from_millis(10), 1), 805_000);
        assert_eq!(step_after(Duration::from_secs(10), 9), 800_000);
        assert_eq!(step_after(Duration::from_secs(10), 10), 805_000);
    }
}
