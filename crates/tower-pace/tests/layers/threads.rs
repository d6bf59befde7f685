//! Eight threads on one rate limit, in real time: calls that are answered, calls that time out and
//! calls whose task is aborted.
//!
//! `LOAD_SECONDS=25 cargo test --release -p tower-pace --test layers threads` takes 25 s for each
//! rate.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Request, Response};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::{Quota, RateLimitLayer};

use crate::support::{get, millis, wall_clock};

const CALLERS: u64 = 200;

fn time() -> Duration {
    let seconds = std::env::var("LOAD_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    seconds.map_or(Duration::from_secs(1), Duration::from_secs)
}

/// The number of calls by their end.
#[derive(Default)]
struct Ends {
    answered: AtomicU32,
    timed_out: AtomicU32,
    aborted: AtomicU32,
}

/// Calls until `over` is set. A fifth of the calls have a timeout, which about half of them reach
/// before they depart. A tenth are made by a task that is aborted.
async fn caller<S>(service: S, seed: u64, mean: Duration, ends: Arc<Ends>, over: Arc<AtomicBool>)
where
    S: Service<Request<String>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let mut rng = SmallRng::seed_from_u64(seed);
    while !over.load(Ordering::Relaxed) {
        let call = service.clone().oneshot(get());
        let time = mean.mul_f64(rng.random_range(0.0..2.0));
        match rng.random_range(0..10) {
            0..2 => {
                let end = match tokio::time::timeout(time, call).await {
                    Ok(_) => &ends.answered,
                    Err(_) => &ends.timed_out,
                };
                end.fetch_add(1, Ordering::Relaxed);
            }
            2 => {
                let task = tokio::spawn(async move { drop(call.await) });
                tokio::time::sleep(time).await;
                task.abort();
                let end = match task.await {
                    Ok(()) => &ends.answered,
                    Err(_) => &ends.aborted,
                };
                end.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                drop(call.await);
                ends.answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Returns the most calls within a second. The end of the second is not included.
fn busiest_second(calls: &[Instant]) -> usize {
    let mut first = 0;
    let counts = calls.iter().enumerate().map(|(last, call)| {
        while *call - calls[first] >= Duration::from_secs(1) {
            first += 1;
        }
        last + 1 - first
    });
    counts.max().unwrap_or(0)
}

async fn run(rate: u32) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let server = service_fn(move |_: Request<String>| {
        let mut calls = noted.lock().unwrap();
        // Read under the lock, so that they are in order.
        calls.push(wall_clock());
        let delay = millis(calls.len() as u64 % 4);
        async move {
            tokio::time::sleep(delay).await;
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let layer = RateLimitLayer::new(Quota::per_second(rate));
    let service = layer.layer(server);
    let (ends, over) = (Arc::<Ends>::default(), Arc::<AtomicBool>::default());
    let mean = Duration::from_secs(CALLERS) / rate;
    let mut callers = JoinSet::new();
    for seed in 0..CALLERS {
        let (ends, over) = (Arc::clone(&ends), Arc::clone(&over));
        callers.spawn(caller(service.clone(), seed, mean, ends, over));
    }
    tokio::time::sleep(time()).await;
    over.store(true, Ordering::Relaxed);
    callers.join_all().await;

    let calls = calls.lock().unwrap();
    let seen = layer.handle().snapshot();
    let count = |end: &AtomicU32| end.load(Ordering::Relaxed);
    let (answered, timed_out, aborted) = (
        count(&ends.answered),
        count(&ends.timed_out),
        count(&ends.aborted),
    );
    let busiest = busiest_second(&calls);
    println!(
        "{rate}/s: {} calls, {busiest} in the busiest second, {answered} answered, \
         {timed_out} timed out, {aborted} aborted",
        calls.len()
    );
    assert!(busiest <= rate as usize, "{busiest} of {rate}");
    assert_eq!((seen.in_flight, seen.queued), (0, 0));
    assert_eq!(seen.counters.departed, calls.len() as u64);
    assert_eq!(seen.counters.answered, u64::from(answered));
    assert!(answered > 0 && timed_out > 0 && aborted > 0);
}

fn on_eight_threads(load: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(8).enable_time().build().unwrap();
    runtime.block_on(load);
}

#[test]
fn a_thousand_requests_per_second_keep_the_limit_and_leave_no_waiter() {
    on_eight_threads(run(1_000));
}

#[test]
fn ten_thousand_requests_per_second_keep_the_limit_and_leave_no_waiter() {
    on_eight_threads(run(10_000));
}
