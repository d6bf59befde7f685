//! Processes that share a quota through a store, in simulated time, before one server.
//!
//! The store is a `Record`. Each process has a clock of its own, a guard, a queue and a driver, as
//! the crate `tower-pace` puts them together.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter;
use std::mem;
use std::time::Duration;

use pacing::shared::{Call, NextCall, PATIENCE, Record, Reply, Reservations};
use pacing::{Cost, Departure, Due, Feedback, Limiter, Moment, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::servers::{Server, ServerModel};

/// The processes, their load, their store and their server.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) quota: Quota,
    pub(crate) model: ServerModel,
    /// The quotas of further servers, each with one limit, that all have to admit a request.
    pub(crate) others: Vec<(ServerModel, Quota)>,
    /// Whether the first server counts requests, whatever their cost.
    pub(crate) by_request: bool,
    /// Draws the cost of a request.
    pub(crate) cost: fn(&mut SmallRng) -> u32,
    /// The requests per second of a client that shares nothing.
    pub(crate) competitor: f64,
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
    /// It refuses calls from now on: they fail at once.
    Refuses,
    /// It answers again.
    Returns,
    /// It has lost everything.
    IsEmpty,
    /// It keeps a copy of its record.
    Saves,
    /// It has the copy in the place of its record.
    Restores,
    /// It answers no calls until it returns, and then all that came.
    Pauses,
    /// Its clock moves by these microseconds.
    ClockMoves(i64),
    /// It receives no calls of this process.
    Parts(usize),
    /// It receives them again.
    Joins,
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
    /// How often a process found the store away.
    pub(crate) away: u64,
    /// The cost that departed.
    pub(crate) cost: u64,
}

impl Outcome {
    pub(crate) fn total(&self) -> u64 {
        self.departed.iter().sum()
    }

