use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::num::NonZeroU32;
use std::time::Duration;

use rand::{Rng, RngExt};

use super::call::MOST_ASKED;
use super::terms::{micros, usable};
use super::{Call, HORIZON, PATIENCE, Reply, SharedQuota, Throttled};
use crate::{Cost, Hold, HoldCause, Moment, Quota};

/// An idle process calls after this time, so that the others know that it runs. With more, the
/// parts of a quota while the store is away rest on an older number of processes.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The first and the longest pause between two calls to a store that is away. The longest and the
/// patience are within the time for which the store holds all back when it returns.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_millis(400);

/// The departure times that one process has reserved at the store, and its calls for more.
///
/// [`hold`](Self::hold) and [`depart`](Self::depart) are for requests.
/// [`next_call`](Self::next_call), [`reply`](Self::reply) and [`fail`](Self::fail) are for the
/// driver that calls the store. While the store is away, only the first departure is held here, and
/// the process departs by its [`part`](SharedQuota::part).
#[derive(Clone, Debug)]
pub struct Reservations {
    process: u64,
    quota: Quota,
    /// What a call states of the quota, for the highest cost that is known.
    terms: SharedQuota,
    /// In order of their times.
    reserved: VecDeque<Reserved>,
    wanted: Wanted,
    /// The call in flight.
    called: Option<Called>,
    /// When the next call may be made.
    next_call: Moment,
    heartbeat: Moment,
    /// The number of calls that failed since the last reply.
    failures: u32,
    /// The store's time, and when its reply came.
    clock: Option<(i64, Moment)>,
    /// The latest departure time that the store has handed out to this process.
    latest: i64,
    /// The highest cost that the store remembers, or that was asked for while it is away.
    highest: Cost,
    /// What no call has reported yet.
    unreported: Report,
    /// The least number of processes that is assumed while the store is away.
    least_processes: u32,
    /// When the gate of all processes opens.
    open_from: Moment,
    /// The latest time that was passed.
    now: Moment,
    /// A random number, for the first departure without the store.
    phase: u32,
    /// When the first departure without the store may be made.
    departs_from: Moment,
    status: SharedStatus,
}

/// The call in flight. Its reply is about these numbers: the next waiter may need other ones by
/// then.
#[derive(Clone, Copy, Debug)]
struct Called {
    sent: Moment,
    count: u32,
    cost: Cost,
    /// The highest cost for which it stated the pace.
    highest: u32,
    /// What it reports. A call that fails has not reported it.
    report: Report,
}

/// The answers of the server that a call reports.
#[derive(Clone, Copy, Debug, Default)]
struct Report {
    /// The last departure of a throttled request, and the longest pause for which the server asked.
    throttled: Option<(Moment, Duration)>,
    /// The last departure of an accepted request.
    accepted: Option<Moment>,
}

impl Report {
    fn throttled(&mut self, sent: Moment, hint: Duration) {
        let (last, longest) = self.throttled.unwrap_or((sent, hint));
        self.throttled = Some((last.max(sent), longest.max(hint)));
    }

    fn accepted(&mut self, sent: Moment) {
        self.accepted = self.accepted.max(Some(sent));
    }

    /// Adds what a failed call has not reported.
    fn add(&mut self, other: Self) {
        if let Some((sent, hint)) = other.throttled {
            self.throttled(sent, hint);
        }
        self.accepted = self.accepted.max(other.accepted);
    }
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
    /// Whether the parts of a store that is away keep the quota. They do not if a limit divided by
    /// the processes is less than the highest cost.
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
            least_processes: 1,
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
            unreported: Report::default(),
            open_from: Moment::ORIGIN,
            now: Moment::ORIGIN,
            phase: rng.random(),
            departs_from: Moment::ORIGIN,
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

    /// Assumes at least this number of processes while the store is away. The default is 1.
    ///
    /// Otherwise the number is that of the last reply, so a process that has had none departs by
    /// the whole quota.
    #[must_use]
    pub fn least_processes(mut self, processes: NonZeroU32) -> Self {
        self.least_processes = processes.get();
        self.status.processes = self.status.processes.max(processes.get());
        self
    }

