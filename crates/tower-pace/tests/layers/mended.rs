//! Defects that were found in the line once, each kept from coming back.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use http::{Request, Response};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_test::{assert_pending, assert_ready, task};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt};
use tower_pace::{Adaptive, Concurrency, ConcurrencyLayer, Quota, RateLimitLayer};
use tower_test::mock;

use crate::server::{
    Server, get, millis, now, on_a_paused_runtime, status, status_with_retry_after,
};

const GRACE: Duration = Duration::from_millis(5);

fn ten_a_minute() -> RateLimitLayer {
    RateLimitLayer::new(Quota::new(10, Duration::from_secs(60)).unwrap())
}

fn one_permit() -> Concurrency<Server> {
    ConcurrencyLayer::new(1).layer(Server::ok())
}

/// The way of many executors: whoever holds a waker holds the task.
struct Task(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// Dropping the last waker of a task drops its future, which leaves the line: that must not need a
/// lock that is held.
#[test]
fn the_last_waker_of_a_task_is_dropped_without_a_lock() {
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || {
        on_a_paused_runtime(async {
            let service = one_permit();
            let mut holder = service.clone();
            ServiceExt::<Request<String>>::ready(&mut holder)
                .await
                .unwrap();
            let call = service.clone().oneshot(get());
            let task = Arc::new(Task(Mutex::new(Some(Box::pin(
                async move { drop(call.await) },
            )))));
            let waker = Waker::from(Arc::clone(&task));
            let mut cx = Context::from_waker(&waker);
            let polled = task
                .0
                .lock()
                .unwrap()
                .as_mut()
                .unwrap()
                .as_mut()
                .poll(&mut cx);
            assert!(polled.is_pending());
            drop((waker, task, holder));
            tokio::time::sleep(millis(150)).await;
            service.oneshot(get()).await.unwrap();
        });
        done.send(()).unwrap();
    });
    assert!(
        finished.recv_timeout(Duration::from_secs(10)).is_ok(),
        "deadlock"
    );
}

#[tokio::test(start_paused = true)]
async fn waiters_that_have_long_been_absent_cost_a_newcomer_nothing() {
    let mut service = ten_a_minute().layer(Server::ok());
    let mut parked: Vec<_> = (0..10).map(|_| task::spawn(service.call(get()))).collect();
    for waiter in &mut parked {
        assert_pending!(waiter.poll());
    }
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let start = now();
    service.oneshot(get()).await.unwrap();
    assert_eq!(now(), start);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_was_stuck_before_is_woken_for_its_turn() {
    let layer = ConcurrencyLayer::new(1);
    let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
    handle.allow(0);
    let (mut stuck, mut other) = (layer.layer(mock), layer.layer(Server::ok()));
    let mut waiting = task::spawn(poll_fn(move |cx| stuck.poll_ready(cx)));
    assert_pending!(waiting.poll());
    ServiceExt::<Request<String>>::ready(&mut other)
        .await
        .unwrap();
    handle.allow(1);
    assert_pending!(waiting.poll());
    drop(other);
    assert!(waiting.is_woken());
}

/// tower's own limit hands a permit to whoever asked first: a request must not keep it while a gate
/// is closed.
#[tokio::test(start_paused = true)]
async fn what_readiness_reserved_goes_back_while_the_gate_is_closed() {
    let server = Server::new(millis(100), |n| match n {
        0 => status_with_retry_after(429, 60),
        _ => status(200),
    });
    let inner = ConcurrencyLimit::new(server, 1);
    let limited = RateLimitLayer::new(Quota::per_second(100)).layer(inner.clone());
    let refused = tokio::spawn(limited.clone().oneshot(get()));
    tokio::time::sleep(millis(50)).await;
    let _waiting = tokio::spawn(limited.oneshot(get()));
    refused.await.unwrap().unwrap();
    let start = now();
    inner.oneshot(get()).await.unwrap();
    assert!(now() - start <= millis(101), "{:?}", now() - start);
}

#[test]
fn a_service_that_waited_in_one_runtime_waits_in_another() {
    let service = one_permit();
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

#[tokio::test(start_paused = true)]
async fn a_future_whose_inner_service_failed_holds_up_nobody() {
    let layer = ten_a_minute();
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

/// While only an answer can make room, one parked head costs 100 ms and a grace, and every answer
/// looks for it.
#[tokio::test(start_paused = true)]
async fn later_answers_pass_over_a_head_that_does_not_come() {
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

struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_loses_no_permit() {
    let layer = ConcurrencyLayer::new(2);
    let service = layer.layer(Server::ok());
    let mut holders = [service.clone(), service.clone()];
    for holder in &mut holders {
        ServiceExt::<Request<String>>::ready(holder).await.unwrap();
    }
    let mut first = task::spawn(service.clone().oneshot(get()));
    assert_pending!(first.poll());
    let mut second = Box::pin(service.clone().oneshot(get()));
    let panicking = Waker::from(Arc::new(Panicking));
    assert!(
        second
            .as_mut()
            .poll(&mut Context::from_waker(&panicking))
            .is_pending()
    );
    drop(holders);
    let claimed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| first.poll()));
    assert!(claimed.is_err(), "its claim wakes the next one");
    drop((first, second));
    let mut both = [service.clone(), service];
    for ready in &mut both {
        assert!(
            timeout(millis(1), ServiceExt::<Request<String>>::ready(ready))
                .await
                .is_ok()
        );
    }
}

/// The bodies are still to come, so that no permit is given back: it is the limit that has grown.
#[tokio::test(start_paused = true)]
async fn a_limit_that_grows_lets_in_who_waits_at_once() {
    let server = Server::new(millis(10), |_| Response::new(String::from("to be read")));
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 64));
    let service = layer.layer(server.clone());
    let (mut tasks, start) = (JoinSet::new(), now());
    for _ in 0..15 {
        tasks.spawn(service.clone().oneshot(get()));
    }
    let unread = tasks.join_all().await;
    assert_eq!(layer.handle().snapshot().in_flight, unread.len());
    assert!(server.calls()[10] - start <= millis(12));
}

/// A semaphore hands a permit to whoever stands in its line, and a future that has failed may live
/// on.
#[tokio::test(start_paused = true)]
async fn a_request_that_was_refused_waits_for_nothing_any_more() {
    let limit = ConcurrencyLimit::new(Server::ok(), 1);
    let mut holder = limit.clone();
    ServiceExt::<Request<String>>::ready(&mut holder)
        .await
        .unwrap();
    let layer = RateLimitLayer::new(Quota::per_second(100)).max_wait(millis(300));
    let mut call = task::spawn(layer.layer(limit.clone()).call(get()));
    assert_pending!(call.poll());
    for wait in [20, 280] {
        tokio::time::sleep(millis(wait)).await;
        let polled = call.poll();
        assert_eq!(polled.is_ready(), wait == 280);
    }
    drop(holder);
    let other = timeout(millis(1), limit.oneshot(get())).await;
    other.expect("the permit is free").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_refused_at_once_waits_for_nothing_either() {
    let limit = ConcurrencyLimit::new(Server::ok(), 1);
    let mut holder = limit.clone();
    ServiceExt::<Request<String>>::ready(&mut holder)
        .await
        .unwrap();
    let layer = RateLimitLayer::new(Quota::per_second(100)).fail_fast();
    let mut call = task::spawn(layer.layer(limit.clone()).call(get()));
    assert_ready!(call.poll()).unwrap_err();
    drop(holder);
    let other = timeout(millis(1), limit.oneshot(get())).await;
    other.expect("the permit is free").unwrap();
}
