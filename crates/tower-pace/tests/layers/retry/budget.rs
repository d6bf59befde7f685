//! How many retries there are for a server in trouble.

use std::slice;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};
use tower_pace::retry::RetryBudget;
use tower_pace::{RetryLayer, RetryPolicy};

use crate::server::{Server, get, millis, post, status, status_with_retry_after};

fn budgeted(budget: RetryBudget) -> RetryLayer {
    RetryLayer::new(RetryPolicy::default().budget(budget)).seed(1)
}

/// Sends so many requests at once and returns how often the server was called.
async fn sent(layers: &[RetryLayer], server: Server, requests: usize) -> usize {
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
async fn a_server_in_trouble_gets_a_tenth_more_and_not_four_times_as_much() {
    let layer = budgeted(RetryBudget::new(1, 10));
    assert_eq!(sent(&[layer], failing(503), 1_000).await, 1_100);
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_budget() {
    let layer = budgeted(RetryBudget::new(1, 10));
    let layers = [layer.clone(), layer];
    assert_eq!(sent(&layers, failing(500), 1_000).await, 1_100);
}

#[tokio::test(start_paused = true)]
async fn two_layers_share_none() {
    let layers = [
        budgeted(RetryBudget::new(1, 10)),
        budgeted(RetryBudget::new(0, 1)),
    ];
    assert_eq!(sent(&layers, failing(500), 1_000).await, 1_050);
}

#[tokio::test(start_paused = true)]
async fn the_floor_is_for_those_who_send_few() {
    let layer = RetryLayer::new(RetryPolicy::default());
    assert_eq!(sent(&[layer], failing(503), 5).await, 20);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_the_limit_costs_nothing() {
    for server in [
        failing(429),
        Server::new(millis(1), |_| status_with_retry_after(429, 0)),
    ] {
        assert_eq!(
            sent(&[budgeted(RetryBudget::new(0, 1))], server, 10).await,
            40
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_every_request_has_its_attempts() {
    let layer = RetryLayer::new(RetryPolicy::default().without_budget());
    assert_eq!(sent(&[layer], failing(503), 1_000).await, 4_000);
}

#[tokio::test(start_paused = true)]
async fn over_budget_the_last_answer_is_returned() {
    let layer = budgeted(RetryBudget::new(0, 1));
    let answered = layer.layer(failing(503)).oneshot(get()).await.unwrap();
    assert_eq!(answered.status(), 503);
    assert!(answered.extensions().get::<tower_pace::Retried>().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_replayed_takes_nothing_from_the_budget() {
    let layer = budgeted(RetryBudget::new(0, 1).floor(1));
    for _ in 0..100 {
        let service = layer.layer(failing(503));
        service.oneshot(post()).await.unwrap();
    }
    assert_eq!(sent(&[layer], failing(503), 3).await, 12);
}

/// Requests that come fast are counted together: of these some are dated only by the last one, an hour later.
#[tokio::test(start_paused = true)]
async fn requests_of_long_ago_pay_for_nothing() {
    let layer = budgeted(RetryBudget::new(1, 1));
    assert_eq!(sent(slice::from_ref(&layer), Server::ok(), 100).await, 100);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(sent(&[layer], failing(503), 1).await, 2, "its own pays");
}

/// Of fifty requests, one a second, the last ten are not too long ago.
#[tokio::test(start_paused = true)]
async fn requests_that_come_seldom_pay_as_long_as_others() {
    let layer = budgeted(RetryBudget::new(1, 10));
    for _ in 0..50 {
        assert_eq!(sent(slice::from_ref(&layer), Server::ok(), 1).await, 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(sent(&[layer], failing(503), 1).await, 2);
}

/// Ten retries are saved up. Ten calls that are dropped in their backoff must leave them to others.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_in_its_backoff_gives_back_what_it_was_paid() {
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
    let mut refused = task::spawn(layer.layer(instant).call(get()));
    assert!(refused.poll().is_ready(), "the eleventh has none");
    drop(waiting);
}
