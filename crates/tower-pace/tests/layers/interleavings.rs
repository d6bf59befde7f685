//! Every interleaving of two or three threads that take and give back permits, as far as the word of permits decides it.
//!
//! The word is compiled here a second time, with atomics that try all orders; the lock and the line around it are as
//! small as they can be: one place, and a flag for being woken.

use loom::model::Builder;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use in_flight::InFlight;

/// What the word counts with, here.
mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../../src/concurrency/in_flight.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod in_flight;

/// The permits, with a line of one place.
struct Permits {
    word: InFlight,
    limit: u32,
    is_waited_for: Mutex<bool>,
    woken: AtomicBool,
}

impl Permits {
    fn new(limit: u32) -> Arc<Self> {
        Arc::new(Self {
            word: InFlight::new(limit),
            limit,
            is_waited_for: Mutex::new(false),
            woken: AtomicBool::new(false),
        })
    }

    /// Runs under the lock, as the queue does it.
    fn locked<T>(&self, act: impl FnOnce(&mut bool) -> T) -> T {
        let mut is_waited_for = self.is_waited_for.lock().unwrap();
        self.word.hold();
        let result = act(&mut is_waited_for);
        if !*is_waited_for {
            self.word.release();
        }
        result
    }

    /// Says whether a permit was taken; otherwise the caller stands in the line.
    fn take_or_wait(&self) -> bool {
        self.word.take()
            || self.locked(|is_waited_for| {
                let is_free = self.word.taken() < self.limit;
                match is_free {
                    true => self.word.take_held(),
                    false => *is_waited_for = true,
                }
                is_free
            })
    }

    fn give_back(&self) {
        if self.word.give_back() {
            return;
        }
        self.locked(|is_waited_for| {
            self.word.give_back_held();
            if *is_waited_for {
                self.woken.store(true, Ordering::Release);
            }
        });
    }
}

/// Tries every order in which the threads are interrupted twice at most.
fn in_all_orders(scene: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(scene);
}

#[test]
fn a_permit_that_comes_back_is_seen_by_one_who_begins_to_wait() {
    in_all_orders(|| {
        let permits = Permits::new(1);
        assert!(permits.word.take());
        let other = Arc::clone(&permits);
        let holder = thread::spawn(move || other.give_back());
        let has_permit = permits.take_or_wait();
        holder.join().unwrap();
        let was_woken = permits.woken.load(Ordering::Acquire);
        assert!(has_permit != was_woken, "one of them, and not both");
        assert_eq!(permits.word.taken(), u32::from(has_permit));
    });
}

#[test]
fn two_of_three_have_a_permit_and_the_third_waits_or_comes_later() {
    in_all_orders(|| {
        let permits = Permits::new(2);
        let in_flight = Arc::new(AtomicUsize::new(0));
        let call = |permits: &Permits, in_flight: &AtomicUsize| {
            if permits.take_or_wait() {
                assert!(in_flight.fetch_add(1, Ordering::AcqRel) < 2);
                in_flight.fetch_sub(1, Ordering::AcqRel);
                permits.give_back();
            }
        };
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (permits, in_flight) = (Arc::clone(&permits), Arc::clone(&in_flight));
                thread::spawn(move || call(&permits, &in_flight))
            })
            .collect();
        call(&permits, &in_flight);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(permits.word.taken(), 0, "all came back");
    });
}

#[test]
fn a_lowered_limit_holds_for_all_who_come_after() {
    in_all_orders(|| {
        let permits = Permits::new(2);
        assert!(permits.word.take());
        let other = Arc::clone(&permits);
        let taker = thread::spawn(move || other.word.take());
        permits.locked(|_| permits.word.set_limit(1));
        assert!(!permits.word.take());
        let taken = 1 + u32::from(taker.join().unwrap());
        assert_eq!(permits.word.taken(), taken);
    });
}
