use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::{Decision, Limit, Limiter, Model};

/// The reference: the definition of each model, evaluated over all requests counted so far. It is
/// slow on purpose, and shares no code with the counters.
struct Reference {
    limit: u128,
    window: u128,
    phase: u128,
    model: Model,
    counted: Vec<u128>,
}

impl Reference {
    fn fits(&self, now: u128) -> bool {
        match self.model {
            Model::FixedWindow => self.in_window(self.index(now)) < self.limit,
            Model::SlidingCounter => self.sliding_counter_fits(now),
            Model::SlidingLog => {
                let recent = |at: &&u128| **at + self.window > now;
                (self.counted.iter().filter(recent).count() as u128) < self.limit
            }
            Model::TokenBucket { size } => self.token_bucket_fits(size.get().into(), now),
        }
    }

    fn index(&self, at: u128) -> u128 {
        (at + self.phase) / self.window
    }

    fn in_window(&self, index: u128) -> u128 {
        self.counted
            .iter()
            .filter(|at| self.index(**at) == index)
            .count() as u128
    }

    fn sliding_counter_fits(&self, now: u128) -> bool {
        let index = self.index(now);
        let previous = index
            .checked_sub(1)
            .map_or(0, |previous| self.in_window(previous));
        let left = self.window - (now + self.phase) % self.window;
        previous * left + (self.in_window(index) + 1) * self.window <= self.limit * self.window
    }

    /// Over any interval, a bucket admits at most its size and the tokens that it gained.
    fn token_bucket_fits(&self, size: u128, now: u128) -> bool {
        let counted = self.counted.iter().enumerate();
        let interval_holds = |(before, from): (usize, &u128)| {
            let in_interval = (self.counted.len() - before + 1) as u128;
            in_interval * self.window <= size * self.window + (now - from) * self.limit
        };
        size >= 1 && counted.into_iter().all(interval_holds)
    }
}

fn model() -> impl Strategy<Value = Model> {
    prop_oneof![
        Just(Model::FixedWindow),
        Just(Model::SlidingCounter),
        Just(Model::SlidingLog),
        (1_u32..12).prop_map(|size| Model::TokenBucket {
            size: NonZeroU32::new(size).unwrap()
        }),
    ]
}

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_decision_is_that_of_the_reference(
        model in model(),
        requests in 1_u32..10,
        window in 1_u64..50,
        phase in 0_u64..50,
        gaps in prop::collection::vec(0_u64..12_000, 1..120),
    ) {
        let limit = Limit::new(requests, micros(window)).unwrap().model(model).phase(micros(phase));
        let mut limiter = Limiter::new(&limit);
        let mut reference = Reference {
            limit: requests.into(),
            window: u128::from(window) * 1_000,
            phase: u128::from(phase) * 1_000,
            model,
            counted: Vec::new(),
        };
        let mut now = 0_u64;
        for gap in gaps {
            now += gap;
            let expected = reference.fits(now.into());
            let decision = limiter.decide(Duration::from_nanos(now));
            prop_assert_eq!(decision == Decision::Admitted, expected, "at {} ns", now);
            if expected {
                reference.counted.push(now.into());
            } else if let Decision::Throttled { wait } = decision {
                // The wait is exact: throttled one nanosecond before its end, admitted at its end.
                let at = u128::from(now) + wait.as_nanos();
                prop_assert!(reference.fits(at), "not admitted after {:?}", wait);
                prop_assert!(!reference.fits(at - 1), "admitted before {:?}", wait);
            }
        }
    }

    #[test]
    fn with_counted_throttled_requests_a_log_admits_again_only_after_a_quiet_window(
        requests in 1_u32..10,
        arrivals in 10_usize..50,
    ) {
        let limit = Limit::new(requests, micros(100)).unwrap().count_throttled();
        let mut limiter = Limiter::new(&limit);
        let admitted = (0..arrivals)
            .filter(|_| limiter.decide(micros(1)) == Decision::Admitted)
            .count();
        prop_assert_eq!(admitted, (requests as usize).min(arrivals));
        // Each throttled request takes the place of the oldest one in the log.
        let wait = if requests == 1 { micros(100) } else { micros(1) };
        prop_assert_eq!(limiter.decide(micros(100)), Decision::Throttled { wait });
        prop_assert_eq!(limiter.decide(micros(200)), Decision::Admitted);
    }
}

#[track_caller]
fn check(limit: &Limit, arrivals: &[u64], expected: &[bool]) {
    let mut limiter = Limiter::new(limit);
    let decisions = arrivals
        .iter()
        .map(|ms| limiter.decide(Duration::from_millis(*ms)) == Decision::Admitted);
    assert_eq!(decisions.collect::<Vec<_>>(), expected, "{limit:?}");
}

#[test]
fn the_models_decide_differently_about_the_same_requests() {
    let limit = Limit::parse("2/1s").unwrap();
    let arrivals = [900, 950, 1000, 1500, 1900, 1950];
    check(&limit, &arrivals, &[true, true, false, false, true, true]);
    let fixed = limit.clone().model(Model::FixedWindow);
    check(&fixed, &arrivals, &[true, true, true, true, false, false]);
    let counter = limit.clone().model(Model::SlidingCounter);
    check(
        &counter,
        &arrivals,
        &[true, true, false, true, false, false],
    );
    let bucket = limit.model(Model::TokenBucket {
        size: NonZeroU32::new(1).unwrap(),
    });
    check(
        &bucket,
        &arrivals,
        &[true, false, false, true, false, false],
    );
}

#[test]
fn a_phase_moves_the_windows() {
    let limit = Limit::parse("1/1s").unwrap().model(Model::FixedWindow);
    check(&limit, &[0, 999, 1000], &[true, false, true]);
    check(
        &limit.phase(Duration::from_millis(400)),
        &[0, 599, 600],
        &[true, false, true],
    );
}

#[test]
fn a_throttled_request_that_counts_takes_tokens_from_a_bucket() {
    let model = Model::TokenBucket {
        size: NonZeroU32::MIN,
    };
    let limit = Limit::parse("1/1s").unwrap().model(model);
    check(&limit, &[0, 900, 1000], &[true, false, true]);
    check(
        &limit.count_throttled(),
        &[0, 900, 1000, 1999, 3000],
        &[true, false, false, false, true],
    );
}

#[test]
fn an_invalid_limit_is_rejected() {
    for text in [
        "",
        "100",
        "0/1s",
        "100/0s",
        "-1/1s",
        "100/25h",
        "100/1",
        "1.5/1s",
        "4294967296/1s",
    ] {
        let error = Limit::parse(text).unwrap_err().to_string();
        assert!(
            error.contains(text) && error.contains("such as 100/1s"),
            "{error}"
        );
    }
    assert_eq!(
        Limit::parse("100/1s").unwrap().to_string(),
        "100 requests per 1s"
    );
}
