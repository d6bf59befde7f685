use std::collections::BTreeMap;

use super::{Call, HORIZON, Reply, SharedLimit, Throttled};

/// The store's state of one shared quota. Times are in microseconds of the store's clock.
///
/// [`apply`](Self::apply) is one step of the store. It must be atomic: two processes must not read
/// the same record before one of them writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Whether the quota was ever used. It is kept when the rest expires, since an idle quota may
    /// start at once, and one whose record was lost may not.
    is_known: bool,
    /// One entry for each limit; empty before the first call.
    limits: Vec<Limit>,
    /// The highest cost until `highest_until`.
    highest: u32,
    highest_until: i64,
    /// The last departure time that was handed out.
    last: i64,
    /// The time of the last call.
    called: i64,
    /// The time of the first call after the last silence.
    silence_ended: i64,
    /// When the next process that has to wait has its turn.
    next_turn: i64,
    /// When the processes last came back after the store was away.
    restored: i64,
    gate: Gate,
    /// The processes that run, each until it has not called for a while.
    running: BTreeMap<u64, i64>,
    /// The processes that need more departure times than they have got, likewise.
    busy: BTreeMap<u64, i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limit {
    /// The next departure time.
    next: i64,
    /// The slowest pace that a process has stated, until `until`, and the highest cost for which it
    /// was computed. It holds for the departures of all processes.
    interval: i64,
    slack: i64,
    memory: i64,
    by_request: bool,
    highest: u32,
    until: i64,
}

impl Limit {
    fn at(next: i64) -> Self {
        Self {
            next,
            ..Self::default()
        }
    }

    /// Returns how far back a planned time may lie. There is no burst while throttled responses
    /// have lowered the rate.
    fn slack_at(&self, share: i64) -> i64 {
        match share {
            FULL => self.slack,
            _ => 0,
        }
    }
}

/// The pause after a throttled response, and the climb back to the full rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gate {
    open_from: i64,
    /// When it was last closed; zero before the first time.
    closed_at: i64,
    /// The number of times that it closed since the last success.
    closings: u32,
    /// The share of the rate at `reopened`, in thousandths.
    share: i64,
    reopened: i64,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            open_from: 0,
            closed_at: 0,
            closings: 0,
            share: FULL,
            reopened: 0,
        }
    }
}

/// A process counts as running for this time after a call. Idle processes call every
/// [`HEARTBEAT`](super::reservations), so one lost call is no end.
const RUNNING: i64 = 30_000_000;
/// The slowest pace that was stated holds for this time. With less, two processes with different
/// quotas could alternate; with more, a raised quota takes longer to hold.
const STATED: i64 = 60_000_000;
/// When the store comes back, nothing departs for this time: each process calls within it and stops
/// departing by itself. Less would let some depart by both rules.
const RETURN: i64 = 750_000;
/// A store that has received no call for this time may have been away. It is less than the time
/// after which a call fails. With less, one process that was away alone holds the others back more
/// often.
const SILENCE: i64 = 200_000;
/// The longest wait of a reply. With less, the turns of processes that wait for a slow quota
/// coincide, and some get none. With more, a process takes longer to notice that the others are
/// gone.
const LONGEST_WAIT: i64 = 300_000_000;

/// The full rate, in thousandths. The shares are those of a single process's limiter.
const FULL: i64 = 1_000;
const LEAST: i64 = 50;
const AFTER_THROTTLED: i64 = 800;
const AFTER_RELAPSE: i64 = 700;
const SLOW_STEP: i64 = 5;
const FAST_STEP: i64 = 30;
const SLOW_STEPS: i64 = 30;
const RELAPSE_WINDOWS: i64 = 5;
const SHORTEST_STEP: i64 = 1_000_000;
const MOST_DOUBLINGS: u32 = 5;

