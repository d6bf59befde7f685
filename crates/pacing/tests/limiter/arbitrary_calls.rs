//! Calls in any order, with any values and times: nothing panics, nothing stops forever, and no
//! request departs before the time that the limiter has returned.

use std::time::Duration;

use pacing::fields::{StatedLimit, StatedUnit};
use pacing::{Cost, Departure, Due, Feedback, Limiter, Model, Moment, Quota};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Draws one element of a list.
fn one<T: Copy>(of: &[T], rng: &mut SmallRng) -> T {
    of[rng.random_range(0..of.len())]
}

const DAY: Duration = Duration::from_secs(86_400);

/// Draws an ordinary or an absurd time.
fn time(rng: &mut SmallRng) -> Duration {
    match rng.random_range(0..8) {
        0 => Duration::ZERO,
        1 => Duration::from_nanos(1),
        2 => DAY * 366,
        3 => Duration::from_secs(rng.random_range(0..7_200)),
        4 | 5 => Duration::from_millis(rng.random_range(0..100)),
        _ => Duration::from_millis(rng.random_range(0..3_000)),
    }
}

fn number(rng: &mut SmallRng) -> u32 {
    match rng.random_range(0..6) {
        0 => 1,
        1 => u32::MAX,
        2 => rng.random_range(1..=10),
        3 => rng.random_range(1..=5_000),
        _ => one(&[2, 3, 100, 1_000, 1_024, 1_025, u32::MAX - 1], rng),
    }
}

fn cost(rng: &mut SmallRng) -> Cost {
    match rng.random_range(0..3) {
        0 => Cost::of(number(rng)),
        1 => Cost::of(rng.random_range(1..=20)),
        _ => Cost::ONE,
    }
}

/// Draws one limit. Settings that contradict each other are drawn again.
fn limit(rng: &mut SmallRng) -> Quota {
    loop {
        let window = match rng.random_range(0..6) {
            0 => Duration::from_nanos(1),
            1 => DAY * 366,
            2 => Duration::from_secs(3_600),
            3 => Duration::from_secs(60),
            _ => Duration::from_secs(1),
        };
        let model = match rng.random_range(0..5) {
            0 => Model::SlidingLog,
            1 => Model::FixedWindow,
            2 => Model::TokenBucket {
                size: number(rng),
                refill: number(rng),
            },
            _ => Model::Unknown,
        };
        let quota = Quota::new(number(rng), window).and_then(|quota| quota.model(model));
        let quota = match rng.random_bool(0.3) {
            true => quota.and_then(|quota| quota.burst(number(rng))),
            false => quota,
        };
        if let Ok(quota) = quota {
            return match rng.random_bool(0.2) {
                true => quota.by_request(),
                false => quota,
            };
        }
    }
}

fn quota(rng: &mut SmallRng) -> Quota {
    let mut quota = limit(rng);
    for _ in 0..one(&[0, 0, 0, 1, 3], rng) {
        quota = quota.and(limit(rng)).expect("four limits fit");
    }
    if rng.random_bool(0.5) {
        quota = quota.max_transit(time(rng));
    }
    if rng.random_bool(0.3) {
        quota = quota.jitter_ceiling(time(rng));
    }
    if rng.random_bool(0.2) {
        quota = quota.max_retry_after(time(rng)).lateness(time(rng));
    }
    if rng.random_bool(0.2) {
        quota = quota.unused_at_start();
    }
    match rng.random_bool(0.1) {
        true => quota.counted_until_answered(),
        false => quota,
    }
}

fn stated_limit(quota: &Quota, rng: &mut SmallRng) -> StatedLimit {
    let limit = u64::from(quota.limit());
    let [none, most] = [0, u64::MAX];
    StatedLimit {
        limit: one(&[None, Some(limit), Some(limit), Some(0), Some(most)], rng),
        remaining: match rng.random_range(0..3) {
            0 => rng.random_range(0..=limit),
            1 => rng.random_range(0..=limit.min(20)),
            _ => one(&[none, most, limit], rng),
        },
        reset: match rng.random_bool(0.5) {
            true => quota.window().mul_f64(rng.random()),
            false => one(&[Duration::ZERO, Duration::MAX, time(rng)], rng),
        },
        unit: one(
            &[None, Some(StatedUnit::Requests), Some(StatedUnit::Cost)],
            rng,
        ),
    }
}

/// Calls a limiter, and remembers the time that it returned last.
struct ArbitraryCalls {
    rng: SmallRng,
    limiter: Limiter,
    now: Moment,
    in_flight: Vec<Departure>,
    /// The last request that was answered, and when.
    answered: Option<(Departure, Moment)>,
    /// The last request that has to wait, and until when, unless something happened that may bring
    /// the time nearer.
    promised: Option<(Cost, Moment)>,
}

