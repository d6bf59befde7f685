//! The share of one caller beside another that keeps its thread busy between its calls, on real
//! threads.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer};

use crate::support::{get, millis, wall_clock};

/// The calls of the busy caller. The other caller must make a twentieth of them meanwhile.
const CALLS: u32 = 40;

async fn answer(_: Request<String>) -> Result<Response<String>, Infallible> {
    tokio::time::sleep(millis(1)).await;
    Ok(Response::default())
}

/// Keeps the thread busy, as a caller that computes between its calls does.
fn work(time: u64) {
    let start = wall_clock();
    while wall_clock() - start < millis(time) {
        std::hint::spin_loop();
    }
}

/// Returns the number of calls of the caller that only waits, beside `CALLS` of the busy one.
async fn calls_beside_a_busy_caller<S>(service: S, time: u64) -> u32
where
    S: Service<Request<String>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let calls = Arc::new(AtomicU32::new(0));
    let (waiting, counted) = (service.clone(), Arc::clone(&calls));
    let waiter = tokio::spawn(async move {
        loop {
            waiting.clone().oneshot(get()).await.map(drop).unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let busy = tokio::spawn(async move {
        for _ in 0..CALLS {
            service.clone().oneshot(get()).await.map(drop).unwrap();
            work(time);
        }
    });
    busy.await.unwrap();
    waiter.abort();
    calls.load(Ordering::Relaxed)
}

fn runtimes() -> [(&'static str, tokio::runtime::Runtime); 2] {
    let one = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let four = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build();
    [("1 thread", one.unwrap()), ("4 threads", four.unwrap())]
}

/// A macro, since the services of the layers have different types.
macro_rules! check {
    ($layer:expr) => {
        for (threads, runtime) in runtimes() {
            for time in [1, 7, 20, 50] {
                let service = $layer.layer(service_fn(answer));
                let calls = runtime.block_on(calls_beside_a_busy_caller(service, time));
                assert!(
                    calls >= CALLS / 20,
                    "{calls} beside {CALLS} with {time} ms of work on {threads}"
                );
            }
        }
    };
}

#[test]
fn a_lone_waiter_acquires_its_share_of_permits() {
    check!(ConcurrencyLayer::new(1));
}

#[test]
fn a_lone_waiter_acquires_its_share_of_an_adaptive_limits_permits() {
    check!(ConcurrencyLayer::adaptive(Adaptive::between(1, 1)));
}

#[test]
fn a_lone_waiter_acquires_its_share_of_departures() {
    check!(RateLimitLayer::new(Quota::per_second(100)));
}
