use std::time::Duration;

use super::counter::Counter;
use super::fixed_window::FixedWindow;
use super::sliding_counter::SlidingCounter;
use super::sliding_log::SlidingLog;
use super::spec::{Limit, Model};
use super::token_bucket::TokenBucket;

/// A limit at work.
#[derive(Debug)]
pub(crate) struct Limiter {
    counter: Box<dyn Counter>,
    counts_refused: bool,
    now: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted,
    /// One request would be admitted after `wait` if nothing else arrived.
    Refused {
        wait: Duration,
    },
}

impl Limiter {
    pub(crate) fn new(limit: &Limit) -> Self {
        Self {
            counter: counter(limit),
            counts_refused: limit.counts_refused,
            now: Duration::ZERO,
        }
    }

    /// Judges a request that arrives at `now`. A `now` before the last one is taken for the last one.
    pub(crate) fn arrive(&mut self, now: Duration) -> Verdict {
        self.now = self.now.max(now);
        self.counter.advance(self.now);
        if self.counter.fits() {
            self.counter.count();
            return Verdict::Admitted;
        }
        if self.counts_refused {
            self.counter.count();
        }
        Verdict::Refused {
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
