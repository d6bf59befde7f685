use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Snapshot;
use super::in_flight::{InFlight, MOST};
use crate::line::Front;

/// What can be known and done of the permits without the lock.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(super) in_flight: InFlight,
    /// A limit that learns looks at every call, so every permit changes hands under the lock.
    learns: bool,
    answered: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its future was dropped before it was complete.
    Cancelled,
    Answered,
    Failed,
}

impl Tally {
    pub(super) fn fixed(limit: usize) -> Arc<Self> {
        Self::new(counted(limit), false)
    }

    pub(super) fn learned() -> Arc<Self> {
        Self::new(MOST, true)
    }

    fn new(limit: u32, learns: bool) -> Arc<Self> {
        let tally = Self {
            in_flight: InFlight::new(limit),
            learns,
            answered: AtomicU64::default(),
            failed: AtomicU64::default(),
            cancelled: AtomicU64::default(),
        };
        if learns {
            tally.in_flight.hold();
        }
        Arc::new(tally)
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.in_flight.set_limit(counted(limit));
    }

    #[inline]
    pub(super) fn learns(&self) -> bool {
        self.learns
    }

    /// Counts how a call ended.
    #[inline]
    pub(super) fn count(&self, end: End) {
        let counter = match end {
            End::Cancelled => &self.cancelled,
            End::Answered => &self.answered,
            End::Failed => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, limit: usize, queued: usize) -> Snapshot {
        Snapshot {
            limit,
            in_flight: self.in_flight.taken() as usize,
            queued,
            answered: self.answered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
        }
    }
}

impl Front for Arc<Tally> {
    fn locked(&self) {
        self.in_flight.hold();
    }

    fn unlocking(&self, has_line: bool) {
        if !has_line && !self.learns {
            self.in_flight.release();
        }
    }
}

/// More than can be counted is more than anyone has in flight.
fn counted(limit: usize) -> u32 {
    u32::try_from(limit).map_or(MOST, |limit| limit.min(MOST))
}
