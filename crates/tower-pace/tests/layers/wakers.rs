//! Wakers that call the same layer when they are woken and when they are dropped.
//!
//! The clone of a waker runs code of its own only if it is made of a raw vtable, which is unsafe; a
//! `Wake` is cloned as its `Arc` is, and no test of this crate can see that. The line clones a
//! waker before it takes its lock.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer};
use tower_test::mock;

use crate::server::{Server, get, millis, on_a_paused_runtime};

/// Calls the layer, or whatever it was given to do, each time it is woken or dropped.
struct Reentrant {
    again: Box<dyn Fn() + Send + Sync>,
    woken: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        (self.again)();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        (self.again)();
    }
}

/// Makes wakers that poll a fresh call of `service` once and drop it.
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
        let again = move || {
            let mut call = Box::pin(service.clone().oneshot(get()));
            let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        };
        Waker::from(Arc::new(Reentrant {
            again: Box::new(again),
            woken: Arc::clone(&self.woken),
            dropped: Arc::clone(&self.dropped),
        }))
    }

    /// Polls with a waker of which only the line keeps a clone.
    fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        let waker = self.make();
        std::pin::Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    fn seen(&self) -> (usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&self.woken), count(&self.dropped))
    }
}

/// Fails if it does not end: a lock that is held where a waker runs is taken twice by one thread.
fn without_a_deadlock(work: impl Future<Output = ()> + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        on_a_paused_runtime(work);
        done.send(()).unwrap();
    });
    let ended = ended.recv_timeout(Duration::from_secs(20));
    ended.expect("neither a deadlock nor a panic");
}

/// Waits, waits again with another waker, is woken, is passed over, comes back and leaves.
async fn go_through_all<S, D>(service: S, give_back: impl FnOnce() -> D)
where
    S: Service<Request<String>> + Clone + Send + Sync + 'static,
{
    let wakers = Wakers::new(&service);
    let mut first = Box::pin(service.clone().oneshot(get()));
    let mut second = Box::pin(service.clone().oneshot(get()));
    assert!(wakers.poll(&mut first).is_pending() && wakers.poll(&mut second).is_pending());
    let (_, before) = wakers.seen();
    assert!(wakers.poll(&mut first).is_pending());
    assert_eq!(wakers.seen(), (0, before + 1), "the old one is dropped");
    let back = give_back();
    tokio::time::sleep(millis(50)).await;
    assert!(wakers.poll(&mut second).is_ready() || wakers.poll(&mut first).is_ready());
    drop((first, second, back));
    let (woken, dropped) = wakers.seen();
    assert!(woken > 0 && dropped > before + 1, "{woken}, {dropped}");
}

#[test]
fn of_those_who_wait_for_a_permit() {
    for layer in [
        ConcurrencyLayer::new(1),
        ConcurrencyLayer::adaptive(Adaptive::between(1, 1)),
    ] {
        without_a_deadlock(async move {
            let service = layer.layer(Server::ok());
            let mut holder = service.clone();
            let ready = ServiceExt::<Request<String>>::ready(&mut holder).await;
            assert!(ready.is_ok());
            go_through_all(service, move || drop(holder)).await;
        });
    }
}

#[test]
fn of_those_who_wait_for_a_departure() {
    without_a_deadlock(async {
        let layer = RateLimitLayer::new(Quota::per_second(50));
        let service = layer.layer(Server::ok());
        let handle = layer.handle();
        handle.pause();
        go_through_all(service, move || handle.resume()).await;
    });
}

#[test]
fn of_those_who_are_refused() {
    without_a_deadlock(async {
        let service = RateLimitLayer::new(Quota::per_second(1))
            .fail_fast()
            .layer(Server::ok());
        service.clone().oneshot(get()).await.ok();
        let wakers = Wakers::new(&service);
        let mut refused = Box::pin(service.oneshot(get()));
        assert!(wakers.poll(&mut refused).is_ready());
        assert!(wakers.seen().1 > 0);
    });
}

#[test]
fn of_those_whose_inner_service_is_not_ready() {
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
