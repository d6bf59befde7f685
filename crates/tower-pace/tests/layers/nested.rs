//! The same layer twice in one stack: no future spins, and no position is lost.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::{
    Adaptive, ConcurrencyLayer, DeadlineLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy,
};

use crate::support::{Server, get, millis, now, status};

/// Panics after `polls_left` polls: on paused time, a future that wakes itself forever would stop
/// the test.
struct PollLimited<F> {
    future: Pin<Box<F>>,
    polls_left: u32,
}

impl<F: Future> Future for PollLimited<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let left = self.polls_left.checked_sub(1);
        self.polls_left = left.expect("the future does not spin");
        self.future.as_mut().poll(cx)
    }
}

/// Makes `calls` calls at once. Returns the number that ended within `time`, and the panics of
/// those.
async fn call<S>(service: &S, calls: usize, time: Duration) -> (usize, Vec<String>)
where
    S: Service<Request<String>, Future: Send> + Clone + Send + 'static,
    S::Error: Send,
{
    let mut tasks = JoinSet::new();
    for _ in 0..calls {
        let call = service.clone().oneshot(get());
        tasks.spawn(PollLimited {
            future: Box::pin(async move { drop(call.await) }),
            // A waiter polls about every 100 ms.
            polls_left: 200 + (time.as_millis() / 50) as u32,
        });
    }
    let (mut ended, mut panics) = (0, Vec::new());
    let until = now() + time;
    while let Ok(Some(result)) = tokio::time::timeout_at(until, tasks.join_next()).await {
        ended += 1;
        let Err(error) = result else { continue };
        let payload = error.into_panic();
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned());
        panics.push(text.or_else(|| payload.downcast_ref().cloned()).unwrap());
    }
    tasks.shutdown().await;
    (ended, panics)
}

fn server() -> Server {
    Server::new(millis(50), |_| status(200))
}

const MINUTE: Duration = Duration::from_secs(60);

/// Calls a stack that contains `layer` twice. Asserts that each call panics and that all permits
/// are released.
macro_rules! panics {
    ($layer:expr, $between:expr) => {
        let layer = $layer;
        let stack = layer.layer($between.layer(layer.layer(server())));
        let (ended, panics) = call(&stack, 10, MINUTE).await;
        assert_eq!((ended, panics.len()), (10, 10));
        assert!(
            panics
                .iter()
                .all(|text| text.contains("the same concurrency limit twice"))
        );
        let seen = layer.handle().snapshot();
        assert_eq!((seen.in_flight, seen.queued), (0, 0));
        let (ended, panics) = call(&layer.layer(server()), 10, MINUTE).await;
        assert_eq!((ended, panics.len()), (10, 0), "the limit works as before");
    };
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_inside_itself_panics() {
    for layer in [
        ConcurrencyLayer::new(1),
        ConcurrencyLayer::new(2),
        ConcurrencyLayer::new(100),
        ConcurrencyLayer::adaptive(Adaptive::between(1, 4)),
    ] {
        panics!(layer.clone(), tower::layer::util::Identity::new());
        panics!(layer.clone(), ConcurrencyLayer::new(3));
        panics!(layer.clone(), RetryLayer::new(RetryPolicy::default()));
        panics!(layer.clone(), DeadlineLayer::new(MINUTE));
        panics!(layer.clone().until_response(), ConcurrencyLayer::new(100));
    }
}

#[tokio::test(start_paused = true)]
async fn separate_concurrency_limits_in_one_stack_hold_each_on_its_own() {
    let (outer, inner) = (ConcurrencyLayer::new(3), ConcurrencyLayer::new(2));
    let stack = outer.layer(inner.layer(ConcurrencyLayer::new(1).layer(server())));
    assert_eq!(call(&stack, 10, MINUTE).await, (10, Vec::new()));
    // A service whose future calls another service of the same limit holds two permits for a time.
    let other = outer.layer(server());
    let calling = service_fn(move |request| other.clone().oneshot(request));
    assert_eq!(
        call(&outer.layer(calling), 2, MINUTE).await,
        (2, Vec::new())
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_permits_that_the_outer_calls_hold_does_not_spin() {
    let (layer, rate) = (
        ConcurrencyLayer::new(2),
        RateLimitLayer::new(Quota::per_second(100)),
    );
    let stack = layer.layer(rate.layer(layer.layer(server())));
    let (ended, panics) = call(&stack, 10, MINUTE).await;
    assert_eq!(
        (ended, panics),
        (0, Vec::new()),
        "the outer calls hold both permits"
    );
    let bounded = layer.clone().max_wait(millis(500));
    let stack = layer.layer(rate.layer(bounded.layer(server())));
    let (ended, panics) = call(&stack, 10, MINUTE).await;
    assert_eq!((ended, panics), (10, Vec::new()));
    let seen = layer.handle().snapshot();
    assert_eq!((seen.in_flight, seen.queued), (0, 0));
}

/// Each request departs twice. After its first departure it waits behind all others, and holds its
/// slot meanwhile.
#[tokio::test(start_paused = true)]
async fn a_rate_limit_inside_itself_counts_each_request_twice_and_does_not_spin() {
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let stack = layer.layer(layer.layer(server()));
    let (ended, panics) = call(&stack, 8, MINUTE).await;
    assert_eq!((ended, panics), (8, Vec::new()));
    assert_eq!(layer.handle().snapshot().counters.departed, 16);
    let (_, panics) = call(&stack, 500, MINUTE).await;
    assert_eq!(panics, Vec::<String>::new(), "no future spins");
    let seen = layer.handle().snapshot();
    assert_eq!((seen.in_flight, seen.queued), (0, 0));
    let (ended, panics) = call(&layer.layer(server()), 40, MINUTE).await;
    assert_eq!(
        (ended, panics),
        (40, Vec::new()),
        "the limit works as before"
    );
    let bounded = layer.clone().max_wait(millis(500));
    let stack = layer.layer(bounded.layer(server()));
    let (ended, panics) = call(&stack, 500, MINUTE).await;
    assert_eq!((ended, panics), (500, Vec::new()), "a bound ends each wait");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_calls_of_a_nested_rate_limit() {
    let layer = RateLimitLayer::new(Quota::per_second(10));
    let stack =
        DeadlineLayer::new(Duration::from_secs(5)).layer(layer.layer(layer.layer(server())));
    let (ended, panics) = call(&stack, 100, MINUTE).await;
    assert_eq!((ended, panics), (100, Vec::new()));
}
