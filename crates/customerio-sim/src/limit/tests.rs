use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::{Limit, Limiter, Model, Verdict};

/// What was counted so far, and the definition of the model over it. Slow and obvious on purpose.
struct Definition {
    limit: u128,
    window: u128,
    phase: u128,
    model: Model,
    counted: Vec<u128>,
}

impl Definition {
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

    /// A full bucket never lets more than its size and what it gained through, over any interval.
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
    fn every_verdict_is_the_one_of_the_definition(
        model in model(),
        requests in 1_u32..10,
        window in 1_u64..50,
        phase in 0_u64..50,
        gaps in prop::collection::vec(0_u64..12_000, 1..120),
    ) {
        let limit = Limit::new(requests, micros(window)).unwrap().model(model).phase(micros(phase));
        let mut limiter = Limiter::new(&limit);
        let mut definition = Definition {
            limit: requests.into(),
            window: u128::from(window) * 1_000,
            phase: u128::from(phase) * 1_000,
            model,
            counted: Vec::new(),
        };
        let mut now = 0_u64;
        for gap in gaps {
            now += gap;
            let expected = definition.fits(now.into());
            let verdict = limiter.arrive(Duration::from_nanos(now));
            prop_assert_eq!(verdict == Verdict::Admitted, expected, "at {} ns", now);
            if expected {
                definition.counted.push(now.into());
            } else if let Verdict::Refused { wait } = verdict {
                // The hint is exact: refused until just before it, admitted at it.
                let at = u128::from(now) + wait.as_nanos();
                prop_assert!(definition.fits(at), "not admitted after {:?}", wait);
                prop_assert!(!definition.fits(at - 1), "admitted before {:?}", wait);
            }
        }
    }

    #[test]
    fn counted_refusals_keep_a_log_closed_until_a_window_is_quiet(
        requests in 1_u32..10,
        arrivals in 10_usize..50,
    ) {
        let limit = Limit::new(requests, micros(100)).unwrap().count_refused();
        let mut limiter = Limiter::new(&limit);
        let admitted = (0..arrivals).filter(|_| limiter.arrive(micros(1)) == Verdict::Admitted).count();
        prop_assert_eq!(admitted, (requests as usize).min(arrivals));
        let refused = Verdict::Refused { wait: micros(100) };
        prop_assert_eq!(limiter.arrive(micros(100)), if requests == 1 { refused } else { Verdict::Refused { wait: micros(1) } });
        prop_assert_eq!(limiter.arrive(micros(200)), Verdict::Admitted);
    }
}

#[track_caller]
fn check(limit: &Limit, arrivals: &[u64], expected: &[bool]) {
    let mut limiter = Limiter::new(limit);
    let verdicts = arrivals
        .iter()
        .map(|ms| limiter.arrive(Duration::from_millis(*ms)) == Verdict::Admitted);
    assert_eq!(verdicts.collect::<Vec<_>>(), expected, "{limit:?}");
}

#[test]
fn the_models_differ_where_they_should() {
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
fn a_refusal_that_counts_empties_a_bucket() {
    let model = Model::TokenBucket {
        size: NonZeroU32::MIN,
    };
    let limit = Limit::parse("1/1s").unwrap().model(model);
    check(&limit, &[0, 900, 1000], &[true, false, true]);
    check(
        &limit.count_refused(),
        &[0, 900, 1000, 1999, 3000],
        &[true, false, false, false, true],
    );
}

#[test]
fn limits_that_cannot_hold_have_no_value() {
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
