use super::terms::LONGEST;
use super::{HORIZON, SharedLimit, SharedQuota};
use crate::quota::MOST_LIMITS;

/// The most departure times in one call. The horizon has fewer, unless a quota has more than 20,000
/// a second.
pub(super) const MOST_ASKED: u32 = 1_000;

/// A call of a process to the store of a shared quota. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The process, by a random number of its own.
    pub process: u64,
    /// The number of departure times that it asks for. Zero only reports and shows that the process
    /// runs.
    pub count: u32,
    /// The cost of each of these requests.
    pub cost: u32,
    /// The pace of the quota, as this process was told.
    pub quota: SharedQuota,
    /// The latest departure time that this process has got; zero if it has got none. The store may
    /// have lost it.
    pub latest: i64,
    /// Whether the process has departed without the store since its last reply.
    pub is_away: bool,
    /// A request that the server throttled since the last reply.
    pub throttled: Option<Throttled>,
    /// The latest departure of a request that the server accepted; zero if there was none since the
    /// last reply.
    pub accepted: i64,
}

impl Call {
    /// Returns the call with each number within its bounds, for a store at `now`.
    pub(super) fn bounded(&self, now: i64) -> Self {
        let bounded = |time: i64| time.clamp(0, LONGEST);
        let limits = self.quota.limits.iter().map(|limit| SharedLimit {
            interval: bounded(limit.interval),
            slack: bounded(limit.slack),
            memory: bounded(limit.memory),
            window: bounded(limit.window),
            ..*limit
        });
        let shortest_window = bounded(self.quota.shortest_window);
        Self {
            count: self.count.min(MOST_ASKED),
            // A later one is of a store whose clock was ahead. No departure time lies beyond the
            // horizon.
            latest: self.latest.min(now + HORIZON),
            throttled: self.throttled.map(|throttled| Throttled {
                retry_after: bounded(throttled.retry_after),
                ..throttled
            }),
            quota: SharedQuota {
                limits: limits.take(MOST_LIMITS).collect(),
                pause: self.quota.pause.clamp(shortest_window, LONGEST),
                longest_pause: bounded(self.quota.longest_pause),
                shortest_window,
                ..self.quota.clone()
            },
            ..self.clone()
        }
    }
}

/// A request that the server throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Its departure, on the store's clock.
    pub sent: i64,
    /// The pause for which the server asked; zero if it asked for none.
    pub retry_after: i64,
}

/// The answer of the store to a [`Call`]. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The store's clock.
    pub now: i64,
    /// The departure times, in order. There are fewer than asked for if the others lie beyond the
    /// [`HORIZON`](super::HORIZON), or belong to other processes.
    pub departures: Vec<i64>,
    /// The time until the turn of the process, when it calls again for the rest; not positive if
    /// that is now.
    pub wait: i64,
    /// The number of processes that have called in the last 30 seconds.
    pub processes: u32,
    /// When the gate opens on the store's clock. It has passed if the gate is open.
    pub open_from: i64,
    /// The highest cost that the store remembers. If it is higher than that of the call, nothing
    /// was handed out: the process computes the pace anew and calls again at once.
    pub highest: u32,
    /// Whether another process states a slower quota, which holds.
    pub is_slower: bool,
    /// The time that the first departure waits, since the store knew nothing of this quota; zero
    /// if it knew it.
    pub start: i64,
}
