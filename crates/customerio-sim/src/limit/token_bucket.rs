use std::num::NonZeroU32;
use std::time::Duration;

use super::fixed_window::nanos;
use super::spec::{Counter, Limit};

/// A bucket whose level is in requests times nanoseconds.
///
/// In this unit a token is the window in nanoseconds, and each nanosecond adds the limit. So the
/// level is exact.
#[derive(Debug)]
pub(super) struct TokenBucket {
    token: u128,
    gain: u128,
    full: u128,
    level: u128,
    now: Duration,
}

impl TokenBucket {
    pub(super) fn new(limit: &Limit, size: NonZeroU32) -> Self {
        let token = limit.window.as_nanos();
        let full = u128::from(size.get()) * token;
        Self {
            token,
            gain: limit.requests.get().into(),
            full,
            level: full,
            now: Duration::ZERO,
        }
    }
}

impl Counter for TokenBucket {
    fn advance(&mut self, now: Duration) {
        let gained = self.gain * (now - self.now).as_nanos();
        self.level = self.full.min(self.level + gained);
        self.now = now;
    }

    fn fits(&self) -> bool {
        self.level >= self.token
    }

    fn count(&mut self) {
        // With `count_throttled` the bucket may have less than a token. It does not go below empty.
        self.level = self.level.saturating_sub(self.token);
    }

    fn wait(&self) -> Duration {
        nanos(self.token.saturating_sub(self.level).div_ceil(self.gain))
    }
}
