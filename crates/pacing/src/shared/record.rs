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
    /// When departure times were last handed out.
    granted: i64,
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

    /// Returns how far back a planned time may lie. There is no burst while throttled responses have
    /// lowered the rate.
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
/// The longest wait of a reply. A process that waits calls again by itself, and learns of changes
/// only then.
const LONGEST_WAIT: i64 = 30_000_000;

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
        2 * memory.max().unwrap_or_default() + call.quota.longest_pause + STATED
    }

    /// Forgets everything but that the quota was used.
    pub fn expire(&mut self) {
        *self = Self {
            is_known: self.is_known,
            ..Self::default()
        };
    }

    /// Answers a call at `now`.
    pub fn apply(&mut self, call: &Call, now: i64) -> Reply {
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
            turn: 0,
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
        reply.is_slower = self.state_pace(call, now);
        self.restore(call, now);
        self.reserve(call, now, &mut reply);
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
    fn state_pace(&mut self, call: &Call, now: i64) -> bool {
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
            limit.next = limit.next.min(now + limit.memory);
        }
        self.last = self.last.max(call.latest).min(now + HORIZON);
        is_slower
    }

    /// Holds all departures back when the processes come back after the store was away.
    fn restore(&mut self, call: &Call, now: i64) {
        // A process that was away alone comes back to a store that the others use.
        let is_unused = now - self.granted > RETURN || self.granted > now;
        let is_first = now - self.restored > 2 * RETURN || self.restored > now;
        if call.is_away && is_unused && is_first {
            self.restored = now;
            for limit in &mut self.limits {
                limit.next = limit.next.max(now + RETURN);
            }
        }
    }

    /// Hands out the departure times of a call, or says when it should come again.
    fn reserve(&mut self, call: &Call, now: i64, reply: &mut Reply) {
        self.raise_highest(call, now);
        let share = self.gate.share_at(now, call);
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
            self.granted = now;
            reply.departures.push(departure);
        }
        if reply.departures.len() >= call.count as usize {
            self.busy.remove(&call.process);
            return;
        }
        // The wait grows with the times that are handed out already, so that they reach half a
        // horizon ahead on the average. Then no process comes too late for the next one.
        reply.wait = (self.ahead(now) - HORIZON / 2).min(LONGEST_WAIT);
        // Each of the other busy processes takes its part before this one. They come a tenth sooner,
        // since many that come at random times leave gaps.
        let turn = others.saturating_mul(step).saturating_mul(part);
        reply.turn = turn.min(LONGEST_WAIT) / 10 * 9;
        let back = (reply.wait + reply.turn).max(0);
        self.busy
            .insert(call.process, now + 2 * back + SHORTEST_STEP);
    }

    /// Returns the time from one departure of this cost to the next, for each limit.
    fn steps(&self, cost: u32, share: i64) -> Vec<i64> {
        let steps = self.limits.iter().map(|limit| {
            let interval = (limit.interval * FULL + share - 1) / share;
            let units = match limit.by_request {
                true => 1,
                false => i64::from(cost),
            };
            interval.saturating_mul(units).min(limit.memory)
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
        // A store whose clock went back would keep the gate closed until its old time.
        self.open_from = self.open_from.min(now + call.quota.longest_pause);
        if let Some(throttled) = call.throttled {
            self.close(throttled, call, now);
        }
        // A request that departed before the last closing was decided before the server throttled.
        if call.accepted > self.closed_at {
            self.closings = 0;
        }
    }

    /// Closes the gate, as the gate of a single process does.
    fn close(&mut self, throttled: Throttled, call: &Call, now: i64) {
        let hint = throttled.retry_after.min(call.quota.longest_pause);
        // Closed => Closed: the request departed before the gate closed. It can only extend the
        // pause.
        if self.closed_at > 0 && throttled.sent <= self.closed_at {
            if hint > 0 {
                self.open_from = self.open_from.max(now + hint);
                self.reopened = self.reopened.max(self.open_from);
            }
            return;
        }
        // (Open | Closed) => Closed: a request that departed after the last closing was throttled.
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
