//! Properties that hold for any sequence of calls.

use std::time::Duration;

use pacing::{Adaptive, AdaptiveLimit, Answer, Moment, Sample};
use proptest::collection::vec;
use proptest::prelude::*;

/// A call. Its number, modulo the requests in flight, picks one of them.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Requests depart until the limit is reached, at most `most`.
    Fill {
        most: usize,
    },
    Depart {
        in_flight: usize,
    },
    Answer {
        request: usize,
        answer: Answer,
    },
    /// All requests in flight are answered.
    Drain {
        answer: Answer,
    },
    Cancel {
        request: usize,
    },
    /// A request of another limit is answered.
    Foreign {
        answer: Answer,
    },
    Pass {
        nanos: u64,
    },
    /// The clock is replaced by another one.
    Rebase {
        nanos: u64,
    },
    Set {
        limit: usize,
    },
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => Just(Answer::Served),
        2 => Just(Answer::Overloaded),
        1 => Just(Answer::Silent),
    ]
}

/// From zero to the longest time.
fn nanos() -> impl Strategy<Value = u64> {
    prop_oneof![
        2 => Just(0),
        6 => 1..1_000_000_000_u64,
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..300_usize).prop_map(|most| Step::Fill { most }),
        2 => any::<usize>().prop_map(|in_flight| Step::Depart { in_flight }),
        2 => (any::<usize>(), answer()).prop_map(|(request, answer)| Step::Answer { request, answer }),
        8 => answer().prop_map(|answer| Step::Drain { answer }),
        1 => any::<usize>().prop_map(|request| Step::Cancel { request }),
        1 => answer().prop_map(|answer| Step::Foreign { answer }),
        8 => nanos().prop_map(|nanos| Step::Pass { nanos }),
        1 => nanos().prop_map(|nanos| Step::Rebase { nanos }),
        1 => any::<usize>().prop_map(|limit| Step::Set { limit }),
    ]
}

fn bounds() -> impl Strategy<Value = Adaptive> {
    let most = prop_oneof![4 => 1..300_usize, 1 => Just(usize::MAX)];
    (1..40_usize, most, 1..300_usize).prop_map(|(least, most, start)| {
        Adaptive::between(least, least.max(most)).starting_at(start)
    })
}

struct Calls {
    limit: AdaptiveLimit,
    now: Moment,
    in_flight: Vec<Sample>,
    /// A departure has reached the limit since the limit last changed.
    is_reached: bool,
}

impl Calls {
    fn depart(&mut self, in_flight: usize) {
        let limit = self.limit.limit();
        self.in_flight.push(self.limit.depart(self.now, in_flight));
        self.is_reached |= in_flight >= limit;
        assert_eq!(self.limit.limit(), limit, "a departure changes nothing");
    }

    fn take(&mut self, request: usize) -> Option<Sample> {
        let in_flight = self.in_flight.len();
        (in_flight > 0).then(|| self.in_flight.swap_remove(request % in_flight))
    }

    fn end(&mut self, sample: Sample, answer: Option<Answer>) {
        let before = self.limit.limit();
        match answer {
            Some(answer) => self.limit.answer(sample, self.now, answer),
            None => self.limit.cancel(sample),
        }
        let after = self.limit.limit();
        assert!(
            after <= before || self.is_reached,
            "{before} to {after}, though it was not reached"
        );
        if after != before {
            self.is_reached = false;
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Fill { most } => {
                for _ in 0..most {
                    if self.in_flight.len() < self.limit.limit() {
                        self.depart(self.in_flight.len() + 1);
                    }
                }
            }
            Step::Depart { in_flight } => self.depart(in_flight),
            Step::Answer { request, answer } => {
                if let Some(sample) = self.take(request) {
                    self.end(sample, Some(answer));
                }
            }
            Step::Drain { answer } => {
                while let Some(sample) = self.take(0) {
                    self.end(sample, Some(answer));
                }
            }
            Step::Cancel { request } => {
                if let Some(sample) = self.take(request) {
                    self.end(sample, None);
                }
            }
            Step::Foreign { answer } => self.end(Sample::default(), Some(answer)),
            Step::Pass { nanos } => self.now = self.now + Duration::from_nanos(nanos),
            Step::Rebase { nanos } => self.now = Moment::from_nanos(nanos),
            Step::Set { limit } => {
                self.limit.set(limit);
                self.is_reached = false;
            }
        }
    }
}

proptest! {
    #[test]
    fn the_limit_keeps_its_bounds_and_grows_only_if_it_is_reached(
        bounds in bounds(),
        steps in vec(step(), 1..200),
    ) {
        let mut calls = Calls {
            limit: AdaptiveLimit::new(bounds),
            now: Moment::ORIGIN,
            in_flight: Vec::new(),
            is_reached: false,
        };
        for step in steps {
            calls.step(step);
            let mut clamped = calls.limit.clone();
            clamped.set(calls.limit.limit());
            prop_assert_eq!(clamped.limit(), calls.limit.limit(), "out of bounds");
        }
    }
}
