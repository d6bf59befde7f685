use std::time::Duration;

use crate::error::Reason;
use crate::policy::{Policy, Uncertainty};
use crate::unit::Unit;
use crate::{Cost, Model, Quota, UnsafeQuota};

/// A longer time counts as this one, 104 days. Its product with 1,000 is then exact in the numbers
/// of a script, which are floating-point.
pub(super) const LONGEST: i64 = 9_000_000_000_000;

/// The pace of a quota that several processes share: what a [`Call`](super::Call) states of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedQuota {
    /// One entry for each limit of the quota.
    pub limits: Vec<SharedLimit>,
    /// The highest cost of a request for which there is room.
    pub highest: u32,
    /// The first pause after a throttled response without `Retry-After`, in microseconds.
    pub pause: i64,
    /// The longest time for which a gate may be closed, in microseconds.
    pub longest_pause: i64,
    /// The shortest counted window, in microseconds.
    pub shortest_window: i64,
    /// Whether the last window saw no request if the store knows nothing of the quota.
    pub unused_at_start: bool,
}

/// The pace of one limit. Times are in microseconds, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedLimit {
    /// The time between departures of cost one.
    pub interval: i64,
    /// How far back a planned time may lie after idle time: the intervals of a burst.
    pub slack: i64,
    /// The server has forgotten all requests after this time without a departure.
    pub memory: i64,
    /// The counted window.
    pub window: i64,
    /// Whether it counts requests, whatever their cost.
    pub by_request: bool,
}

impl SharedQuota {
    /// Returns the pace of a quota with room for requests of cost `highest`.
    #[must_use]
    pub fn new(quota: &Quota, highest: Cost) -> Self {
        let uncertainty = quota.widest_uncertainty();
        let limits = quota.policies();
        let limits: Vec<_> = limits
            .map(|policy| SharedLimit::new(policy, uncertainty, highest))
            .collect();
        let windows = limits.iter().map(|limit| limit.window);
        let shortest_window = windows.clone().min().unwrap_or_default();
        let longest_pause = micros(quota.max_retry_after).max(windows.max().unwrap_or_default());
        Self {
            highest: highest.get(),
            pause: (shortest_window + micros(quota.jitter_ceiling)).min(LONGEST),
            longest_pause,
            shortest_window,
            unused_at_start: quota.unused_at_start,
            limits,
        }
    }

    /// Checks that a quota allows for the round trips to a store, of which the slowest took this
    /// time.
    ///
    /// # Errors
    ///
    /// Fails if a departure time could be more than half of the
    /// [`jitter_ceiling`](Quota::jitter_ceiling) late: the round trip and the
    /// [`lateness`](Quota::lateness) together must be less.
    pub fn check(quota: &Quota, round_trip: Duration) -> Result<(), UnsafeQuota> {
        let late = round_trip.saturating_add(quota.lateness);
        match late < usable(quota) {
            true => Ok(()),
            false => Err(UnsafeQuota(Reason::SlowStore {
                late,
                jitter: quota.jitter_ceiling,
            })),
        }
    }

    /// Returns the quota with which a process guards its own share while the store hands out
    /// departure times.
    ///
    /// It spaces nothing: the store does. What may still count at the server holds requests back,
    /// and so does a path that may be blocked.
    #[must_use]
    pub fn guard(quota: &Quota) -> Quota {
        let guard = quota.map_policies(|policy| match policy.model {
            Model::TokenBucket { size, .. } => Policy {
                burst: Some(size),
                ..policy
            },
            _ => Policy {
                model: Model::SlidingLog,
                burst: Some(policy.limit),
                ..policy
            },
        });
        guard.unused_at_start()
    }