    /// Returns the hold on a request of this cost at `now`; none if it may depart.
    pub fn hold(&mut self, cost: Cost, now: Moment) -> Option<Hold> {
        self.update(now);
        if self.open_from > now {
            return Some(Hold::until(HoldCause::Gate, self.open_from));
        }
        if self.status.is_away {
            // A part has no room for a cost that it does not know.
            self.highest = self.highest.max(cost);
            let from = self.departs_from;
            return (from > now).then(|| Hold::until(HoldCause::Pace, from));
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
        // The waiter may be gone. Without this, a later request finds that it has waited too long,
        // and the store counts as away.
        if missing == 0 {
            self.wanted.since = None;
        }
        let is_urgent = self.unreported.throttled.is_some() && !self.status.is_away;
        let at = match missing {
            _ if is_urgent => now,
            _ if self.status.is_away => self.next_call,
            0 => self.heartbeat,
            _ => self.next_call.min(self.heartbeat.max(now)),
        };
        if at > now {
            return NextCall::At(at);
        }
        NextCall::Now(self.call(missing, now))
    }

    fn call(&mut self, missing: usize, now: Moment) -> Call {
        let cost = match missing {
            0 => Cost::ONE,
            _ => self.wanted.cost,
        };
        let highest = self.highest.max(cost);
        if self.terms.highest != highest.get() {
            self.terms = SharedQuota::new(&self.quota, highest);
        }
        // Before its time, a call only reports.
        let count = match self.next_call <= now {
            true => u32::try_from(missing).unwrap_or(u32::MAX).min(MOST_ASKED),
            false => 0,
        };
        let report = mem::take(&mut self.unreported);
        self.called = Some(Called {
            sent: now,
            count,
            cost,
            highest: highest.get(),
            report,
        });
        // A store that knows nothing of a quota that was used has lost its record.
        let is_first = self.clock.is_none() && !self.status.is_away;
        Call {
            process: self.process,
            count,
            cost: cost.get(),
            quota: SharedQuota {
                unused_at_start: self.terms.unused_at_start && is_first,
                ..self.terms.clone()
            },
            latest: self.latest,
            is_away: self.status.is_away,
            throttled: report.throttled.map(|(sent, retry_after)| Throttled {
                sent: self.store_time(sent),
                retry_after: micros(retry_after),
            }),
            accepted: report.accepted.map_or(0, |sent| self.store_time(sent)),
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
        let Some(called) = self.called.take() else {
            return Ok(());
        };
        let ahead = |time: i64| micros_to_duration(time.saturating_sub(reply.now));
        self.clock = Some((reply.now, now));
        // A store whose clock went back would move its departures behind a time that it never
        // reaches.
        self.latest = self.latest.min(reply.now.saturating_add(HORIZON));
        self.highest = Cost::clamped(reply.highest.into());
        self.open(ahead(reply.open_from), now);
        self.heartbeat = now + HEARTBEAT;
        self.phase = rng.random();
        self.status.round_trip = now.since(called.sent);
        self.status.processes = reply.processes.max(self.least_processes);
        self.status.is_slower = reply.is_slower;
        if reply.start > 0 {
            self.status.start = micros_to_duration(reply.start);
        }
        // No departure time of this reply could be used, so the store is of no use now.
        if self.status.round_trip + self.quota.lateness >= usable(&self.quota) {
            self.fail(now, rng);
            return Ok(());
        }
        self.wanted.since = None;
        // The store has not looked at the rest of the call. A process that was away stays so: the
        // store has not yet held the others back for its return.
        if reply.highest > called.highest {
            self.next_call = now;
            return Ok(());
        }
        (self.status.is_away, self.failures) = (false, 0);
        for &departure in &reply.departures {
            self.reserved.push_back(Reserved {
                from: now + ahead(departure),
                until: called.sent + ahead(departure) + usable(&self.quota),
                cost: called.cost,
            });
            self.latest = self.latest.max(departure);
        }
        // A call that only reported leaves the process its turn.
        if called.count == 0 {
            return Ok(());
        }
        // A store that has nothing to hand out waits for this at least. A foreign one may not, and
        // would be called without end.
        let least = match reply.departures.is_empty() {
            true => HORIZON / 2,
            false => 0,
        };
        self.next_call = now + micros_to_duration(reply.wait.max(least));
        Ok(())
    }

    /// Records that the gate of all processes opens after `closed_for`.
    fn open(&mut self, closed_for: Duration, now: Moment) {
        let opens = now + closed_for.min(micros_to_duration(self.terms.longest_pause));
        // The store does not know yet of a request that was throttled after the call.
        self.open_from = match self.unreported.throttled {
            None => opens,
            Some(_) => opens.max(self.open_from),
        };
    }

    /// Records that the last call failed.
    pub fn fail(&mut self, now: Moment, rng: &mut impl Rng) {
        if let Some(called) = self.called.take() {
            self.unreported.add(called.report);
        }
        self.phase = rng.random();
        self.set_away(now);
        let longest = SHORTEST_BACKOFF
            .saturating_mul(1 << self.failures.min(8))
            .min(LONGEST_BACKOFF);
        self.failures = self.failures.saturating_add(1);
        self.next_call = now + longest.mul_f64(rng.random_range(0.5..1.0));
    }

    /// Records that the store is away. The first departure without it is a random part of the
    /// interval later: without that, the processes would depart in step.
    fn set_away(&mut self, now: Moment) {
        if !self.status.is_away {
            self.status.is_away = true;
            let interval = self.own().spacing();
            let phase = interval.mul_f64(f64::from(self.phase) / f64::from(u32::MAX));
            self.departs_from = now + phase;
        }
    }

    /// Records at `now` that the server throttled a request that was sent at `sent`.
    ///
    /// It closes the gate of this process until the store has replied, which closes that of all.
    pub fn throttled(&mut self, sent: Moment, retry_after: Option<Duration>, now: Moment) {
        let hint = retry_after.unwrap_or_default();
        let hint = hint.min(self.quota.max_retry_after);
        self.unreported.throttled(sent, hint);
        let pause = match hint.is_zero() {
            true => micros_to_duration(self.terms.pause),
            false => hint,
        };
        self.open_from = self.open_from.max(now + pause);
    }

    /// Records that the server accepted a request that was sent at `sent`.
    pub fn accepted(&mut self, sent: Moment) {
        self.unreported.accepted(sent);
    }

    /// Replaces the quota.
    pub fn set_quota(&mut self, quota: Quota) {
        self.quota = quota;
        self.terms = SharedQuota::new(&quota, self.highest);
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

    /// Returns the quota by which this process departs by itself at `now`: its guard, or its part
    /// while the store is away.
    #[must_use]
    pub fn own_quota(&mut self, now: Moment) -> Quota {
        self.update(now);
        self.own()
    }

    fn own(&self) -> Quota {
        match self.status.is_away {
            true => SharedQuota::part(&self.quota, self.status.processes, self.highest),
            false => SharedQuota::guard(&self.quota),
        }
    }

    /// Returns the state at `now`.
    #[must_use]
    pub fn status(&mut self, now: Moment) -> SharedStatus {
        self.update(now);
        let processes = self.status.processes;
        self.status.is_divisible = SharedQuota::is_divisible(&self.quota, processes, self.highest);
        self.status
    }

    /// Drops the departure times that have passed, and records that the store is away if a request
    /// has waited too long for it.
    fn update(&mut self, now: Moment) {
        self.now = now;
        self.reserved.retain(|reserved| reserved.until >= now);
        // The driver ends a call after the patience. If it is not polled, it does not.
        let asked = match (self.called, self.wanted.since) {
            (Some(called), _) => called.sent,
            (None, Some(since)) => since.max(self.next_call),
            (None, None) => return,
        };
        if now > asked + PATIENCE * 2 {
            self.set_away(now);
        }
    }

    /// Returns a moment on the store's clock, a little too early: by the time of a reply.
    fn store_time(&self, moment: Moment) -> i64 {
        self.clock.map_or(0, |(store, local)| {
            let (after, before) = (micros(moment.since(local)), micros(local.since(moment)));
            store.saturating_add(after).saturating_sub(before)
        })
    }
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
        _ if reply.wait > last => Err(InvalidReply("its wait is out of range")),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const STORE: i64 = 1_700_000_000_000_000;

    fn rng() -> SmallRng {
        SmallRng::seed_from_u64(1)
    }

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn reservations() -> Reservations {
        Reservations::new(Quota::per_second(100).unused_at_start(), 1, &mut rng())
    }

    /// Returns a reply with departure times that lie so many milliseconds ahead.
    fn reply(now: Moment, ahead: &[i64]) -> Reply {
        let now = STORE + i64::try_from(now.as_nanos() / 1_000).unwrap();
        Reply {
            now,
            departures: ahead.iter().map(|ahead| now + ahead * 1_000).collect(),
            wait: 10_000,
            processes: 8,
            open_from: 0,
            highest: 1,
            is_slower: false,
            start: 0,
        }
    }

    fn next_call(reservations: &mut Reservations, waiting: usize, now: Moment) -> Call {
        match reservations.next_call(waiting, now, &mut rng()) {
            NextCall::Now(call) => call,
            NextCall::At(at) => panic!("the next call is {:?} later", at.since(now)),
        }
    }

    /// Calls at `now` and receives the reply in the same moment.
    fn exchange(reservations: &mut Reservations, now: Moment, ahead: &[i64]) -> Call {
        let call = next_call(reservations, 1, now);
        let reply = reply(now, ahead);
        reservations.reply(&reply, now, &mut rng()).unwrap();
        call
    }

    #[test]
    fn a_departure_time_is_usable_from_the_reply_until_half_of_the_jitter_after_the_call() {
        let mut shared = reservations();
        shared.want(Cost::ONE, at(0));
        next_call(&mut shared, 1, at(0));
        // The store's clock is that of the moment 3; the reply took 10 ms.
        shared
            .reply(&reply(at(3), &[20]), at(10), &mut rng())
            .unwrap();
        let hold = shared.hold(Cost::ONE, at(10)).unwrap();
        assert_eq!((hold.by, hold.until), (HoldCause::Shared, Some(at(30))));
        assert_eq!(shared.hold(Cost::ONE, at(30)), None);
        assert_eq!(shared.clone().hold(Cost::ONE, at(70)), None);
        assert!(shared.clone().hold(Cost::ONE, at(71)).is_some());
        shared.depart(Cost::ONE, at(30));
        assert!(shared.hold(Cost::ONE, at(30)).is_some());
    }

    #[test]
    fn a_departure_time_is_for_the_cost_of_the_call_whatever_is_next_when_its_reply_comes() {
        let mut shared = reservations();
        shared.want(Cost::ONE, at(0));
        next_call(&mut shared, 1, at(0));
        shared.want(Cost::of(50), at(1));
        shared
            .reply(&reply(at(1), &[0]), at(1), &mut rng())
            .unwrap();
        assert!(shared.hold(Cost::of(50), at(2)).is_some());
        assert_eq!(shared.hold(Cost::ONE, at(2)), None);
    }

    #[test]
    fn a_request_that_is_throttled_during_a_call_is_reported_by_the_next_one() {
        let mut shared = reservations();
        exchange(&mut shared, at(0), &[]);
        shared.want(Cost::ONE, at(100));
        let call = next_call(&mut shared, 1, at(100));
        assert_eq!(call.throttled, None);
        shared.throttled(at(90), Some(Duration::from_secs(2)), at(101));
        shared
            .reply(&reply(at(101), &[0]), at(102), &mut rng())
            .unwrap();
        // The reply does not know of it, so it does not open the gate.
        assert_eq!(
            shared.hold(Cost::ONE, at(103)).unwrap().until,
            Some(at(2_101))
        );
        let call = next_call(&mut shared, 1, at(103));
        let sent = STORE + 89_000;
        assert_eq!(
            call.throttled,
            Some(Throttled {
                sent,
                retry_after: 2_000_000
            })
        );
        // A call that fails has not reported it. It does so after the return.
        shared.fail(at(104), &mut rng());
        assert_eq!(next_call(&mut shared, 1, at(200)).throttled, call.throttled);
        shared
            .reply(&reply(at(201), &[]), at(201), &mut rng())
            .unwrap();
        assert_eq!(shared.open_from(), at(201), "the store knows of it now");
        assert_eq!(next_call(&mut shared, 1, at(300)).throttled, None);
    }

    #[test]
    fn a_waiter_that_is_gone_does_not_count_as_one_that_waits_for_the_store() {
        let mut shared = reservations();
        exchange(&mut shared, at(0), &[]);
        assert!(shared.want(Cost::ONE, at(1_000)));
        let next = shared.next_call(0, at(1_001), &mut rng());
        assert_eq!(next, NextCall::At(at(10_000)));
        assert!(!shared.status(at(5_000)).is_away);
        assert!(shared.want(Cost::ONE, at(5_000)), "it wakes the driver");
        assert!(shared.status(at(5_501)).is_away, "the driver is gone");
    }

    #[test]
    fn the_first_departure_without_the_store_is_a_part_of_the_interval_later_until_the_return() {
        let mut shared = Reservations::new(Quota::per_hour(8), 1, &mut rng());
        exchange(&mut shared, at(0), &[]);
        shared.want(Cost::ONE, at(0));
        next_call(&mut shared, 1, at(100));
        shared.fail(at(100), &mut rng());
        let interval = shared.own_quota(at(100)).spacing();
        assert!(interval > Duration::from_secs(7_200));
        let until = shared.hold(Cost::ONE, at(100)).unwrap().until.unwrap();
        assert!(until > at(100) && until <= at(100) + interval);
        assert_eq!(shared.hold(Cost::ONE, until), None);
        next_call(&mut shared, 1, at(200));
        shared
            .reply(&reply(at(200), &[0]), at(200), &mut rng())
            .unwrap();
        assert_eq!(shared.hold(Cost::ONE, at(200)), None);
    }

    #[test]
    fn a_process_that_was_away_stays_so_until_the_store_has_looked_at_its_call() {
        let mut shared = reservations();
        exchange(&mut shared, at(0), &[]);
        shared.want(Cost::ONE, at(50));
        next_call(&mut shared, 1, at(50));
        shared.fail(at(50), &mut rng());
        let call = next_call(&mut shared, 1, at(200));
        assert!(call.is_away && call.quota.highest == 1);
        let higher = Reply {
            highest: 50,
            ..reply(at(200), &[])
        };
        shared.reply(&higher, at(200), &mut rng()).unwrap();
        let call = next_call(&mut shared, 1, at(200));
        assert!(call.is_away && call.quota.highest == 50);
    }

    #[test]
    fn only_a_first_call_states_that_the_quota_is_unused() {
        let mut shared = reservations();
        assert!(next_call(&mut shared, 1, at(0)).quota.unused_at_start);
        shared.fail(at(0), &mut rng());
        assert!(
            !next_call(&mut shared, 1, at(100)).quota.unused_at_start,
            "it was away"
        );
        let mut shared = reservations();
        exchange(&mut shared, at(0), &[0]);
        assert!(!next_call(&mut shared, 2, at(100)).quota.unused_at_start);
    }

    #[test]
    fn a_store_whose_clock_went_back_is_not_asked_to_go_on_after_its_old_time() {
        let mut shared = reservations();
        exchange(&mut shared, at(0), &[0, 50]);
        shared.want(Cost::ONE, at(200));
        let call = next_call(&mut shared, 3, at(200));
        assert_eq!(call.latest, STORE + 50_000);
        let now = STORE - 3_600_000_000;
        let back = Reply {
            now,
            departures: vec![now],
            ..reply(at(200), &[])
        };
        shared.reply(&back, at(200), &mut rng()).unwrap();
        assert_eq!(next_call(&mut shared, 3, at(300)).latest, now + HORIZON);
    }

    #[test]
    fn a_report_before_the_turn_leaves_the_turn() {
        let mut shared = reservations();
        shared.want(Cost::ONE, at(0));
        next_call(&mut shared, 1, at(0));
        let turn = Reply {
            wait: 20_000_000,
            ..reply(at(0), &[])
        };
        shared.reply(&turn, at(0), &mut rng()).unwrap();
        let call = next_call(&mut shared, 1, at(10_000));
        assert_eq!(call.count, 0);
        shared
            .reply(&reply(at(10_000), &[]), at(10_000), &mut rng())
            .unwrap();
        let next = shared.next_call(1, at(10_001), &mut rng());
        assert_eq!(next, NextCall::At(at(20_000)));
    }

    #[test]
    fn the_parts_are_within_the_limit_for_the_highest_cost() {
        let bucket = crate::Model::TokenBucket {
            size: 5,
            refill: 10,
        };
        let bucket = Quota::per_second(100).model(bucket).unwrap();
        for (quota, lowest) in [(Quota::per_second(100), 100), (bucket, 10)] {
            for processes in [1, 3, 8, 100, 1_000] {
                for cost in [1, 4, 5] {
                    let highest = Cost::of(cost);
                    let part = SharedQuota::part(&quota, processes, highest);
                    assert!(part.fits(highest).is_ok());
                    // The interval of its highest cost, for all processes.
                    let terms = SharedQuota::new(&part, highest);
                    let spacing = terms.limits[0].interval as f64 * f64::from(cost) / 1e6;
                    let rate = f64::from(processes * cost) / spacing;
                    assert!(rate <= f64::from(lowest), "{processes} {cost}: {rate}");
                }
            }
        }
        let is_divisible = |cost| SharedQuota::is_divisible(&bucket, 2, Cost::of(cost));
        assert!(is_divisible(2) && !is_divisible(3));
    }

    proptest! {
        /// Whatever a store replies, nothing departs without a departure time that it has handed
        /// out, no departure is early or too late, and the calls have an end.
        #[test]
        fn no_reply_breaks_the_reservations(
            replies in prop::collection::vec(
                (any::<[i64; 4]>(), any::<[u32; 2]>(), 0..100_000_i64, 0..80_u64, 0..8_u8),
                1..30,
            ),
        ) {
            let mut shared = reservations();
            let mut now = at(0);
            for ([store, wait, open, start], [processes, highest], ahead, millis, kind) in replies {
                shared.want(Cost::ONE, now);
                let NextCall::Now(call) = shared.next_call(9, now, &mut rng()) else {
                    now = now + Duration::from_millis(25);
                    continue;
                };
                let sent = now;
                now = now + Duration::from_millis(millis);
                let store = if kind < 4 { STORE + store.rem_euclid(1_000_000) } else { store };
                let reply = Reply {
                    now: store,
                    departures: vec![store.saturating_add(ahead)],
                    wait,
                    processes,
                    open_from: if kind % 2 == 0 { open } else { 0 },
                    highest: if kind == 5 { highest } else { call.quota.highest },
                    is_slower: false,
                    start,
                };
                let is_valid = shared.reply(&reply, now, &mut rng()).is_ok();
                let status = shared.status(now);
                prop_assert!(is_valid || status.is_away);
                let longest = Duration::from_micros(shared.terms.longest_pause.unsigned_abs());
                prop_assert!(shared.open_from() <= now + longest);
                shared.throttled(now, None, now);
                let usable = Duration::from_millis(50);
                for reserved in &shared.reserved {
                    prop_assert!(reserved.until <= sent.max(reserved.from) + usable);
                }
                prop_assert!(shared.reserved.len() <= 1_000);
                let _interval = (shared.interval(), shared.own_quota(now));
            }
        }

        /// A reply without departure times is no reason to call again at once.
        #[test]
        fn a_store_without_departure_times_is_called_40_times_a_second(wait in i64::MIN..10) {
            let mut shared = reservations();
            let mut calls = 0;
            for millis in 0..1_000 {
                shared.want(Cost::ONE, at(millis));
                if let NextCall::Now(_) = shared.next_call(1, at(millis), &mut rng()) {
                    calls += 1;
                    let reply = Reply { wait, ..reply(at(millis), &[]) };
                    shared.reply(&reply, at(millis), &mut rng()).unwrap();
                }
            }
            prop_assert!((39..=41).contains(&calls), "{calls}");
        }
    }
}
