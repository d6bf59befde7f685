//! Scenarios: an adaptive limit, and the best fixed limit for the same server.

use std::env;
use std::fmt;
use std::sync::Once;

use pacing::{Adaptive, AdaptiveLimit};

use crate::record::{Record, Sum};
use crate::server::{Behavior, Fault, Load};
use crate::simulation::{CallerTimeout, Fixed, Simulation};

/// The upper bound of the limit.
pub(crate) const MOST: usize = 200;

/// Prints the head of the table once, before the row of any test.
static TABLE: Once = Once::new();

/// Returns a simulation of one client, whose limit adapts.
pub(crate) fn simulation(behavior: Behavior, seed: u64) -> Simulation<AdaptiveLimit> {
    let mut simulation = Simulation::new(behavior, seed);
    simulation.join(AdaptiveLimit::new(Adaptive::between(1, MOST)));
    simulation
}

/// How much of a scenario runs: little by default, since a debug build is slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) seeds: u64,
    is_whole: bool,
}

impl Extent {
    /// Reads `ADAPTIVE_SEEDS`. If it is set, each scenario runs in full length with this number of
    /// seeds.
    pub(crate) fn from_env() -> Self {
        let seeds = env::var("ADAPTIVE_SEEDS").ok();
        Self {
            seeds: seeds.as_ref().map_or(1, |seeds| {
                seeds.parse().expect("ADAPTIVE_SEEDS is a number")
            }),
            is_whole: seeds.is_some(),
        }
    }

    /// Returns the length of a level in seconds. It is shorter if the server is fast.
    fn seconds(self, level: &Level, best: &Best) -> f64 {
        match self.is_whole || best.sum.throughput <= 300.0 {
            true => level.seconds,
            false => level.seconds.min(100.0),
        }
    }

    /// Returns the fixed limits to compare with, the capacities of the servers among them.
    fn candidates(self) -> impl Iterator<Item = usize> {
        let few = [1, 2, 5, 10, 20, 50, 80, 100, MOST];
        (1..=MOST).filter(move |limit| match self.is_whole {
            true => *limit <= 20 || limit % 5 == 0,
            false => few.contains(limit),
        })
    }
}

/// The behavior of the server for some seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(crate) seconds: f64,
    pub(crate) behavior: Behavior,
}

/// Levels, and the bounds that the limit must keep in each of them.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) levels: Vec<Level>,
    /// The seconds of a level that are not measured, for the limit to learn.
    pub(crate) learning: f64,
    pub(crate) timeout: CallerTimeout,
    /// The least throughput, as a share of that of the best fixed limit.
    pub(crate) throughput: f64,
    /// The most latency, as a multiple of that of the best fixed limit.
    pub(crate) latency: f64,
    /// The most round trips until the limit has settled.
    pub(crate) settled: Option<f64>,
}

impl Scenario {
    /// Returns a scenario of one level of 300 s, without bounds.
    pub(crate) fn of(behavior: Behavior) -> Self {
        Self::changing(&[behavior]).lasting(300.0)
    }

    /// Returns a scenario of levels of 100 s each.
    pub(crate) fn changing(behaviors: &[Behavior]) -> Self {
        let levels = behaviors.iter().map(|&behavior| Level {
            seconds: 100.0,
            behavior,
        });
        Self {
            levels: levels.collect(),
            learning: 30.0,
            timeout: CallerTimeout::Never,
            throughput: 0.0,
            latency: f64::INFINITY,
            settled: None,
        }
    }

    /// Sets the length of the first level in seconds.
    pub(crate) fn lasting(mut self, seconds: f64) -> Self {
        self.levels[0].seconds = seconds;
        self
    }

    /// Sets the seconds of a level that are not measured.
    pub(crate) fn learning(self, learning: f64) -> Self {
        Self { learning, ..self }
    }

    pub(crate) fn timeout(self, timeout: CallerTimeout) -> Self {
        Self { timeout, ..self }
    }

    pub(crate) fn throughput(self, throughput: f64) -> Self {
        Self { throughput, ..self }
    }

    pub(crate) fn latency(self, latency: f64) -> Self {
        Self { latency, ..self }
    }

    pub(crate) fn settled(self, round_trips: f64) -> Self {
        Self {
            settled: Some(round_trips),
            ..self
        }
    }

    /// Runs it with each seed, prints the outcome of each level, and asserts the bounds.
    pub(crate) fn check(&self) -> Vec<Outcome> {
        self.check_if(|_| true)
    }

    /// Runs it as [`check`](Self::check) does, and asserts the bounds of the last level only.
    pub(crate) fn check_last(&self) -> Vec<Outcome> {
        self.check_if(|outcome| outcome.level + 1 == self.levels.len())
    }

    fn check_if(&self, counts: impl Fn(&Outcome) -> bool) -> Vec<Outcome> {
        let outcomes = self.run();
        let counting = outcomes.iter().filter(|outcome| counts(outcome));
        let missed: Vec<_> = counting
            .filter(|outcome| outcome.misses(self))
            .map(Outcome::to_string)
            .collect();
        assert!(missed.is_empty(), "{missed:#?} of {self:?}");
        outcomes
    }

