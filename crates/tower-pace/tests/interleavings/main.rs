//! Every interleaving of two or three threads that acquire, wait for and release permits.
//!
//! The sources of the wait queue and of the concurrency limit are compiled here a second time, with
//! loom's mutex and atomics, which try all orders. Time does not advance.

#![expect(dead_code, unused_imports, reason = "not all of it is needed here")]

mod sync;

#[path = "../../src/clock.rs"]
mod clock;
#[path = "../../src/concurrency/mod.rs"]
pub mod concurrency;
#[path = "../../src/deadline/mod.rs"]
pub mod deadline;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/wait/mod.rs"]
pub mod wait;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use concurrency::{Concurrency, ConcurrencyLayer};
use deadline::Deadline;
pub use error::{Error, Rejected};
use http::{Request, Response};
use loom::model::Builder;
use loom::thread;
use tokio_test::task::{Spawn, spawn};
use tower_layer::Layer;
use tower_service::Service;

/// Answers at once, without a body.
#[derive(Clone)]
struct Server;

impl Service<Request<()>> for Server {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

type Caller = Spawn<Concurrency<Server>>;

/// Returns a caller that has not been polled yet.
fn caller(layer: &ConcurrencyLayer) -> Caller {
    spawn(layer.layer(Server))
}

/// Polls the caller. Returns true if it has acquired a permit; otherwise it is queued.
fn acquires(caller: &mut Caller) -> bool {
    caller.enter(|cx, mut service| service.poll_ready(cx).is_ready())
}

fn holder(layer: &ConcurrencyLayer) -> Caller {
    let mut holder = caller(layer);
    assert!(acquires(&mut holder));
    holder
}

/// Asserts that no permit is held, no waiter is queued, and all permits can be acquired.
fn assert_all_are_available(layer: &ConcurrencyLayer) {
    let seen = layer.handle().snapshot();
    assert_eq!((seen.in_flight, seen.queued), (0, 0));
    let holders: Vec<_> = (0..seen.limit).map(|_| holder(layer)).collect();
    assert!(!acquires(&mut caller(layer)));
    drop(holders);
}

/// Runs `scenario` in every order of its threads with at most two preemptions.
fn in_all_orders(scenario: impl Fn() + Send + Sync + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(scenario);
}

#[test]
fn the_lock_is_not_acquired_while_the_wait_queue_is_empty() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let (first, mut second, mut third) = (holder(&layer), caller(&layer), caller(&layer));
        assert!(!acquires(&mut second));
        drop(second);
        let before = sync::acquisitions();
        drop(first);
        assert!(acquires(&mut third));
        assert_eq!(sync::acquisitions(), before);
    });
}

#[test]
fn a_released_permit_wakes_a_waiter_that_is_being_enqueued() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let (first, mut second) = (holder(&layer), caller(&layer));
        let releaser = thread::spawn(move || drop(first));
        let acquired = acquires(&mut second);
        releaser.join().unwrap();
        assert!(
            acquired != second.is_woken(),
            "either it acquired or it was woken, and not both"
        );
        assert!(acquires(&mut second));
        drop(second);
        assert_all_are_available(&layer);
    });
}

#[test]
fn a_released_permit_wakes_the_next_waiter_when_the_first_is_cancelled() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let holder = holder(&layer);
        let (mut first, mut second) = (caller(&layer), caller(&layer));
        assert!(!acquires(&mut first) && !acquires(&mut second));
        let releaser = thread::spawn(move || drop(holder));
        drop(first);
        releaser.join().unwrap();
        assert!(second.is_woken());
        assert!(acquires(&mut second));
        drop(second);
        assert_all_are_available(&layer);
    });
}

#[test]
fn a_raised_limit_wakes_a_waiter_that_is_being_enqueued() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let (first, mut second) = (holder(&layer), caller(&layer));
        let handle = layer.handle();
        let setter = thread::spawn(move || handle.set_limit(2));
        let acquired = acquires(&mut second);
        setter.join().unwrap();
        assert!(acquired || second.is_woken());
        assert!(acquires(&mut second));
        drop((first, second));
        assert_all_are_available(&layer);
    });
}

#[test]
fn a_lowered_limit_applies_to_all_later_callers() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(2);
        let (first, mut second) = (holder(&layer), caller(&layer));
        let acquirer = thread::spawn(move || {
            let acquired = acquires(&mut second);
            (second, acquired)
        });
        layer.handle().set_limit(1);
        assert!(!acquires(&mut caller(&layer)));
        let (second, acquired) = acquirer.join().unwrap();
        assert_eq!(
            layer.handle().snapshot().in_flight,
            1 + usize::from(acquired)
        );
        drop((first, second));
        assert_all_are_available(&layer);
    });
}

#[test]
fn no_more_permits_than_the_limit_are_held_and_all_are_released() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let call = |layer: &ConcurrencyLayer| {
            let mut caller = caller(layer);
            if acquires(&mut caller) {
                assert_eq!(layer.handle().snapshot().in_flight, 1);
            }
        };
        let others = [0; 2].map(|_| {
            let layer = layer.clone();
            thread::spawn(move || call(&layer))
        });
        call(&layer);
        for other in others {
            other.join().unwrap();
        }
        assert_all_are_available(&layer);
    });
}
