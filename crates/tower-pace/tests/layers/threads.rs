//! Eight threads on one rate limit, in real time: calls that end, calls that are given up and calls
//! whose task is aborted.
//!
//! `STORM_SECONDS=25 cargo test --release -p tower-pace --test layers threads` takes 25 s for each
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

use crate::server::{get, millis, wall_clock};

const CALLERS: u64 = 200;

fn time() -> Duration {
    let seconds = std::env::var("STORM_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    seconds.map_or(Duration::from_secs(1), Duration::from_secs)
}

/// How the calls of a storm ended.
#[derive(Default)]
struct Ends {
    answered: AtomicU32,
    given_up: AtomicU32,
    aborted: AtomicU32,
}

/// Calls until the storm is over. A fifth of the calls have so little time that half of these end
/// before their turn, and a tenth are made by a task that is aborted.
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
                    Err(_) => &ends.given_up,
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

/// The most calls within a second, of which one end counts.
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

async fn storm(rate: u32) {
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
    let (answered, given_up, aborted) = (
        count(&ends.answered),
        count(&ends.given_up),
        count(&ends.aborted),
    );
    let busiest = busiest_second(&calls);
    println!(
        "{rate}/s: {} calls, {busiest} in the busiest second, {answered} answered, {given_up} given up, {aborted} aborted",
        calls.len()
    );
    assert!(busiest <= rate as usize, "{busiest} of {rate}");
    assert_eq!((seen.in_flight, seen.queued), (0, 0));
    assert_eq!(seen.counters.departed, calls.len() as u64);
    assert_eq!(seen.counters.answered, u64::from(answered));
    assert!(answered > 0 && given_up > 0 && aborted > 0);
}

fn on_eight_threads(storm: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(8).enable_time().build().unwrap();
    runtime.block_on(storm);
}

#[test]
fn a_thousand_a_second_of_all_fates_pass_no_limit_and_leave_nothing_behind() {
    on_eight_threads(storm(1_000));
}

#[test]
fn ten_thousand_a_second_of_all_fates_pass_no_limit_and_leave_nothing_behind() {
    on_eight_threads(storm(10_000));
}
