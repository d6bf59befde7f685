//! Wakers that call the same layer when they are woken and when they are dropped, and wakers that
//! panic.
//!
//! Cloning a waker runs its own code only if it has a raw vtable, which is unsafe. A `Wake` is
//! cloned as its `Arc` is, which no test of this crate can observe. The wait queue clones a waker
//! before it acquires its lock.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::timeout;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer};
use tower_test::mock;

use crate::support::{Server, get, millis, on_a_paused_runtime};

/// Runs `action` each time it is woken and when it is dropped.
struct Reentrant {
    action: Box<dyn Fn() + Send + Sync>,
    woken: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        (self.action)();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        (self.action)();
    }
}

/// Makes wakers that poll a new call of `service` once and drop it.
struct Wakers<S> {
    service: S,
    woken: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl<S> Wakers<S>
where
    S: Service<Request<String>> + Clone + Send + Sync + 'static,
{
    fn new(service: &S) -> Self {
        Self {
            service: service.clone(),
            woken: Arc::default(),
            dropped: Arc::default(),
        }
    }

    fn make(&self) -> Waker {
        let service = self.service.clone();
        let action = move || {
            let mut call = Box::pin(service.clone().oneshot(get()));
            let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        };
        Waker::from(Arc::new(Reentrant {
            action: Box::new(action),
            woken: Arc::clone(&self.woken),
            dropped: Arc::clone(&self.dropped),
        }))
    }

    /// Polls with a waker that is dropped afterwards: only the wait queue keeps a clone of it.
    fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        let waker = self.make();
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    fn seen(&self) -> (usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&self.woken), count(&self.dropped))
    }
}

/// Fails if `work` does not end: if a lock is held where a waker runs, one thread acquires it
/// twice.
fn without_a_deadlock(work: impl Future<Output = ()> + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        on_a_paused_runtime(work);
        done.send(()).unwrap();
    });
    let ended = ended.recv_timeout(Duration::from_secs(20));
    ended.expect("neither a deadlock nor a panic");
}

/// Enqueues two calls, polls one with another waker, releases what they wait for with `release`,
/// lets the head become absent and polls again.
async fn check_every_state<S, D>(service: S, release: impl FnOnce() -> D)
where
    S: Service<Request<String>> + Clone + Send + Sync + 'static,
{
    let wakers = Wakers::new(&service);
    let mut first = Box::pin(service.clone().oneshot(get()));
    let mut second = Box::pin(service.clone().oneshot(get()));
    assert!(wakers.poll(&mut first).is_pending() && wakers.poll(&mut second).is_pending());
    let (_, before) = wakers.seen();
    assert!(wakers.poll(&mut first).is_pending());
    assert_eq!(wakers.seen(), (0, before + 1), "the old waker is dropped");
    let released = release();
    tokio::time::sleep(millis(50)).await;
    assert!(wakers.poll(&mut second).is_ready() || wakers.poll(&mut first).is_ready());
    drop((first, second, released));
    let (woken, dropped) = wakers.seen();
    assert!(woken > 0 && dropped > before + 1, "{woken}, {dropped}");
}

#[test]
fn a_waker_may_call_the_concurrency_limit_that_wakes_or_drops_it() {
    for layer in [
        ConcurrencyLayer::new(1),
        ConcurrencyLayer::adaptive(Adaptive::between(1, 1)),
    ] {
        without_a_deadlock(async move {
            let service = layer.layer(Server::ok());
            let mut holder = service.clone();
            let ready = ServiceExt::<Request<String>>::ready(&mut holder).await;
            assert!(ready.is_ok());
            check_every_state(service, move || drop(holder)).await;
        });
    }
}

#[test]
fn a_waker_may_call_the_rate_limit_that_wakes_or_drops_it() {
    without_a_deadlock(async {
        let layer = RateLimitLayer::new(Quota::per_second(50));
        let service = layer.layer(Server::ok());
        let handle = layer.handle();
        handle.pause();
        check_every_state(service, move || handle.resume()).await;
    });
}

#[test]
fn the_waker_of_a_rejected_call_may_call_the_same_layer() {
    without_a_deadlock(async {
        let service = RateLimitLayer::new(Quota::per_second(1))
            .fail_fast()
            .layer(Server::ok());
        service.clone().oneshot(get()).await.ok();
        let wakers = Wakers::new(&service);
        let mut rejected = Box::pin(service.oneshot(get()));
        assert!(wakers.poll(&mut rejected).is_ready());
        assert!(wakers.seen().1 > 0);
    });
}

#[test]
fn the_waker_of_a_stuck_waiter_may_call_the_same_layer() {
    without_a_deadlock(async {
        let (mock, mut handle) = mock::pair::<Request<String>, Response<String>>();
        handle.allow(0);
        let layer = RateLimitLayer::new(Quota::per_second(100));
        let service = layer.layer(mock);
        let wakers = Wakers::new(&layer.layer(Server::ok()));
        let mut stuck = Box::pin(service.oneshot(get()));
        for _ in 0..2 {
            assert!(wakers.poll(&mut stuck).is_pending());
            tokio::time::sleep(millis(50)).await;
        }
        drop((stuck, handle));
        assert!(wakers.seen().1 > 1);
    });
}

/// A task as many executors have it: its wakers own its future.
struct Task(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Task {
    fn poll(&self, waker: &Waker) -> Poll<()> {
        let mut future = self.0.lock().unwrap();
        let future = future.as_mut().expect("the future was not dropped");
        future.as_mut().poll(&mut Context::from_waker(waker))
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// Dropping the last waker of a task drops its future, which releases its position: the lock must
/// not be held then.
#[test]
fn the_last_waker_of_a_task_is_dropped_without_the_lock() {
    without_a_deadlock(async {
        let service = ConcurrencyLayer::new(1).layer(Server::ok());
        let mut holder = service.clone();
        ServiceExt::<Request<String>>::ready(&mut holder)
            .await
            .unwrap();
        let call = service.clone().oneshot(get());
        let task = Arc::new(Task(Mutex::new(Some(Box::pin(
            async move { drop(call.await) },
        )))));
        let waker = Waker::from(Arc::clone(&task));
        assert!(task.poll(&waker).is_pending());
        drop((waker, task, holder));
        tokio::time::sleep(millis(150)).await;
        service.oneshot(get()).await.unwrap();
    });
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
    let acquired = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| first.poll()));
    assert!(acquired.is_err(), "acquiring wakes the next waiter");
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
