use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use pacing::shared::SharedQuota;
use pacing::{Quota, UnsafeQuota};
use rand::RngExt;

use super::signal::Signal;
use super::{SharedDriver, SharedStore};
use crate::random::seeded_by_system;
use crate::rate::state::RateState;
use crate::sync::{Mutex, MutexGuard};
use crate::wait::Queue;

/// The limits that this process shares with others through one store.
///
/// Give it to [`RateLimitLayer::shared`](crate::RateLimitLayer::shared). Clones are the same
/// limits, and one [`SharedDriver`] calls the store for all of them.
#[derive(Clone)]
pub struct SharedLimits(Arc<Inner>);

struct Inner {
    /// The slowest round trip that the store has measured.
    round_trip: Duration,
    process: Process,
    named: Mutex<Vec<NamedLimit>>,
    signal: Arc<Signal>,
}

/// This process, as the store and its own limits see it.
#[derive(Clone, Copy, Debug)]
pub(in crate::rate) struct Process {
    /// The number by which the store counts it.
    pub(super) number: u64,
    /// The least number of processes that is assumed while the store is away.
    pub(super) least_processes: NonZeroU32,
}

struct NamedLimit {
    name: Arc<str>,
    /// Weak, so that the driver ends after its layers and services are dropped.
    queue: Weak<Queue<RateState>>,
}

impl SharedLimits {
    /// Returns shared limits without a limit yet, and the driver that calls the store for them.
    ///
    /// The program spawns [`SharedDriver::run`]: no layer does.
    ///
    /// While the store is away, each process has an equal part of a limit, by the number of
    /// processes in the store's last reply. A process that has had no reply yet has the whole
    /// limit: if the store may be away when processes start, use
    /// [`for_processes`](Self::for_processes).
    pub fn new<S: SharedStore>(store: S) -> (Self, SharedDriver<S>) {
        Self::for_processes(store, NonZeroU32::MIN)
    }

    /// Returns the same for `processes` processes or more: while the store is away, each of them
    /// has at most that part of a limit.
    pub fn for_processes<S: SharedStore>(
        store: S,
        processes: NonZeroU32,
    ) -> (Self, SharedDriver<S>) {
        let limits = Self(Arc::new(Inner {
            round_trip: store.round_trip(),
            process: Process {
                number: seeded_by_system().random(),
                least_processes: processes,
            },
            named: Mutex::default(),
            signal: Arc::default(),
        }));
        let driver = SharedDriver {
            store,
            limits: limits.clone(),
        };
        (limits, driver)
    }

    /// Checks that a quota allows for the round trips to the store.
    ///
    /// # Errors
    ///
    /// Fails if the slowest round trip and the [`lateness`](Quota::lateness) take half of the
    /// quota's [`jitter_ceiling`](Quota::jitter_ceiling) or more.
    pub fn check(&self, quota: &Quota) -> Result<(), UnsafeQuota> {
        SharedQuota::check(quota, self.0.round_trip)
    }

    /// Returns the state of a new limit.
    pub(in crate::rate) fn state(&self, quota: Quota) -> RateState {
        let driver = Waker::from(Arc::clone(&self.0.signal));
        RateState::sharing(quota, self.0.process, driver)
    }

    /// Adds a limit, and removes those that are gone.
    pub(in crate::rate) fn add(&self, name: Arc<str>, queue: &Arc<Queue<RateState>>) {
        let mut named = self.named();
        named.retain(|limit| limit.queue.strong_count() > 0);
        named.push(NamedLimit {
            name,
            queue: Arc::downgrade(queue),
        });
    }

    /// Returns the signal for the driver.
    pub(super) fn signal(&self) -> &Signal {
        &self.0.signal
    }

    /// Returns whether there is no other clone, so that no limit can be added.
    pub(super) fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Returns the limits that are in use.
    pub(super) fn in_use(&self) -> Vec<(Arc<str>, Arc<Queue<RateState>>)> {
        let named = self.named();
        let in_use = named
            .iter()
            .filter_map(|limit| Some((Arc::clone(&limit.name), limit.queue.upgrade()?)));
        in_use.collect()
    }

    fn named(&self) -> MutexGuard<'_, Vec<NamedLimit>> {
        self.0.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimits").finish_non_exhaustive()
    }
}