impl Record {
    /// Returns the record of a quota that was never used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the time without a call after which a store may call [`expire`](Self::expire).
    #[must_use]
    pub fn lifetime(call: &Call) -> i64 {
        let memory = call.quota.limits.iter().map(|limit| limit.memory);
        let memory = memory.max().unwrap_or_default();
        memory
            .saturating_mul(2)
            .saturating_add(call.quota.longest_pause)
            .saturating_add(STATED)
    }

    /// Forgets everything but that the quota was used.
    pub fn expire(&mut self) {
        *self = Self {
            is_known: self.is_known,
            ..Self::default()
        };
    }

    /// Answers a call at `now`.
    ///
    /// Numbers in the call beyond those of [`Reservations`](super::Reservations) count as theirs.
    pub fn apply(&mut self, call: &Call, now: i64) -> Reply {
        let call = &call.bounded(now);
        if now - self.called > SILENCE || self.called > now {
            self.silence_ended = now;
        }
        self.called = now;
        self.running.retain(|_, until| *until > now);
        self.running.insert(call.process, now + RUNNING);
        self.busy.retain(|_, until| *until > now);
        self.gate.record(call, now);
        if now >= self.highest_until {
            self.highest = 1;
        }
        let mut reply = Reply {
            now,
            departures: Vec::new(),
            wait: 0,
            processes: u32::try_from(self.running.len()).unwrap_or(u32::MAX),
            open_from: self.gate.open_from,
            highest: self.highest,
            is_slower: false,
            start: 0,
        };
        // The pace that the call states has no room for the highest cost.
        if call.quota.highest < self.highest {
            return reply;
        }
        reply.start = self.start(call, now);
        let share = self.gate.share_at(now, call);
        reply.is_slower = self.state_pace(call, now, share);
        self.restore(call, now);
        self.reserve(call, now, share, &mut reply);
        reply
    }

    /// Adds the limits that are missing. Returns the wait of a quota of which nothing is known.
    fn start(&mut self, call: &Call, now: i64) -> i64 {
        if !self.limits.is_empty() {
            return 0;
        }
        // An idle quota starts at once, with its burst. A lost one may have been used in the last
        // window.
        let is_idle = self.is_known || call.quota.unused_at_start;
        let next = |limit: &SharedLimit| match is_idle {
            true => now - limit.slack,
            false => now + limit.window.min(limit.memory),
        };
        self.limits = call
            .quota
            .limits
            .iter()
            .map(|limit| Limit::at(next(limit)))
            .collect();
        self.is_known = true;
        self.ahead(now)
    }

    /// Records the pace that a call states. Returns whether that of another process is slower.
    fn state_pace(&mut self, call: &Call, now: i64, share: i64) -> bool {
        let stated = call.quota.limits.len();
        // A limit that no process states any more would hold for as long as one of them runs. A
        // time far ahead is from before the store's clock went back.
        let is_stated = |limit: &Limit| (now..=now + STATED).contains(&limit.until);
        while self.limits.len() > stated && !self.limits.last().is_some_and(is_stated) {
            self.limits.pop();
        }
        let mut is_slower = self.limits.len() > stated;
        while self.limits.len() < stated {
            self.limits.push(Limit::at(now));
        }
        for (limit, stated) in self.limits.iter_mut().zip(&call.quota.limits) {
            let is_alike = limit.highest == call.quota.highest && now < limit.until;
            if is_alike && limit.interval > stated.interval {
                is_slower = true;
            } else {
                limit.interval = stated.interval;
                limit.slack = stated.slack;
                limit.memory = stated.memory;
                limit.by_request = stated.by_request;
                limit.highest = call.quota.highest;
                limit.until = now + STATED;
            }
        }
        for limit in &mut self.limits {
            // The store has lost departure times that this process has got, as an old snapshot has.
            if call.latest > self.last {
                limit.next = limit.next.max(call.latest + limit.interval);
            }
            // A store whose clock went back would wait for its old time.
            limit.next = limit.next.min(now + stretched(limit.memory, share));
        }
        self.last = self.last.max(call.latest).min(now + HORIZON);
        is_slower
    }

