use serde::Serialize;

/// The sums of the books. `GET /_sim/books` answers them as JSON with these names.
///
/// Requests to `/_sim/` are in none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Requests that reached the counter, whatever came of them.
    pub requests: u64,
    /// Operations that the API took, also those whose answer was lost on the way back. A batch counts each of its own.
    pub accepted: u64,
    /// Operations that the API refused. A request that is refused as a whole counts once, whatever it carried.
    pub rejected: u64,
    /// Requests answered 429.
    pub throttled: u64,
    /// Requests answered 401.
    pub unauthorized: u64,
    /// People known now.
    pub people: u64,
    /// Events applied, with an id or without.
    pub events: u64,
    /// Events whose id was seen before. With [`Dedupe::Off`](crate::Dedupe::Off) they are among `events` too.
    pub duplicate_events: u64,
    /// The most requests that reached the counter in any window of the limit's length, or of one second without a limit.
    pub busiest_window: u64,
    /// The length of that window in microseconds.
    pub window_us: u64,
    /// Requests that a gateway answered 502; they never reached the counter.
    pub gateway: u64,
    /// Connections dropped without an answer.
    pub resets: u64,
    /// Requests answered by a status or a wrong body from the weather or a script, 429 apart.
    pub errors: u64,
}
