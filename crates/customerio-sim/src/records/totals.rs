use serde::Serialize;

/// Counts of requests and records. `GET /_sim/totals` returns them as JSON with these names.
///
/// Requests to `/_sim/` count nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// Requests that reached the counter, whatever the response.
    pub requests: u64,
    /// Operations, messages and triggers that the API accepted, including those whose response was
    /// lost. Each operation of a batch counts.
    pub accepted: u64,
    /// Operations that the API rejected. A request that is rejected as a whole counts once.
    pub rejected: u64,
    /// Requests with the response 429.
    pub throttled: u64,
    /// Requests with the response 401.
    pub unauthorized: u64,
    /// People that exist now. 0 with [`Records::CountsOnly`](crate::Records::CountsOnly).
    pub people: u64,
    /// Events that were applied, with an id or without. With
    /// [`Records::CountsOnly`](crate::Records::CountsOnly) each accepted event counts.
    pub events: u64,
    /// Events whose id was seen before. With [`Dedupe::Off`](crate::Dedupe::Off) they also count as
    /// `events`. 0 with [`Records::CountsOnly`](crate::Records::CountsOnly).
    pub duplicate_events: u64,
    /// Transactional messages.
    pub messages: u64,
    /// Accepted triggers of broadcasts.
    pub triggers: u64,
    /// Events of webhooks that were delivered.
    pub webhooks: u64,
    /// Attempts to deliver an event that failed.
    pub webhook_failures: u64,
    /// Events of webhooks that were given up, or did not fit into the queue.
    pub webhooks_dropped: u64,
    /// The most requests under [`Builder::limit`](crate::Builder::limit) that reached the counter
    /// in any window. The window is as long as the limit's, or one second without a limit.
    pub busiest_window: u64,
    /// The length of that window in microseconds.
    pub window_us: u64,
    /// Requests to which a gateway responded 502. They never reached the counter.
    pub gateway: u64,
    /// Connections that were dropped without a response.
    pub resets: u64,
    /// Requests to which a fault responded with a status other than 429, or with a wrong body.
    pub errors: u64,
}
