//! How a request gets its turn, with parked, stuck, slow and vanishing waiters.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Request;
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer};
use tower_test::mock;

use crate::server::{Server, get, millis, now, status};

const GRACE: Duration = Duration::from_millis(5);

/// One acquire that nobody drives stops every other one in some limiters.
#[tokio::test(start_paused = true)]
async fn parked_waiters_cost_a_live_one_at_most_a_grace_each() {
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
        let fair = interval * (parked + 1);
        assert!(
            elapsed <= fair + GRACE * parked + millis(1),
            "{parked}: {elapsed:?}"
        );
        let again = now();
        for _ in 0..10 {
            service.clone().oneshot(get()).await.unwrap();
        }
        assert!(
            now() - again <= interval * 10 + millis(1),
            "they cost it once"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_waiter_that_comes_back_has_its_old_place() {
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
async fn a_stuck_inner_service_stops_only_its_own_lane() {
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let (stuck, mut handle) = mock::pair::<Request<String>, http::Response<String>>();
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
    let fair = Quota::per_second(100).spacing() * 50;
    assert!(
        now() - start <= fair + GRACE + millis(2),
        "{:?}",
        now() - start
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_wakes_the_one_behind() {
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
async fn ten_thousand_a_second_leave_though_timers_tick_by_the_millisecond() {
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

/// A future that is polled by hand so often and then never again, or dropped.
struct Caller {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    polls_left: usize,
}

impl Future for Caller {
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
struct Crowd {
    parked: usize,
    /// How many polls each of the others survives; `None` for one that stays to the end.
    polls: Vec<Option<usize>>,
    permits: usize,
    latency: u64,
}

fn crowds() -> impl Strategy<Value = Crowd> {
    let polls = prop_oneof![2 => Just(None), 1 => (0_usize..6).prop_map(Some)];
    (
        0_usize..20,
        prop::collection::vec(polls, 100),
        1_usize..12,
        0_u64..30,
    )
        .prop_map(|(parked, polls, permits, latency)| Crowd {
            parked,
            polls,
            permits,
            latency,
        })
}

/// Runs a crowd on one limiter and one bound, and then checks that neither has lost anything.
async fn run(crowd: Crowd) {
    let quota = Quota::per_second(1_000);
    let server = Server::new(millis(crowd.latency), |_| status(200));
    let stack = RateLimitLayer::new(quota)
        .layer(ConcurrencyLayer::new(crowd.permits).layer(server.clone()));
    let mut parked: Vec<_> = (0..crowd.parked)
        .map(|_| Box::pin(stack.clone().call(get())))
        .collect();
    for head in &mut parked {
        assert!(
            head.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
    }
    let mut staying = JoinSet::new();
    let mut leaving = JoinSet::new();
    for polls in &crowd.polls {
        let call = stack.clone().oneshot(get());
        let future = Box::pin(async move { drop(call.await.unwrap()) });
        match *polls {
            None => drop(staying.spawn(future)),
            Some(polls_left) => drop(leaving.spawn(Caller { future, polls_left })),
        }
    }
    let everyone = async { tokio::join!(staying.join_all(), leaving.join_all()) };
    let finished = tokio::time::timeout(Duration::from_secs(60), everyone).await;
    assert!(finished.is_ok(), "somebody waits for ever: {crowd:?}");
    assert_nothing_lost(&stack, &crowd).await;
    drop(parked);
}

/// Every permit is free, and the line lets newcomers through at the full rate, though the parked
/// are still there.
async fn assert_nothing_lost<S>(stack: &S, crowd: &Crowd)
where
    S: Service<Request<String>> + Clone,
    S::Error: std::fmt::Debug,
{
    tokio::time::sleep(Duration::from_secs(5)).await;
    let start = now();
    let mut responses = Vec::new();
    for _ in 0..crowd.permits {
        responses.push(stack.clone().oneshot(get()).await.unwrap());
    }
    let each = millis(crowd.latency + 3) + GRACE;
    assert!(
        now() - start <= each * (crowd.permits as u32 + 1),
        "{crowd:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_leaves_or_parks_the_others_finish_and_nothing_is_lost(crowd in crowds()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(run(crowd));
    }
}

/// 2,000 by default, in some seconds; `PROPTEST_CASES` sets another number.
fn cases() -> u32 {
    let set = std::env::var("PROPTEST_CASES");
    set.ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(2_000)
}