    /// Holds all departures back when the processes come back after the store was away.
    fn restore(&mut self, call: &Call, now: i64) {
        // A process that was away alone comes back to a store that the others call. After a pause
        // of the store, the first calls are old ones of processes that were not away yet.
        let is_back = now - self.silence_ended <= RETURN;
        let is_first = now - self.restored > 2 * RETURN || self.restored > now;
        if call.is_away && is_back && is_first {
            self.restored = now;
            for limit in &mut self.limits {
                limit.next = limit.next.max(now + RETURN);
            }
        }
    }

    /// Hands out the departure times of a call, or says when it should come again.
    fn reserve(&mut self, call: &Call, now: i64, share: i64, reply: &mut Reply) {
        self.raise_highest(call, now);
        let steps = self.steps(call.cost, share);
        let step = steps.iter().copied().max().unwrap_or_default().max(1);
        let others = self.busy.len() - usize::from(self.busy.contains_key(&call.process));
        let others = i64::try_from(others).unwrap_or(i64::MAX);
        // An equal part of what is left, so that no process takes all of the horizon.
        let room = (HORIZON - self.ahead_of_burst(now, share)).div_euclid(step) + 1;
        let part = (room / (others + 1)).max(1);
        for _ in 0..part.min(call.count.into()) {
            let ahead = self.ahead(now);
            if ahead > HORIZON {
                break;
            }
            let departure = now + ahead;
            for (limit, step) in self.limits.iter_mut().zip(&steps) {
                limit.next = limit.next.max(departure - limit.slack_at(share)) + step;
            }
            self.last = departure;
            reply.departures.push(departure);
        }
        // Zero may be the report of a process that waits for its turn.
        if call.count == 0 {
            return;
        }
        if reply.departures.len() >= call.count as usize {
            self.busy.remove(&call.process);
            return;
        }
        reply.wait = self.turn(now, others, step.saturating_mul(part));
        let back = now + 2 * reply.wait.max(0) + SHORTEST_STEP;
        self.busy.insert(call.process, back);
    }

    /// Returns the wait of a process until its turn, in which it takes this time. Each of the other
    /// busy processes may have its turn before.
    fn turn(&mut self, now: i64, others: i64, time: i64) -> i64 {
        // The first turn is when the departure times that were handed out reach half a horizon
        // ahead. Then no process comes too late for the next one.
        let first = self.ahead(now) - HORIZON / 2;
        let time = time.min(LONGEST_WAIT);
        // Without this bound, turns of processes that have gone would remain empty.
        let last = first + time.saturating_mul(others + 1).min(LONGEST_WAIT);
        let wait = (self.next_turn - now).clamp(first, last).min(LONGEST_WAIT);
        self.next_turn = now + wait + time;
        wait
    }

    /// Returns the time from one departure of this cost to the next, for each limit.
    fn steps(&self, cost: u32, share: i64) -> Vec<i64> {
        let steps = self.limits.iter().map(|limit| {
            let units = match limit.by_request {
                true => 1,
                false => i64::from(cost),
            };
            stretched(
                limit.interval.saturating_mul(units).min(limit.memory),
                share,
            )
        });
        steps.collect()
    }

    /// Makes room for a request that is heavier than those before it: its lead.
    fn raise_highest(&mut self, call: &Call, now: i64) {
        let heavier = i64::from(call.cost) - i64::from(self.highest);
        let memory = self.limits.iter().map(|limit| limit.memory).max();
        if call.count == 0 || heavier < 0 || call.cost == 1 {
            return;
        }
        for limit in &mut self.limits {
            if !limit.by_request && self.last > 0 {
                let longest = (self.last + limit.memory - limit.next).max(0);
                limit.next += heavier.saturating_mul(limit.interval).min(longest);
            }
        }
        self.highest = call.cost;
        self.highest_until = now + 2 * memory.unwrap_or_default();
    }

