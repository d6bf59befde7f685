//! A client that always has something to send, a path, a server and whoever else it serves, event by event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use pacing::{Cost, Departure, Due, Feedback, Moment, Pacer, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::path::{Path, Weather};
use crate::servers::{Kind, Server};

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) quota: Quota,
    /// What the server really allows.
    pub(crate) real: Quota,
    pub(crate) kind: Kind,
    pub(crate) weather: Weather,
    /// How long the server takes to answer what it has counted.
    pub(crate) thinks: Duration,
    /// When the caller gives up.
    pub(crate) patience: Duration,
    /// How often a request turns out never to have left.
    pub(crate) unsent: f64,
    /// How often the client has nothing to send after a request, for up to two windows.
    pub(crate) idle: f64,
    /// The most that one request costs.
    pub(crate) heaviest: u32,
    /// The share of the limit that somebody else takes.
    pub(crate) competitor: f64,
    /// So often the process is restarted, and forgets everything.
    pub(crate) restarts: Option<Duration>,
    /// The clocks' difference in 500 ppm, from -1 to 1.
    pub(crate) drift: f64,
    pub(crate) phase: f64,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) refused: u64,
    /// Refusals after which the gate stayed open.
    pub(crate) ungated: u64,
    /// The cost of what was let through, a second.
    pub(crate) rate: f64,
    /// The mean round trip.
    pub(crate) round_trip: Duration,
}

impl Scene {
    /// Calm weather, and nothing that goes wrong.
    pub(crate) fn new(quota: Quota, kind: Kind) -> Self {
        Self {
            quota,
            real: quota,
            kind,
            weather: Weather::CALM,
            thinks: Duration::ZERO,
            patience: Duration::MAX,
            unsent: 0.0,
            idle: 0.0,
            heaviest: 1,
            competitor: 0.0,
            restarts: None,
            drift: 0.0,
            phase: 0.25,
            seed: 1,
        }
    }

    /// Plays for so long after `warm_up`, during which nothing is counted.
    pub(crate) fn play(self, warm_up: Duration, time: Duration) -> Outcome {
        let mut world = World::new(self);
        let start = Moment::ORIGIN + warm_up;
        while world.now < start {
            world.step();
        }
        world.outcome = Outcome::default();
        (world.admitted, world.round_trips, world.answers) = (0, Duration::ZERO, 0);
        while world.now < start + time {
            world.step();
        }
        world.finish(start)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival(usize),
    End(usize),
    Competitor,
    Restart,
}

#[derive(Clone, Copy)]
struct Call {
    departure: Departure,
    sent: Moment,
    cost: u32,
    /// The process that sent it.
    life: u32,
    end: End,
    refused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    GivenUp,
    Unsent,
}

/// A scene as it is played.
pub(crate) struct World {
    scene: Scene,
    pacer: Pacer,
    server: Server,
    path: Path,
    rng: SmallRng,
    now: Moment,
    /// The cost of the next request.
    next: Cost,
    idle_until: Moment,
    life: u32,
    events: BinaryHeap<Reverse<(Moment, Event)>>,
    calls: Vec<Call>,
    pub(crate) outcome: Outcome,
    admitted: u64,
    round_trips: Duration,
    answers: u32,
}

impl World {
    pub(crate) fn new(scene: Scene) -> Self {
        let mut world = Self {
            scene,
            pacer: Pacer::new(scene.quota),
            server: Server::new(scene.kind, &scene.real, scene.phase),
            path: Path::new(scene.weather),
            rng: SmallRng::seed_from_u64(scene.seed),
            now: Moment::ORIGIN,
            next: Cost::ONE,
            idle_until: Moment::ORIGIN,
            life: 0,
            events: BinaryHeap::new(),
            calls: Vec::new(),
            outcome: Outcome::default(),
            admitted: 0,
            round_trips: Duration::ZERO,
            answers: 0,
        };
        if scene.competitor > 0.0 {
            world.push(Moment::ORIGIN, Event::Competitor);
        }
        if let Some(every) = scene.restarts {
            world.push(Moment::ORIGIN + every, Event::Restart);
        }
        world
    }

    /// Sends what is due, or goes on to what happens next.
    pub(crate) fn step(&mut self) {
        if self.idle_until > self.now {
            return self.advance(Some(self.idle_until));
        }
        match self.pacer.due_for(self.next, self.now) {
            Due::Now => self.depart(),
            // A timer fires up to a millisecond late and never early.
            Due::At(due) => {
                let late = Duration::from_nanos(self.rng.random_range(0..1_000_000));
                self.advance(Some(due + late));
            }
            Due::OnAnswer => self.advance(None),
        }
    }

