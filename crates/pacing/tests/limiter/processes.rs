//! Processes that share a quota through a store, in simulated time, before one server.
//!
//! The store is a `Record`. Each process has a clock of its own, a guard, a queue and a driver, as
//! the crate `tower-pace` puts them together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;
use std::time::Duration;

use pacing::shared::{Call, NextCall, Record, Reply, Reservations};
use pacing::{Cost, Departure, Due, Feedback, Limiter, Moment, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::servers::{Server, ServerModel};

/// The processes, their load, their store and their server.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) quota: Quota,
    pub(crate) model: ServerModel,
    pub(crate) processes: usize,
    pub(crate) seconds: u64,
    /// The load of a process: the requests that arrive per second; infinite if it is always busy.
    pub(crate) load: fn(usize) -> f64,
    /// The shortest and the longest round trip to the store.
    pub(crate) store: (Duration, Duration),
    /// The shortest and the longest transit to the server.
    pub(crate) transit: (Duration, Duration),
    /// By how many ppm the clocks of the processes are off, at most.
    pub(crate) drift: f64,
    /// What happens to the store, and when.
    pub(crate) faults: Vec<(f64, Fault)>,
    pub(crate) seed: u64,
}

/// What happens to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers no calls from now on.
    Stops,
    /// It answers again.
    Returns,
    /// It has lost everything.
    IsEmpty,
    /// It keeps a copy of its record.
    Saves,
    /// It has the copy in the place of its record.
    Restores,
}

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) throttled: Vec<f64>,
    /// The departures of each process.
    pub(crate) departed: Vec<u64>,
    /// The departures in each tenth of a second.
    pub(crate) tenths: Vec<u64>,
    pub(crate) calls: u64,
}

impl Outcome {
    pub(crate) fn total(&self) -> u64 {
        self.departed.iter().sum()
    }
}

#[derive(Debug)]
enum Event {
    /// A request comes to a process.
    Request(usize),
    /// A process looks at its queue and its driver.
    Poll(usize),
    /// A call comes to the store.
    Call(usize, u64, Box<Call>),
    /// A reply comes to a process, or none has come in time.
    Reply(usize, u64, Option<Box<Reply>>),
    /// A request comes to the server.
    Arrive(usize, Departure),
    Answer(usize, Departure, bool),
    Fault(Fault),
}

struct Process {
    reservations: Reservations,
    limiter: Limiter,
    own: Quota,
    queued: usize,
    load: f64,
    /// The number of the call in flight.
    calling: Option<u64>,
    /// The time of its next poll.
    polls_at: u64,
    /// Its clock, which counts faster than the true one by this factor.
    speed: f64,
    offset: u64,
}

struct Run {
    scenario: Scenario,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    stored: Vec<Option<Event>>,
    free: Vec<u64>,
    processes: Vec<Process>,
    record: Record,
    saved: Record,
    is_away: bool,
    server: Server,
    rng: SmallRng,
    outcome: Outcome,
}

impl Scenario {
    pub(crate) fn run(&self) -> Outcome {
        let mut run = Run::new(self.clone());
        run.play();
        run.outcome
    }
}

/// A call without a reply fails after this time, in nanoseconds.
const PATIENCE: u64 = 250_000_000;

/// The store's clock at the origin, in microseconds.
const STORE_ORIGIN: i64 = 1_700_000_000_000_000;

impl Run {
    fn new(scenario: Scenario) -> Self {
        let mut rng = SmallRng::seed_from_u64(scenario.seed);
        let processes = (0..scenario.processes).map(|index| {
            let reservations = Reservations::new(scenario.quota, index as u64, &mut rng);
            let own = reservations.own_quota();
            Process {
                reservations,
                limiter: Limiter::new(own),
                own,
                queued: 0,
                load: (scenario.load)(index),
                calling: None,
                polls_at: u64::MAX,
                speed: 1.0 + rng.random_range(-1.0..=1.0) * scenario.drift / 1e6,
                offset: rng.random_range(0..1_000_000_000_000),
            }
        });
        let processes: Vec<_> = processes.collect();
        let outcome = Outcome {
            departed: vec![0; scenario.processes],
            tenths: vec![0; scenario.seconds as usize * 10],
            ..Outcome::default()
        };
        Self {
            now: 0,
            events: BinaryHeap::new(),
            stored: Vec::new(),
            free: Vec::new(),
            processes,
            record: Record::new(),
            saved: Record::new(),
            is_away: false,
            server: Server::new(scenario.model, &scenario.quota, rng.random_range(0.0..1.0)),
            rng,
            outcome,
            scenario,
        }
    }

