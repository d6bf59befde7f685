/// How a server counts, as far as it is known.
///
/// What is known buys throughput; what is named wrongly costs refusals. In doubt leave [`Unknown`](Self::Unknown).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Model {
    /// Nothing is known: departures are spaced so evenly that every way of counting lets them through.
    #[default]
    Unknown,
    /// An exact log of the requests in the last window (a sorted set in Redis, say).
    SlidingLog,
    /// A counter that starts again at every full window (a key per minute, say).
    FixedWindow,
    /// A bucket of `size` tokens of which every request takes one, and to which `refill` tokens come back evenly in every
    /// window of the limit. Leaky buckets and GCRA are such.
    TokenBucket {
        /// How many tokens the full bucket holds.
        size: u32,
        /// How many come back in a window. It is at most the limit, and usually just that.
        refill: u32,
    },
}
