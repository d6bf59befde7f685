//! A client whose limit adapts, beside the best fixed limit for the same server.

use std::env;
use std::fmt;
use std::sync::Once;

use pacing::{Adaptive, AdaptiveLimit};

use crate::record::{Record, Sum};
use crate::server::{Fault, Law, Load};
use crate::world::{Fixed, Patience, World};

/// The upper bound of the limit.
pub(crate) const MOST: usize = 200;

/// Opens the table once, whichever test comes first.
static TABLE: Once = Once::new();

/// Returns a world of one client, whose limit adapts.
pub(crate) fn world(law: Law, seed: u64) -> World<AdaptiveLimit> {
    let mut world = World::new(law, seed);
    world.join(AdaptiveLimit::new(Adaptive::between(1, MOST)));
    world
}

/// How much is played: little by default, since a debug build is slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) seeds: u64,
    is_whole: bool,
}

impl Extent {
    /// Reads `ADAPTIVE_SEEDS`: with it each scenario is played in its whole length, by so many
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

    /// The length of a level in seconds: the whole one, or a third where a server serves many.
    fn seconds(self, level: &Level, best: &Best) -> f64 {
        match self.is_whole || best.sum.throughput <= 300.0 {
            true => level.seconds,
            false => level.seconds.min(100.0),
        }
    }

    /// Fixed limits to compare with. The capacities that occur are among them.
    fn candidates(self) -> impl Iterator<Item = usize> {
        let few = [1, 2, 5, 10, 20, 50, 80, 100, MOST];
        (1..=MOST).filter(move |limit| match self.is_whole {
            true => *limit <= 20 || limit % 5 == 0,
            false => few.contains(limit),
        })
    }
}

/// For so many seconds the server keeps to a law.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(crate) seconds: f64,
    pub(crate) law: Law,
}

/// What is played, and what must come of each level.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) levels: Vec<Level>,
    /// How long a limit may learn a level before it is measured, in seconds.
    pub(crate) learning: f64,
    pub(crate) patience: Patience,
    /// The least throughput, as a share of the best one.
    pub(crate) throughput: f64,
    /// The most latency, as a multiple of that of the best limit.
    pub(crate) latency: f64,
    /// In how many round trips the limit must have settled.
    pub(crate) settled: Option<f64>,
}

impl Scenario {
    /// Returns a scenario of one level, of 300 s, from which nothing is wanted.
    pub(crate) fn of(law: Law) -> Self {
        Self::changing(&[law]).lasting(300.0)
    }

    /// Returns a scenario of some levels, of 100 s each.
    pub(crate) fn changing(laws: &[Law]) -> Self {
        let levels = laws.iter().map(|&law| Level {
            seconds: 100.0,
            law,
        });
        Self {
            levels: levels.collect(),
            learning: 30.0,
            patience: Patience::Endless,
            throughput: 0.0,
            latency: f64::INFINITY,
            settled: None,
        }
    }

    /// Lets the first level last for so many seconds.
    pub(crate) fn lasting(mut self, seconds: f64) -> Self {
        self.levels[0].seconds = seconds;
        self
    }

    /// Measures only what comes after so many seconds of a level.
    pub(crate) fn learning(self, learning: f64) -> Self {
        Self { learning, ..self }
    }

    pub(crate) fn patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
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

    /// Plays it by each seed, prints what came of each level, and asserts the bounds.
    pub(crate) fn check(&self) -> Vec<Outcome> {
        self.check_if(|_| true)
    }

    /// Asserts the bounds only of the last level.
    pub(crate) fn check_last(&self) -> Vec<Outcome> {
        self.check_if(|outcome| outcome.level + 1 == self.levels.len())
    }

    fn check_if(&self, counts: impl Fn(&Outcome) -> bool) -> Vec<Outcome> {
        let outcomes = self.play();
        let counting = outcomes.iter().filter(|outcome| counts(outcome));
        let missed: Vec<_> = counting
            .filter(|outcome| outcome.misses(self))
            .map(Outcome::to_string)
            .collect();
        assert!(missed.is_empty(), "{missed:#?} of {self:?}");
        outcomes
    }

    /// Plays it by each seed and prints what came of it.
    pub(crate) fn play(&self) -> Vec<Outcome> {
        let extent = Extent::from_env();
        let best: Vec<_> = self
            .levels
            .iter()
            .map(|level| Best::of(&level.law, self.patience, extent))
            .collect();
        let outcomes: Vec<_> = (0..extent.seeds)
            .flat_map(|seed| self.play_seed(seed, &best, extent))
            .collect();
        TABLE.call_once(|| {
            println!("| server | callers wait | seed | best limit | throughput | latency | settled | limit | in flight | failed |");
            println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|");
        });
        for outcome in &outcomes {
            println!("{outcome}");
        }
        outcomes
    }

    fn play_seed(&self, seed: u64, best: &[Best], extent: Extent) -> Vec<Outcome> {
        let mut world = world(self.levels[0].law, seed);
        world.patience = self.patience;
        let mut outcomes = Vec::new();
        for (number, (level, best)) in self.levels.iter().zip(best).enumerate() {
            let from = world.seconds();
            world.law = level.law;
            world.run(extent.seconds(level, best));
            let (to, client) = (world.seconds(), &world.clients[0]);
            outcomes.push(Outcome {
                level: number,
                law: level.law,
                patience: self.patience,
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

/// The best fixed limit, and what comes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Best {
    pub(crate) limit: usize,
    pub(crate) sum: Sum,
    /// The greatest throughput per latency of any fixed limit.
    pub(crate) power: f64,
}

impl Best {
    /// Tries the candidates. The best is the least that has 97 % of the greatest throughput.
    pub(crate) fn of(law: &Law, patience: Patience, extent: Extent) -> Self {
        let is_ample = law.load == Load::Ample
            && matches!(
                law.fault,
                Fault::None | Fault::Random(_) | Fault::Throttled(_)
            );
        let candidates = extent
            .candidates()
            .filter(|&limit| !is_ample || limit == MOST);
        let tried: Vec<_> = candidates
            .map(|limit| (limit, try_fixed(limit, law, patience)))
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

/// Returns what comes of about 10,000 requests with a fixed limit.
fn try_fixed(limit: usize, law: &Law, patience: Patience) -> Sum {
    let mut world = World::new(*law, 0);
    world.patience = patience;
    world.join(Fixed(limit));
    world.run(5.0);
    let before = world.clients[0].record.between(0.0, 5.0);
    let seconds = (10_000.0 / before.throughput.max(1.0)).clamp(10.0, 200.0);
    world.run(seconds);
    world.clients[0].record.between(5.0, world.seconds())
}

/// Returns after how many round trips of the best limit the first twenty began that had nearly its
/// figures.
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

/// What came of a level.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    level: usize,
    law: Law,
    patience: Patience,
    seed: u64,
    best: Best,
    pub(crate) sum: Sum,
    settled: Option<f64>,
    pub(crate) limit: usize,
    /// How many round trips of the best limit it lasted.
    round_trips: f64,
}

impl Outcome {
    pub(crate) fn throughput(&self) -> f64 {
        self.sum.throughput / self.best.sum.throughput
    }

    pub(crate) fn latency(&self) -> f64 {
        self.sum.latency / self.best.sum.latency
    }

    /// The throughput per latency, as a share of the greatest there is.
    pub(crate) fn power(&self) -> f64 {
        self.sum.throughput / self.sum.latency / self.best.power
    }

    pub(crate) fn misses(&self, scenario: &Scenario) -> bool {
        let is_late = match scenario.settled {
            // A level that is shorter proves nothing.
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
            self.law,
            self.patience,
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
