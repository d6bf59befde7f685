use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Error;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::compression::CompressionLayer;
use tower_http::decompression::DecompressionLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::support::{client, now};
use crate::{get, greeting, millis, serving};

/// Gives the client a body with a default, which the response of tower-http's timeout needs.
fn with_default_body(
    app: Router,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Body>, Error = Error, Future: Send> + Clone
{
    client(serving(app)).map_response(|response: Response<_>| response.map(Body::new))
}

#[tokio::test(start_paused = true)]
async fn the_layers_work_under_trace_and_decompression() {
    let text = "hello ".repeat(1_000);
    let app = Router::new()
        .fallback(any(text.clone()))
        .layer(CompressionLayer::new());
    let client = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(DecompressionLayer::new())
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(RateLimitLayer::new(Quota::per_second(100)))
        .layer(ConcurrencyLayer::new(1))
        .service(client(serving(app)));
    for _ in 0..3 {
        let response = client.clone().oneshot(get()).await.unwrap();
        let Ok(body) = response.into_body().collect().await else {
            panic!("the body is complete")
        };
        assert_eq!(body.to_bytes(), text);
    }
}

/// An attempt that times out is retried. It takes a slot, and neither closes the gate nor lowers
/// the rate.
#[tokio::test(start_paused = true)]
async fn an_attempts_timeout_belongs_inside_the_limiter() {
    let never = any(|| async {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    });
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(RateLimitLayer::new(Quota::per_second(100)))
        .layer(ConcurrencyLayer::new(1))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            millis(500),
        ))
        .service(with_default_body(Router::new().fallback(never)));
    let start = now();
    let response = client.oneshot(get()).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    // Four attempts of 500 ms, and a backoff of at most 200 + 400 + 800 ms.
    assert!(now() - start >= millis(2_000) && now() - start <= millis(3_500));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_for_the_whole_call_belongs_outside() {
    let client = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            millis(50),
        ))
        .layer(RateLimitLayer::new(
            Quota::new(2, Duration::from_secs(60)).unwrap(),
        ))
        .service(with_default_body(greeting()));
    let request = || {
        Request::get("http://server/")
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    let start = now();
    let response = client.oneshot(request()).await.unwrap();
    assert_eq!(
        response.status(),
        StatusCode::GATEWAY_TIMEOUT,
        "the deadline includes the wait"
    );
    assert_eq!(now() - start, millis(50));
}
