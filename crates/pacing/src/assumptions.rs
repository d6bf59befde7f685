use std::time::Duration;

use crate::Quota;
use crate::moment::{Span, shorter};
use crate::policy::Slip;
use crate::quota::LONGEST;

/// What a quota assumes of the path to the server, and of our own timers.
impl Quota {
    /// Takes over the assumptions of `other`: jitter, lateness, transit, the longest `Retry-After`,
    /// until when requests count, and whether the limit is unused at the start.
    #[must_use]
    pub const fn assuming(self, other: &Self) -> Self {
        Self {
            first: self.first,
            others: self.others,
            ..*other
        }
    }

    /// Assumes that the time a request takes to reach the server's counter varies by at most
    /// `spread`.
    ///
    /// The default is 100 ms, the most is 366 days. It costs throughput, above all in short
    /// windows: the [spacing](Self::spacing) is longer until 5,000 round trips have shown that less
    /// is enough.
    #[must_use]
    pub const fn jitter_ceiling(self, spread: Duration) -> Self {
        Self {
            jitter_ceiling: shorter(spread, LONGEST),
            ..self
        }
    }

    /// Assumes that timers fire up to `time` late. A request that leaves no later than that keeps
    /// its place.
    ///
    /// The default is 2 ms, and 20 ms on Windows; the most is 1 s.
    #[must_use]
    pub const fn lateness(self, time: Duration) -> Self {
        Self {
            lateness: shorter(time, Duration::from_secs(1)),
            ..self
        }
    }

    /// Assumes that a request reaches the server's counter within `time` of its departure, or
    /// never.
    ///
    /// The default is 1 s, which covers two lost TCP segments; the most is 366 days.
    ///
    /// A request without an answer counts for this time and a window. So with slow answers at most
    /// the limit leaves per (window + `time`), and a shorter time gives more throughput where the
    /// path is good. A lost SYN takes a little more than 1 s: with a named
    /// [`SlidingLog`](crate::Model::SlidingLog) and many new connections, 2 s are safer.
    #[must_use]
    pub const fn max_transit(self, time: Duration) -> Self {
        Self {
            max_transit: shorter(time, LONGEST),
            ..self
        }
    }

    /// Assumes that the server may count a request until it answers it, however long that takes.
    ///
    /// By default a server counts a request when it arrives, at most
    /// [`max_transit`](Self::max_transit) after it left. With this setting slow answers cost limit
    /// per (window + response time), and requests that hang can use up the whole limit: then
    /// nothing leaves until one of them ends. Bound their time with a timeout inside the limiter.
    #[must_use]
    pub const fn counted_until_answered(self) -> Self {
        Self {
            counted_until_answered: true,
            ..self
        }
    }

    /// Asserts that the server has counted nothing in the last window when the limiter starts.
    ///
    /// The first request then leaves at once, and with it the whole [burst](Self::burst). Every
    /// start makes the same assertion: a program that is restarted within a window, or that runs
    /// twice, spends the burst again, and the server may refuse it.
    #[must_use]
    pub const fn unused_at_start(self) -> Self {
        Self {
            unused_at_start: true,
            ..self
        }
    }

    /// Obeys a server's `Retry-After` for `time` at most, however long it asks for.
    ///
    /// The default is one hour, the most is 366 days.
    #[must_use]
    pub const fn max_retry_after(self, time: Duration) -> Self {
        Self {
            max_retry_after: shorter(time, LONGEST),
            ..self
        }
    }

    /// Returns what is assumed of path and timers before anything is learned.
    pub(crate) const fn widest_slip(&self) -> Slip {
        Slip {
            jitter: Span::of(self.jitter_ceiling),
            lateness: Span::of(self.lateness),
        }
    }
}