    /// Waits for all requests to end. The rate is that since `start`.
    pub(crate) fn finish(mut self, start: Moment) -> Outcome {
        let elapsed = self.now.since(start);
        let rate = self.admitted as f64 / elapsed.as_secs_f64();
        (self.scene.competitor, self.scene.restarts) = (0.0, None);
        while !self.events.is_empty() {
            self.advance(None);
        }
        Outcome {
            rate,
            round_trip: self.round_trips / self.answers.max(1),
            ..self.outcome
        }
    }

    fn push(&mut self, at: Moment, event: Event) {
        self.events.push(Reverse((at, event)));
    }

    fn depart(&mut self) {
        let departure = self.pacer.depart_with(self.next, self.now);
        let (sent, scene) = (self.now, self.scene);
        let arrival = self.path.through(sent, &mut self.rng);
        let answer = self.path.through(arrival + scene.thinks, &mut self.rng);
        let given_up = sent + scene.patience;
        let (end, at) = match () {
            () if scene.unsent > 0.0 && self.rng.random_bool(scene.unsent) => (End::Unsent, sent),
            () if answer <= given_up => (End::Answered, answer),
            () => (End::GivenUp, given_up),
        };
        let call = Call {
            departure,
            sent,
            cost: self.next.get(),
            life: self.life,
            end,
            refused: false,
        };
        // What arrives longer than the assumed transit after it was given up never arrives.
        let arrives = end != End::Unsent && arrival <= at + Duration::from_secs(1);
        self.outcome.sent += 1;
        self.next = Cost::of(self.rng.random_range(1..=scene.heaviest));
        if scene.idle > 0.0 && self.rng.random_bool(scene.idle) {
            let windows = self.rng.random_range(0.0..2.0);
            self.idle_until = sent + scene.quota.window().mul_f64(windows);
        }
        let number = self.calls.len();
        self.calls.push(call);
        if arrives {
            self.push(arrival, Event::Arrival(number));
        }
        self.push(at, Event::End(number));
    }

    /// Goes on to the next event, or to `timer` if that comes first.
    fn advance(&mut self, timer: Option<Moment>) {
        let next = self.events.peek().map(|Reverse((at, _))| *at);
        if let Some(timer) = timer
            && next.is_none_or(|next| timer <= next)
        {
            self.now = timer;
            return;
        }
        let Reverse((at, event)) = self.events.pop().expect("a request in flight ends");
        self.now = at;
        match event {
            Event::Arrival(number) => self.arrive(number),
            Event::End(number) => self.end(number),
            Event::Competitor => self.compete(),
            Event::Restart => self.restart(),
        }
    }

    fn server_time(&self) -> Duration {
        let drift = (self.now.as_nanos() as f64 * self.scene.drift * 500e-6) as i64;
        Duration::from_nanos(self.now.as_nanos().saturating_add_signed(drift))
    }

    fn arrive(&mut self, number: usize) {
        let now = self.server_time();
        let call = &mut self.calls[number];
        call.refused = !self.server.admit(now, call.cost);
        match call.refused {
            true => self.outcome.refused += 1,
            false => self.admitted += u64::from(call.cost),
        }
    }

    fn end(&mut self, number: usize) {
        let call = self.calls[number];
        // The process that sent it is gone.
        if call.life != self.life {
            return;
        }
        match call.end {
            End::Unsent => self.pacer.refund(call.departure),
            End::GivenUp => self.pacer.abandon(call.departure, self.now),
            End::Answered => self.answer(&call),
        }
    }

    fn answer(&mut self, call: &Call) {
        self.round_trips += self.now.since(call.sent);
        self.answers += 1;
        let feedback = match call.refused {
            true => Feedback::Refused(None),
            false => Feedback::Accepted,
        };
        let was_open = self.pacer.open_from() <= call.sent;
        self.pacer.answer(call.departure, self.now, feedback);
        if call.refused && was_open && self.pacer.open_from() <= self.now {
            self.outcome.ungated += 1;
        }
    }

    /// Somebody else sends at an even rate, and is not told to slow down.
    fn compete(&mut self) {
        if self.scene.competitor == 0.0 {
            return;
        }
        let now = self.server_time();
        self.server.admit(now, 1);
        let quota = self.scene.real;
        let mean = quota.window().as_secs_f64() / f64::from(quota.limit()) / self.scene.competitor;
        let gap = Duration::from_secs_f64(mean * self.rng.random_range(0.5..1.5));
        self.push(self.now + gap, Event::Competitor);
    }

    fn restart(&mut self) {
        self.life += 1;
        self.pacer = Pacer::new(self.scene.quota);
        if let Some(every) = self.scene.restarts {
            self.push(self.now + every, Event::Restart);
        }
    }
}
