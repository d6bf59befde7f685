use std::time::Duration;

use pacing::Quota;
use pacing::shared::SharedStatus;

/// The state of a limit at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The number of waiters, without those that were passed over.
    pub queued: usize,
    /// The cost of the requests that have departed and not ended.
    pub in_flight: u64,
    /// The cost of the requests that may still count at the server, ended or not.
    pub counted: u64,
    /// The time between two departures at the rate in force.
    pub interval: Duration,
    /// The time until the gate opens, after a throttled response, a penalty, or a statement of the
    /// server. None if it is open.
    pub gate: Option<Duration>,
    /// The part of the limiter that would hold back a request now.
    pub held_by: HeldBy,
    /// The shortest time until that ends. None if nothing holds back requests, or if only the end
    /// of a request or a handle can end it.
    pub held_for: Option<Duration>,
    /// The quota in force: the configured one, or a slower one that the server stated.
    pub quota: Quota,
    /// The number of requests so far.
    pub counters: Counters,
    /// The store of a quota that several processes share. None if the quota is not shared.
    pub shared: Option<SharedStatus>,
}

impl Snapshot {
    /// Returns the rate in force, in requests per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.interval.as_secs_f64().recip()
    }
}

/// The part of a limiter that holds back requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeldBy {
    /// The server has stated that nothing remains until its reset.
    Allowance,
    /// Too many requests departed without a response, so the path may be blocked. Single requests
    /// probe it.
    Cap,
    /// The gate is closed after a throttled response, or by a handle.
    Gate,
    /// Nothing.
    Nothing,
    /// The interval since the last departure is not over.
    Pace,
    /// A handle has paused the limit.
    Pause,
    /// The store of a shared quota has handed out no departure time yet, or a later one.
    Shared,
    /// Earlier requests may still count at the server. If slow responses hold the rate down, see
    /// [`Quota::max_transit`].
    Window,
}

/// The number of requests so far, by their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that have departed.
    pub departed: u64,
    /// Requests that the server answered without throttling them.
    pub answered: u64,
    /// Requests that the server throttled.
    pub throttled: u64,
    /// Requests that ended without a response of the server's own.
    pub abandoned: u64,
    /// Requests that provably were not sent.
    pub unsent: u64,
}
