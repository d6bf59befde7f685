use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts what a client, with its clones, has done on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Attempts that were handed to the transport, the first ones and the retries.
    pub requests: u64,
    /// Attempts that were not the first of their request.
    pub retries: u64,
    /// Responses with status 429.
    pub throttled: u64,
}

/// Counts while many requests are under way. Each number stands for itself, so no order between them is needed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
}

impl Counters {
    pub(super) fn count_first(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn count_retry(&self) {
        self.requests.fetch_add(1, Relaxed);
        self.retries.fetch_add(1, Relaxed);
    }

    pub(super) fn count_throttled(&self) {
        self.throttled.fetch_add(1, Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
        }
    }
}
