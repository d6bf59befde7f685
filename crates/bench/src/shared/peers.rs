//! The other ways to share a quota. A request that was throttled is not sent again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use pacing::{Cost, Departure, Due, Feedback, Limiter, Moment, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::servers::{Server, ServerModel};
use super::{Count, LEASED, Load, PROCESSES, SECONDS, STORE, TRANSIT, quota};

/// How the processes share the quota.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// Each has a limit of its own, of an equal part.
    Parts,
    /// The store hands out a lease of tokens at each interval. A token is lost after `valid`.
    Leases { valid: Duration, interval: Duration },
    /// Each counts by itself, and adds its count to that of the store at each interval. It sends
    /// while the last count of the store and its own are below the limit.
    Counts { interval: Duration },
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A request comes to a process.
    Request(usize),
    Poll(usize),
    /// A call comes to the store, with the requests that the process has sent since the last one.
    Call(usize, u32),
    /// A reply comes: the tokens, and the time until the next call.
    Reply(usize, u32, u64),
    Arrive(usize, Option<Departure>),
    Answer(usize, Option<Departure>, bool),
}

struct Process {
    load: f64,
    queued: usize,
    /// Its own limit, if each has a part.
    limiter: Option<Limiter>,
    tokens: u32,
    /// When the tokens are lost.
    until: u64,
    /// The requests that it has sent and not yet reported.
    unreported: u32,
    is_calling: bool,
    next_call: u64,
    /// The time of its next poll.
    polls_at: u64,
}

/// The processes, their store and their server. Times are in nanoseconds.
pub(super) struct Peers {
    way: Way,
    now: u64,
    /// With a number, since events have no order.
    events: BinaryHeap<Reverse<(u64, u64)>>,
    stored: Vec<Event>,
    processes: Vec<Process>,
    /// The next lease of the store.
    next_lease: u64,
    /// The requests that were reported to the store in the last second.
    reported: VecDeque<(u64, u32)>,
    server: Server,
    rng: SmallRng,
    count: Count,
}

impl Peers {
    pub(super) fn new(way: Way, load: Load, model: ServerModel, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let part = Quota::per_second(quota().limit() / PROCESSES as u32).unused_at_start();
        let processes = (0..PROCESSES).map(|index| Process {
            load: load(index),
            queued: 0,
            limiter: matches!(way, Way::Parts).then(|| Limiter::new(part)),
            tokens: 0,
            until: u64::MAX,
            unreported: 0,
            is_calling: false,
            next_call: 0,
            polls_at: u64::MAX,
        });
        Self {
            way,
            now: 0,
            events: BinaryHeap::new(),
            stored: Vec::new(),
            processes: processes.collect(),
            next_lease: 0,
            reported: VecDeque::new(),
            server: Server::new(model, &quota(), rng.random_range(0.0..1.0)),
            rng,
            count: Count::default(),
        }
    }

    pub(super) fn run(mut self) -> Count {
        for index in 0..PROCESSES {
            let at = self.rng.random_range(0..100_000_000);
            self.at(at, Event::Request(index));
        }
        while let Some(Reverse((at, index))) = self.events.pop() {
            if at > SECONDS * 1_000_000_000 {
                break;
            }
            self.now = at;
            self.handle(self.stored[index as usize]);
        }
        self.count
    }

    fn at(&mut self, at: u64, event: Event) {
        self.events.push(Reverse((at, self.stored.len() as u64)));
        self.stored.push(event);
    }

