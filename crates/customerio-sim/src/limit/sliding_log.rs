use std::collections::VecDeque;
use std::time::Duration;

use super::spec::{Counter, Limit};

/// The times of the last requests. At most as many as the limit are kept: older ones cannot change
/// a decision.
#[derive(Debug)]
pub(super) struct SlidingLog {
    limit: usize,
    window: Duration,
    arrivals: VecDeque<Duration>,
    now: Duration,
}

impl SlidingLog {
    pub(super) fn new(limit: &Limit) -> Self {
        let requests = usize::try_from(limit.requests.get()).unwrap_or(usize::MAX);
        Self {
            limit: requests,
            window: limit.window,
            arrivals: VecDeque::new(),
            now: Duration::ZERO,
        }
    }
}

impl Counter for SlidingLog {
    fn advance(&mut self, now: Duration) {
        self.now = now;
        // Half-open: a request stops counting exactly one window later.
        while self
            .arrivals
            .front()
            .is_some_and(|first| *first + self.window <= now)
        {
            self.arrivals.pop_front();
        }
    }

    fn fits(&self) -> bool {
        self.arrivals.len() < self.limit
    }

    fn count(&mut self) {
        // Only with `count_throttled`: the newest times keep the limit exceeded for longest.
        if !self.fits() {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(self.now);
    }

    fn wait(&self) -> Duration {
        match self.arrivals.front() {
            Some(first) if !self.fits() => *first + self.window - self.now,
            _ => Duration::ZERO,
        }
    }
}