    /// Returns the quota of one of `processes` processes while the store is away: an equal part of
    /// each limit, for requests of cost up to `highest`. The parts together are within the limit.
    ///
    /// A limit whose equal part is less than the highest cost cannot be kept by parts. Each process
    /// then departs at half of its part on average, which is safe on average only; see
    /// [`is_divisible`](Self::is_divisible).
    #[must_use]
    pub fn part(quota: &Quota, processes: u32, highest: Cost) -> Quota {
        let processes = processes.max(1);
        let part = quota.map_policies(|policy| match policy.part(processes, highest) {
            Some(part) => part,
            None => policy.rare_part(processes, highest),
        });
        Quota {
            unused_at_start: false,
            ..part
        }
    }

    /// Returns whether each limit, divided by the processes, has room for the highest cost, so that
    /// [`part`](Self::part) keeps it.
    #[must_use]
    pub fn is_divisible(quota: &Quota, processes: u32, highest: Cost) -> bool {
        let mut policies = quota.policies();
        policies.all(|policy| policy.part(processes.max(1), highest).is_some())
    }
}

impl Policy {
    /// Returns an equal part of the limit, if it has room for requests of this cost.
    fn part(self, processes: u32, highest: Cost) -> Option<Self> {
        let model = match self.model {
            Model::TokenBucket { size, refill } => Model::TokenBucket {
                size: size / processes,
                refill: refill / processes,
            },
            _ => Model::Unknown,
        };
        let has_room = self.lowest() / processes >= self.highest(highest);
        has_room.then(|| Self {
            limit: self.limit / processes,
            model,
            burst: Some(1),
            ..self
        })
    }

    /// Returns a part of a limit that has no room for a request of the highest cost: twice that
    /// cost, in as many windows as it takes.
    // An unknown server has one request of half of the limit per window.
    fn rare_part(self, processes: u32, highest: Cost) -> Self {
        let limit = self.highest(highest).saturating_mul(2);
        let windows = (u64::from(limit) * u64::from(processes)).div_ceil(self.lowest().into());
        let windows = u32::try_from(windows).unwrap_or(u32::MAX);
        Self {
            limit,
            window: self
                .window
                .saturating_mul(windows)
                .min(crate::quota::LONGEST),
            model: Model::Unknown,
            burst: Some(1),
            ..self
        }
    }

    /// Returns the cost that the server accepts in one window, or at once if that is less.
    fn lowest(&self) -> u32 {
        match self.model {
            Model::TokenBucket { size, refill } => size.min(refill),
            _ => self.limit,
        }
    }

    /// Returns the highest cost in the unit of this limit.
    fn highest(&self, cost: Cost) -> u32 {
        match self.unit {
            Unit::Request => 1,
            Unit::Cost => cost.get().min(self.most()),
        }
    }
}

impl SharedLimit {
    fn new(policy: Policy, uncertainty: Uncertainty, highest: Cost) -> Self {
        // The store knows of no answers, so no slots keep the limit there: a sliding log and a
        // fixed window are paced as an unknown server is. They allow one request more: the last one
        // of a window arrives when the first one is no longer counted.
        let paced = match policy.model {
            Model::SlidingLog | Model::FixedWindow => Policy {
                limit: policy.limit.saturating_add(1),
                model: Model::Unknown,
                burst: Some(policy.burst.unwrap_or(1)),
                ..policy
            },
            Model::Unknown | Model::TokenBucket { .. } => policy,
        };
        let pace = paced.pace(uncertainty, policy.highest(highest));
        let interval = micros(pace.interval.duration());
        Self {
            interval,
            slack: interval
                .saturating_mul(i64::from(pace.burst) - 1)
                .min(LONGEST),
            memory: micros(pace.memory.duration()),
            window: micros(policy.counted_window().duration()),
            by_request: policy.unit == Unit::Request,
        }
    }
}

/// Returns how late a departure time of a store may be used: half of the assumed jitter.
pub(super) fn usable(quota: &Quota) -> Duration {
    quota.jitter_ceiling / 2
}

/// Returns a time in whole microseconds, rounded up.
pub(super) fn micros(time: Duration) -> i64 {
    let micros = time.as_nanos().div_ceil(1_000);
    i64::try_from(micros).unwrap_or(LONGEST).min(LONGEST)
}
