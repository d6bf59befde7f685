//! A client that always has something to send, a path, a server and a competitor, event by event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use pacing::fields::StatedLimit;
use pacing::{Cost, Departure, Due, Feedback, Limiter, Model, Moment, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::path::{Delays, Path};
use crate::servers::{Server, ServerModel};

/// A client, a path and a server, with everything that can go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) quota: Quota,
    /// The server's real limit.
    pub(crate) real: Quota,
    pub(crate) kind: ServerModel,
    pub(crate) delays: Delays,
    /// The time from the count of a request to its answer.
    pub(crate) response_time: Duration,
    /// The probability that it is `slow_for` instead.
    pub(crate) slow: f64,
    pub(crate) slow_for: Duration,
    /// The probability that a request is never answered.
    pub(crate) hung: f64,
    /// Whether a request may arrive later than `max_transit` after its departure. Otherwise the
    /// path loses it.
    pub(crate) late: bool,
    /// The longest transit, unless a request may be late.
    pub(crate) transit: Duration,
    /// The probability that a gateway answers when the caller times out.
    pub(crate) gateway: f64,
    /// The probability that a request costs less than was estimated.
    pub(crate) estimated: f64,
    /// Whether the server states the requests that remain.
    pub(crate) states: bool,
    /// The requests of other clients in the first window, at the start.
    pub(crate) used: u32,
    /// The timeout of the caller.
    pub(crate) timeout: Duration,
    /// The probability that a request provably never left.
    pub(crate) unsent: f64,
    /// The probability that the client is idle after a request, for up to two windows.
    pub(crate) idle: f64,
    /// The least and the most cost of heavy requests, and the probability that a request is heavy.
    pub(crate) least: u32,
    pub(crate) highest: u32,
    pub(crate) heavy: f64,
    /// The share of the limit that another client takes.
    pub(crate) competitor: f64,
    /// The probability that the quota changes after a request, and whether the server changes its
    /// limit at the same time.
    pub(crate) changes: f64,
    pub(crate) follows: bool,
    /// The time between restarts of the process. A restart loses all state.
    pub(crate) restarts: Option<Duration>,
    /// The drift of the server's clock in 500 ppm, from -1 to 1.
    pub(crate) drift: f64,
    pub(crate) phase: f64,
    pub(crate) seed: u64,
}

/// The result of a scenario.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) throttled: u64,
    /// Throttled responses after which the gate stayed open.
    pub(crate) ungated: u64,
    /// The cost that the server accepted per second.
    pub(crate) rate: f64,
    /// The mean round trip.
    pub(crate) round_trip: Duration,
}

