//! What is known of the server: whether it takes records, since when it does not, and how long that
//! may last.

use std::time::Duration;

use customerio::{Cause, Outcome};
use tokio::time::Instant;

use super::part::Part;

/// The pause before the first request after a failure for all; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Long enough to leave a server in trouble alone, and short beside the time that operators take to
/// notice.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a part that ends in 500 is sent while others succeed, before it is the part that
/// breaks the server. The first time the server may just have gone down.
const TRIES_500: u32 = 2;
/// The same for other failures, which a server in part overloaded gives to anyone.
const TRIES: u32 = 4;

#[derive(Debug)]
pub(super) struct Server {
    outage: Option<Outage>,
    throttled: Option<Throttled>,
    /// Requests with records that the API judged.
    successes: u64,
    patience: Patience,
}

/// A time in which the server fails for all.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    /// In seconds since 1970.
    pub(super) since: i64,
    pub(super) cause: Cause,
    pause: Duration,
    next: Instant,
}

/// A time in which the server throttles and names no time, so that the pauses are our own.
#[derive(Clone, Copy, Debug)]
struct Throttled {
    /// In seconds since 1970.
    since: i64,
    /// Whether more than one look saw it. Where others succeed meanwhile, it is over before the
    /// second.
    lasts: bool,
}

/// What a failure says, of the server or of the part that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The server may fail for all.
    Down,
    /// Others succeed, and so may this part.
    Again,
    /// Others succeed, and this part has failed too often.
    Breaks,
}

impl Server {
    pub(super) fn new(patience: Duration, now: Instant) -> Self {
        Self {
            outage: None,
            throttled: None,
            successes: 0,
            patience: Patience::new(patience, now),
        }
    }

    pub(super) fn successes(&self) -> u64 {
        self.successes
    }

    pub(super) fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    /// The API judged a record.
    pub(super) fn succeed(&mut self) {
        self.successes += 1;
        self.answer();
    }

    /// The server answered and not with a failure that passes, though perhaps without a word about
    /// a record.
    pub(super) fn answer(&mut self) {
        self.outage = None;
        self.throttled = None;
    }

    /// A look saw that nothing leaves after a 429 that named no time.
    pub(super) fn throttle(&mut self, unix_seconds: i64) {
        self.throttled = Some(match self.throttled {
            None => Throttled {
                since: unix_seconds,
                lasts: false,
            },
            Some(seen) => Throttled {
                lasts: true,
                ..seen
            },
        });
    }

    /// Returns since when the server throttles without naming a time, once that lasts; in seconds
    /// since 1970.
    pub(super) fn throttled_since(&self) -> Option<i64> {
        let lasting = self.throttled.filter(|throttled| throttled.lasts)?;
        Some(lasting.since)
    }

    /// Says what the failure of a part means, of which some is left.
    pub(super) fn judge(&self, part: &Part) -> Verdict {
        let others_succeed = self.successes > part.successes();
        let tries = if part.ended_in_500() {
            TRIES_500
        } else {
            TRIES
        };
        match others_succeed {
            // Where nothing else is left to send, no success of others can follow: the run would
            // wait for this record alone.
            false if part.is_suspect_alone() && part.failures() >= TRIES => Verdict::Breaks,
            false => Verdict::Down,
            true if part.failures() >= tries && part.may_have_arrived() > 0 => Verdict::Breaks,
            true => Verdict::Again,
        }
    }

    /// A request failed for reasons that concern all.
    pub(super) fn fail(&mut self, cause: &Cause, now: Instant, unix_seconds: i64) {
        let (since, pause) = match &self.outage {
            // One wait is told with one beginning.
            None => {
                let throttled = self.throttled.map(|throttled| throttled.since);
                (throttled.unwrap_or(unix_seconds), FIRST_PAUSE)
            }
            // Those that left before it was known tell nothing new.
            Some(outage) if now < outage.next => return,
            Some(outage) => (outage.since, (outage.pause * 2).min(LONGEST_PAUSE)),
        };
        self.outage = Some(Outage {
            since,
            cause: cause.clone(),
            pause,
            next: now + pause,
        });
    }

    /// Returns when the next request may go, to see whether the server is back.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        self.outage.as_ref().map(|outage| outage.next)
    }

    /// Counts the time since the last call as waited or worked. Returns whether the patience has
    /// ended.
    pub(super) fn pass_time(&mut self, now: Instant, asked: Option<Duration>) -> bool {
        let is_waiting = self.outage.is_some() || asked.is_some();
        self.patience.pass(now, is_waiting);
        is_waiting && asked.unwrap_or_default() >= self.patience.left()
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience.limit
    }
}

/// How long the run may wait for the server: all waits together, less the time of work between
/// them.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    spent: Duration,
    looked: Instant,
    was_waiting: bool,
}

impl Patience {
    fn new(limit: Duration, now: Instant) -> Self {
        Self {
            limit,
            spent: Duration::ZERO,
            looked: now,
            was_waiting: false,
        }
    }

    /// Counts the time since the last look as waited if the run waits at either end of it: a wait
    /// is seen only by the look after its beginning, and many short ones would else count as work.
    fn pass(&mut self, now: Instant, is_waiting: bool) {
        let passed = now.saturating_duration_since(self.looked);
        self.spent = match self.was_waiting || is_waiting {
            true => self.spent.saturating_add(passed),
            false => self.spent.saturating_sub(passed),
        };
        (self.looked, self.was_waiting) = (now, is_waiting);
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.spent)
    }
}

/// Returns whether a server has answered, and not with a failure that may pass: it is up, if it is
/// the API or not.
pub(super) fn is_answered(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted | Outcome::Rejected(_) => true,
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => {
            cause.status().is_some() && !cause.is_transient()
        }
    }
}

/// Returns whether the API has judged a record, unlike a server that has no such page, or one that
/// fails.
pub(super) fn is_about_a_record(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted => true,
        Outcome::Rejected(rejection) => rejection.status().is_some_and(|status| {
            status.is_success() || matches!(status.as_u16(), 400 | 413 | 422)
        }),
        Outcome::Unknown(_) | Outcome::NotSent(_) => false,
    }
}
