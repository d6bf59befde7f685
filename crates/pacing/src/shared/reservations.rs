use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use rand::{Rng, RngExt};

use super::terms::{micros, usable};
use super::{Call, HORIZON, Reply, SharedQuota, Throttled};
use crate::{Cost, Hold, HoldCause, Moment, Quota};

/// An idle process calls after this time, so that the others know that it runs. With more, the
/// parts of a quota while the store is away rest on an older number of processes.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A call without a reply has failed after this time. With less, a short stall of the store ends
/// the shared limit; with more, requests wait longer for a store that is away.
const PATIENCE: Duration = Duration::from_millis(250);
/// The first and the longest pause between two calls to a store that is away. The longest and the
/// patience are within the time for which the store holds all back when it returns.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_millis(400);
/// The most departure times in one call. The horizon has fewer, unless a quota has more than 20,000
/// a second.
const MOST_ASKED: u32 = 1_000;

/// The departure times that one process has reserved at the store, and its calls for more.
///
/// [`hold`](Self::hold) and [`depart`](Self::depart) are for requests. [`next_call`](Self::next_call),
/// [`reply`](Self::reply) and [`fail`](Self::fail) are for the driver that calls the store. While the
/// store is away, nothing is held here, and the process departs by its [`part`](Self::part).
#[derive(Clone, Debug)]
pub struct Reservations {
    process: u64,
    quota: Quota,
    /// What a call states of the quota, for the highest cost that is known.
    terms: SharedQuota,
    /// In order of their times.
    reserved: VecDeque<Reserved>,
    wanted: Wanted,
    /// When the call in flight was sent.
    called: Option<Moment>,
    /// When the next call may be made.
    next_call: Moment,
    heartbeat: Moment,
    /// The number of calls that failed since the last reply.
    failures: u32,
    /// The store's time, and when its reply came.
    clock: Option<(i64, Moment)>,
    /// The latest departure time that the store has handed out to this process.
    latest: i64,
    /// The highest cost that the store remembers.
    highest: Cost,
    /// The last departure of a throttled request that was not reported, and the longest pause for
    /// which the server asked.
    throttled: Option<(Moment, Duration)>,
    /// The last departure of an accepted request that was not reported.
    accepted: Option<Moment>,
    /// When the gate of all processes opens.
    open_from: Moment,
    /// The latest time that was passed.
    now: Moment,
    /// A random number, for [`phase`](Self::phase).
    phase: u32,
    status: SharedStatus,
}

/// A departure time, on the local clock.
#[derive(Clone, Copy, Debug)]
struct Reserved {
    from: Moment,
    until: Moment,
    cost: Cost,
}

/// The departure time that the next waiter needs.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    cost: Cost,
    /// Since when the next waiter has no departure time.
    since: Option<Moment>,
}

/// What the driver of a shared quota does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextCall {
    /// It makes this call now.
    Now(Call),
    /// It asks again at this moment, or when a request wants to depart.
    At(Moment),
}

/// The state of a shared quota, as this process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedStatus {
    /// Whether the store is away, so that this process departs by an equal part of the quota.
    pub is_away: bool,
    /// The number of processes that share the quota: those that the store has seen in the last 30
    /// seconds.
    pub processes: u32,
    /// Whether the parts of a store that is away keep the quota. They do not if there are more
    /// processes than requests in a limit.
    pub is_divisible: bool,
    /// Whether another process states a slower quota, which holds for all.
    pub is_slower: bool,
    /// How long the first departure had to wait, since the store knew nothing of the quota.
    pub start: Duration,
    /// The round trip of the last reply.
    pub round_trip: Duration,
}

/// The error of a reply that does not answer the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidReply(&'static str);

impl fmt::Display for InvalidReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store's reply is invalid: {}", self.0)
    }
}

impl std::error::Error for InvalidReply {}

