//! What futures that were polled once and are not polled again cost those behind them, on paused
//! time.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::Request;
use tokio::task::JoinSet;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{ConcurrencyLayer, Handle, Quota, RateLimit, RateLimitLayer};

use crate::server::{Server, get, millis, now, status};

/// What a parked future costs, at most.
const EACH: Duration = millis(5);

/// Of a second, of seconds and of 10 ms: longer than a grace.
fn slow() -> [Quota; 3] {
    [
        Quota::per_minute(60),
        Quota::per_hour(1_000),
        Quota::per_second(100),
    ]
}

/// Of less than a grace.
fn fast() -> [Quota; 2] {
    [Quota::per_second(1_000), Quota::per_second(10_000)]
}

type Parked = Pin<Box<dyn Future<Output = ()> + Send>>;

fn park<S>(service: &S, parked: usize) -> Vec<Parked>
where
    S: Service<Request<String>, Future: Send> + Clone + Send + 'static,
{
    let mut cx = Context::from_waker(Waker::noop());
    let calls = (0..parked).map(|_| {
        let call = service.clone().oneshot(get());
        let mut call: Parked = Box::pin(async move { drop(call.await) });
        assert!(call.as_mut().poll(&mut cx).is_pending());
        call
    });
    calls.collect()
}

async fn call_at_once<S>(service: S, calls: usize)
where
    S: Service<Request<String>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let mut live = JoinSet::new();
    for _ in 0..calls {
        let call = service.clone().oneshot(get());
        live.spawn(async move { drop(call.await.unwrap()) });
    }
    live.join_all().await;
}

/// A limiter that has just let a request leave. It is not the first: that one takes a place further
/// ahead.
async fn warm(quota: Quota) -> RateLimit<Server> {
    let service = RateLimitLayer::new(quota).layer(Server::ok());
    for _ in 0..2 {
        service.clone().oneshot(get()).await.unwrap();
    }
    service
}

#[tokio::test(start_paused = true)]
async fn at_the_head_of_a_rate_limit_they_cost_5_ms_each_and_once() {
    for quota in slow() {
        for parked in [1, 20, 200] {
            let service = warm(quota).await;
            let _parked = park(&service, parked);
            let start = now();
            service.clone().oneshot(get()).await.unwrap();
            let (took, fair) = (now() - start, quota.spacing() + EACH * parked as u32);
            assert!(
                took <= fair + millis(12),
                "{parked} at {quota:?}: {took:?}, not {fair:?}"
            );
            let again = now();
            for _ in 0..5 {
                service.clone().oneshot(get()).await.unwrap();
            }
            let took = now() - again;
            assert!(took <= quota.spacing() * 5 + millis(12), "{took:?}");
        }
    }
}