impl ArbitraryCalls {
    fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let quota = quota(&mut rng);
        Self {
            limiter: Limiter::new(quota),
            now: Moment::from_nanos(one(&[0, 0, 1, u64::MAX / 4], &mut rng)),
            rng,
            in_flight: Vec::new(),
            answered: None,
            promised: None,
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..45 => self.ask(),
            45..60 => self.pass_time(),
            60..95 if !self.in_flight.is_empty() => self.end(),
            95 => {
                let quota = quota(&mut self.rng);
                self.limiter.set_quota(quota, self.now);
                self.promised = None;
            }
            96 if self.rng.random_bool(0.1) => {
                let until = self.now + time(&mut self.rng).min(DAY);
                self.limiter.penalize(until);
            }
            97..99 => self.settle_answered(),
            _ => {}
        }
        self.check();
    }

    fn ask(&mut self) {
        let cost = cost(&mut self.rng);
        match self.limiter.due_for(cost, self.now) {
            Due::Now => {
                let departure = self.limiter.depart_with(cost, self.now);
                self.in_flight.push(departure);
                self.promised = None;
            }
            Due::At(at) => {
                assert!(at > self.now, "a time that has passed");
                self.promised = Some((cost, at));
            }
            Due::OnAnswer => {
                let counts = self.limiter.quota().counted_until_answered();
                assert_eq!(*self.limiter.quota(), counts);
                assert!(!self.in_flight.is_empty());
                self.promised = None;
            }
        }
    }

    fn pass_time(&mut self) {
        let before = self.now;
        self.now = match (self.rng.random_range(0..10), self.promised) {
            (0..5, Some((_, at))) => at,
            // A time in between: the end of a transit and the steps of the recovery are there.
            (5..7, Some((_, at))) => {
                let rest = at.since(before);
                before + rest.mul_f64(self.rng.random())
            }
            (7, _) => before + Duration::from_secs(1),
            _ => before + time(&mut self.rng).min(DAY),
        };
    }

    fn end(&mut self) {
        let index = self.rng.random_range(0..self.in_flight.len());
        let mut departure = self.in_flight.swap_remove(index);
        if self.rng.random_bool(0.2) {
            let cost = cost(&mut self.rng);
            departure = self.limiter.settle(departure, cost, self.now);
            self.promised = None;
        }
        let retry_after = one(&[None, None, Some(time(&mut self.rng))], &mut self.rng);
        let may_be_nearer = match self.rng.random_range(0..10) {
            0 => {
                self.limiter.refund(departure);
                true
            }
            1 | 2 => self.limiter.abandon(departure, self.now),
            3 => self
                .limiter
                .answer_from_gateway(departure, self.now, retry_after),
            _ => self.answer(departure, retry_after),
        };
        if may_be_nearer {
            self.promised = None;
        }
    }

    fn settle_answered(&mut self) {
        let cost = cost(&mut self.rng);
        if let Some((departure, answered)) = &mut self.answered {
            self.limiter
                .settle_answered(departure, *answered, cost, self.now);
            self.promised = None;
        }
    }

    fn answer(&mut self, departure: Departure, retry_after: Option<Duration>) -> bool {
        let feedback = match self.rng.random_range(0..10) {
            0 => Feedback::Throttled(retry_after),
            1 => Feedback::Failed,
            _ => Feedback::Accepted,
        };
        let quota = *self.limiter.quota();
        let limits = [(); 2].map(|()| stated_limit(&quota, &mut self.rng));
        let stated = &limits[..one(&[0, 0, 1, 1, 2], &mut self.rng)];
        self.answered = Some((departure, self.now));
        self.limiter
            .answer_with(departure, self.now, feedback, stated)
    }

    /// A request may not depart before the time that was returned, unless a call returned that
    /// waiters must ask again.
    fn check(&mut self) {
        // The gap of 10 ms between requests of a stated limit is no hold of its own.
        let gap = Duration::from_millis(10);
        let Some((cost, at)) = self.promised.filter(|&(_, at)| self.now + gap < at) else {
            return;
        };
        let mut asked = self.limiter.clone();
        assert_ne!(
            asked.due_for(cost, self.now),
            Due::Now,
            "at {:?} a cost of {} had to wait until {at:?}",
            self.now,
            cost.get()
        );
    }

    /// Ends all requests in flight. A request must depart some time after that.
    fn finish(mut self) {
        for departure in self.in_flight.drain(..) {
            self.limiter.abandon(departure, self.now);
        }
        // Slots of an unanswered request may be held for a transit of a year. The limiter returns
        // earlier times, since an answer might free them.
        for _ in 0..10_000 {
            match self.limiter.due(self.now) {
                Due::Now => return,
                Due::At(at) => self.now = at.max(self.now + DAY),
                Due::OnAnswer => panic!("nothing is in flight"),
            }
        }
        let hold = self.limiter.hold(Cost::ONE, self.now);
        panic!("nothing departs at {:?}: {hold:?}", self.now);
    }
}

#[test]
fn no_order_of_calls_panics_or_stops_the_limiter_or_departs_too_early() {
    let mut bad = Vec::new();
    for seed in 0..crate::scenarios() {
        let result = std::panic::catch_unwind(|| {
            let mut calls = ArbitraryCalls::new(seed);
            for _ in 0..300 {
                calls.step();
            }
            calls.finish();
        });
        if result.is_err() {
            bad.push(seed);
        }
    }
    assert!(bad.is_empty(), "seeds {bad:?}");
}
