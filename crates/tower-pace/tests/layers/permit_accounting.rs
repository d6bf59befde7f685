//! One concurrency limit under random calls, and under random sequences of operations on its
//! permits.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use pacing::WaitQueue;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio_test::task::{self, Spawn};
use tower::{Layer, Service, ServiceExt};
use tower_pace::{Adaptive, Concurrency, ConcurrencyLayer};

use crate::support::{Server, get, millis};

/// `cargo test --release -p tower-pace --test layers permit_accounting` makes a million calls.
const CALLS: u32 = if cfg!(debug_assertions) {
    50_000
} else {
    1_000_000
};

/// Counts a request as active at the server until its call failed, its body ended, or either is
/// dropped.
#[derive(Debug)]
struct ActiveGuard(Arc<AtomicUsize>);

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers after 0 to 3 ms. One call in eight fails. The others have a body of up to three frames,
/// and one body in seven ends with an error.
#[derive(Clone)]
struct RandomServer {
    active: Arc<AtomicUsize>,
    /// The callers' limit, and the number of times it was exceeded.
    limit: usize,
    exceeded: Arc<AtomicUsize>,
    /// Shared: a cloned generator would repeat the numbers of the original.
    rng: Arc<Mutex<SmallRng>>,
}

impl Service<Request<String>> for RandomServer {
    type Response = Response<Frames>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        let active = self.active.fetch_add(1, Ordering::Relaxed) + 1;
        let exceeded = usize::from(active > self.limit);
        self.exceeded.fetch_add(exceeded, Ordering::Relaxed);
        let guard = ActiveGuard(Arc::clone(&self.active));
        let (delay, outcome) = {
            let mut rng = self.rng.lock().unwrap();
            (rng.random_range(0..4), rng.random_range(0..8))
        };
        Box::pin(async move {
            if delay > 0 {
                tokio::time::sleep(millis(delay)).await;
            }
            match outcome {
                0 => Err("reset"),
                _ => Ok(Response::new(Frames {
                    left: outcome % 4,
                    fails: outcome == 7,
                    guard: Some(guard),
                })),
            }
        })
    }
}

struct Frames {
    left: u32,
    fails: bool,
    guard: Option<ActiveGuard>,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if self.left > 0 {
            self.left -= 1;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))));
        }
        self.guard = None;
        let failed = std::mem::take(&mut self.fails);
        Poll::Ready(failed.then_some(Err("reset")))
    }

    fn is_end_stream(&self) -> bool {
        self.guard.is_none()
    }
}

/// Polls a future `polls` times at most, then drops it.
struct PollLimited<F> {
    future: Option<Pin<Box<F>>>,
    polls: u32,
}

impl<F: Future> Future for PollLimited<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let left = this.polls.checked_sub(1);
        let Some((left, future)) = left.zip(this.future.as_mut()) else {
            return Poll::Ready(None);
        };
        this.polls = left;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => {
                this.future = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Makes calls one after the other. It cancels a third of them after some polls, and reads a body
/// whole, in part or not at all.
async fn caller(service: Concurrency<RandomServer>, calls: u32, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    for _ in 0..calls {
        let polls = match rng.random_range(0..3) {
            0 => rng.random_range(0..4),
            _ => u32::MAX,
        };
        let future = Some(Box::pin(service.clone().oneshot(get())));
        let Some(Ok(response)) = (PollLimited { future, polls }).await else {
            continue;
        };
        let mut body = response.into_body();
        for _ in 0..rng.random_range(0..5) {
            if !matches!(body.frame().await, Some(Ok(_))) {
                break;
            }
        }
    }
}

async fn check_random_calls(layer: ConcurrencyLayer, limit: usize, calls: u32) {
    const CALLERS: u32 = 48;
    let server = RandomServer {
        active: Arc::default(),
        limit,
        exceeded: Arc::default(),
        rng: Arc::new(Mutex::new(SmallRng::seed_from_u64(1))),
    };
    let (active, exceeded) = (Arc::clone(&server.active), Arc::clone(&server.exceeded));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..CALLERS {
        // Two callers share each group.
        let service = layer.layer(server.clone());
        tasks.spawn(caller(service.clone(), calls / CALLERS / 2, n.into()));
        tasks.spawn(caller(service, calls / CALLERS / 2, (CALLERS + n).into()));
    }
    tasks.join_all().await;
    assert_eq!(exceeded.load(Ordering::Relaxed), 0);
    assert_eq!(active.load(Ordering::Relaxed), 0);
    let end = layer.handle().snapshot();
    assert_eq!((end.in_flight, end.queued), (0, 0));
    assert!(
        end.answered > 0 && end.failed > 0 && end.cancelled > 0,
        "{end:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn random_calls_lose_no_permit_and_never_exceed_the_limit() {
    check_random_calls(ConcurrencyLayer::new(16), 16, CALLS).await;
}

#[tokio::test(start_paused = true)]
async fn random_calls_lose_no_permit_of_an_adaptive_limit() {
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(2, 24));
    check_random_calls(layer, 24, CALLS / 10).await;
}

/// An operation on the permits. A number selects a waiter or a holder by its remainder.
#[derive(Clone, Debug)]
enum Step {
    Enqueue { group: usize },
    Poll { waiter: usize },
    Cancel { waiter: usize },
    Call { holder: usize },
    Release { holder: usize },
    SetLimit { limit: usize },
    Advance { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize).prop_map(|group| Step::Enqueue { group }),
        4 => (0..9_usize).prop_map(|waiter| Step::Poll { waiter }),
        2 => (0..9_usize).prop_map(|waiter| Step::Cancel { waiter }),
        2 => (0..9_usize).prop_map(|holder| Step::Call { holder }),
        4 => (0..9_usize).prop_map(|holder| Step::Release { holder }),
        1 => (1..6_usize).prop_map(|limit| Step::SetLimit { limit }),
        2 => (0..120_u64).prop_map(|millis| Step::Advance { millis }),
    ]
}

