use std::time::Duration;

use super::spec::{Counter, Limit};

/// The number of requests in the current window.
#[derive(Debug)]
pub(super) struct FixedWindow {
    limit: u32,
    window: Duration,
    phase: Duration,
    index: u128,
    elapsed: Duration,
    current: u32,
}

impl FixedWindow {
    pub(super) fn new(limit: &Limit) -> Self {
        Self {
            limit: limit.requests.get(),
            window: limit.window,
            phase: limit.phase,
            index: 0,
            elapsed: Duration::ZERO,
            current: 0,
        }
    }
}

impl Counter for FixedWindow {
    fn advance(&mut self, now: Duration) {
        let (index, elapsed) = position(now + self.phase, self.window);
        if index != self.index {
            self.current = 0;
        }
        self.index = index;
        self.elapsed = elapsed;
    }

    fn fits(&self) -> bool {
        self.current < self.limit
    }

    fn count(&mut self) {
        // With `count_throttled` the count goes on after the window is full.
        self.current = self.current.saturating_add(1);
    }

    fn wait(&self) -> Duration {
        if self.fits() {
            Duration::ZERO
        } else {
            self.window - self.elapsed
        }
    }
}

/// Returns the index of the window that contains `at`, and the time since that window began.
pub(super) fn position(at: Duration, window: Duration) -> (u128, Duration) {
    let index = at.as_nanos() / window.as_nanos();
    let elapsed = at.as_nanos() % window.as_nanos();
    (index, nanos(elapsed))
}

/// Converts nanoseconds to a duration. A window is one day at most, so that no time within one
/// overflows.
pub(super) fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
