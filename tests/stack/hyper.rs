use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_pace::{
    Concurrency, ConcurrencyLayer, Quota, RateLimit, RateLimitLayer, Retry, RetryLayer, RetryPolicy,
};

use crate::support::{Dial, HyperClient, client, now};
use crate::{get, greeting, millis, serving};

fn assert_shareable<T: Clone + Send + Sync + 'static>(value: T) -> T {
    value
}

/// Returns the stack that the documentation shows.
fn stack(hyper_client: HyperClient) -> Retry<RateLimit<Concurrency<HyperClient>>> {
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(RateLimitLayer::new(Quota::per_second(100)))
        .layer(ConcurrencyLayer::new(32))
        .service(hyper_client);
    assert_shareable(client)
}

#[tokio::test(start_paused = true)]
async fn the_documented_stack_sends_two_thousand_requests_at_its_rate() {
    let client = stack(client(serving(greeting())));
    let start = now();
    let mut tasks = JoinSet::new();
    for _ in 0..2_000 {
        let client = client.clone();
        tasks.spawn(async move {
            client
                .oneshot(get())
                .await
                .unwrap()
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
        });
    }
    for body in tasks.join_all().await {
        assert_eq!(body, "hello");
    }
    let expected = Quota::per_second(100).spacing() * 2_000;
    let elapsed = now() - start;
    assert!(
        elapsed >= expected && elapsed <= expected + millis(3),
        "{elapsed:?} for {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_503_is_retried_over_the_same_client() {
    let calls = Arc::new(AtomicUsize::new(0));
    let failing = move || {
        let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::OK
            }
        }
    };
    let client = stack(client(serving(Router::new().fallback(any(failing)))));
    assert_eq!(client.oneshot(get()).await.unwrap().status(), 200);
}

/// A failure to connect proves that nothing was sent. So even a POST is retried, and takes no slot.
#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_sent_is_retried_and_releases_its_slot() {
    let dials = Arc::new(AtomicUsize::new(0));
    let server = serving(greeting());
    let flaky = Dial::new(move || match dials.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
        _ => server.dial(),
    });
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(RateLimitLayer::new(
            Quota::new(1, Duration::from_secs(3_600)).unwrap(),
        ))
        .layer(ConcurrencyLayer::new(1))
        .service(client(flaky));
    let post = Request::post("http://server/")
        .body(Full::<Bytes>::default())
        .unwrap();
    let start = now();
    assert_eq!(client.oneshot(post).await.unwrap().status(), 200);
    assert!(
        now() - start < Duration::from_secs(2),
        "a slot of an hour was released twice"
    );
}

#[tokio::test(start_paused = true)]
async fn hyper_writes_and_reads_a_scripted_connection_through_the_layers() {
    let connect = Dial::new(|| {
        Ok(tokio_test::io::Builder::new()
            .write(b"GET / HTTP/1.1\r\nhost: server\r\n\r\n")
            .read(b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n")
            .write(b"GET / HTTP/1.1\r\nhost: server\r\n\r\n")
            .read(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            .wait(Duration::from_secs(60))
            .build())
    });
    let start = now();
    let response = stack(client(connect)).oneshot(get()).await.unwrap();
    assert!(now() - start >= Duration::from_secs(1));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
}
