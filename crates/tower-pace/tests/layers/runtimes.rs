//! One limiter that is used by several runtimes, as a `static` is: every `#[tokio::test]` has its
//! own runtime.

use std::sync::LazyLock;
use std::task::{Context, Waker};
use std::time::Duration;

use http::Request;
use tokio::time::timeout;
use tower::{Layer, Service, ServiceExt};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer};

use crate::support::{Server, get, millis, now, on_a_paused_runtime};

static RATE: LazyLock<RateLimitLayer> =
    LazyLock::new(|| RateLimitLayer::new(Quota::per_second(500)));
static CONCURRENCY: LazyLock<ConcurrencyLayer> = LazyLock::new(|| ConcurrencyLayer::new(2));

async fn send_through_both(requests: usize) {
    let service = RATE.layer(CONCURRENCY.layer(Server::ok()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..requests {
        tasks.spawn(service.clone().oneshot(get()));
    }
    let finished = async {
        while let Some(done) = tasks.join_next().await {
            assert_eq!(done.unwrap().unwrap().status(), 200);
        }
    };
    timeout(Duration::from_secs(20), finished).await.unwrap();
}

#[tokio::test]
async fn a_static_limiter_works_in_a_first_test() {
    send_through_both(20).await;
}

#[tokio::test]
async fn a_static_limiter_works_in_a_second_test() {
    send_through_both(20).await;
}

#[tokio::test(start_paused = true)]
async fn a_static_limiter_works_in_a_paused_test() {
    send_through_both(20).await;
}

#[test]
fn a_static_limiter_works_in_parallel_runtimes() {
    std::thread::scope(|scope| {
        for paused in [true, false, true, false] {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(paused)
                    .build()
                    .unwrap();
                runtime.block_on(send_through_both(20));
            });
        }
    });
}

#[test]
fn a_static_limiter_works_after_a_paused_runtime_that_ran_an_hour_ahead() {
    on_a_paused_runtime(async {
        send_through_both(5).await;
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        send_through_both(5).await;
    });
    on_a_paused_runtime(async {
        let start = now();
        send_through_both(5).await;
        assert!(now() - start < Duration::from_secs(2));
    });
}

#[test]
fn a_waiter_whose_runtime_was_dropped_stops_no_other() {
    let layer = RateLimitLayer::new(Quota::per_second(10));
    let abandoned = layer.layer(Server::ok());
    on_a_paused_runtime(async {
        for _ in 0..10 {
            tokio::spawn(abandoned.clone().oneshot(get()));
        }
        tokio::task::yield_now().await;
    });
    on_a_paused_runtime(async {
        let alive = layer.layer(Server::ok());
        let response = timeout(Duration::from_secs(2), alive.oneshot(get())).await;
        assert!(response.is_ok());
    });
}

#[test]
fn a_service_that_waited_in_one_runtime_waits_in_another() {
    let service = ConcurrencyLayer::new(1).layer(Server::ok());
    let (mut holder, mut other) = (service.clone(), service);
    on_a_paused_runtime(async {
        ServiceExt::<Request<String>>::ready(&mut holder)
            .await
            .unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Service::<Request<String>>::poll_ready(&mut other, &mut cx).is_pending());
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    });
    on_a_paused_runtime(async {
        tokio::spawn(async move {
            tokio::time::sleep(millis(20)).await;
            drop(holder);
        });
        let ready = ServiceExt::<Request<String>>::ready(&mut other);
        assert!(
            timeout(Duration::from_secs(1), ready)
                .await
                .unwrap()
                .is_ok()
        );
    });
}
