use std::fmt;
use std::time::Duration;

use crate::Cost;

/// The error of a quota that no client can keep.
///
/// Its text has the arithmetic, and the nearest value that is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsafeQuota(pub(crate) Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    NoLimit(Rate),
    NoWindow { limit: u32 },
    LongWindow { window: Duration },
    Burst { burst: u32, per: Rate },
    BurstOverLimit { burst: u32, per: Rate },
    BurstOverBucket { burst: u32, size: u32 },
    NoBurst,
    EmptyBucket { size: u32, refill: u32 },
    FastBucket { refill: u32, per: Rate },
    TooManyLimits { limits: usize },
    SlowStore { late: Duration, jitter: Duration },
}

/// A limit and its window, for the text of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) limit: u32,
    pub(crate) window: Duration,
}

/// The error of a request whose [`Cost`] is more than a limit, so that it can never depart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooHeavy {
    pub(crate) cost: Cost,
    pub(crate) most: u32,
}

impl fmt::Display for UnsafeQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::NoLimit(per) => write!(
                f,
                "0 requests per {:?} let nothing through: give a limit of at least 1",
                per.window
            ),
            Reason::NoWindow { limit } => write!(
                f,
                "{limit} requests per 0 s are no limit: give a window longer than zero"
            ),
            Reason::LongWindow { window } => write!(
                f,
                "a window of {window:?} is longer than 366 days: give a shorter one"
            ),
            Reason::Burst { burst, per } => write_burst(f, burst, per),
            Reason::BurstOverLimit { burst, per } => write!(
                f,
                "a burst of {burst} is more than the limit of {per}: ask for at most {}",
                per.limit
            ),
            Reason::BurstOverBucket { burst, size } => write!(
                f,
                "a burst of {burst} does not fit into a bucket of {size}: ask for at most {size}"
            ),
            Reason::NoBurst => f.write_str("a burst of 0 lets nothing through: ask for at least 1"),
            Reason::EmptyBucket { size, refill } => write!(
                f,
                "a bucket of {size} with a refill of {refill} lets nothing through: \
                 give at least 1 of both"
            ),
            Reason::FastBucket { refill, per } => write!(
                f,
                "a bucket refilled by {refill} lets more through than the limit of {per}: \
                 give a refill of at most {}",
                per.limit
            ),
            Reason::TooManyLimits { limits } => write!(
                f,
                "{limits} limits are more than the 4 that one quota can hold: \
                 leave out a limit that the others imply"
            ),
            Reason::SlowStore { late, jitter } => write!(
                f,
                "a round trip to the store and a late timer take {late:?}, half of the \
                 jitter_ceiling of {jitter:?} or more: set a jitter_ceiling of at least {:?}, or \
                 use a nearer store",
                late.saturating_mul(3)
            ),
        }
    }
}

fn write_burst(f: &mut fmt::Formatter<'_>, burst: u32, per: Rate) -> fmt::Result {
    let Rate { limit, window } = per;
    let left = Rate {
        limit: limit.saturating_sub(burst),
        window,
    };
    let most = (limit / 2).max(1);
    write!(
        f,
        "a burst of {burst} leaves {left} forever, since no window may hold more than \
         burst + rate = {limit}: ask for a burst of at most {most}, or if the server is a token \
         bucket say so with Model::TokenBucket {{ size: {burst}, refill: {limit} }}"
    )
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.window {
            window if window == Duration::from_secs(1) => write!(f, "{}/s", self.limit),
            window => write!(f, "{} per {window:?}", self.limit),
        }
    }
}

impl fmt::Display for TooHeavy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a cost of {} never fits into a limit of {}: split the request",
            self.cost.get(),
            self.most
        )
    }
}

impl std::error::Error for UnsafeQuota {}

impl std::error::Error for TooHeavy {}
