use std::time::Duration;

use super::fixed_window::FixedWindow;
use super::sliding_counter::SlidingCounter;
use super::sliding_log::SlidingLog;
use super::spec::{Counter, Limit, Model};
use super::token_bucket::TokenBucket;

/// The state of one limit.
#[derive(Debug)]
pub(crate) struct Limiter {
    counter: Box<dyn Counter>,
    counts_throttled: bool,
    now: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Admitted,
    /// One request fits after `wait` if no other arrives.
    Throttled {
        wait: Duration,
    },
}

impl Limiter {
    pub(crate) fn new(limit: &Limit) -> Self {
        Self {
            counter: counter(limit),
            counts_throttled: limit.counts_throttled,
            now: Duration::ZERO,
        }
    }

    /// Counts a request that arrives at `now`, and returns whether it fits. A `now` before the last
    /// one counts as the last one.
    pub(crate) fn decide(&mut self, now: Duration) -> Decision {
        // The counters subtract times, and would panic on one that goes back.
        self.now = self.now.max(now);
        self.counter.advance(self.now);
        if self.counter.fits() {
            self.counter.count();
            return Decision::Admitted;
        }
        if self.counts_throttled {
            self.counter.count();
        }
        Decision::Throttled {
            wait: self.counter.wait(),
        }
    }
}

fn counter(limit: &Limit) -> Box<dyn Counter> {
    match limit.model {
        Model::FixedWindow => Box::new(FixedWindow::new(limit)),
        Model::SlidingCounter => Box::new(SlidingCounter::new(limit)),
        Model::SlidingLog => Box::new(SlidingLog::new(limit)),
        Model::TokenBucket { size } => Box::new(TokenBucket::new(limit, size)),
    }
}
