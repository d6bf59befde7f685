//! The wait queue with parked, stuck, slow and cancelled waiters. A parked waiter was polled once
//! and is not polled again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer};
use tower_test::mock;

use crate::support::{Server, get, millis, now, status};

const GRACE: Duration = Duration::from_millis(5);

/// In some limiters, one waiter that is not polled stops all others.
#[tokio::test(start_paused = true)]
async fn parked_waiters_delay_the_next_one_by_at_most_a_grace_each() {
    for parked in [1_u32, 5, 30] {
        let server = Server::ok();
        let mut service = RateLimitLayer::new(Quota::per_second(100)).layer(server.clone());
        let mut heads: Vec<_> = (0..parked)
            .map(|_| task::spawn(service.call(get())))
            .collect();
        for head in &mut heads {
            assert_pending!(head.poll());
        }
        let start = now();
        service.clone().oneshot(get()).await.unwrap();
        let interval = Quota::per_second(100).spacing();
        let elapsed = now() - start;
        let expected = interval * (parked + 1);
        assert!(
            elapsed <= expected + GRACE * parked + millis(1),
            "{parked}: {elapsed:?}"
        );
        let again = now();
        for _ in 0..10 {
            service.clone().oneshot(get()).await.unwrap();
        }
        assert!(
            now() - again <= interval * 10 + millis(1),
            "they delay it once only"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_waiter_that_is_polled_again_keeps_its_position() {
    let server = Server::ok();
    let mut service = RateLimitLayer::new(Quota::per_second(100)).layer(server.clone());
    let mut parked = task::spawn(service.call(get()));
    assert_pending!(parked.poll());
    let mut live = JoinSet::new();
    for _ in 0..20 {
        live.spawn(service.clone().oneshot(get()));
    }
    live.join_next().await;
    let before = server.calls().len();
    while parked.poll().is_pending() {
        tokio::time::sleep(millis(1)).await;
    }
    assert!(server.calls().len() <= before + 2);
    live.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_stuck_inner_service_stops_only_its_own_group() {
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let (stuck, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(0);
    let blocked = layer.layer(stuck);
    let mut waiting = JoinSet::new();
    for _ in 0..50 {
        waiting.spawn(blocked.clone().oneshot(get()));
    }
    tokio::time::sleep(millis(100)).await;
    let server = Server::ok();
    let free = layer.layer(server.clone());
    let start = now();
    let mut live = JoinSet::new();
    for _ in 0..50 {
        live.spawn(free.clone().oneshot(get()));
    }
    live.join_all().await;
    let expected = Quota::per_second(100).spacing() * 50;
    assert!(
        now() - start <= expected + GRACE + millis(2),
        "{:?}",
        now() - start
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_waiter_wakes_the_next_one() {
    let server = Server::ok();
    let mut service = RateLimitLayer::new(Quota::per_second(1)).layer(server.clone());
    let first = service.clone().oneshot(get()).await;
    assert!(first.is_ok());
    let mut ahead = task::spawn(service.call(get()));
    assert_pending!(ahead.poll());
    let start = now();
    let behind = tokio::spawn(service.clone().oneshot(get()));
    tokio::task::yield_now().await;
    drop(ahead);
    behind.await.unwrap().unwrap();
    assert!(now() - start <= Quota::per_second(1).spacing() + millis(1));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_requests_per_second_depart_though_timers_tick_by_the_millisecond() {
    let server = Server::ok();
    let service = RateLimitLayer::new(Quota::per_second(10_000)).layer(server.clone());
    let start = now();
    let mut tasks = JoinSet::new();
    for _ in 0..5_000 {
        tasks.spawn(service.clone().oneshot(get()));
    }
    tasks.join_all().await;
    let expected = Quota::per_second(10_000).spacing() * 5_000;
    let elapsed = now() - start;
    assert!(
        elapsed <= expected.mul_f64(1.003) + millis(2),
        "{elapsed:?} for {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_was_stuck_is_woken_by_a_released_permit() {
    let layer = ConcurrencyLayer::new(1);
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(0);
    let (mut stuck, mut other) = (layer.layer(mock), layer.layer(Server::ok()));
    let mut waiting = task::spawn(std::future::poll_fn(move |cx| stuck.poll_ready(cx)));
    assert_pending!(waiting.poll());
    ServiceExt::<Request<String>>::ready(&mut other)
        .await
        .unwrap();
    handle.allow(1);
    assert_pending!(waiting.poll());
    drop(other);
    assert!(waiting.is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_future_whose_inner_service_failed_stops_no_other() {
    let layer = RateLimitLayer::new(Quota::per_minute(10));
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(0);
    let mut failed = Box::pin(layer.layer(mock).call(get()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(failed.as_mut().poll(&mut cx).is_pending());
    handle.send_error("closed");
    let behind = tokio::spawn(layer.layer(Server::ok()).oneshot(get()));
    tokio::task::yield_now().await;
    assert!(failed.as_mut().await.is_err());
    let start = now();
    behind.await.unwrap().unwrap();
    assert!(now() - start <= millis(1));
}

/// Polls a call `polls_left` times, then completes without it.
struct PollLimited {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    polls_left: usize,
}

impl Future for PollLimited {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.polls_left == 0 {
            return Poll::Ready(());
        }
        self.polls_left -= 1;
        self.future.as_mut().poll(cx)
    }
}

#[derive(Clone, Debug)]
struct Callers {
    parked: usize,
    /// The polls after which each of the others is cancelled; `None` if it never is.
    polls: Vec<Option<usize>>,
    permits: usize,
    latency: u64,
}

fn callers() -> impl Strategy<Value = Callers> {
    let polls = prop_oneof![2 => Just(None), 1 => (0_usize..6).prop_map(Some)];
    (
        0_usize..20,
        prop::collection::vec(polls, 100),
        1_usize..12,
        0_u64..30,
    )
        .prop_map(|(parked, polls, permits, latency)| Callers {
            parked,
            polls,
            permits,
            latency,
        })
}

/// Runs the callers on a rate limit above a concurrency limit, then asserts that neither has lost a
/// departure or a permit.
async fn run(callers: Callers) {
    let quota = Quota::per_second(1_000);
    let server = Server::new(millis(callers.latency), |_| status(200));
    let stack = RateLimitLayer::new(quota)
        .layer(ConcurrencyLayer::new(callers.permits).layer(server.clone()));
    let mut parked: Vec<_> = (0..callers.parked)
        .map(|_| Box::pin(stack.clone().call(get())))
        .collect();
    for head in &mut parked {
        assert!(
            head.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    let mut kept = JoinSet::new();
    let mut cancelled = JoinSet::new();
    for polls in &callers.polls {
        let call = stack.clone().oneshot(get());
        let future = Box::pin(async move { drop(call.await.unwrap()) });
        match *polls {
            None => drop(kept.spawn(future)),
            Some(polls_left) => drop(cancelled.spawn(PollLimited { future, polls_left })),
        }
    }
    let all = async { tokio::join!(kept.join_all(), cancelled.join_all()) };
    let finished = tokio::time::timeout(Duration::from_secs(60), all).await;
    assert!(finished.is_ok(), "a waiter was never woken: {callers:?}");
    assert_nothing_lost(&stack, &callers).await;
    drop(parked);
}

/// Asserts that every permit is available and that new requests depart at the full rate, though the
/// parked waiters still exist.
async fn assert_nothing_lost<S>(stack: &S, callers: &Callers)
where
    S: Service<Request<String>> + Clone,
    S::Error: std::fmt::Debug,
{
    tokio::time::sleep(Duration::from_secs(5)).await;
    let start = now();
    let mut responses = Vec::new();
    for _ in 0..callers.permits {
        responses.push(stack.clone().oneshot(get()).await.unwrap());
    }
    let each = millis(callers.latency + 3) + GRACE;
    assert!(
        now() - start <= each * (callers.permits as u32 + 1),
        "{callers:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn cancelled_and_parked_waiters_stop_no_other_and_lose_no_permit(callers in callers()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(run(callers));
    }
}

/// 2,000 by default, which takes some seconds. `PROPTEST_CASES` sets another number.
fn cases() -> u32 {
    let set = std::env::var("PROPTEST_CASES");
    set.ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(2_000)
}
