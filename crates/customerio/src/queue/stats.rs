use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::Outcome;

/// The shortest time between two values of a [`StatsWatcher`]. Shorter would wake a task for each
/// request; longer is late for a person.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// The time over which the rate is measured, in buckets of a second.
const RATE_SECONDS: usize = 10;

/// The state of a queue.
///
/// `Display` writes it as one line for a log, without any data of a person.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Operations that wait: they are in no request, or their request is to be sent again.
    pub size: usize,
    /// Operations whose request departs next or is in flight.
    pub pending: usize,
    /// Requests that depart next or are in flight.
    pub requests: usize,
    /// The bytes that count against [`max_bytes`](super::QueueBuilder::max_bytes).
    pub bytes: usize,
    /// The age of the oldest operation that has no outcome.
    pub oldest: Option<Duration>,
    /// Accepted operations per second, over the last ten seconds.
    pub rate: f64,
    /// What keeps the next operation from departing.
    pub held_by: HeldBy,
    /// Whether the server has throttled a request, and its pause lasts.
    pub is_throttled: bool,
    /// Operations that the API accepted.
    pub accepted: u64,
    /// Operations that the API rejected. With feature `tracing`, the event
    /// `customerio.queue.failed` (warn) shows each request that left operations without being
    /// accepted: their number, and the outcome, the status and the request id of the first one.
    pub rejected: u64,
    /// Operations with an unknown outcome.
    pub unknown: u64,
    /// Operations that were not sent, with those of the fields `canceled`, `dropped` and `expired`.
    /// One that may have arrived counts in `unknown` instead of these four.
    pub not_sent: u64,
    /// Operations without an outcome that the spool keeps for the next queue.
    pub kept: u64,
    /// Operations that wait only on disk: memory has no room for them. They count in `size`.
    pub backlog: u64,
    /// Dead letters in the spool.
    pub dead_letters: u64,
    /// Operations that were canceled, alone or by [`clear`](super::Queue::clear).
    pub canceled: u64,
    /// Operations that were dropped for newer ones.
    pub dropped: u64,
    /// Operations that were older than [`max_age`](super::QueueBuilder::max_age).
    pub expired: u64,
}

/// What keeps the next operation of a queue from departing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeldBy {
    /// Nothing: no operation waits.
    Nothing,
    /// The queue waits for a batch to fill.
    Linger,
    /// The worker, which was not polled since a request may depart. If this lasts, it was not
    /// spawned, or its task is blocked or no longer polled.
    Worker,
    /// The disk of a spool: those that wait are being written, or memory has no room for them.
    Disk,
    /// The disk is full, so that outcomes cannot be written. A request that departs now could be
    /// sent again after a crash.
    DiskFull,
    /// The queue is paused.
    Paused,
    /// The API refuses every request, as with wrong credentials. The queue probes once a minute.
    Blocked,
    /// Every request fails. The queue probes with growing pauses.
    Outage,
    /// The server has throttled a request or asked for a pause.
    Throttled,
    /// The rate limit of the client.
    RateLimit,
    /// As many requests as allowed are in flight. After an outage, two are allowed at first, and
    /// twice as many after each success.
    Concurrency,
    /// Each operation waits for an earlier one on the same person.
    Order,
}

/// The number of operations by outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) unknown: u64,
    pub(super) not_sent: u64,
    pub(super) kept: u64,
    pub(super) canceled: u64,
    pub(super) dropped: u64,
    pub(super) expired: u64,
}

impl Counts {
    pub(super) fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Rejected(_) => self.rejected += 1,
            Outcome::Unknown(cause) | Outcome::NotSent(cause) if cause.is_kept() => self.kept += 1,
            Outcome::Unknown(_) => self.unknown += 1,
            Outcome::NotSent(cause) => {
                self.not_sent += 1;
                self.canceled += u64::from(cause.is_canceled());
                self.dropped += u64::from(cause.is_dropped());
                self.expired += u64::from(cause.is_expired());
            }
        }
    }
}