    fn play(&mut self) {
        for (at, fault) in self.scenario.faults.clone() {
            self.at((at * 1e9) as u64, Event::Fault(fault));
        }
        for index in 0..self.processes.len() {
            let at = self.rng.random_range(0..100_000_000);
            self.at(at, Event::Request(index));
        }
        while let Some(Reverse((at, index))) = self.events.pop() {
            if at > self.scenario.seconds * 1_000_000_000 {
                return;
            }
            self.now = at;
            let event = self.stored[index as usize]
                .take()
                .expect("it is stored once");
            self.free.push(index);
            self.handle(event);
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.stored.push(None);
            self.stored.len() as u64 - 1
        });
        self.stored[index as usize] = Some(event);
        self.events.push(Reverse((at, index)));
    }

    fn after(&mut self, (least, most): (Duration, Duration), part: u64, event: Event) {
        let (least, most) = (
            least.as_nanos() as u64 / part,
            most.as_nanos() as u64 / part,
        );
        let at = self.now + self.rng.random_range(least..=most);
        self.at(at, event);
    }

    /// Returns the time on the clock of a process.
    fn local(&self, index: usize) -> Moment {
        let process = &self.processes[index];
        Moment::from_nanos((self.now as f64 * process.speed) as u64 + process.offset)
    }

    fn store_now(&self) -> i64 {
        STORE_ORIGIN + (self.now / 1_000) as i64
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Request(index) => self.request(index),
            Event::Poll(index) => {
                if self.processes[index].polls_at <= self.now {
                    self.processes[index].polls_at = u64::MAX;
                    self.poll(index);
                }
            }
            Event::Call(index, number, call) => {
                if !self.is_away {
                    let now = self.store_now();
                    let reply = Box::new(self.record.apply(&call, now));
                    self.after(
                        self.scenario.store,
                        2,
                        Event::Reply(index, number, Some(reply)),
                    );
                }
            }
            Event::Reply(index, number, reply) => self.reply(index, number, reply.as_deref()),
            Event::Arrive(index, departure) => self.arrive(index, departure),
            Event::Answer(index, departure, admitted) => self.answer(index, departure, admitted),
            Event::Fault(fault) => match fault {
                Fault::Stops => self.is_away = true,
                Fault::Returns => self.is_away = false,
                Fault::IsEmpty => self.record = Record::new(),
                Fault::Saves => self.saved = self.record.clone(),
                Fault::Restores => self.record = mem::take(&mut self.saved),
            },
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

    /// Records the reply to a call, or that none came in time, unless the call has ended.
    fn reply(&mut self, index: usize, number: u64, reply: Option<&Reply>) {
        let now = self.local(index);
        let process = &mut self.processes[index];
        if process.calling != Some(number) {
            return;
        }
        process.calling = None;
        match reply {
            Some(reply) => process
                .reservations
                .reply(reply, now, &mut self.rng)
                .expect("the record's replies are valid"),
            None => process.reservations.fail(now, &mut self.rng),
        }
        self.poll(index);
    }

    fn arrive(&mut self, index: usize, departure: Departure) {
        let cost = departure.cost().get();
        let admitted = self.server.admit(Duration::from_nanos(self.now), cost);
        if !admitted {
            self.outcome.throttled.push(self.now as f64 / 1e9);
        }
        let answer = Event::Answer(index, departure, admitted);
        self.after(self.scenario.transit, 1, answer);
    }

    fn answer(&mut self, index: usize, departure: Departure, admitted: bool) {
        let now = self.local(index);
        let process = &mut self.processes[index];
        let feedback = match admitted {
            true => Feedback::Accepted,
            false => Feedback::Failed,
        };
        process.limiter.answer(departure, now, feedback);
        let sent = departure.sent();
        match admitted {
            true => process.reservations.accepted(sent),
            false => process.reservations.throttled(sent, None, now),
        }
        self.poll(index);
    }

    /// Sends the requests of a process that are due, and its call, and sets its timer.
    fn poll(&mut self, index: usize) {
        let now = self.local(index);
        let mut next = Moment::from_nanos(u64::MAX);
        let process = &mut self.processes[index];
        let departed = process.depart(now, &mut next);
        if process.calling.is_none() {
            let call = process
                .reservations
                .next_call(process.queued, now, &mut self.rng);
            match call {
                NextCall::Now(call) => self.call(index, call),
                NextCall::At(at) => next = next.min(at),
            }
        }
        for departure in departed {
            self.outcome.departed[index] += 1;
            let tenth = (self.now / 100_000_000) as usize;
            if let Some(count) = self.outcome.tenths.get_mut(tenth) {
                *count += 1;
            }
            self.after(self.scenario.transit, 1, Event::Arrive(index, departure));
        }
        // Timers fire up to 2 ms late.
        let wait = next.since(now).as_nanos() as u64 + self.rng.random_range(0..2_000_000);
        let at = self.now.saturating_add(wait);
        if at < self.processes[index].polls_at {
            self.processes[index].polls_at = at;
            self.at(at, Event::Poll(index));
        }
    }

    fn call(&mut self, index: usize, call: Call) {
        self.outcome.calls += 1;
        let number = self.outcome.calls;
        self.processes[index].calling = Some(number);
        let call = Event::Call(index, number, Box::new(call));
        self.after(self.scenario.store, 2, call);
        self.at(self.now + PATIENCE, Event::Reply(index, number, None));
    }
}

impl Process {
    /// Departs the requests that are due. Lowers `next` to the time of the first that is not.
    fn depart(&mut self, now: Moment, next: &mut Moment) -> Vec<Departure> {
        let mut departed = Vec::new();
        while self.queued > 0 {
            self.follow(now);
            if let Some(hold) = self.reservations.hold(Cost::ONE, now) {
                self.reservations.want(Cost::ONE, now);
                *next = hold.until.expect("a reservation has a time");
                return departed;
            }
            match self.limiter.due_for(Cost::ONE, now) {
                Due::Now => {}
                Due::At(due) => {
                    *next = due;
                    return departed;
                }
                Due::OnAnswer => return departed,
            }
            self.reservations.depart(Cost::ONE, now);
            departed.push(self.limiter.depart_with(Cost::ONE, now));
            if self.load.is_finite() {
                self.queued -= 1;
            }
        }
        departed
    }

    /// Applies the guard, or the part of a process whose store is away.
    fn follow(&mut self, now: Moment) {
        let own = self.reservations.own_quota();
        if own != self.own {
            self.own = own;
            self.limiter.set_quota(own, now);
            if self.reservations.status(now).is_away {
                self.limiter.penalize(now + self.reservations.phase());
            }
        }
    }
}
