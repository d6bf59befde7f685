//! Many waiters: the size of a future, the order of departures, and absent groups.

use std::future::{Future, Ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{Layer, Service, service_fn};
use tower_pace::{Quota, RateLimitLayer, rate};

use crate::support::{Server, get, now};

#[derive(Clone)]
struct Immediate;

impl Service<Request<String>> for Immediate {
    type Response = Response<String>;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        std::future::ready(Ok(Response::new(String::new())))
    }
}

#[test]
fn a_future_is_at_most_64_bytes_larger_than_its_parts() {
    let parts = size_of::<Immediate>()
        + size_of::<Request<String>>()
        + size_of::<<Immediate as Service<Request<String>>>::Future>();
    let size = size_of::<rate::ResponseFuture<Immediate, String>>();
    assert!(size <= parts + 64, "{size} for {parts}");
}

/// All waiters are in one group, so they depart in the order of their first polls.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_waiters_depart_in_order_at_the_full_rate() {
    const WAITERS: u32 = 100_000;
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    let server = service_fn(move |request: Request<u32>| {
        noted.lock().unwrap().push(*request.body());
        std::future::ready(Ok::<_, std::convert::Infallible>(Response::new(())))
    });
    let quota = Quota::per_second(5_000);
    let service = RateLimitLayer::new(quota).layer(server);
    let (mut tasks, start) = (JoinSet::new(), now());
    for n in 0..WAITERS {
        tasks.spawn(service.clone().call(Request::new(n)));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let elapsed = now() - start;
    assert!(
        elapsed <= quota.spacing() * WAITERS * 101 / 100,
        "{elapsed:?}"
    );
    assert!(order.lock().unwrap().iter().copied().eq(0..WAITERS));
}

/// No parked waiter is polled again, so each is passed over once.
#[test]
fn ten_thousand_groups_of_parked_waiters_are_passed_over_at_once() {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async {
            let layer = RateLimitLayer::new(Quota::per_second(1_000));
            let mut cx = Context::from_waker(Waker::noop());
            let mut parked: Vec<_> = (0..10_000)
                .map(|_| Box::pin(layer.layer(Server::ok()).call(get())))
                .collect();
            for call in &mut parked {
                assert!(call.as_mut().poll(&mut cx).is_pending());
            }
            tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
            let (start, mut live) = (now(), layer.layer(Server::ok()));
            live.call(get()).await.unwrap();
            assert_eq!(now(), start);
            assert_eq!(layer.handle().snapshot().queued, 0);
        });
}
