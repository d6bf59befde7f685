use std::fmt::Debug;
use std::hint::black_box;
use std::time::{Duration, Instant};

use http::Request;
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt};

use crate::inner::{Body, request};

/// Few enough that a slice is seldom interrupted on a busy machine, and many enough that reading
/// the clock does not count.
const CALLS: u32 = 500;
const SLICES: usize = 100;
const RUNS: usize = 9;

/// A service, or work that is none, to be measured under the name that the table shows.
pub(crate) struct Contestant {
    name: &'static str,
    run: Box<dyn FnMut(&Runtime) -> Duration>,
}

/// What one call of a contestant takes.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) name: &'static str,
    pub(crate) nanos: f64,
}

impl Contestant {
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

    /// Takes work that waits for nothing.
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

/// Lets all contestants run in turn, once to warm up and then nine times, and returns the median of
/// each.
pub(crate) fn compare(runtime: &Runtime, mut contestants: Vec<Contestant>) -> Vec<Cost> {
    run(runtime, &mut contestants);
    let runs: Vec<_> = (0..RUNS).map(|_| run(runtime, &mut contestants)).collect();
    let names = contestants.iter().map(|contestant| contestant.name);
    names
        .enumerate()
        .map(|(n, name)| Cost {
            name,
            nanos: median(runs.iter().map(|run| run[n]).collect()),
        })
        .collect()
}

/// Returns the nanoseconds that a call of each takes, the median of short slices that they take in
/// turn.
fn run(runtime: &Runtime, contestants: &mut [Contestant]) -> Vec<f64> {
    let mut slices = vec![Vec::with_capacity(SLICES); contestants.len()];
    for _ in 0..SLICES {
        for (contestant, slices) in contestants.iter_mut().zip(&mut slices) {
            let time = (contestant.run)(runtime);
            slices.push(time.as_secs_f64() * 1e9 / f64::from(CALLS));
        }
    }
    slices.into_iter().map(median).collect()
}

/// How long it takes to make the calls, one after the other.
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
    reason = "what is measured here is real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[test]
fn the_median_is_the_one_in_the_middle() {
    assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
}
