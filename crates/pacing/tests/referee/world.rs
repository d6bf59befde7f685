//! A client that always has something to send, a path, a server and a competitor, event by event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use pacing::fields::Budget;
use pacing::{Cost, Departure, Due, Feedback, Model, Moment, Pacer, Quota};
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
    /// How often it takes `slow_for` in place of that.
    pub(crate) slow: f64,
    pub(crate) slow_for: Duration,
    /// How often an answer never comes.
    pub(crate) hung: f64,
    /// Whether a request can arrive later than `max_transit` after it left. Otherwise the path
    /// loses it.
    pub(crate) late: bool,
    /// The longest time in which a request arrives, unless it is late.
    pub(crate) transit: Duration,
    /// How often a gateway answers when the caller gives up.
    pub(crate) gateway: f64,
    /// How often a request is counted for more than it turns out to cost.
    pub(crate) estimated: f64,
    /// Whether the server states what remains.
    pub(crate) states: bool,
    /// How many requests of the first window others have taken at the start.
    pub(crate) used: u32,
    /// When the caller gives up.
    pub(crate) patience: Duration,
    /// How often a request turns out never to have left.
    pub(crate) unsent: f64,
    /// How often the client has nothing to send after a request, for up to two windows.
    pub(crate) idle: f64,
    /// What heavy requests cost, and how often one is heavy.
    pub(crate) least: u32,
    pub(crate) heaviest: u32,
    pub(crate) heavy: f64,
    /// The share of the limit that somebody else takes.
    pub(crate) competitor: f64,
    /// How often the quota is changed after a request, and whether the server changes its limit at
    /// the same moment.
    pub(crate) changes: f64,
    pub(crate) follows: bool,
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
            slow: 0.0,
            slow_for: Duration::ZERO,
            hung: 0.0,
            late: false,
            transit: Duration::from_secs(1),
            gateway: 0.0,
            estimated: 0.0,
            states: false,
            used: 0,
            patience: Duration::MAX,
            unsent: 0.0,
            idle: 0.0,
            least: 1,
            heaviest: 1,
            heavy: 1.0,
            competitor: 0.0,
            changes: 0.0,
            follows: false,
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
    /// What the server counts.
    cost: Cost,
    /// The process that sent it.
    life: u32,
    end: End,
    refused: bool,
    stated: Option<Budget>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    GivenUp,
    /// A gateway answers for the server.
    Gateway,
    Unsent,
}

/// A scene as it is played.
pub(crate) struct World {
    scene: Scene,
    pub(crate) pacer: Pacer,
    server: Server,
    path: Path,
    rng: SmallRng,
    pub(crate) now: Moment,
    /// The cost of the next request.
    next: Cost,
    idle_until: Moment,
    /// How many calls had left when the server's limit changed last. They may be refused.
    left_before: usize,
    /// The most that the server can take at once.
    most: u32,
    life: u32,
    events: BinaryHeap<Reverse<(Moment, Event)>>,
    calls: Vec<Call>,
    /// When requests left, and when which cost arrived.
    pub(crate) departed: Vec<Moment>,
    pub(crate) arrived: Vec<(Moment, u32)>,
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
            left_before: 0,
            most: match scene.kind {
                Kind::TokenBucket { size, .. } => size,
                _ => scene.real.limit(),
            },
            life: 0,
            events: BinaryHeap::new(),
            calls: Vec::new(),
            departed: Vec::new(),
            arrived: Vec::new(),
            outcome: Outcome::default(),
            admitted: 0,
            round_trips: Duration::ZERO,
            answers: 0,
        };
        for _ in 0..scene.used {
            world.server.admit(Duration::ZERO, 1);
        }
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
        let thinks = match self.happens(scene.slow) {
            true => scene.slow_for,
            false => scene.thinks,
        };
        let answer = self.path.through(arrival + thinks, &mut self.rng);
        let given_up = sent + scene.patience;
        let is_lost = !scene.late && arrival > sent + scene.transit;
        let answer = match is_lost || self.happens(scene.hung) {
            true => None,
            false => Some(answer).filter(|&answer| answer <= given_up),
        };
        let (end, at) = match answer {
            _ if self.happens(scene.unsent) => (End::Unsent, Some(sent)),
            Some(answer) => (End::Answered, Some(answer)),
            None if scene.patience == Duration::MAX => (End::GivenUp, None),
            None if self.happens(scene.gateway) => (End::Gateway, Some(given_up)),
            None => (End::GivenUp, Some(given_up)),
        };
        let cost = match self.happens(scene.estimated) {
            true => Cost::of(self.rng.random_range(1..=self.next.get())),
            false => self.next,
        };
        let number = self.calls.len();
        self.calls.push(Call {
            departure,
            sent,
            cost,
            life: self.life,
            end,
            refused: false,
            stated: None,
        });
        if end != End::Unsent && !is_lost {
            self.push(arrival, Event::Arrival(number));
        }
        if let Some(at) = at {
            self.push(at, Event::End(number));
        }
        self.outcome.sent += 1;
        self.departed.push(sent);
        self.plan_next();
    }

    /// Draws the next request, and when there is one.
    fn plan_next(&mut self) {
        let scene = self.scene;
        self.next = match self.happens(scene.heavy) {
            true => Cost::of(self.rng.random_range(scene.least..=scene.heaviest)),
            false => Cost::ONE,
        };
        if self.happens(scene.idle) {
            let windows = self.rng.random_range(0.0..2.0);
            self.idle_until = self.now + scene.quota.window().mul_f64(windows);
        }
        if self.happens(scene.changes) {
            self.change_quota();
        }
    }

    /// Sets another quota, and the server's limit and window with it if that follows. It holds for
    /// the server in any case.
    fn change_quota(&mut self) {
        let scene = self.scene;
        let limit = self.rng.random_range(1..=scene.real.limit());
        let model = match (scene.kind, self.rng.random_bool(0.5)) {
            (Kind::SlidingLog, true) => Model::SlidingLog,
            (Kind::FixedWindow, true) => Model::FixedWindow,
            _ => Model::Unknown,
        };
        let window = match (scene.kind, scene.follows) {
            // Other servers would have to say when their windows start.
            (Kind::SlidingLog, true) => scene.real.window() * self.rng.random_range(1..=3) / 2,
            _ => scene.real.window(),
        };
        let quota = Quota::new(limit, window).and_then(|quota| quota.model(model));
        let quota = quota
            .expect("drawn so that it holds")
            .assuming(&scene.quota);
        let transit = scene.transit * self.rng.random_range(1..=3);
        self.pacer.set_quota(quota.max_transit(transit), self.now);
        if scene.follows {
            self.server.change(self.server_time(), &quota);
            (self.left_before, self.most) = (self.calls.len(), limit);
        }
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share)
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
        let Reverse((at, event)) = self.events.pop().expect("something happens");
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
        // A request that costs more than there ever is costs all of it.
        let cost = call.cost.get().min(self.most);
        call.refused = !self.server.admit(now, cost);
        call.stated = self.scene.states.then(|| self.server.budget(now));
        self.arrived.push((self.now, cost));
        match call.refused {
            true if number < self.left_before => {}
            true => self.outcome.refused += 1,
            false => self.admitted += u64::from(cost),
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
            End::GivenUp => {
                self.pacer.abandon(call.departure, self.now);
            }
            End::Gateway => {
                self.pacer
                    .answer_from_gateway(call.departure, self.now, None);
            }
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
        let departure = self.pacer.settle(call.departure, call.cost, self.now);
        self.pacer
            .answer_with(departure, self.now, feedback, call.stated.as_slice());
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