    /// Returns how far ahead the next departure time lies.
    fn ahead(&self, now: i64) -> i64 {
        let next = self.limits.iter().map(|limit| limit.next).max();
        let next = next.unwrap_or(now).max(self.gate.open_from);
        (next - now).max(0)
    }

    /// Returns the same, or how far the next departure time lies back after idle time.
    fn ahead_of_burst(&self, now: i64, share: i64) -> i64 {
        let limits = self.limits.iter();
        let next = limits.map(|limit| limit.next.max(now - limit.slack_at(share)));
        next.max().unwrap_or(now).max(self.gate.open_from) - now
    }
}

impl Gate {
    /// Records the throttled and the accepted requests of a call.
    fn record(&mut self, call: &Call, now: i64) {
        // A store whose clock went back would keep the gate closed until its old time, would take
        // all throttled requests for known ones, and would keep the rate low.
        self.open_from = self.open_from.min(now + call.quota.longest_pause);
        self.reopened = self.reopened.min(now + call.quota.longest_pause);
        self.closed_at = self.closed_at.min(now);
        if let Some(throttled) = call.throttled {
            self.close(throttled, call, now);
        }
        // A request that departed before the last closing was decided before the server throttled.
        if call.accepted > self.known_until(call) {
            self.closings = 0;
        }
    }

    /// Returns the last departure that the last closing did not hold back: that of a departure time
    /// which a process had got before.
    fn known_until(&self, call: &Call) -> i64 {
        let jitter = call.quota.pause - call.quota.shortest_window;
        (self.closed_at + HORIZON + jitter / 2).min(self.reopened)
    }

    /// Closes the gate, as the gate of a single process does.
    fn close(&mut self, throttled: Throttled, call: &Call, now: i64) {
        let hint = throttled.retry_after.min(call.quota.longest_pause);
        // Closed => Closed: the request departed before its process knew that the gate is closed.
        // It can only extend the pause.
        if self.closed_at > 0 && throttled.sent <= self.known_until(call) {
            if hint > 0 {
                self.open_from = self.open_from.max(now + hint);
                self.reopened = self.reopened.max(self.open_from);
            }
            return;
        }
        // (Open | Closed) => Closed: a request that departed after the gate opened was throttled.
        let doublings = self.closings.min(MOST_DOUBLINGS);
        let pause = match hint {
            0 => call
                .quota
                .pause
                .saturating_mul(1 << doublings)
                .min(call.quota.longest_pause),
            hint => hint,
        };
        let is_relapse = self.closed_at > 0
            && now < self.reopened + RELAPSE_WINDOWS * call.quota.shortest_window;
        let kept = if is_relapse {
            AFTER_RELAPSE
        } else {
            AFTER_THROTTLED
        };
        self.share = (self.share_at(now, call) * kept / FULL).max(LEAST);
        self.open_from = self.open_from.max(now + pause);
        self.reopened = self.open_from;
        self.closed_at = now;
        self.closings = self.closings.saturating_add(1);
    }

    /// Returns the share of the rate at `now`.
    fn share_at(&self, now: i64, call: &Call) -> i64 {
        if self.closed_at == 0 {
            return FULL;
        }
        let step = call.quota.shortest_window.max(SHORTEST_STEP);
        let steps = (now - self.reopened).max(0) / step;
        let slow = steps.min(SLOW_STEPS) * SLOW_STEP;
        let fast = (steps - SLOW_STEPS).max(0).saturating_mul(FAST_STEP);
        self.share
            .saturating_add(slow)
            .saturating_add(fast)
            .min(FULL)
    }
}

