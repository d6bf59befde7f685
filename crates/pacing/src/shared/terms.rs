use std::time::Duration;

use crate::error::Reason;
use crate::policy::{Policy, Uncertainty};
use crate::unit::Unit;
use crate::{Cost, Model, Quota, UnsafeQuota};

/// A longer time counts as this one, 104 days. Its product with 1,000 is then exact in the numbers of
/// a script, which are floating-point.
const LONGEST: i64 = 9_000_000_000_000;

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
            pause: shortest_window + micros(quota.jitter_ceiling),
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
    /// each limit. The parts together are within the limit.
    ///
    /// A limit that is smaller than the number of processes has no equal parts. Each process then
    /// has one request in as many windows as it takes, which is safe on average only; see
    /// [`is_divisible`](Self::is_divisible).
    #[must_use]
    pub fn part(quota: &Quota, processes: u32) -> Quota {
        let processes = processes.max(1);
        let part = quota.map_policies(|policy| {
            let limit = policy.limit / processes;
            // A limit of 1 departs once in two windows, so with the parts of one request each the
            // processes together stay within theirs.
            let windows = match limit {
                0 => processes.div_ceil(policy.limit),
                _ => 1,
            };
            let model = match policy.model {
                Model::TokenBucket { size, refill }
                    if size / processes > 0 && refill / processes > 0 =>
                {
                    Model::TokenBucket {
                        size: size / processes,
                        refill: refill / processes,
                    }
                }
                _ => Model::Unknown,
            };
            Policy {
                limit: limit.max(1),
                window: policy
                    .window
                    .saturating_mul(windows)
                    .min(crate::quota::LONGEST),
                model,
                burst: Some(1),
                ..policy
            }
        });
        Quota {
            unused_at_start: false,
            ..part
        }
    }

    /// Returns whether each limit is at least the number of processes, so that
    /// [`part`](Self::part) keeps it.
    #[must_use]
    pub fn is_divisible(quota: &Quota, processes: u32) -> bool {
        quota.policies().all(|policy| policy.limit >= processes)
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
        let pace = paced.pace(uncertainty, highest.get());
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
