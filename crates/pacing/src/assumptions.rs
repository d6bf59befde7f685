use std::time::Duration;

use crate::Quota;
use crate::moment::{Span, shorter};
use crate::policy::Slip;
use crate::quota::LONGEST;

/// What a quota assumes of the path to the server, and of our own timers.
impl Quota {
    /// Assumes of the path to the server what `other` assumes: jitter, lateness, transit, the longest `Retry-After`, and
    /// whether requests count on arrival.
    #[must_use]
    pub const fn assuming(self, other: &Self) -> Self {
        Self {
            first: self.first,
            others: self.others,
            ..*other
        }
    }

    /// Assumes that the time a request takes to reach the server's counter varies by at most `spread`.
    ///
    /// The default is 100 ms, at most 366 days are used. It costs throughput, above all in short windows: departures
    /// are [spaced](Self::spacing) by that much more, until 5,000 round trips have shown that less is enough.
    #[must_use]
    pub const fn jitter_ceiling(self, spread: Duration) -> Self {
        Self {
            jitter_ceiling: shorter(spread, LONGEST),
            ..self
        }
    }

    /// Assumes that timers fire up to `time` late: a request that leaves so late keeps its slot.
    ///
    /// The default is 2 ms, and 20 ms on Windows; at most 1 s is used.
    #[must_use]
    pub const fn lateness(self, time: Duration) -> Self {
        Self {
            lateness: shorter(time, Duration::from_secs(1)),
            ..self
        }
    }

    /// Assumes that a request which was given up can still reach the server's counter for `time`, and not longer.
    ///
    /// The default is 1 s, at most 366 days are used.
    #[must_use]
    pub const fn max_transit(self, time: Duration) -> Self {
        Self {
            max_transit: shorter(time, LONGEST),
            ..self
        }
    }

    /// Assumes that the server counts a request when it arrives, at most [`max_transit`](Self::max_transit) after it left.
    ///
    /// Without this, a request may still be counted until it is answered, so slow endpoints cost throughput: limit per
    /// (window + response time). With it they cost limit per (window + `max_transit`) at most. A server that counts when
    /// it answers, or a queue in front of its counter, refuses what this lets through.
    #[must_use]
    pub const fn counted_on_arrival(self) -> Self {
        Self {
            counted_on_arrival: true,
            ..self
        }
    }

    /// Obeys a server's `Retry-After` for `time` at most, however long it asks for.
    ///
    /// The default is one hour, at most 366 days are used.
    #[must_use]
    pub const fn max_retry_after(self, time: Duration) -> Self {
        Self {
            max_retry_after: shorter(time, LONGEST),
            ..self
        }
    }

    /// What is assumed of path and timers before anything is learned.
    pub(crate) const fn widest_slip(&self) -> Slip {
        Slip {
            jitter: Span::of(self.jitter_ceiling),
            lateness: Span::of(self.lateness),
        }
    }
}