impl Reservations {
    /// Returns the reservations of a process before its first call. `process` is a random number by
    /// which the store counts it.
    #[must_use]
    pub fn new(quota: Quota, process: u64, rng: &mut impl Rng) -> Self {
        Self {
            process,
            quota,
            terms: SharedQuota::new(&quota, Cost::ONE),
            reserved: VecDeque::new(),
            wanted: Wanted::default(),
            called: None,
            next_call: Moment::ORIGIN,
            heartbeat: Moment::ORIGIN,
            failures: 0,
            clock: None,
            latest: 0,
            highest: Cost::ONE,
            throttled: None,
            accepted: None,
            open_from: Moment::ORIGIN,
            now: Moment::ORIGIN,
            phase: rng.random(),
            status: SharedStatus {
                is_away: false,
                processes: 1,
                is_divisible: true,
                is_slower: false,
                start: Duration::ZERO,
                round_trip: Duration::ZERO,
            },
        }
    }

    /// Returns the hold on a request of this cost at `now`; none if it may depart.
    pub fn hold(&mut self, cost: Cost, now: Moment) -> Option<Hold> {
        self.update(now);
        if self.open_from > now {
            return Some(Hold::until(HoldCause::Gate, self.open_from));
        }
        if self.status.is_away {
            return None;
        }
        let reserved = self.reserved.iter().find(|reserved| reserved.cost >= cost);
        match reserved {
            Some(reserved) if reserved.from <= now => None,
            Some(reserved) => Some(Hold::until(HoldCause::Shared, reserved.from)),
            // The next reply has a departure time within the horizon, or a longer wait.
            None => {
                let then = self.next_call.max(now) + Duration::from_micros(HORIZON.unsigned_abs());
                Some(Hold::until(HoldCause::Shared, then))
            }
        }
    }

    /// Records that a request of this cost departs at `now`.
    pub fn depart(&mut self, cost: Cost, now: Moment) {
        let is_usable = |reserved: &Reserved| reserved.cost >= cost && reserved.from <= now;
        if let Some(index) = self.reserved.iter().position(is_usable) {
            self.reserved.remove(index);
        }
        self.wanted.since = None;
    }

    /// Records that the next waiter has this cost. Returns whether the driver has to be woken.
    pub fn want(&mut self, cost: Cost, now: Moment) -> bool {
        self.wanted.cost = cost;
        let is_reserved = self.reserved.iter().any(|reserved| reserved.cost >= cost);
        if is_reserved || self.wanted.since.is_some() {
            return false;
        }
        self.wanted.since = Some(now);
        true
    }

    /// Returns the next call, for `waiting` waiters.
    pub fn next_call(&mut self, waiting: usize, now: Moment, rng: &mut impl Rng) -> NextCall {
        self.update(now);
        // A call that was canceled has failed.
        if self.called.is_some() {
            self.fail(now, rng);
        }
        let cost = self.wanted.cost;
        let usable = self
            .reserved
            .iter()
            .filter(|reserved| reserved.cost >= cost);
        let missing = waiting.saturating_sub(usable.count());
        let is_urgent = self.throttled.is_some() && !self.status.is_away;
        let at = match missing {
            _ if is_urgent => now,
            _ if self.status.is_away => self.next_call,
            0 => self.heartbeat,
            _ => self.next_call.min(self.heartbeat.max(now)),
        };
        if at > now {
            return NextCall::At(at);
        }
        self.called = Some(now);
        NextCall::Now(self.call(missing, now))
    }

    fn call(&mut self, missing: usize, now: Moment) -> Call {
        let highest = self.highest.max(self.wanted.cost);
        if self.terms.highest != highest.get() {
            self.terms = SharedQuota::new(&self.quota, highest);
        }
        // Before its time, a call only reports.
        let count = match self.next_call <= now {
            true => u32::try_from(missing).unwrap_or(u32::MAX).min(MOST_ASKED),
            false => 0,
        };
        Call {
            process: self.process,
            count,
            cost: self.wanted.cost.get(),
            quota: self.terms.clone(),
            latest: self.latest,
            is_away: self.status.is_away,
            throttled: self.throttled.map(|(sent, retry_after)| Throttled {
                sent: self.store_time(sent),
                retry_after: micros(retry_after),
            }),
            accepted: self.accepted.map_or(0, |sent| self.store_time(sent)),
        }
    }

