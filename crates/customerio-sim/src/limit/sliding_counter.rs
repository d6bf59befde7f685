use std::time::Duration;

use super::fixed_window::{nanos, position};
use super::spec::{Counter, Limit};

/// Two fixed windows. The previous one counts by the part of it that the sliding window still
/// covers.
///
/// All arithmetic is in requests times nanoseconds, so that the comparison is exact.
#[derive(Debug)]
pub(super) struct SlidingCounter {
    limit: u128,
    /// In nanoseconds.
    window: u128,
    phase: Duration,
    index: u128,
    /// Nanoseconds into the current window.
    elapsed: u128,
    previous: u128,
    current: u128,
}

impl SlidingCounter {
    pub(super) fn new(limit: &Limit) -> Self {
        Self {
            limit: limit.requests.get().into(),
            window: limit.window.as_nanos(),
            phase: limit.phase,
            index: 0,
            elapsed: 0,
            previous: 0,
            current: 0,
        }
    }

    /// Returns the nanoseconds from the start of a window until one more request fits, if
    /// `previous` and `current` are counted. `current` must be below the limit.
    fn first_fit(&self, previous: u128, current: u128) -> u128 {
        let room = (self.limit - 1 - current) * self.window;
        // Without a previous window, one fits at once.
        let weight = room.checked_div(previous).unwrap_or(self.window);
        self.window.saturating_sub(weight)
    }
}

impl Counter for SlidingCounter {
    fn advance(&mut self, now: Duration) {
        let (index, elapsed) = position(now + self.phase, nanos(self.window));
        (self.previous, self.current) = match index - self.index {
            // The same window.
            0 => (self.previous, self.current),
            // The next one.
            1 => (self.current, 0),
            // A later one: the window before it had no request.
            _ => (0, 0),
        };
        self.index = index;
        self.elapsed = elapsed.as_nanos();
    }

    fn fits(&self) -> bool {
        let weighted = self.previous * (self.window - self.elapsed);
        weighted + (self.current + 1) * self.window <= self.limit * self.window
    }

    fn count(&mut self) {
        self.current += 1;
    }

    fn wait(&self) -> Duration {
        // If the current window alone is full, one fits in the next window at the earliest, when
        // this one has become the previous one.
        let at = if self.current < self.limit {
            self.first_fit(self.previous, self.current)
        } else {
            self.window + self.first_fit(self.current, 0)
        };
        nanos(at.saturating_sub(self.elapsed))
    }
}
