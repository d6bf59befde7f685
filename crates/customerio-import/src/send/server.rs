//! The state of the server, as its answers show it: outage, throttling, and the time of waiting.

use std::time::Duration;

use customerio::Cause;
use customerio::packer::Dispatcher;
use tokio::time::Instant;

use super::tasks::Tag;

/// The state of the server.
#[derive(Debug)]
pub(super) struct Server {
    outage: Option<Outage>,
    throttling: Option<Throttling>,
    wait_total: WaitTotal,
}

/// A time in which every request fails.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    /// In seconds since 1970.
    pub(super) since: i64,
    pub(super) cause: Cause,
}

/// A time in which the server throttles and names no time, so that the client chooses the pauses.
#[derive(Clone, Copy, Debug)]
struct Throttling {
    /// In seconds since 1970.
    since: i64,
    /// Whether more than one check has seen it. While other requests succeed, it is over before the
    /// second one, and is not shown.
    lasts: bool,
}

// === impl Server ===

impl Server {
    pub(super) fn new(max_wait: Duration, now: Instant) -> Self {
        Self {
            outage: None,
            throttling: None,
            wait_total: WaitTotal::new(max_wait, now),
        }
    }

    pub(super) fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    /// Records any answer that is not a transient failure. It ends a throttling, even if it is not
    /// from the API.
    pub(super) fn record_answer(&mut self) {
        self.throttling = None;
    }

    /// Follows the outage of the dispatcher. An outage continues a throttling: both are one wait
    /// for the user.
    pub(super) fn follow(&mut self, dispatcher: &Dispatcher<Tag>, unix_seconds: i64) {
        let throttled = self.throttling.map(|throttling| throttling.since);
        let since = self.outage.as_ref().map(|outage| outage.since);
        self.outage = dispatcher.outage().map(|outage| Outage {
            since: since.or(throttled).unwrap_or(unix_seconds),
            cause: outage.cause().clone(),
        });
    }

    /// Records that a check found the client waiting after a 429 that named no time.
    pub(super) fn record_throttling(&mut self, unix_seconds: i64) {
        self.throttling = Some(match self.throttling {
            None => Throttling {
                since: unix_seconds,
                lasts: false,
            },
            Some(throttling) => Throttling {
                lasts: true,
                ..throttling
            },
        });
    }

    /// Returns the beginning of the throttling, in seconds since 1970, once it lasts.
    pub(super) fn throttled_since(&self) -> Option<i64> {
        let lasting = self.throttling.filter(|throttling| throttling.lasts)?;
        Some(lasting.since)
    }

    /// Counts the time since the last call as waiting or as working. `requested` is the rest of a
    /// wait in the client. Returns whether the run has waited, or would wait, longer than
    /// `--max-wait`.
    pub(super) fn pass_time(&mut self, now: Instant, requested: Option<Duration>) -> bool {
        let is_waiting = self.outage.is_some() || requested.is_some();
        self.wait_total.pass(now, is_waiting);
        is_waiting && requested.unwrap_or_default() >= self.wait_total.left()
    }
}

/// How long the run has waited for the server: all waits together, less the time of work between
/// them.
#[derive(Debug)]
struct WaitTotal {
    limit: Duration,
    waited: Duration,
    checked_at: Instant,
    was_waiting: bool,
}

impl WaitTotal {
    fn new(limit: Duration, now: Instant) -> Self {
        Self {
            limit,
            waited: Duration::ZERO,
            checked_at: now,
            was_waiting: false,
        }
    }

    /// Counts the time since the last check as waiting if the run waited at either end of it. A
    /// wait is seen only by the first check after its beginning: if both ends were required, many
    /// short waits would count as work.
    fn pass(&mut self, now: Instant, is_waiting: bool) {
        let passed = now.saturating_duration_since(self.checked_at);
        self.waited = match self.was_waiting || is_waiting {
            true => self.waited.saturating_add(passed),
            false => self.waited.saturating_sub(passed),
        };
        (self.checked_at, self.was_waiting) = (now, is_waiting);
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.waited)
    }
}
