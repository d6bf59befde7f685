//! How many requests, and how fast.

use customerio::client::{ApiLimit, Limits, Quota};

use crate::args::{CommonArgs, Mode};

/// How many, and how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Of requests.
    pub(crate) limit: Quota,
    pub(crate) record_limit: Quota,
    pub(crate) concurrency: usize,
    /// The most records in a request: 1 in mode single.
    pub(crate) batch_items: usize,
    /// Whether the run goes on where the API rejects the first records for the same reason.
    pub(crate) keeps_going: bool,
}

impl Pace {
    pub(crate) fn new(common: &CommonArgs) -> Self {
        let documented = |budget| Limits::documented().quota(budget);
        Self {
            limit: common
                .limit
                .unwrap_or_else(|| documented(ApiLimit::Ingress)),
            record_limit: common
                .record_limit
                .unwrap_or_else(|| documented(ApiLimit::Records)),
            keeps_going: common.keep_going,
            concurrency: common.concurrency,
            batch_items: if common.mode == Mode::Single {
                1
            } else {
                common.batch_items
            },
        }
    }
}