/// Counts per second, over the last [`RATE_SECONDS`] seconds.
#[derive(Debug)]
pub(super) struct Rate {
    origin: Instant,
    /// The second of the newest bucket.
    second: u64,
    buckets: [u64; RATE_SECONDS],
}

impl Rate {
    pub(super) fn new(origin: Instant) -> Self {
        Self {
            origin,
            second: 0,
            buckets: [0; RATE_SECONDS],
        }
    }

    pub(super) fn count(&mut self, number: u64, now: Instant) {
        self.advance(now);
        self.buckets[self.second as usize % RATE_SECONDS] += number;
    }

    pub(super) fn per_second(&mut self, now: Instant) -> f64 {
        self.advance(now);
        // The queue may be younger than the buckets.
        let seconds = (self.second + 1).min(RATE_SECONDS as u64);
        self.buckets.iter().sum::<u64>() as f64 / seconds as f64
    }

    fn advance(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.origin).as_secs();
        for passed in (self.second + 1..=second).take(RATE_SECONDS) {
            self.buckets[passed as usize % RATE_SECONDS] = 0;
        }
        self.second = self.second.max(second);
    }
}

/// A subscription to the state of a queue, as tokio's `watch`.
#[derive(Debug)]
pub struct StatsWatcher {
    pub(super) shared: Arc<Shared>,
    /// The version of the state that was seen last.
    pub(super) seen: u64,
    pub(super) is_over: bool,
}

impl StatsWatcher {
    /// Returns the state now.
    #[must_use]
    pub fn borrow(&self) -> Stats {
        self.shared.stats()
    }

    /// Waits until the state has changed since the last call, at least 100 ms, and returns it.
    /// Changes in between are skipped. Returns `None` once the worker has ended and the last state
    /// was returned.
    ///
    /// Dropping the future loses no change.
    pub async fn changed(&mut self) -> Option<Stats> {
        if self.is_over {
            return None;
        }
        let seen = self.seen;
        let changed = |state: &mut super::state::State| {
            (state.version() != seen || state.has_ended()).then_some(())
        };
        self.shared.wait_until(changed).await;
        tokio::time::sleep(WATCH_INTERVAL).await;
        let (version, has_ended) = self
            .shared
            .update(|state| (state.version(), state.has_ended()));
        (self.seen, self.is_over) = (version, has_ended);
        Some(self.shared.stats())
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Linger => "linger",
            Self::Worker => "worker",
            Self::Disk => "disk",
            Self::DiskFull => "full disk",
            Self::Paused => "paused",
            Self::Blocked => "blocked",
            Self::Outage => "outage",
            Self::Throttled => "throttled",
            Self::RateLimit => "rate limit",
            Self::Concurrency => "concurrency",
            Self::Order => "order",
        })
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} queued, {} pending in {} requests, {} bytes, oldest {:.1} s, {:.0}/s, held by {}; \
             {} accepted, {} rejected, {} unknown, {} not sent \
             ({} canceled, {} dropped, {} expired)",
            self.size,
            self.pending,
            self.requests,
            self.bytes,
            self.oldest.unwrap_or_default().as_secs_f64(),
            self.rate,
            self.held_by,
            self.accepted,
            self.rejected,
            self.unknown,
            self.not_sent,
            self.canceled,
            self.dropped,
            self.expired,
        )?;
        // Mostly zero: a queue in memory has none of them.
        let spooled = [
            (self.backlog, "only on disk"),
            (self.kept, "kept"),
            (self.dead_letters, "dead letters"),
        ];
        let found = spooled.into_iter().filter(|(number, _)| *number > 0);
        for (index, (number, what)) in found.enumerate() {
            let separator = if index == 0 { "; " } else { ", " };
            write!(f, "{separator}{number} {what}")?;
        }
        Ok(())
    }
}