    /// Records the reply to the last call.
    ///
    /// # Errors
    ///
    /// Fails if the reply does not answer the call. It counts as a failed call then.
    pub fn reply(
        &mut self,
        reply: &Reply,
        now: Moment,
        rng: &mut impl Rng,
    ) -> Result<(), InvalidReply> {
        if let Err(error) = check(reply) {
            self.fail(now, rng);
            return Err(error);
        }
        let Some(sent) = self.called.take() else {
            return Ok(());
        };
        let ahead = |time: i64| micros_to_duration(time.saturating_sub(reply.now));
        (self.throttled, self.accepted) = (None, None);
        self.clock = Some((reply.now, now));
        self.highest = Cost::clamped(reply.highest.into());
        self.open_from = now + ahead(reply.open_from);
        self.heartbeat = now + HEARTBEAT;
        self.phase = rng.random();
        self.status.round_trip = now.since(sent);
        self.status.processes = reply.processes.max(1);
        self.status.is_divisible = SharedQuota::is_divisible(&self.quota, self.status.processes);
        self.status.is_slower = reply.is_slower;
        if reply.start > 0 {
            self.status.start = micros_to_duration(reply.start);
        }
        // No departure time of this reply could be used, so the store is of no use now.
        if self.status.round_trip + self.quota.lateness >= usable(&self.quota) {
            self.fail(now, rng);
            return Ok(());
        }
        (self.status.is_away, self.failures) = (false, 0);
        for &departure in &reply.departures {
            self.reserved.push_back(Reserved {
                from: now + ahead(departure),
                until: sent + ahead(departure) + usable(&self.quota),
                cost: self.wanted.cost,
            });
            self.latest = self.latest.max(departure);
        }
        self.next_call = now + wait(reply, rng);
        self.wanted.since = None;
        Ok(())
    }

    /// Records that the last call failed.
    pub fn fail(&mut self, now: Moment, rng: &mut impl Rng) {
        self.called = None;
        self.phase = rng.random();
        self.status.is_away = true;
        let longest = SHORTEST_BACKOFF
            .saturating_mul(1 << self.failures.min(8))
            .min(LONGEST_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        self.next_call = now + longest.mul_f64(rng.random_range(0.5..1.0));
    }

    /// Records at `now` that the server throttled a request that was sent at `sent`.
    ///
    /// It closes the gate of this process until the store has replied, which closes that of all.
    pub fn throttled(&mut self, sent: Moment, retry_after: Option<Duration>, now: Moment) {
        let hint = retry_after.unwrap_or_default();
        let hint = hint.min(self.quota.max_retry_after);
        let (last, longest) = self.throttled.unwrap_or((sent, hint));
        self.throttled = Some((last.max(sent), longest.max(hint)));
        let pause = match hint.is_zero() {
            true => micros_to_duration(self.terms.pause),
            false => hint,
        };
        self.open_from = self.open_from.max(now + pause);
    }

    /// Records that the server accepted a request that was sent at `sent`.
    pub fn accepted(&mut self, sent: Moment) {
        self.accepted = self.accepted.max(Some(sent));
    }

    /// Replaces the quota.
    pub fn set_quota(&mut self, quota: Quota) {
        self.quota = quota;
        self.terms = SharedQuota::new(&quota, self.highest);
        self.status.is_divisible = SharedQuota::is_divisible(&quota, self.status.processes);
    }

    /// Returns the moment at which the gate of all processes opens. It has passed if it is open.
    #[must_use]
    pub fn open_from(&self) -> Moment {
        self.open_from
    }

    /// Returns the quota that the processes share.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Returns the time between two departures of all processes.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let intervals = self.terms.limits.iter().map(|limit| limit.interval);
        micros_to_duration(intervals.max().unwrap_or_default())
    }

