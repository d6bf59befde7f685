//! How the records are sent: limits, concurrency, batches.

use std::time::Duration;

use customerio::client::{ApiLimit, Limits, Quota};

use crate::args::{CommonArgs, Mode};
use crate::display;
use crate::progress::Bound;

/// How the records are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendOptions {
    /// The limit of requests.
    pub(crate) limit: Quota,
    pub(crate) record_limit: Quota,
    /// The most requests in flight.
    pub(crate) concurrency: usize,
    /// The most records in a request: 1 in mode single, and for kinds such as deletions.
    pub(crate) batch_items: usize,
    /// Whether the run goes on if the API rejects the first records for the same reason.
    pub(crate) keep_going: bool,
    /// How long the run may wait for the server, in total.
    pub(crate) max_wait: Duration,
}

impl SendOptions {
    /// Returns the options of the command line. `goes_alone` is whether each record needs a request
    /// of its own.
    pub(crate) fn new(common: &CommonArgs, goes_alone: bool) -> Self {
        let documented = |budget| Limits::documented().quota(budget);
        Self {
            limit: common
                .limit
                .unwrap_or_else(|| documented(ApiLimit::Ingress)),
            record_limit: common
                .record_limit
                .unwrap_or_else(|| documented(ApiLimit::Records)),
            keep_going: common.keep_going,
            concurrency: common.concurrency,
            batch_items: if common.mode == Mode::Single || goes_alone {
                1
            } else {
                common.batch_items
            },
            max_wait: common.max_wait,
        }
    }

    /// Returns the least time for this many requests with this many records, as the limits allow.
    /// It saturates at the longest duration.
    pub(crate) fn time(&self, requests: u64, records: u64) -> Duration {
        let seconds = |quota: Quota, count: u64| quota.spacing().as_secs_f64() * count as f64;
        let longest = seconds(self.limit, requests).max(seconds(self.record_limit, records));
        Duration::try_from_secs_f64(longest).unwrap_or(Duration::MAX)
    }

    /// Returns the limit that determines the time of these requests with these records.
    pub(crate) fn slower_limit(&self, requests: u64, records: u64) -> Bound {
        match self.time(requests, records) > self.time(requests, 0) {
            true => Bound::RecordLimit,
            false => Bound::RequestLimit,
        }
    }

    /// Returns which limit determines the time of a run: a quota while answers are fast, the
    /// requests in flight when they are slow.
    pub(crate) fn slowest_limit(&self) -> String {
        let in_flight = self.concurrency as u64;
        let records_in_flight = in_flight.saturating_mul(self.batch_items as u64);
        let answer_time = self.time(in_flight, records_in_flight);
        let slower = self.slower_limit(in_flight, records_in_flight);
        let (quota, count) = if slower == Bound::RecordLimit {
            let quota = self.record_limit;
            (quota, display::records(quota.limit().into()))
        } else {
            (self.limit, display::requests(self.limit.limit().into()))
        };
        format!(
            "limited to {count} per {}; if answers take longer than {}, limited by {} in flight",
            display::estimate(quota.window()),
            display::estimate(answer_time),
            display::requests(in_flight)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_limit_is_the_slower_of_two_quotas() {
        let check = |requests, records, batch_items, time: &str, limit: &str| {
            let options = SendOptions {
                limit: Quota::per_second(requests),
                record_limit: Quota::per_second(records),
                concurrency: 32,
                batch_items,
                keep_going: false,
                max_wait: Duration::ZERO,
            };
            let found = display::estimate(options.time(41, 20_093));
            assert_eq!(found, time);
            let found = options.slowest_limit();
            assert!(found.starts_with(limit), "{found}");
        };
        let by_records = "limited to 10000 records per 1 s; if answers take longer than 1.8 s,";
        check(1_000, 10_000, 500, "2.2 s", by_records);
        let by_requests = "limited to 10 requests per 1 s; if answers take longer than 3.9 s,";
        check(10, 10_000, 500, "5 s", by_requests);
    }
}
