//! The delay that absent waiters cause to those behind them, on paused time.
//!
//! A parked future was polled once and is not polled again. When it does not poll within its grace,
//! the wait queue passes over it as absent.

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

use crate::support::{Server, get, millis, now, status};

/// The delay that one parked future causes, at most: a grace.
const GRACE: Duration = millis(5);

/// Quotas with intervals of 1 s, of 3.6 s and of 10 ms: longer than a grace.
fn slow() -> [Quota; 3] {
    [
        Quota::per_minute(60),
        Quota::per_hour(1_000),
        Quota::per_second(100),
    ]
}

/// Quotas with intervals below a grace.
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

/// Returns a limiter whose second request has just departed. The first one waits longer than the
/// others.
async fn warm(quota: Quota) -> RateLimit<Server> {
    let service = RateLimitLayer::new(quota).layer(Server::ok());
    for _ in 0..2 {
        service.clone().oneshot(get()).await.unwrap();
    }
    service
}

#[tokio::test(start_paused = true)]
async fn absent_waiters_at_the_head_of_a_rate_limit_delay_by_5_ms_each_and_once() {
    for quota in slow() {
        for parked in [1, 20, 200] {
            let service = warm(quota).await;
            let _parked = park(&service, parked);
            let start = now();
            service.clone().oneshot(get()).await.unwrap();
            let (took, expected) = (now() - start, quota.spacing() + GRACE * parked as u32);
            assert!(
                took <= expected + millis(12),
                "{parked} at {quota:?}: {took:?}, not {expected:?}"
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

/// The parked futures are behind `calls` calls and before as many.
#[tokio::test(start_paused = true)]
async fn absent_waiters_in_the_middle_of_a_rate_limit_delay_by_at_most_5_ms_each() {
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
            let expected = quota.spacing() * 2 * calls as u32 + GRACE * parked as u32;
            assert!(
                took <= expected + millis(15),
                "{parked} at {quota:?}: {took:?}, not {expected:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn absent_waiters_at_the_head_of_a_concurrency_limit_delay_by_5_ms_each_and_100_ms_once() {
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
        let (took, expected) = (now() - start, GRACE * parked as u32 + millis(100));
        assert!(
            took <= expected + millis(12),
            "{parked}: {took:?}, not {expected:?}"
        );
        let again = now();
        call_at_once(service, 50).await;
        assert!(now() - again <= millis(50 + 5), "{:?}", now() - again);
    }
}

/// A new caller polls when the grace of the woken waiter is over. It wakes the queue, so the others
/// that are absent are passed over too.
#[tokio::test(start_paused = true)]
async fn a_new_caller_passes_over_all_absent_waiters_at_the_head() {
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
        tokio::time::sleep(GRACE).await;
        let new = tokio::spawn(service.oneshot(get()));
        live.await.unwrap().unwrap();
        let (took, expected) = (now() - start, (GRACE + millis(1)) * parked as u32);
        assert!(
            took <= expected + millis(3),
            "{parked}: {took:?}, not {expected:?}"
        );
        new.await.unwrap().unwrap();
    }
}

/// Permits are released faster than the waiters could forecast when they were enqueued.
#[tokio::test(start_paused = true)]
async fn absent_waiters_in_the_middle_of_a_concurrency_limit_delay_by_a_bounded_time() {
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
        let (took, expected) = (now() - start, millis(2_000) + GRACE * parked as u32);
        assert!(
            took <= expected + GRACE * (2 * parked as u32) + millis(320),
            "{parked}: {took:?}, not {expected:?}"
        );
    }
}

/// Operations on a handle before its limit is raised.
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

/// Applies `before` to a limit and raises the limit after `pause`. Returns the time from then until
/// the last of `live` calls, which are behind `parked` futures, has departed.
async fn time_after_a_limit_was_raised(
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

/// The timers of all waiters are minutes away. The next waiter may have been woken already.
#[tokio::test(start_paused = true)]
async fn absent_waiters_of_a_raised_limit_delay_by_5_ms_each() {
    for (step, before) in BEFORE.into_iter().enumerate() {
        for pause in [0, 3, 20].map(millis) {
            check_raised_limit_delays_by_5_ms_each(Quota::per_hour(20), before, pause, step).await;
        }
    }
}

/// The timers of all waiters are some seconds away.
#[tokio::test(start_paused = true)]
async fn absent_waiters_of_a_slightly_raised_limit_delay_by_5_ms_each() {
    for limit in [600, 60, 40, 25].map(Quota::per_minute) {
        for (step, before) in BEFORE[..3].iter().enumerate() {
            check_raised_limit_delays_by_5_ms_each(limit, *before, Duration::ZERO, step).await;
        }
    }
}

async fn check_raised_limit_delays_by_5_ms_each(
    limit: Quota,
    before: fn(&Handle),
    pause: Duration,
    step: usize,
) {
    for (parked, live) in [(1, 1), (20, 3), (30, 1), (200, 10)] {
        let alone = time_after_a_limit_was_raised(limit, before, pause, 0, live).await;
        let expected = alone + GRACE * parked as u32;
        let took = time_after_a_limit_was_raised(limit, before, pause, parked, live).await;
        assert!(
            took <= expected + millis(12),
            "{limit:?} {step} {pause:?} {parked}: {took:?}, not {expected:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn absent_waiters_do_not_delay_a_new_caller_an_hour_later() {
    let mut service = RateLimitLayer::new(Quota::per_minute(10)).layer(Server::ok());
    let mut parked: Vec<_> = (0..10).map(|_| task::spawn(service.call(get()))).collect();
    for waiter in &mut parked {
        assert_pending!(waiter.poll());
    }
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let start = now();
    service.oneshot(get()).await.unwrap();
    assert_eq!(now(), start);
}

/// While only a release can wake a waiter, one parked head delays by 100 ms and a grace. Each later
/// release checks whether its grace is over.
#[tokio::test(start_paused = true)]
async fn later_releases_pass_over_an_absent_head() {
    let service = ConcurrencyLayer::new(2).layer(Server::ok());
    let mut holders = [service.clone(), service.clone()];
    for holder in &mut holders {
        ServiceExt::<Request<String>>::ready(holder).await.unwrap();
    }
    let mut parked = task::spawn(service.clone().oneshot(get()));
    assert_pending!(parked.poll());
    let live = tokio::spawn(service.oneshot(get()));
    tokio::task::yield_now().await;
    let [first, second] = holders;
    drop(first);
    let start = now();
    tokio::time::sleep(GRACE).await;
    drop(second);
    live.await.unwrap().unwrap();
    assert!(now() - start <= GRACE + millis(1), "{:?}", now() - start);
}

#[tokio::test(start_paused = true)]
async fn an_absent_waiter_that_polls_again_keeps_its_position() {
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

/// Returns the number of polls of the futures of `callers` callers until `served` of them are
/// served, and the time that it takes.
async fn polls<S>(service: S, callers: usize, served: usize) -> (usize, Duration)
where
    S: Service<Request<String>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    let (count, start) = (Arc::new(AtomicUsize::new(0)), now());
    let mut calls = JoinSet::new();
    for _ in 0..callers {
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

const CALLERS: usize = 10_000;

/// Departures follow the forecast, so each waiter polls when it is enqueued, when it is next and
/// when it departs.
#[tokio::test(start_paused = true)]
async fn ten_thousand_waiters_of_a_fast_limit_poll_a_few_times_each() {
    for quota in fast() {
        let service = RateLimitLayer::new(quota).layer(Server::ok());
        let (polls, took) = polls(service, CALLERS, CALLERS).await;
        assert!(polls <= CALLERS * 4, "{quota:?}: {polls} in {took:?}");
    }
}

/// The fallback timer of a waiter is its rank times a grace, so the n-th waiter polls once in n
/// graces.
#[tokio::test(start_paused = true)]
async fn ten_thousand_waiters_of_a_slow_limit_poll_some_hundred_times_per_second_in_all() {
    for (quota, served) in slow().into_iter().zip([30, 10, 1_000]) {
        let service = RateLimitLayer::new(quota).layer(Server::ok());
        let (polls, took) = polls(service, CALLERS, served).await;
        let graces = took.div_duration_f64(GRACE);
        let bound = graces * (1.0 + (CALLERS as f64).ln());
        let fallbacks = polls - CALLERS - 2 * served;
        assert!(
            fallbacks as f64 <= bound,
            "{quota:?}: {fallbacks} in {took:?}, not {bound}"
        );
    }
}

/// The release of permits has no forecast, so the waiters behind the head are woken earlier where
/// permits are released fast.
#[tokio::test(start_paused = true)]
async fn ten_thousand_waiters_for_permits_poll_a_few_times_each() {
    for permits in [1, 32] {
        let server = Server::new(millis(1), |_| status(200));
        let service = ConcurrencyLayer::new(permits).layer(server);
        let (polls, took) = polls(service, CALLERS, CALLERS).await;
        assert!(polls <= CALLERS * 5, "{permits}: {polls} in {took:?}");
    }
}