    /// Runs it with each seed, and prints the outcome of each level.
    pub(crate) fn run(&self) -> Vec<Outcome> {
        let extent = Extent::from_env();
        let best: Vec<_> = self
            .levels
            .iter()
            .map(|level| Best::of(&level.behavior, self.timeout, extent))
            .collect();
        let outcomes: Vec<_> = (0..extent.seeds)
            .flat_map(|seed| self.run_seed(seed, &best, extent))
            .collect();
        TABLE.call_once(|| {
            println!(
                "| server | callers time out | seed | best limit | throughput | latency | settled \
                 | limit | in flight | failed |"
            );
            println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        });
        for outcome in &outcomes {
            println!("{outcome}");
        }
        outcomes
    }

    fn run_seed(&self, seed: u64, best: &[Best], extent: Extent) -> Vec<Outcome> {
        let mut simulation = simulation(self.levels[0].behavior, seed);
        simulation.timeout = self.timeout;
        let mut outcomes = Vec::new();
        for (number, (level, best)) in self.levels.iter().zip(best).enumerate() {
            let from = simulation.seconds();
            simulation.behavior = level.behavior;
            simulation.run(extent.seconds(level, best));
            let (to, client) = (simulation.seconds(), &simulation.clients[0]);
            outcomes.push(Outcome {
                level: number,
                behavior: level.behavior,
                timeout: self.timeout,
                seed,
                best: *best,
                sum: client.record.between(from + self.learning, to),
                settled: settled(&client.record, from, to, best),
                limit: client.limit.limit(),
                round_trips: (to - from) / best.sum.latency,
            });
        }
        outcomes
    }
}

/// The best fixed limit, and its figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Best {
    pub(crate) limit: usize,
    pub(crate) sum: Sum,
    /// The greatest throughput per latency of any fixed limit.
    pub(crate) power: f64,
}

impl Best {
    /// Tries the candidates. The best is the lowest with 97 % of the highest throughput.
    pub(crate) fn of(behavior: &Behavior, timeout: CallerTimeout, extent: Extent) -> Self {
        let is_ample = behavior.load == Load::Ample
            && matches!(
                behavior.fault,
                Fault::None | Fault::Random(_) | Fault::Throttled(_)
            );
        let candidates = extent
            .candidates()
            .filter(|&limit| !is_ample || limit == MOST);
        let tried: Vec<_> = candidates
            .map(|limit| (limit, try_fixed(limit, behavior, timeout)))
            .collect();
        let throughputs = tried.iter().map(|(_, sum)| sum.throughput);
        let most = throughputs.fold(0.0, f64::max);
        let powers = tried.iter().map(|(_, sum)| sum.throughput / sum.latency);
        let power = powers.fold(0.0, f64::max);
        let best = tried.iter().find(|(_, sum)| sum.throughput >= 0.97 * most);
        let &(limit, sum) = best.expect("the greatest is one of them");
        Self { limit, sum, power }
    }
}

/// Returns the figures of about 10,000 requests with a fixed limit.
fn try_fixed(limit: usize, behavior: &Behavior, timeout: CallerTimeout) -> Sum {
    let mut simulation = Simulation::new(*behavior, 0);
    simulation.timeout = timeout;
    simulation.join(Fixed(limit));
    simulation.run(5.0);
    let before = simulation.clients[0].record.between(0.0, 5.0);
    let seconds = (10_000.0 / before.throughput.max(1.0)).clamp(10.0, 200.0);
    simulation.run(seconds);
    simulation.clients[0]
        .record
        .between(5.0, simulation.seconds())
}

/// Returns the number of round trips of the best limit until the figures are nearly its own, for
/// twenty round trips.
fn settled(record: &Record, from: f64, to: f64, best: &Best) -> Option<f64> {
    let round_trip = best.sum.latency;
    let steps = (0..).map(|step| from + f64::from(step) * round_trip / 4.0);
    let mut begins = steps.take_while(|begin| begin + 20.0 * round_trip <= to);
    let first = begins.find(|&begin| {
        let sum = record.between(begin, begin + 20.0 * round_trip);
        sum.throughput >= 0.85 * best.sum.throughput && sum.latency <= 1.6 * best.sum.latency
    });
    first.map(|begin| (begin - from) / round_trip)
}

/// The outcome of a level.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    level: usize,
    behavior: Behavior,
    timeout: CallerTimeout,
    seed: u64,
    best: Best,
    pub(crate) sum: Sum,
    settled: Option<f64>,
    pub(crate) limit: usize,
    /// The length of the level, in round trips of the best limit.
    round_trips: f64,
}

impl Outcome {
    pub(crate) fn throughput(&self) -> f64 {
        self.sum.throughput / self.best.sum.throughput
    }

    pub(crate) fn latency(&self) -> f64 {
        self.sum.latency / self.best.sum.latency
    }

    /// The throughput per latency, as a share of the highest of all fixed limits.
    pub(crate) fn power(&self) -> f64 {
        self.sum.throughput / self.sum.latency / self.best.power
    }

    pub(crate) fn misses(&self, scenario: &Scenario) -> bool {
        let is_late = match scenario.settled {
            // A shorter level could not show it.
            Some(settled) if settled + 20.0 < self.round_trips => {
                self.settled.is_none_or(|at| at > settled)
            }
            Some(_) | None => false,
        };
        is_late || self.throughput() < scenario.throughput || self.latency() > scenario.latency
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | {:?} | {} | {} | {:.2} | {:.2} | {} | {} | {:.1} | {:.1} % |",
            self.behavior,
            self.timeout,
            self.seed,
            self.best.limit,
            self.throughput(),
            self.latency(),
            self.settled
                .map_or_else(|| String::from("-"), |at| format!("{at:.0}")),
            self.limit,
            self.sum.in_flight,
            self.sum.failures * 100.0,
        )
    }
}