/// Calls that wait before those that park, and as many behind them.
#[tokio::test(start_paused = true)]
async fn in_the_middle_of_a_rate_limit_they_cost_5_ms_each_at_most() {
    let slow = slow().map(|quota| (quota, 20));
    for (quota, calls) in slow.into_iter().chain(fast().map(|quota| (quota, 300))) {
        for parked in [1, 20, 200] {
            let service = warm(quota).await;
            let start = now();
            let before = tokio::spawn(call_at_once(service.clone(), calls));
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            let _parked = park(&service, parked);
            call_at_once(service, calls).await;
            before.await.unwrap();
            let took = now() - start;
            let fair = quota.spacing() * 2 * calls as u32 + EACH * parked as u32;
            assert!(
                took <= fair + millis(15),
                "{parked} at {quota:?}: {took:?}, not {fair:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn before_a_permit_they_cost_5_ms_each_and_up_to_100_ms_and_once() {
    for parked in [1, 20, 200] {
        let service = ConcurrencyLayer::new(1).layer(Server::new(millis(1), |_| status(200)));
        let mut holder = service.clone();
        assert!(
            ServiceExt::<Request<String>>::ready(&mut holder)
                .await
                .is_ok()
        );
        let _parked = park(&service, parked);
        let live = tokio::spawn(service.clone().oneshot(get()));
        tokio::task::yield_now().await;
        let start = now();
        drop(holder);
        live.await.unwrap().unwrap();
        let (took, fair) = (now() - start, EACH * parked as u32 + millis(100));
        assert!(
            took <= fair + millis(12),
            "{parked}: {took:?}, not {fair:?}"
        );
        let again = now();
        call_at_once(service, 50).await;
        assert!(now() - again <= millis(50 + 5), "{:?}", now() - again);
    }
}

/// A newcomer that asks when the one who was woken is missed looks after all others who do not
/// come.
#[tokio::test(start_paused = true)]
async fn one_who_sees_that_they_are_absent_passes_over_all_before_those_who_come() {
    for parked in [1, 4, 20] {
        let layer = ConcurrencyLayer::new(1);
        let service = layer.layer(Server::ok());
        let mut holder = service.clone();
        assert!(
            ServiceExt::<Request<String>>::ready(&mut holder)
                .await
                .is_ok()
        );
        let _parked = park(&service, parked);
        let live = tokio::spawn(service.clone().oneshot(get()));
        tokio::task::yield_now().await;
        let start = now();
        drop(holder);
        tokio::time::sleep(EACH).await;
        let newcomer = tokio::spawn(service.oneshot(get()));
        live.await.unwrap().unwrap();
        let (took, fair) = (now() - start, (EACH + millis(1)) * parked as u32);
        assert!(took <= fair + millis(3), "{parked}: {took:?}, not {fair:?}");
        newcomer.await.unwrap().unwrap();
    }
}

/// Permits come free faster than those who wait could know when they began to.
#[tokio::test(start_paused = true)]
async fn in_the_middle_before_a_permit_they_cost_a_bounded_time_as_well() {
    for parked in [1, 20, 200] {
        let server = Server::new(millis(1), |_| status(200));
        let service = ConcurrencyLayer::new(1).layer(server);
        let start = now();
        let before = tokio::spawn(call_at_once(service.clone(), 1_000));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let _parked = park(&service, parked);
        call_at_once(service, 1_000).await;
        before.await.unwrap();
        let (took, fair) = (now() - start, millis(2_000) + EACH * parked as u32);
        assert!(
            took <= fair + EACH * (2 * parked as u32) + millis(320),
            "{parked}: {took:?}, not {fair:?}"
        );
    }
}

/// What a handle does before it makes a limit faster.
const BEFORE: [fn(&Handle); 5] = [
    |_| {},
    Handle::resume,
    |handle| handle.penalize(millis(1)),
    |handle| handle.set_quota(Quota::per_hour(30)),
    |handle| {
        handle.pause();
        handle.resume();
    },
];

/// Returns the time from when a limit is made faster, some time after something else was done to
/// it, until the last of `live` has left, behind the `parked`.
async fn after_a_limit_was_made_faster(
    limit: Quota,
    before: fn(&Handle),
    pause: Duration,
    parked: usize,
    live: usize,
) -> Duration {
    let layer = RateLimitLayer::new(limit);
    let service = layer.layer(Server::ok());
    service.clone().oneshot(get()).await.unwrap();
    let _parked = park(&service, parked);
    let mut calls = JoinSet::new();
    for _ in 0..live {
        calls.spawn(service.clone().oneshot(get()));
    }
    tokio::task::yield_now().await;
    let _behind = park(&service, 50);
    before(&layer.handle());
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    let start = now();
    layer.handle().set_quota(Quota::per_second(100));
    calls.join_all().await;
    now() - start
}

/// Everyone was told of a departure in minutes, and would look then. The one who is next may have
/// been woken already.
#[tokio::test(start_paused = true)]
async fn before_a_limit_that_was_made_faster_they_cost_5_ms_each() {
    for (step, before) in BEFORE.into_iter().enumerate() {
        for pause in [0, 3, 20].map(millis) {
            made_faster_costs_5_ms_each(Quota::per_hour(20), before, pause, step).await;
        }
    }
}

/// Everyone was told of a departure in some seconds.
#[tokio::test(start_paused = true)]
async fn before_a_limit_that_was_made_a_little_faster_they_cost_5_ms_each() {
    for limit in [600, 60, 40, 25].map(Quota::per_minute) {
        for (step, before) in BEFORE[..3].iter().enumerate() {
            made_faster_costs_5_ms_each(limit, *before, Duration::ZERO, step).await;
        }
    }
}

async fn made_faster_costs_5_ms_each(
    limit: Quota,
    before: fn(&Handle),
    pause: Duration,
    step: usize,
) {
    for (parked, live) in [(1, 1), (20, 3), (30, 1), (200, 10)] {
        let alone = after_a_limit_was_made_faster(limit, before, pause, 0, live).await;
        let fair = alone + EACH * parked as u32;
        let took = after_a_limit_was_made_faster(limit, before, pause, parked, live).await;
        assert!(
            took <= fair + millis(12),
            "{limit:?} {step} {pause:?} {parked}: {took:?}, not {fair:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_has_its_old_place() {
    for quota in slow() {
        let server = Server::ok();
        let mut service = RateLimitLayer::new(quota).layer(server.clone());
        let mut parked: Vec<_> = (0..20).map(|_| task::spawn(service.call(get()))).collect();
        for call in &mut parked {
            assert_pending!(call.poll());
        }
        let mut live = JoinSet::new();
        for _ in 0..50 {
            live.spawn(service.clone().oneshot(get()));
        }
        live.join_next().await;
        let before = server.calls().len();
        while !parked.is_empty() {
            parked.retain_mut(|call| call.poll().is_pending());
            tokio::time::sleep(millis(1)).await;
        }
        let after = server.calls().len();
        assert!(after <= before + 22, "{quota:?}: {after} after {before}");
        live.join_all().await;
    }
}

/// Counts the polls of a future.
struct Counting<F> {
    future: Pin<Box<F>>,
    polls: Arc<AtomicUsize>,
}

impl<F: Future> Future for Counting<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.future.as_mut().poll(cx)
    }
}

/// Returns how often the futures of `crowd` callers are polled until `served` of them are served,
/// and in what time.
async fn polls<S>(service: S, crowd: usize, served: usize) -> (usize, Duration)
where
    S: Service<Request<String>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let (count, start) = (Arc::new(AtomicUsize::new(0)), now());
    let mut calls = JoinSet::new();
    for _ in 0..crowd {
        let call = service.clone().oneshot(get());
        calls.spawn(Counting {
            future: Box::pin(async move { drop(call.await.unwrap()) }),
            polls: Arc::clone(&count),
        });
    }
    for _ in 0..served {
        calls.join_next().await;
    }
    (count.load(Ordering::Relaxed), now() - start)
}

const CROWD: usize = 10_000;

/// Departures come as foreseen, so each waiter looks when it comes, when it is next and when it
/// departs.
#[tokio::test(start_paused = true)]
async fn ten_thousand_who_wait_for_a_fast_limit_look_a_few_times_each() {
    for quota in fast() {
        let service = RateLimitLayer::new(quota).layer(Server::ok());
        let (polls, took) = polls(service, CROWD, CROWD).await;
        assert!(polls <= CROWD * 4, "{quota:?}: {polls} in {took:?}");
    }
}

/// A waiter looks when its rank at the last look has passed in graces, so the n-th looks once in n
/// graces.
#[tokio::test(start_paused = true)]
async fn ten_thousand_who_wait_for_a_slow_limit_look_some_hundred_times_a_second_in_all() {
    for (quota, served) in slow().into_iter().zip([30, 10, 1_000]) {
        let service = RateLimitLayer::new(quota).layer(Server::ok());
        let (polls, took) = polls(service, CROWD, served).await;
        let graces = took.div_duration_f64(EACH);
        let bound = graces * (1.0 + (CROWD as f64).ln());
        let looks = polls - CROWD - 2 * served;
        assert!(
            looks as f64 <= bound,
            "{quota:?}: {looks} in {took:?}, not {bound}"
        );
    }
}

/// Nobody can foresee when permits come back, so those behind the head are hastened where they come
/// fast.
#[tokio::test(start_paused = true)]
async fn ten_thousand_who_wait_for_permits_look_a_few_times_each() {
    for permits in [1, 32] {
        let server = Server::new(millis(1), |_| status(200));
        let service = ConcurrencyLayer::new(permits).layer(server);
        let (polls, took) = polls(service, CROWD, CROWD).await;
        assert!(polls <= CROWD * 5, "{permits}: {polls} in {took:?}");
    }
}