type Waiter = Spawn<Acquiring>;

/// A service that waits for a permit.
struct Acquiring(Option<Concurrency<Server>>);

impl Future for Acquiring {
    type Output = Concurrency<Server>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let service = self.0.as_mut().expect("it is polled until it is ready");
        let Ok(()) = std::task::ready!(Service::<Request<String>>::poll_ready(service, cx));
        Poll::Ready(self.0.take().expect("it was not taken before"))
    }
}

/// The holder of a permit: a ready service, or a call.
enum Holder {
    Ready(Concurrency<Server>),
    Called { _call: Box<dyn std::any::Any> },
}

/// The reference: the waiters, the holders and the limit.
struct Reference {
    layer: ConcurrencyLayer,
    groups: Vec<Concurrency<Server>>,
    waiting: Vec<Waiter>,
    holding: Vec<Holder>,
    limit: usize,
}

impl Reference {
    fn new() -> Self {
        let layer = ConcurrencyLayer::new(2);
        let groups = (0..3).map(|_| layer.layer(Server::ok())).collect();
        Self {
            layer,
            groups,
            waiting: Vec::new(),
            holding: Vec::new(),
            limit: 2,
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Enqueue { group } => {
                let service = self.groups[group].clone();
                self.poll(task::spawn(Acquiring(Some(service))));
            }
            Step::Poll { waiter } => {
                if let Some(waiter) = take(&mut self.waiting, waiter) {
                    self.poll(waiter);
                }
            }
            Step::Cancel { waiter } => drop(take(&mut self.waiting, waiter)),
            Step::Call { holder } => {
                if let Some(holder) = take(&mut self.holding, holder) {
                    self.holding.push(called(holder));
                }
            }
            Step::Release { holder } => drop(take(&mut self.holding, holder)),
            Step::SetLimit { limit } => {
                self.limit = limit;
                self.layer.handle().set_limit(limit);
            }
            Step::Advance { .. } => {}
        }
    }

    fn poll(&mut self, mut waiter: Waiter) {
        let was_available = self.holding.len() < self.limit;
        match waiter.poll() {
            Poll::Pending => self.waiting.push(waiter),
            Poll::Ready(service) => {
                assert!(was_available, "a permit above the limit was acquired");
                self.holding.push(Holder::Ready(service));
            }
        }
    }

    fn check(&self) {
        let seen = self.layer.handle().snapshot();
        assert_eq!(
            (seen.limit, seen.in_flight),
            (self.limit, self.holding.len())
        );
        assert!(seen.queued <= self.waiting.len());
    }

    /// Releases all permits, then asserts that every waiter acquires one when it is polled on its
    /// wake-up, and that all permits are available in the end.
    async fn finish(mut self) {
        self.holding.clear();
        for _ in 0..=self.waiting.len() {
            tokio::time::advance(WaitQueue::<()>::GRACE * 40).await;
            let (woken, asleep) = self.waiting.into_iter().partition(Spawn::is_woken);
            self.waiting = asleep;
            for waiter in woken {
                self.poll(waiter);
                self.holding.clear();
            }
        }
        assert_eq!(
            self.waiting.len(),
            0,
            "a permit is available and no waiter was woken"
        );
        for _ in 0..self.limit {
            self.apply(&Step::Enqueue { group: 0 });
        }
        assert_eq!(self.holding.len(), self.limit);
        self.check();
    }
}

fn take<T>(from: &mut Vec<T>, index: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.remove(index % from.len()))
}

fn called(holder: Holder) -> Holder {
    match holder {
        Holder::Ready(mut service) => {
            let call = service.call(get());
            Holder::Called {
                _call: Box::new((service, call)),
            }
        }
        called @ Holder::Called { .. } => called,
    }
}

proptest! {
    #[test]
    fn any_sequence_of_operations_loses_no_permit_and_adds_none(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut reference = Reference::new();
            for step in &steps {
                reference.apply(step);
                if let Step::Advance { millis: time } = *step {
                    tokio::time::advance(Duration::from_millis(time)).await;
                }
                reference.check();
            }
            reference.finish().await;
        });
    }
}
