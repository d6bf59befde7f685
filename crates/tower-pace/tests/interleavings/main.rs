//! Every interleaving of two or three threads that take, wait for and give back permits.
//!
//! The line and the permits are compiled here a second time, as they are, but with a lock and a word that try all orders.
//! Time stands still.

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

/// A caller that has not asked for a permit yet.
fn caller(layer: &ConcurrencyLayer) -> Caller {
    spawn(layer.layer(Server))
}

/// Says whether the caller has a permit; if not, it waits for one.
fn has_permit(caller: &mut Caller) -> bool {
    caller.enter(|cx, mut service| service.poll_ready(cx).is_ready())
}

fn holder(layer: &ConcurrencyLayer) -> Caller {
    let mut holder = caller(layer);
    assert!(has_permit(&mut holder));
    holder
}

/// Nobody has a permit or waits for one, and all that there are can be taken.
fn assert_all_are_free(layer: &ConcurrencyLayer) {
    let seen = layer.handle().snapshot();
    assert_eq!((seen.in_flight, seen.queued), (0, 0));
    let holders: Vec<_> = (0..seen.limit).map(|_| holder(layer)).collect();
    assert!(!has_permit(&mut caller(layer)));
    drop(holders);
}

/// Tries every order in which the threads are interrupted twice at most.
fn in_all_orders(scene: impl Fn() + Send + Sync + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(scene);
}

#[test]
fn while_nobody_waits_the_lock_is_not_taken() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let (first, mut second, mut third) = (holder(&layer), caller(&layer), caller(&layer));
        assert!(!has_permit(&mut second));
        drop(second);
        let before = sync::locked();
        drop(first);
        assert!(has_permit(&mut third));
        assert_eq!(sync::locked(), before);
    });
}

#[test]
fn a_permit_that_comes_back_wakes_one_who_begins_to_wait() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let (first, mut second) = (holder(&layer), caller(&layer));
        let giver = thread::spawn(move || drop(first));
        let had_one = has_permit(&mut second);
        giver.join().unwrap();
        assert!(had_one != second.is_woken(), "one of them, and not both");
        assert!(has_permit(&mut second));
        drop(second);
        assert_all_are_free(&layer);
    });
}

#[test]
fn a_permit_that_comes_back_wakes_the_next_when_the_first_leaves() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let holder = holder(&layer);
        let (mut first, mut second) = (caller(&layer), caller(&layer));
        assert!(!has_permit(&mut first) && !has_permit(&mut second));
        let giver = thread::spawn(move || drop(holder));
        drop(first);
        giver.join().unwrap();
        assert!(second.is_woken());
        assert!(has_permit(&mut second));
        drop(second);
        assert_all_are_free(&layer);
    });
}

#[test]
fn a_raised_limit_wakes_one_who_begins_to_wait() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let (first, mut second) = (holder(&layer), caller(&layer));
        let handle = layer.handle();
        let setter = thread::spawn(move || handle.set_limit(2));
        let had_one = has_permit(&mut second);
        setter.join().unwrap();
        assert!(had_one || second.is_woken());
        assert!(has_permit(&mut second));
        drop((first, second));
        assert_all_are_free(&layer);
    });
}

#[test]
fn a_lowered_limit_holds_for_all_who_come_after() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(2);
        let (first, mut second) = (holder(&layer), caller(&layer));
        let taker = thread::spawn(move || {
            let taken = has_permit(&mut second);
            (second, taken)
        });
        layer.handle().set_limit(1);
        assert!(!has_permit(&mut caller(&layer)));
        let (second, taken) = taker.join().unwrap();
        assert_eq!(layer.handle().snapshot().in_flight, 1 + usize::from(taken));
        drop((first, second));
        assert_all_are_free(&layer);
    });
}

#[test]
fn no_more_than_the_limit_have_a_permit_and_all_come_back() {
    in_all_orders(|| {
        let layer = ConcurrencyLayer::new(1);
        let call = |layer: &ConcurrencyLayer| {
            let mut caller = caller(layer);
            if has_permit(&mut caller) {
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
        assert_all_are_free(&layer);
    });
}