    fn after(&mut self, (least, most): (Duration, Duration), part: u64, event: Event) {
        let nanos = |time: Duration| time.as_nanos() as u64 / part;
        let time = self.rng.random_range(nanos(least)..=nanos(most));
        self.at(self.now + time, event);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Request(index) => self.request(index),
            // An earlier poll has made the others of the same process needless.
            Event::Poll(index) if self.processes[index].polls_at > self.now => {}
            Event::Poll(index) => {
                self.processes[index].polls_at = u64::MAX;
                self.poll(index);
            }
            Event::Call(index, sent) => self.call(index, sent),
            Event::Reply(index, tokens, wait) => self.reply(index, tokens, wait),
            Event::Arrive(index, departure) => {
                let is_admitted = self.server.admit(Duration::from_nanos(self.now), 1);
                self.count.throttled += u64::from(!is_admitted);
                self.after(TRANSIT, 1, Event::Answer(index, departure, is_admitted));
            }
            Event::Answer(index, departure, is_admitted) => {
                let now = Moment::from_nanos(self.now);
                let feedback = match is_admitted {
                    true => Feedback::Accepted,
                    false => Feedback::Throttled(None),
                };
                let limiter = self.processes[index].limiter.as_mut();
                if let (Some(limiter), Some(departure)) = (limiter, departure) {
                    limiter.answer(departure, now, feedback);
                    self.poll(index);
                }
            }
        }
    }

    fn request(&mut self, index: usize) {
        let process = &mut self.processes[index];
        if process.load.is_infinite() {
            process.queued = 100;
        } else if process.load > 0.0 {
            process.queued += 1;
            let time = self.rng.random_range(0.0..2.0) * 1e9 / process.load;
            self.at(self.now + time as u64, Event::Request(index));
        }
        self.poll(index);
    }

    /// Answers a call at the store.
    fn call(&mut self, index: usize, sent: u32) {
        let (tokens, wait) = match self.way {
            Way::Parts => (0, 0),
            Way::Leases { interval, .. } => {
                let wait = self.next_lease.saturating_sub(self.now);
                if wait == 0 {
                    self.next_lease = self.now + interval.as_nanos() as u64;
                }
                (if wait == 0 { LEASED } else { 0 }, wait)
            }
            Way::Counts { interval } => {
                self.reported.push_back((self.now, sent));
                let oldest = self.now.saturating_sub(1_000_000_000);
                while self.reported.front().is_some_and(|&(at, _)| at < oldest) {
                    self.reported.pop_front();
                }
                let counted: u32 = self.reported.iter().map(|&(_, sent)| sent).sum();
                let tokens = quota().limit().saturating_sub(counted);
                (tokens, interval.as_nanos() as u64)
            }
        };
        self.after(STORE, 2, Event::Reply(index, tokens, wait));
    }

    fn reply(&mut self, index: usize, tokens: u32, wait: u64) {
        let process = &mut self.processes[index];
        process.is_calling = false;
        process.next_call = self.now + wait;
        match self.way {
            Way::Parts => {}
            Way::Leases { valid, .. } => {
                process.tokens = tokens;
                process.until = self.now + valid.as_nanos() as u64;
            }
            Way::Counts { .. } => process.tokens = tokens.saturating_sub(process.unreported),
        }
        self.poll(index);
    }

    /// Sends the requests of a process that may depart, and its call, and sets its timer.
    fn poll(&mut self, index: usize) {
        let now = self.now;
        let mut next = u64::MAX;
        while let Some(departure) = self.processes[index].depart(now, &mut next) {
            self.count.departed += 1;
            self.after(TRANSIT, 1, Event::Arrive(index, departure));
        }
        let process = &mut self.processes[index];
        let is_needed = match self.way {
            Way::Parts => false,
            Way::Leases { .. } => process.queued > 0,
            Way::Counts { .. } => process.queued > 0 || process.unreported > 0,
        };
        if is_needed && !process.is_calling {
            if process.next_call <= now {
                process.is_calling = true;
                let sent = std::mem::take(&mut process.unreported);
                self.count.calls += 1;
                self.after(STORE, 2, Event::Call(index, sent));
            } else {
                next = next.min(process.next_call);
            }
        }
        // Timers fire up to 2 ms late.
        let at = next.saturating_add(self.rng.random_range(0..2_000_000));
        let process = &mut self.processes[index];
        if at < process.polls_at {
            process.polls_at = at;
            self.at(at, Event::Poll(index));
        }
    }
}

impl Process {
    /// Departs a request if it may. Lowers `next` to the time at which it may if that is known.
    fn depart(&mut self, now: u64, next: &mut u64) -> Option<Option<Departure>> {
        if self.queued == 0 {
            return None;
        }
        let departure = match &mut self.limiter {
            Some(limiter) => {
                let now = Moment::from_nanos(now);
                match limiter.due_for(Cost::ONE, now) {
                    Due::Now => Some(limiter.depart_with(Cost::ONE, now)),
                    Due::At(due) => {
                        *next = due.since(Moment::from_nanos(0)).as_nanos() as u64;
                        return None;
                    }
                    Due::OnAnswer => return None,
                }
            }
            None if self.tokens == 0 || now >= self.until => return None,
            None => {
                self.tokens -= 1;
                self.unreported += 1;
                None
            }
        };
        if self.load.is_finite() {
            self.queued -= 1;
        }
        Some(departure)
    }
}