    /// Returns whether the next waiter waits for nothing but the reply to a call.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        let is_due = self.called.is_some() || self.next_call <= self.now;
        is_due && self.reserved.is_empty() && !self.status.is_away
    }

    /// Returns the quota by which this process departs by itself: its guard, or its part while the
    /// store is away.
    #[must_use]
    pub fn own_quota(&self) -> Quota {
        match self.status.is_away {
            true => SharedQuota::part(&self.quota, self.status.processes),
            false => SharedQuota::guard(&self.quota),
        }
    }

    /// Returns the pause before the first departure without the store: a random part of the
    /// interval. Without it, the processes would depart in step.
    #[must_use]
    pub fn phase(&self) -> Duration {
        let interval = self.own_quota().spacing();
        interval.mul_f64(f64::from(self.phase) / f64::from(u32::MAX))
    }

    /// Returns the state at `now`.
    #[must_use]
    pub fn status(&mut self, now: Moment) -> SharedStatus {
        self.update(now);
        self.status
    }

    /// Drops the departure times that have passed, and records that the store is away if a request
    /// has waited too long for it.
    fn update(&mut self, now: Moment) {
        self.now = now;
        self.reserved.retain(|reserved| reserved.until >= now);
        // The driver ends a call after the patience. If it is not polled, it does not.
        let asked = match (self.called, self.wanted.since) {
            (Some(called), _) => called,
            (None, Some(since)) => since.max(self.next_call),
            (None, None) => return,
        };
        if now > asked + PATIENCE * 2 {
            self.status.is_away = true;
        }
    }

    /// Returns a moment on the store's clock, a little too early: by the time of a reply.
    fn store_time(&self, moment: Moment) -> i64 {
        self.clock.map_or(0, |(store, local)| {
            let (after, before) = (micros(moment.since(local)), micros(local.since(moment)));
            store + after - before
        })
    }
}

/// Returns the wait for the next call. A random part keeps the processes apart: a small one after a
/// turn, a large one where none was left.
fn wait(reply: &Reply, rng: &mut impl Rng) -> Duration {
    let part = match reply.departures.is_empty() {
        true => 0.5,
        false => 0.05,
    };
    let turn = micros_to_duration(reply.turn).mul_f64(rng.random_range(1.0 - part..1.0 + part));
    (turn + micros_to_duration(reply.wait)).saturating_sub(micros_to_duration(-reply.wait))
}

/// Checks a reply, which may be that of a foreign or broken store.
fn check(reply: &Reply) -> Result<(), InvalidReply> {
    let times = &reply.departures;
    let is_within = |&time: &i64| (reply.now..=reply.now.saturating_add(HORIZON)).contains(&time);
    let last = micros(crate::quota::LONGEST);
    match reply {
        _ if reply.now <= 0 => Err(InvalidReply("its time is not positive")),
        _ if times.len() > MOST_ASKED as usize => Err(InvalidReply("it has too many departures")),
        _ if !times.iter().all(is_within) => Err(InvalidReply("a departure is beyond the horizon")),
        _ if !times.is_sorted() => Err(InvalidReply("its departures are not in order")),
        _ if !(-HORIZON..=last).contains(&reply.wait) || !(0..=last).contains(&reply.turn) => {
            Err(InvalidReply("its wait is out of range"))
        }
        _ if reply.open_from > reply.now.saturating_add(last) => {
            Err(InvalidReply("its gate opens too late"))
        }
        _ => Ok(()),
    }
}

/// Returns a time of the store as a duration, zero if it is negative.
fn micros_to_duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}
