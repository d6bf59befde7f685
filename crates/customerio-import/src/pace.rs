//! How many requests, and how fast.

use customerio::client::{Limits, Quota};

use crate::args::{CommonArgs, Mode};

/// How many, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) limit: Quota,
    pub(crate) concurrency: usize,
    /// The most records in a request: 1 in mode single.
    pub(crate) batch_items: usize,
}

impl Pace {
    pub(crate) fn new(common: &CommonArgs) -> Self {
        Self {
            limit: common.limit.unwrap_or(Limits::DOCUMENTED_INGRESS),
            concurrency: common.concurrency,
            batch_items: if common.mode == Mode::Single {
                1
            } else {
                common.batch_items
            },
        }
    }
}