    /// Returns the departures between two times, which are in tenths of a second.
    pub(crate) fn between(&self, from: usize, to: usize) -> u64 {
        self.tenths[from..to].iter().sum()
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
    Compete,
}

struct Process {
    reservations: Reservations,
    limiter: Limiter,
    own: Quota,
    queued: usize,
    /// The cost of the next waiter.
    head: Cost,
    is_away: bool,
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
    is_refusing: bool,
    /// The calls to a store that is paused.
    paused: Option<Vec<(usize, u64, Box<Call>)>>,
    parted: Option<usize>,
    clock_error: i64,
    servers: Vec<Server>,
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

/// The store's clock at the origin, in microseconds.
const STORE_ORIGIN: i64 = 1_700_000_000_000_000;

impl Run {
    fn new(scenario: Scenario) -> Self {
        let mut rng = SmallRng::seed_from_u64(scenario.seed);
        let processes = (0..scenario.processes).map(|index| {
            let mut reservations = Reservations::new(scenario.quota, index as u64, &mut rng);
            let own = reservations.own_quota(Moment::ORIGIN);
            Process {
                reservations,
                limiter: Limiter::new(own),
                own,
                queued: 0,
                head: Cost::of((scenario.cost)(&mut rng)),
                is_away: false,
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
        let first = (scenario.model, scenario.quota);
        let servers = iter::once(first).chain(scenario.others.clone());
        Self {
            now: 0,
            events: BinaryHeap::new(),
            stored: Vec::new(),
            free: Vec::new(),
            processes,
            record: Record::new(),
            saved: Record::new(),
            is_away: false,
            is_refusing: false,
            paused: None,
            parted: None,
            clock_error: 0,
            servers: servers
                .map(|(model, quota)| Server::new(model, &quota, rng.random_range(0.0..1.0)))
                .collect(),
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
        if self.scenario.competitor > 0.0 {
            self.at(0, Event::Compete);
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
        STORE_ORIGIN + self.clock_error + (self.now / 1_000) as i64
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
            Event::Call(index, number, call) => self.receive(index, number, call),
            Event::Reply(index, number, reply) => self.reply(index, number, reply.as_deref()),
            Event::Arrive(index, departure) => self.arrive(index, departure),
            Event::Answer(index, departure, admitted) => self.answer(index, departure, admitted),
            Event::Fault(fault) => self.fault(fault),
            Event::Compete => {
                let now = Duration::from_nanos(self.now);
                for server in &mut self.servers {
                    server.admit(now, 1);
                }
                let time = self.rng.random_range(0.0..2.0) * 1e9 / self.scenario.competitor;
                self.at(self.now + time as u64, Event::Compete);
            }
        }
    }

    fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Stops => self.is_away = true,
            Fault::Refuses => self.is_refusing = true,
            Fault::Returns => {
                (self.is_away, self.is_refusing) = (false, false);
                for (index, number, call) in self.paused.take().unwrap_or_default() {
                    self.receive(index, number, call);
                }
            }
            Fault::IsEmpty => self.record = Record::new(),
            Fault::Saves => self.saved = self.record.clone(),
            Fault::Restores => self.record = mem::take(&mut self.saved),
            Fault::Pauses => self.paused = Some(Vec::new()),
            Fault::ClockMoves(micros) => self.clock_error += micros,
            Fault::Parts(index) => self.parted = Some(index),
            Fault::Joins => self.parted = None,
        }
    }

    /// Answers a call, unless the store is away.
    fn receive(&mut self, index: usize, number: u64, call: Box<Call>) {
        if self.is_away || self.parted == Some(index) {
            return;
        }
        if self.is_refusing {
            return self.after(self.scenario.store, 2, Event::Reply(index, number, None));
        }
        if let Some(paused) = &mut self.paused {
            return paused.push((index, number, call));
        }
        let now = self.store_now();
        let reply = Box::new(self.record.apply(&call, now));
        let reply = Event::Reply(index, number, Some(reply));
        self.after(self.scenario.store, 2, reply);
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
        let now = Duration::from_nanos(self.now);
        let mut admitted = true;
        for (index, server) in self.servers.iter_mut().enumerate() {
            let is_request = index == 0 && self.scenario.by_request;
            admitted &= server.admit(now, if is_request { 1 } else { cost });
        }
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
        let departed = process.depart(self.scenario.cost, now, &mut next, &mut self.rng);
        if process.calling.is_none() {
            let call = process
                .reservations
                .next_call(process.queued, now, &mut self.rng);
            match call {
                NextCall::Now(call) => self.call(index, call),
                NextCall::At(at) => next = next.min(at),
            }
        }
        let process = &mut self.processes[index];
        let is_away = process.reservations.status(now).is_away;
        self.outcome.away += u64::from(is_away && !mem::replace(&mut process.is_away, is_away));
        process.is_away = is_away;
        for departure in departed {
            self.outcome.departed[index] += 1;
            self.outcome.cost += u64::from(departure.cost().get());
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
        self.at(
            self.now + PATIENCE.as_nanos() as u64,
            Event::Reply(index, number, None),
        );
    }
}

impl Process {
    /// Departs the requests that are due. Lowers `next` to the time of the first that is not.
    fn depart(
        &mut self,
        cost: fn(&mut SmallRng) -> u32,
        now: Moment,
        next: &mut Moment,
        rng: &mut SmallRng,
    ) -> Vec<Departure> {
        let mut departed = Vec::new();
        while self.queued > 0 {
            let hold = self.reservations.hold(self.head, now);
            self.follow(now);
            if let Some(hold) = hold {
                self.reservations.want(self.head, now);
                *next = hold.until.expect("a reservation has a time");
                return departed;
            }
            match self.limiter.due_for(self.head, now) {
                Due::Now => {}
                Due::At(due) => {
                    *next = due;
                    return departed;
                }
                Due::OnAnswer => return departed,
            }
            self.reservations.depart(self.head, now);
            departed.push(self.limiter.depart_with(self.head, now));
            self.head = Cost::of(cost(rng));
            if self.load.is_finite() {
                self.queued -= 1;
            }
        }
        departed
    }

    /// Applies the guard, or the part of a process whose store is away.
    fn follow(&mut self, now: Moment) {
        let own = self.reservations.own_quota(now);
        if own != self.own {
            self.own = own;
            self.limiter.set_quota(own, now);
        }
    }
}
