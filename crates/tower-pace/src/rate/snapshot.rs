use std::time::Duration;

use pacing::Quota;

/// The state of a limit at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The requests that stand in the line, without the absent.
    pub queued: usize,
    /// The cost of what has left and has not ended.
    pub in_flight: u64,
    /// The cost of what may still count at the server, whether it has ended or not.
    pub counted: u64,
    /// The time between two departures at the rate in force.
    pub interval: Duration,
    /// How long nothing may leave: after a rejection, by the server's word, or by a handle. None if
    /// the gate is open.
    pub gate: Option<Duration>,
    /// What would hold back a request now.
    pub held_by: HeldBy,
    /// How long that holds at least. None if nothing does, or if only the end of a request or a
    /// handle can end it.
    pub held_for: Option<Duration>,
    /// The quota in force, which is slower than the configured one if the server's word is.
    pub quota: Quota,
    /// What happened so far.
    pub counters: Counters,
}

impl Snapshot {
    /// Returns the rate in force, in requests per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.interval.as_secs_f64().recip()
    }
}

/// What would hold back a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeldBy {
    /// By the server's word no request remains until its limit starts anew.
    Allowance,
    /// Too many requests left without one of them being answered: the path may be blocked. Single
    /// requests probe it.
    Cap,
    /// The gate is closed after a throttled response, or by a handle.
    Gate,
    /// Nothing.
    Nothing,
    /// The last departure was too short a time ago.
    Pace,
    /// A handle has paused the limit.
    Pause,
    /// Earlier requests may still count at the server. Where slow answers hold the rate down, see
    /// [`Quota::max_transit`].
    Window,
}

/// How many requests there were so far, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that have left.
    pub departed: u64,
    /// Requests that the server answered without refusing them.
    pub answered: u64,
    /// Requests that the server refused for its limit.
    pub throttled: u64,
    /// Requests that ended without an answer of the server's own.
    pub abandoned: u64,
    /// Requests that turned out to have never left.
    pub unsent: u64,
}
