use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Outcome;

/// Counts what a client, with its clones, has done. No number ever goes back.
///
/// Requests count when they leave, operations when their call ends. An operation that this crate's
/// checks refused, or whose call was dropped, is in none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Attempts that were handed to the transport, the first ones and the retries.
    pub requests: u64,
    /// Attempts that were not the first of their request.
    pub retries: u64,
    /// Responses with status 429.
    pub throttled: u64,
    /// Operations that the API took.
    pub accepted: u64,
    /// Operations that the API refused for good.
    pub rejected: u64,
    /// Operations whose fate is not known.
    pub unknown: u64,
    /// Operations that were not sent, or turned away unread.
    pub not_sent: u64,
}

/// Counts while many requests are under way. Each number stands for itself, so no order between
/// them is needed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    /// Requests with operations that the API took.
    successes: AtomicU64,
    accepted: AtomicU64,
    rejected: AtomicU64,
    unknown: AtomicU64,
    not_sent: AtomicU64,
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

    pub(super) fn count_success(&self) {
        self.successes.fetch_add(1, Relaxed);
    }

    pub(super) fn successes(&self) -> u64 {
        self.successes.load(Relaxed)
    }

    pub(super) fn count_outcomes(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let counter = match outcome {
                Outcome::Accepted => &self.accepted,
                Outcome::Rejected(_) => &self.rejected,
                Outcome::Unknown(_) => &self.unknown,
                Outcome::NotSent(_) => &self.not_sent,
            };
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            unknown: self.unknown.load(Relaxed),
            not_sent: self.not_sent.load(Relaxed),
        }
    }
}
