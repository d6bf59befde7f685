//! The state of the server, as its answers show it: outage, throttling, and the time of waiting.

use std::time::Duration;

use customerio::{Cause, Outcome};
use tokio::time::Instant;

use super::chunk::Chunk;

/// The pause before the first probe in an outage. It doubles with each further one. A shorter pause
/// adds requests to a server in trouble; a longer one delays the run after a short failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between probes: few requests for a server in trouble, and a short delay
/// compared with the time that operators need to notice.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a chunk that ends in 500 is sent while others succeed, before it is split. With 1, a
/// server that has just gone down would have its chunks split.
const ATTEMPTS_500: u32 = 2;

/// The same for other failures. An overloaded server returns them for any request, so they say less
/// about the chunk than a 500.
const ATTEMPTS: u32 = 4;

/// The state of the server.
#[derive(Debug)]
pub(super) struct Server {
    outage: Option<Outage>,
    throttling: Option<Throttling>,
    /// Requests with an answer about a record.
    successes: u64,
    wait_total: WaitTotal,
}

/// A time in which every request fails.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    /// In seconds since 1970.
    pub(super) since: i64,
    pub(super) cause: Cause,
    pause: Duration,
    next_probe: Instant,
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

/// The meaning of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server may fail for every request.
    Outage,
    /// Others succeed, and this chunk may too.
    Retry,
    /// Others succeed, and this chunk has failed too often: one of its records is the reason.
    Split,
}

// === impl Server ===

impl Server {
    pub(super) fn new(max_wait: Duration, now: Instant) -> Self {
        Self {
            outage: None,
            throttling: None,
            successes: 0,
            wait_total: WaitTotal::new(max_wait, now),
        }
    }

    /// Returns the number of requests with an answer about a record.
    pub(super) fn successes(&self) -> u64 {
        self.successes
    }

    pub(super) fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    /// Records a request with an answer about a record.
    pub(super) fn record_success(&mut self) {
        self.successes += 1;
        self.record_answer();
    }

    /// Records any answer that is not a transient failure. It ends an outage, even if it is not
    /// from the API.
    pub(super) fn record_answer(&mut self) {
        self.outage = None;
        self.throttling = None;
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

    /// Returns the meaning of the failure of a chunk.
    pub(super) fn classify(&self, chunk: &Chunk) -> Failure {
        let attempts = if chunk.ended_in_500() {
            ATTEMPTS_500
        } else {
            ATTEMPTS
        };
        match chunk.others_have_succeeded(self.successes) {
            // No other request may be left whose success could follow. Without this arm, the run
            // would wait for this record alone until --max-wait ends.
            false if chunk.is_single_suspect() && chunk.failures() >= ATTEMPTS => Failure::Split,
            false => Failure::Outage,
            true if chunk.failures() >= attempts && chunk.may_have_arrived() > 0 => Failure::Split,
            true => Failure::Retry,
        }
    }

    /// Begins an outage, or makes its pause longer.
    pub(super) fn record_outage(&mut self, cause: &Cause, now: Instant, unix_seconds: i64) {
        let (since, pause) = match &self.outage {
            // None => Outage. It continues a throttling: both are one wait for the user.
            None => {
                let throttling = self.throttling.map(|throttling| throttling.since);
                (throttling.unwrap_or(unix_seconds), FIRST_PAUSE)
            }
            // Outage => Outage: a request that departed before the outage was known.
            Some(outage) if now < outage.next_probe => return,
            // Outage => Outage: a probe has failed.
            Some(outage) => (outage.since, (outage.pause * 2).min(LONGEST_PAUSE)),
        };
        self.outage = Some(Outage {
            since,
            cause: cause.clone(),
            pause,
            next_probe: now + pause,
        });
    }

    /// Returns when the next probe may depart, if there is an outage.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        self.outage.as_ref().map(|outage| outage.next_probe)
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

/// Returns whether the outcome comes from an answer that is not a transient failure: some server is
/// up, whether it is the API or not.
pub(super) fn is_answered(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted | Outcome::Rejected(_) => true,
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => {
            cause.status().is_some() && !cause.is_transient()
        }
    }
}

/// Returns whether the API has accepted or rejected the record itself. A server without this path
/// and a failing server answer without regard to the record.
pub(super) fn is_about_a_record(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted => true,
        Outcome::Rejected(rejection) => rejection.status().is_some_and(|status| {
            status.is_success() || matches!(status.as_u16(), 400 | 413 | 422)
        }),
        Outcome::Unknown(_) | Outcome::NotSent(_) => false,
    }
}
