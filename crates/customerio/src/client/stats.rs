use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Outcome;

/// The statistics of a client and its clones. Each number only grows.
///
/// Requests are counted when they depart, operations when their call ends. A request to the App API
/// is one operation. An operation that this
/// crate's checks rejected, or whose call was dropped, is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Attempts that departed: first attempts and retries.
    pub requests: u64,
    /// Attempts other than the first of their request.
    pub retries: u64,
    /// Responses with status 429.
    pub throttled: u64,
    /// Operations that the API accepted.
    pub accepted: u64,
    /// Operations that the API rejected.
    pub rejected: u64,
    /// Operations with an unknown outcome.
    pub unknown: u64,
    /// Operations that were not sent, or throttled in each attempt.
    pub not_sent: u64,
}

/// The counters of a client. They are relaxed: each is read by itself, and none guards other data.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    /// Requests that got a success.
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