/// Returns a time at this share of the rate, rounded up.
fn stretched(time: i64, share: i64) -> i64 {
    (time * FULL + share - 1) / share
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::gate;
    use crate::recovery::Recovery;
    use crate::shared::SharedQuota;
    use crate::{Cost, Model, Moment, Quota};

    const NOW: i64 = 1_700_000_000_000_000;
    const SECOND: i64 = 1_000_000;
    /// The interval of 100 requests per second: 1.1035 s / 99.
    const INTERVAL: i64 = 11_147;
    /// The counted window of a second, and the assumed jitter.
    const WINDOW: i64 = 1_001_500;
    const JITTER: i64 = 100_000;

    fn quota() -> Quota {
        Quota::per_second(100).unused_at_start()
    }

    fn call(process: u64, count: u32) -> Call {
        Call {
            process,
            count,
            cost: 1,
            quota: SharedQuota::new(&quota(), Cost::ONE),
            latest: 0,
            is_away: false,
            throttled: None,
            accepted: 0,
        }
    }

    fn costing(cost: u32, highest: u32) -> Call {
        Call {
            cost,
            quota: SharedQuota::new(&quota(), Cost::of(highest)),
            ..call(1, 1)
        }
    }

    fn throttled(sent: i64, retry_after: i64) -> Call {
        Call {
            throttled: Some(Throttled { sent, retry_after }),
            ..call(1, 0)
        }
    }

    /// A record whose process 1 got a departure time long ago.
    fn idle() -> Record {
        let mut record = Record::new();
        record.apply(&call(1, 1), NOW - 60 * SECOND);
        record
    }

    #[test]
    fn departure_times_are_an_interval_apart_and_reach_to_the_horizon() {
        let reply = Record::new().apply(&call(1, 100), NOW);
        let expected = [0, 1, 2, 3, 4].map(|index| NOW + index * INTERVAL);
        assert_eq!(reply.departures, expected);
        // The next one is half a horizon ahead then.
        assert_eq!(reply.wait, 5 * INTERVAL - HORIZON / 2);
        assert_eq!((reply.start, reply.processes, reply.highest), (0, 1, 1));
    }

    #[test]
    fn a_store_that_knows_nothing_of_a_quota_waits_for_one_window() {
        let lost = Call {
            quota: SharedQuota::new(&Quota::per_second(100), Cost::ONE),
            ..call(1, 1)
        };
        let mut record = Record::new();
        let reply = record.apply(&lost, NOW);
        assert_eq!((reply.start, reply.departures.len()), (WINDOW, 0));
        assert_eq!(reply.wait, WINDOW - HORIZON / 2);
        let reply = record.apply(&lost, NOW + WINDOW);
        assert_eq!(reply.departures, [NOW + WINDOW]);
        // A record that has expired was idle.
        record.expire();
        let reply = record.apply(&lost, NOW + 3_600 * SECOND);
        assert_eq!((reply.start, reply.departures.len()), (0, 1));
    }

    #[test]
    fn busy_processes_have_turns_one_after_the_other() {
        let mut record = Record::new();
        record.apply(&call(1, 100), NOW);
        let waits = [2, 3, 4].map(|process| record.apply(&call(process, 100), NOW).wait);
        let first = 5 * INTERVAL - HORIZON / 2;
        let turns = [1, 2, 3].map(|turn| first + turn * INTERVAL);
        // The first process has the first turn, of whatever length.
        assert_eq!(waits, turns.map(|turn| turn + INTERVAL));
        let reply = record.apply(&call(5, 0), NOW);
        assert_eq!((reply.wait, reply.processes), (0, 5));
    }

    #[test]
    fn turns_of_processes_that_are_gone_do_not_remain_empty() {
        let mut record = Record::new();
        for process in 0..100 {
            record.apply(&call(process, 100), NOW);
        }
        let reply = record.apply(&call(1, 100), NOW + 30 * SECOND);
        assert!(reply.wait <= 6 * INTERVAL, "{}", reply.wait);
    }

    #[test]
    fn a_burst_keeps_planned_times_that_lie_back() {
        let hourly = Quota::per_hour(5_000).unused_at_start();
        let hourly = Call {
            quota: SharedQuota::new(&hourly, Cost::ONE),
            ..call(1, 1_000)
        };
        let mut record = Record::new();
        assert_eq!(record.apply(&hourly, NOW).departures, [NOW; 100]);
        // 14 minutes later, 100 intervals of 0.7 s are over.
        let reply = record.apply(&hourly, NOW + 14 * 60 * SECOND);
        assert_eq!(reply.departures.len(), 100);
    }

    #[test]
    fn a_cost_takes_its_intervals_and_a_higher_one_has_a_lead() {
        // The interval for costs up to 11: 1.1035 s / 89.
        let interval = 12_399;
        let mut record = Record::new();
        record.apply(&costing(1, 11), NOW);
        let reply = record.apply(&costing(11, 11), NOW);
        // Nothing departs: the lead is 10 intervals.
        assert_eq!(reply.departures, [0; 0]);
        let due = NOW + 11 * interval;
        assert_eq!(reply.wait, due - NOW - HORIZON / 2);
        assert_eq!(record.apply(&costing(11, 11), due).departures, [due]);
        assert_eq!(record.apply(&costing(1, 11), due).departures, [0; 0]);
        let next = due + 11 * interval;
        assert_eq!(record.apply(&costing(1, 11), next).departures, [next]);
        // A process that does not know of the cost computes its pace anew.
        let reply = record.apply(&costing(1, 1), next + SECOND);
        assert_eq!((reply.highest, reply.departures.len()), (11, 0));
    }

    #[test]
    fn the_slower_quota_holds_whatever_its_window() {
        let slow = |process| Call {
            process,
            quota: SharedQuota::new(&Quota::per_minute(2).unused_at_start(), Cost::ONE),
            ..call(process, 1)
        };
        let mut record = Record::new();
        record.apply(&slow(1), NOW);
        let mut departures = 0;
        for second in 0..50 {
            let reply = record.apply(&call(2, 1), NOW + second * SECOND);
            assert!(reply.is_slower);
            departures += reply.departures.len();
        }
        // Its interval is 61 s.
        assert_eq!(departures, 0);
        // It holds for a minute after it was last stated.
        let reply = record.apply(&call(2, 1), NOW + 62 * SECOND);
        assert!(!reply.is_slower && reply.departures.len() == 1);
    }

    #[test]
    fn a_record_that_is_old_goes_on_after_the_latest_departure_time() {
        let mut record = idle();
        let old = record.clone();
        let latest = record.apply(&call(1, 100), NOW).departures[4];
        record = old;
        let reply = record.apply(
            &Call {
                latest,
                ..call(1, 1)
            },
            NOW + SECOND / 50,
        );
        assert_eq!(reply.departures, [latest + INTERVAL]);
    }

    #[test]
    fn a_clock_that_went_back_stops_departures_for_no_longer_than_the_memory() {
        let mut record = Record::new();
        let latest = *record.apply(&call(1, 100), NOW).departures.last().unwrap();
        record.apply(&throttled(NOW, 0), NOW);
        let back = NOW - 3_600 * SECOND;
        let reply = record.apply(
            &Call {
                latest,
                ..call(1, 1)
            },
            back,
        );
        // `longest_pause` is an hour, so a gate may be closed for it.
        assert_eq!(reply.open_from, back + 3_600 * SECOND);
        let mut record = Record::new();
        record.apply(&call(1, 100), NOW);
        record.apply(
            &Call {
                latest,
                ..call(1, 1)
            },
            back,
        );
        let reply = record.apply(&call(1, 1), back + 2_207_000);
        assert_eq!(reply.departures.len(), 1);
        // A throttled request closes the gate, though it was closed before at a later time.
        let mut record = Record::new();
        record.apply(&throttled(NOW, SECOND), NOW);
        record.apply(&call(1, 0), back);
        record.apply(&throttled(back + SECOND, SECOND), back + SECOND);
        assert_eq!(record.gate.closings, 2);
    }

    #[test]
    fn requests_with_departure_times_from_before_the_closing_belong_to_it() {
        let mut record = idle();
        let opens = record.apply(&throttled(NOW - 1, 0), NOW).open_from;
        assert_eq!(opens, NOW + WINDOW + JITTER);
        // A time at the horizon, half of the jitter late.
        let late = NOW + HORIZON + JITTER / 2;
        let reply = record.apply(&throttled(late, 0), late + 1);
        assert_eq!((reply.open_from, record.gate.closings), (opens, 1));
        record.apply(
            &Call {
                accepted: late,
                ..call(2, 0)
            },
            late + 2,
        );
        assert_eq!(record.gate.closings, 1);
        let reply = record.apply(&throttled(opens + 1, 0), opens + 2);
        assert_eq!(reply.open_from, opens + 2 + 2 * (WINDOW + JITTER));
        assert_eq!(record.gate.share, 560);
    }

    #[test]
    fn all_wait_while_the_gate_is_closed() {
        let mut record = idle();
        let opens = record.apply(&throttled(NOW, 2 * SECOND), NOW).open_from;
        assert_eq!(opens, NOW + 2 * SECOND);
        let reply = record.apply(&call(2, 1), NOW + 1);
        assert_eq!(reply.departures, [0; 0]);
        let reply = record.apply(&call(2, 2), opens);
        // 80 % of the rate.
        assert_eq!(reply.departures, [opens, opens + 13_934]);
    }

    #[test]
    fn a_lowered_rate_holds_for_a_limit_of_one_too() {
        let one = Call {
            quota: SharedQuota::new(&Quota::per_second(1).unused_at_start(), Cost::ONE),
            ..call(1, 1)
        };
        let mut record = Record::new();
        record.apply(&one, NOW);
        record.apply(&throttled(NOW, 10 * SECOND), NOW);
        let opens = NOW + 10 * SECOND;
        assert_eq!(record.apply(&one, opens).departures, [opens]);
        // Its interval is 2.207 s, which is all of its memory.
        assert_eq!(record.limits[0].next, opens + 2_207_000 * 10 / 8);
        let next = record.limits[0].next;
        assert_eq!(record.apply(&one, next).departures, [next]);
    }

    #[test]
    fn processes_that_come_back_together_are_held_and_one_that_was_alone_is_not() {
        let away = Call {
            is_away: true,
            ..call(2, 1)
        };
        let mut record = idle();
        // A call of a process that was not away may be an old one, which a paused store kept.
        record.apply(&call(1, 1), NOW);
        let reply = record.apply(&away, NOW + 1);
        assert_eq!(reply.wait, RETURN - HORIZON / 2);
        let reply = record.apply(
            &Call {
                process: 3,
                ..away.clone()
            },
            NOW + RETURN + 1,
        );
        assert_eq!(reply.departures.len(), 1);

        let mut record = idle();
        for call_index in 0..20 {
            record.apply(&call(1, 1), NOW + call_index * SILENCE);
        }
        let reply = record.apply(&away, NOW + 20 * SILENCE);
        assert_eq!(reply.departures.len(), 1);
    }

    #[test]
    fn processes_are_counted_for_thirty_seconds() {
        let mut record = Record::new();
        for process in 0..10 {
            record.apply(&call(process, 0), NOW + SECOND * process as i64);
        }
        assert_eq!(record.apply(&call(9, 0), NOW + 30 * SECOND).processes, 9);
        assert_eq!(record.apply(&call(9, 0), NOW + 90 * SECOND).processes, 1);
        assert!(record.busy.is_empty() && record.running.len() == 1);
    }

    proptest! {
        /// The gate and the climb are those of a single process, in thousandths of the rate.
        #[test]
        fn the_gate_and_the_climb_are_those_of_a_single_process(
            steps in prop::collection::vec((1..100_000_i64, any::<bool>(), 0..3_i64), 1..40),
        ) {
            let mut record = idle();
            let mut gate = gate::Gate::default();
            let mut recovery = Recovery::full(Duration::from_micros(WINDOW as u64));
            let local = |time: i64| Moment::ORIGIN + Duration::from_micros((time - NOW) as u64);
            let mut now = NOW;
            for (millis, is_throttled, retry_after) in steps {
                now = now.max(record.gate.open_from) + millis * 1_000;
                let sent = now - 1;
                if is_throttled {
                    let hint = retry_after * SECOND;
                    record.apply(&throttled(sent, hint), now);
                    let pause = Duration::from_micros((WINDOW + JITTER) as u64);
                    let hint = (hint > 0).then(|| Duration::from_micros(hint as u64));
                    gate.close(local(sent), local(now), hint, pause);
                    recovery.lower(local(now), gate.open_from());
                } else {
                    record.apply(&Call { accepted: sent, ..call(1, 0) }, now);
                    gate.succeed(local(sent));
                }
                let opens = local(record.gate.open_from.max(NOW));
                prop_assert_eq!(opens, gate.open_from().max(Moment::ORIGIN));
                let interval = Duration::from_secs(1);
                let stretched = recovery.share_at(local(now)).stretch(interval);
                let share = record.gate.share_at(now, &call(1, 0)) as f64 / 1_000.0;
                prop_assert!((1.0 / stretched.as_secs_f64() - share).abs() < 0.004, "{share}");
            }
        }

        /// Each departure time lies within the horizon and after the one before.
        #[test]
        fn no_call_breaks_a_record(
            calls in prop::collection::vec((any::<[i64; 10]>(), any::<[u32; 3]>(), 0..9_u8), 1..20),
        ) {
            let mut record = Record::new();
            let mut now = NOW;
            for (times, [count, cost, highest], kind) in calls {
                let limit = SharedLimit {
                    interval: times[0],
                    slack: times[1],
                    memory: times[2],
                    window: times[3],
                    by_request: kind % 2 == 0,
                };
                let hostile = Call {
                    count,
                    cost,
                    quota: SharedQuota {
                        limits: vec![limit; kind.into()],
                        highest,
                        pause: times[4],
                        longest_pause: times[5],
                        shortest_window: times[6],
                        unused_at_start: kind % 3 == 0,
                    },
                    latest: times[7],
                    throttled: (kind > 3).then_some(Throttled {
                        sent: times[8],
                        retry_after: times[9],
                    }),
                    accepted: times[8],
                    is_away: kind > 5,
                    ..call(1, 1)
                };
                let _lifetime = Record::lifetime(&hostile);
                let reply = record.apply(&hostile, now);
                prop_assert!(reply.departures.is_sorted() && reply.departures.len() <= 1_000);
                for departure in reply.departures {
                    prop_assert!((now..=now + HORIZON).contains(&departure));
                }
                prop_assert!(reply.wait <= LONGEST_WAIT && record.limits.len() <= 4);
                now += times[9].rem_euclid(SECOND);
            }
        }
    }

    #[test]
    fn a_bucket_and_a_limit_of_requests_have_their_own_room() {
        let bucket = Model::TokenBucket {
            size: 20,
            refill: 50,
        };
        let bucket = Quota::per_second(100)
            .model(bucket)
            .unwrap()
            .unused_at_start();
        let terms = SharedQuota::new(&bucket, Cost::ONE);
        // 20 ms a token, and 6 tokens for the uncertainty.
        assert_eq!(terms.limits[0].interval, 20_010);
        assert_eq!(terms.limits[0].slack, 13 * 20_010);
        let both = Quota::per_second(100)
            .by_request()
            .and(Quota::per_second(1_000));
        let terms = SharedQuota::new(&both.unwrap(), Cost::of(500));
        assert_eq!(terms.limits[0].interval, INTERVAL);
        assert_eq!(terms.limits[1].interval, 2_207);
    }
}
