//! Measures the cases of a table in turn, and returns the medians.

use std::fmt::Debug;
use std::hint::black_box;
use std::time::{Duration, Instant};

use http::Request;
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt};

use crate::inner::{Body, request};

/// With more calls, a slice is often interrupted on a busy machine. With fewer, reading the clock
/// would show in the result.
const CALLS: u32 = 500;
/// The median of this many slices ignores those that were interrupted.
const SLICES: usize = 100;
/// Odd, so that the median is one of the runs.
const RUNS: usize = 9;

/// A service or other work to measure, with its name in the table.
pub(crate) struct Case {
    name: &'static str,
    run: Box<dyn FnMut(&Runtime) -> Duration>,
}

/// The time of one call of a case.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) name: &'static str,
    pub(crate) nanos: f64,
}

impl Case {
    pub(crate) fn new<S>(name: &'static str, mut service: S) -> Self
    where
        S: Service<Request<Body>> + 'static,
        S::Error: Debug,
    {
        let run = move |runtime: &Runtime| runtime.block_on(timed(&mut service));
        Self {
            name,
            run: Box::new(run),
        }
    }

    /// Measures work that is not a service.
    pub(crate) fn of_work<T>(name: &'static str, work: impl Fn() -> T + 'static) -> Self {
        let run = move |_: &Runtime| {
            let start = now();
            for _ in 0..CALLS {
                drop(black_box(work()));
            }
            now().duration_since(start)
        };
        Self {
            name,
            run: Box::new(run),
        }
    }
}

/// Runs all cases in turn, once to warm up and then nine times. Returns the median of each case.
pub(crate) fn compare(runtime: &Runtime, mut cases: Vec<Case>) -> Vec<Cost> {
    run(runtime, &mut cases);
    let runs: Vec<_> = (0..RUNS).map(|_| run(runtime, &mut cases)).collect();
    let names = cases.iter().map(|case| case.name);
    names
        .enumerate()
        .map(|(n, name)| Cost {
            name,
            nanos: median(runs.iter().map(|run| run[n]).collect()),
        })
        .collect()
}

/// Runs short slices of the cases in turn. Returns the median nanoseconds per call of each case.
fn run(runtime: &Runtime, cases: &mut [Case]) -> Vec<f64> {
    let mut slices = vec![Vec::with_capacity(SLICES); cases.len()];
    for _ in 0..SLICES {
        for (case, slices) in cases.iter_mut().zip(&mut slices) {
            let time = (case.run)(runtime);
            slices.push(time.as_secs_f64() * 1e9 / f64::from(CALLS));
        }
    }
    slices.into_iter().map(median).collect()
}

/// Returns the time that [`CALLS`] calls take, one after the other.
async fn timed<S>(service: &mut S) -> Duration
where
    S: Service<Request<Body>>,
    S::Error: Debug,
{
    let request = request();
    let start = now();
    for _ in 0..CALLS {
        let ready = service.ready().await.expect("it does not fail");
        let response = ready.call(request.clone()).await;
        drop(black_box(response.expect("it does not fail")));
    }
    now().duration_since(start)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(
    clippy::disallowed_methods,
    reason = "the benchmarks measure real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[test]
fn median_returns_the_middle_value() {
    assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
}
