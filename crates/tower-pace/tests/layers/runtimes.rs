//! One limiter in a `static`, used by several runtimes: every `#[tokio::test]` is one.

use std::sync::LazyLock;
use std::time::Duration;

use tower::{Layer, ServiceExt};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer};

use crate::server::{Server, get, now, on_a_paused_runtime};

static RATE: LazyLock<RateLimitLayer> =
    LazyLock::new(|| RateLimitLayer::new(Quota::per_second(500)));
static CONCURRENCY: LazyLock<ConcurrencyLayer> = LazyLock::new(|| ConcurrencyLayer::new(2));

async fn use_it(requests: usize) {
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
    tokio::time::timeout(Duration::from_secs(20), finished)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_static_limiter_works_in_a_first_test() {
    use_it(20).await;
}

#[tokio::test]
async fn a_static_limiter_works_in_a_second_test() {
    use_it(20).await;
}

#[tokio::test(start_paused = true)]
async fn a_static_limiter_works_in_a_paused_test() {
    use_it(20).await;
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
                runtime.block_on(use_it(20));
            });
        }
    });
}

#[test]
fn a_static_limiter_works_after_a_paused_runtime_that_ran_an_hour_ahead() {
    on_a_paused_runtime(async {
        use_it(5).await;
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        use_it(5).await;
    });
    on_a_paused_runtime(async {
        let start = now();
        use_it(5).await;
        assert!(now() - start < Duration::from_secs(2));
    });
}

#[test]
fn a_waiter_whose_runtime_is_gone_holds_up_nobody() {
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
        let response = tokio::time::timeout(Duration::from_secs(2), alive.oneshot(get())).await;
        assert!(response.is_ok());
    });
}
