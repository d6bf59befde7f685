use super::SharedQuota;

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
    /// The time until the store has more departure times to hand out; negative if it has some
    /// now.
    pub wait: i64,
    /// The time that the turns of the other busy processes take. The process should call again
    /// after the wait and this time, of which a part is random.
    pub turn: i64,
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
