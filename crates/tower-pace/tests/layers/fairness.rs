//! How many turns one caller has beside another that keeps its thread busy between its calls, on
//! real threads.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer};

use crate::server::{get, millis, wall_clock};

/// The turns of the busy caller after which the other one must have had a twentieth.
const TURNS: u32 = 40;

async fn answer(_: Request<String>) -> Result<Response<String>, Infallible> {
    tokio::time::sleep(millis(1)).await;
    Ok(Response::default())
}

/// Keeps the thread busy, as a caller does that computes between its calls.
fn work(time: u64) {
    let start = wall_clock();
    while wall_clock() - start < millis(time) {
        std::hint::spin_loop();
    }
}

/// Returns how many turns the caller had that only waits, beside `TURNS` of the busy one.
async fn turns_beside_a_busy_caller<S>(service: S, time: u64) -> u32
where
    S: Service<Request<String>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let turns = Arc::new(AtomicU32::new(0));
    let (waiting, counted) = (service.clone(), Arc::clone(&turns));
    let waiter = tokio::spawn(async move {
        loop {
            waiting.clone().oneshot(get()).await.map(drop).unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let busy = tokio::spawn(async move {
        for _ in 0..TURNS {
            service.clone().oneshot(get()).await.map(drop).unwrap();
            work(time);
        }
    });
    busy.await.unwrap();
    waiter.abort();
    turns.load(Ordering::Relaxed)
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
                let turns = runtime.block_on(turns_beside_a_busy_caller(service, time));
                assert!(
                    turns >= TURNS / 20,
                    "{turns} beside {TURNS} with {time} ms of work on {threads}"
                );
            }
        }
    };
}

#[test]
fn a_lone_waiter_has_its_turns_at_a_permit() {
    check!(ConcurrencyLayer::new(1));
}

#[test]
fn a_lone_waiter_has_its_turns_at_a_permit_of_a_limit_that_adapts() {
    check!(ConcurrencyLayer::adaptive(Adaptive::between(1, 1)));
}

#[test]
fn a_lone_waiter_has_its_turns_at_a_departure() {
    check!(RateLimitLayer::new(Quota::per_second(100)));
}