impl Scenario {
    /// Returns a scenario with a steady path, in which nothing goes wrong.
    pub(crate) fn new(quota: Quota, kind: ServerModel) -> Self {
        Self {
            quota,
            real: quota,
            kind,
            delays: Delays::STEADY,
            response_time: Duration::ZERO,
            slow: 0.0,
            slow_for: Duration::ZERO,
            hung: 0.0,
            late: false,
            transit: Duration::from_secs(1),
            gateway: 0.0,
            estimated: 0.0,
            states: false,
            used: 0,
            timeout: Duration::MAX,
            unsent: 0.0,
            idle: 0.0,
            least: 1,
            highest: 1,
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

    /// Runs for `warm_up` without counting, and then for `time`.
    pub(crate) fn run(self, warm_up: Duration, time: Duration) -> Outcome {
        let mut simulation = Simulation::new(self);
        let start = Moment::ORIGIN + warm_up;
        while simulation.now < start {
            simulation.step();
        }
        simulation.outcome = Outcome::default();
        (
            simulation.admitted,
            simulation.round_trips,
            simulation.answers,
        ) = (0, Duration::ZERO, 0);
        while simulation.now < start + time {
            simulation.step();
        }
        simulation.finish(start)
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
    /// The cost that the server counts.
    cost: Cost,
    /// The number of the process that sent it.
    process: u32,
    end: End,
    throttled: bool,
    stated: Option<StatedLimit>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Answered,
    GivenUp,
    /// A gateway answers for the server.
    Gateway,
    Unsent,
}

/// A running scenario.
pub(crate) struct Simulation {
    scenario: Scenario,
    pub(crate) limiter: Limiter,
    server: Server,
    path: Path,
    rng: SmallRng,
    pub(crate) now: Moment,
    /// The cost of the next request.
    next: Cost,
    idle_until: Moment,
    /// The number of calls that had departed when the server's limit last changed. They may be
    /// throttled.
    departed_before: usize,
    /// The largest cost that the server can accept.
    most: u32,
    process: u32,
    events: BinaryHeap<Reverse<(Moment, Event)>>,
    calls: Vec<Call>,
    /// The times of all departures.
    pub(crate) departed: Vec<Moment>,
    /// The times of all arrivals, with their cost.
    pub(crate) arrived: Vec<(Moment, u32)>,
    pub(crate) outcome: Outcome,
    admitted: u64,
    round_trips: Duration,
    answers: u32,
}

impl Simulation {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut simulation = Self {
            scenario,
            limiter: Limiter::new(scenario.quota),
            server: Server::new(scenario.kind, &scenario.real, scenario.phase),
            path: Path::new(scenario.delays),
            rng: SmallRng::seed_from_u64(scenario.seed),
            now: Moment::ORIGIN,
            next: Cost::ONE,
            idle_until: Moment::ORIGIN,
            departed_before: 0,
            most: match scenario.kind {
                ServerModel::TokenBucket { size, .. } => size,
                _ => scenario.real.limit(),
            },
            process: 0,
            events: BinaryHeap::new(),
            calls: Vec::new(),
            departed: Vec::new(),
            arrived: Vec::new(),
            outcome: Outcome::default(),
            admitted: 0,
            round_trips: Duration::ZERO,
            answers: 0,
        };
        for _ in 0..scenario.used {
            simulation.server.admit(Duration::ZERO, 1);
        }
        if scenario.competitor > 0.0 {
            simulation.push(Moment::ORIGIN, Event::Competitor);
        }
        if let Some(every) = scenario.restarts {
            simulation.push(Moment::ORIGIN + every, Event::Restart);
        }
        simulation
    }

    /// Sends a request if one is due, or advances to the next event.
    pub(crate) fn step(&mut self) {
        if self.idle_until > self.now {
            return self.advance(Some(self.idle_until));
        }
        match self.limiter.due_for(self.next, self.now) {
            Due::Now => self.depart(),
            // A timer fires up to a millisecond late and never early.
            Due::At(due) => {
                let late = Duration::from_nanos(self.rng.random_range(0..1_000_000));
                self.advance(Some(due + late));
            }
            Due::OnAnswer => self.advance(None),
        }
    }

    /// Waits for all requests to end. The rate is measured since `start`.
    pub(crate) fn finish(mut self, start: Moment) -> Outcome {
        let elapsed = self.now.since(start);
        let rate = self.admitted as f64 / elapsed.as_secs_f64();
        (self.scenario.competitor, self.scenario.restarts) = (0.0, None);
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
        let departure = self.limiter.depart_with(self.next, self.now);
        let (sent, scenario) = (self.now, self.scenario);
        let arrival = self.path.through(sent, &mut self.rng);
        let response_time = match self.happens(scenario.slow) {
            true => scenario.slow_for,
            false => scenario.response_time,
        };
        let answer = self.path.through(arrival + response_time, &mut self.rng);
        let given_up = sent + scenario.timeout;
        let is_lost = !scenario.late && arrival > sent + scenario.transit;
        let answer = match is_lost || self.happens(scenario.hung) {
            true => None,
            false => Some(answer).filter(|&answer| answer <= given_up),
        };
        let (end, at) = match answer {
            _ if self.happens(scenario.unsent) => (End::Unsent, Some(sent)),
            Some(answer) => (End::Answered, Some(answer)),
            None if scenario.timeout == Duration::MAX => (End::GivenUp, None),
            None if self.happens(scenario.gateway) => (End::Gateway, Some(given_up)),
            None => (End::GivenUp, Some(given_up)),
        };
        let cost = match self.happens(scenario.estimated) {
            true => Cost::of(self.rng.random_range(1..=self.next.get())),
            false => self.next,
        };
        let number = self.calls.len();
        self.calls.push(Call {
            departure,
            sent,
            cost,
            process: self.process,
            end,
            throttled: false,
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

    /// Draws the next request and an idle time before it.
    fn plan_next(&mut self) {
        let scenario = self.scenario;
        self.next = match self.happens(scenario.heavy) {
            true => Cost::of(self.rng.random_range(scenario.least..=scenario.highest)),
            false => Cost::ONE,
        };
        if self.happens(scenario.idle) {
            let windows = self.rng.random_range(0.0..2.0);
            self.idle_until = self.now + scenario.quota.window().mul_f64(windows);
        }
        if self.happens(scenario.changes) {
            self.change_quota();
        }
    }

    /// Sets another quota, and the server's limit and window with it if the server follows. The
    /// server keeps the quota in both cases.
    fn change_quota(&mut self) {
        let scenario = self.scenario;
        let limit = self.rng.random_range(1..=scenario.real.limit());
        let model = match (scenario.kind, self.rng.random_bool(0.5)) {
            (ServerModel::SlidingLog, true) => Model::SlidingLog,
            (ServerModel::FixedWindow, true) => Model::FixedWindow,
            _ => Model::Unknown,
        };
        let window = match (scenario.kind, scenario.follows) {
            // Another window would move the start of the windows of other servers.
            (ServerModel::SlidingLog, true) => {
                scenario.real.window() * self.rng.random_range(1..=3) / 2
            }
            _ => scenario.real.window(),
        };
        let quota = Quota::new(limit, window).and_then(|quota| quota.model(model));
        let quota = quota
            .expect("drawn so that it holds")
            .assuming(&scenario.quota);
        let transit = scenario.transit * self.rng.random_range(1..=3);
        self.limiter.set_quota(quota.max_transit(transit), self.now);
        if scenario.follows {
            self.server.change(self.server_time(), &quota);
            (self.departed_before, self.most) = (self.calls.len(), limit);
        }
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share)
    }

    /// Advances to the next event, or to `timer` if that is earlier.
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
        let drift = (self.now.as_nanos() as f64 * self.scenario.drift * 500e-6) as i64;
        Duration::from_nanos(self.now.as_nanos().saturating_add_signed(drift))
    }

    fn arrive(&mut self, number: usize) {
        let now = self.server_time();
        let call = &mut self.calls[number];
        // A cost above the limit counts as the whole limit.
        let cost = call.cost.get().min(self.most);
        call.throttled = !self.server.admit(now, cost);
        call.stated = self.scenario.states.then(|| self.server.stated_limit(now));
        self.arrived.push((self.now, cost));
        match call.throttled {
            true if number < self.departed_before => {}
            true => self.outcome.throttled += 1,
            false => self.admitted += u64::from(cost),
        }
    }

    fn end(&mut self, number: usize) {
        let call = self.calls[number];
        // The process that sent it has ended.
        if call.process != self.process {
            return;
        }
        match call.end {
            End::Unsent => self.limiter.refund(call.departure),
            End::GivenUp => {
                self.limiter.abandon(call.departure, self.now);
            }
            End::Gateway => {
                self.limiter
                    .answer_from_gateway(call.departure, self.now, None);
            }
            End::Answered => self.answer(&call),
        }
    }

    fn answer(&mut self, call: &Call) {
        self.round_trips += self.now.since(call.sent);
        self.answers += 1;
        let feedback = match call.throttled {
            true => Feedback::Throttled(None),
            false => Feedback::Accepted,
        };
        let was_open = self.limiter.open_from() <= call.sent;
        let departure = self.limiter.settle(call.departure, call.cost, self.now);
        self.limiter
            .answer_with(departure, self.now, feedback, call.stated.as_slice());
        if call.throttled && was_open && self.limiter.open_from() <= self.now {
            self.outcome.ungated += 1;
        }
    }

    /// Another client sends at an even rate, whatever the server answers.
    fn compete(&mut self) {
        if self.scenario.competitor == 0.0 {
            return;
        }
        let now = self.server_time();
        self.server.admit(now, 1);
        let quota = self.scenario.real;
        let mean =
            quota.window().as_secs_f64() / f64::from(quota.limit()) / self.scenario.competitor;
        let gap = Duration::from_secs_f64(mean * self.rng.random_range(0.5..1.5));
        self.push(self.now + gap, Event::Competitor);
    }

    fn restart(&mut self) {
        self.process += 1;
        self.limiter = Limiter::new(self.scenario.quota);
        if let Some(every) = self.scenario.restarts {
            self.push(self.now + every, Event::Restart);
        }
    }
}
