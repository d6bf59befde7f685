//! The retry budget: the number of retries while a server fails.

use std::slice;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};
use tower_pace::retry::RetryBudget;
use tower_pace::{RetryLayer, RetryPolicy};

use crate::support::{Server, get, millis, post, status, status_with_retry_after};

fn budgeted(budget: RetryBudget) -> RetryLayer {
    RetryLayer::new(RetryPolicy::default().budget(budget)).seed(1)
}

/// Sends `requests` requests at once and returns the number of calls of the server.
async fn calls(layers: &[RetryLayer], server: Server, requests: usize) -> usize {
    let mut tasks = JoinSet::new();
    for n in 0..requests {
        let service = layers[n % layers.len()].layer(server.clone());
        tasks.spawn(service.oneshot(get()));
    }
    tasks.join_all().await;
    server.calls().len()
}

fn failing(code: u16) -> Server {
    Server::new(millis(1), move |_| status(code))
}

#[tokio::test(start_paused = true)]
async fn a_failing_server_gets_a_tenth_more_requests() {
    let layer = budgeted(RetryBudget::new(1, 10));
    assert_eq!(calls(&[layer], failing(503), 1_000).await, 1_100);
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_budget() {
    let layer = budgeted(RetryBudget::new(1, 10));
    let layers = [layer.clone(), layer];
    assert_eq!(calls(&layers, failing(500), 1_000).await, 1_100);
}

#[tokio::test(start_paused = true)]
async fn two_layers_share_no_budget() {
    let layers = [
        budgeted(RetryBudget::new(1, 10)),
        budgeted(RetryBudget::new(0, 1)),
    ];
    assert_eq!(calls(&layers, failing(500), 1_000).await, 1_050);
}

#[tokio::test(start_paused = true)]
async fn the_floor_allows_retries_of_few_requests() {
    let layer = RetryLayer::new(RetryPolicy::default());
    assert_eq!(calls(&[layer], failing(503), 5).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_throttled_response_uses_up_no_budget() {
    for server in [
        failing(429),
        Server::new(millis(1), |_| status_with_retry_after(429, 0)),
    ] {
        assert_eq!(
            calls(&[budgeted(RetryBudget::new(0, 1))], server, 10).await,
            40
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_every_request_has_all_attempts() {
    let layer = RetryLayer::new(RetryPolicy::default().without_budget());
    assert_eq!(calls(&[layer], failing(503), 1_000).await, 4_000);
}

#[tokio::test(start_paused = true)]
async fn without_budget_left_the_last_answer_is_returned() {
    let layer = budgeted(RetryBudget::new(0, 1));
    let answered = layer.layer(failing(503)).oneshot(get()).await.unwrap();
    assert_eq!(answered.status(), 503);
    assert!(answered.extensions().get::<tower_pace::Retried>().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_replayable_uses_up_no_budget() {
    let layer = budgeted(RetryBudget::new(0, 1).floor(1));
    for _ in 0..100 {
        let service = layer.layer(failing(503));
        service.oneshot(post()).await.unwrap();
    }
    assert_eq!(calls(&[layer], failing(503), 3).await, 12);
}

/// Requests in quick succession are counted in one batch, whose time is that of its last request.
/// The last one here is an hour later.
#[tokio::test(start_paused = true)]
async fn old_requests_add_nothing_to_the_budget() {
    let layer = budgeted(RetryBudget::new(1, 1));
    assert_eq!(calls(slice::from_ref(&layer), Server::ok(), 100).await, 100);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(
        calls(&[layer], failing(503), 1).await,
        2,
        "its own deposit allows one"
    );
}

/// Of fifty requests, one per second, the last ten are still in the budget's window.
#[tokio::test(start_paused = true)]
async fn requests_at_a_low_rate_count_for_the_same_time() {
    let layer = budgeted(RetryBudget::new(1, 10));
    for _ in 0..50 {
        assert_eq!(calls(slice::from_ref(&layer), Server::ok(), 1).await, 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(calls(&[layer], failing(503), 1).await, 2);
}

/// The budget has ten retries. Ten calls that are dropped in their backoff must leave them to
/// others.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_in_its_backoff_returns_its_retry_to_the_budget() {
    let layer = budgeted(RetryBudget::new(0, 1).floor(1));
    let instant = Server::new(Duration::ZERO, |_| status(503));
    for _ in 0..10 {
        let mut service = layer.layer(instant.clone());
        let mut call = task::spawn(service.call(get()));
        assert_pending!(call.poll());
    }
    assert_eq!(instant.calls().len(), 10);
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let mut call = task::spawn(layer.layer(instant.clone()).call(get()));
            assert_pending!(call.poll(), "there is a retry for this one");
            call
        })
        .collect();
    let mut eleventh = task::spawn(layer.layer(instant).call(get()));
    assert!(eleventh.poll().is_ready(), "the eleventh has none");
    drop(waiting);
}
