use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::task::JoinSet;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::trace::TraceLayer;
use tower_pace::concurrency::PermitBody;
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::support::{client, now};
use crate::{get as get_request, greeting, millis, serving};

type Api = BoxCloneSyncService<Request<Full<Bytes>>, http::Response<Bytes>, StatusCode>;

/// Returns a client for the state of a handler. It collects bodies and has one error type.
fn api() -> Api {
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(RateLimitLayer::new(Quota::per_second(100)))
        .layer(ConcurrencyLayer::new(4))
        .service(client(serving(greeting())));
    BoxCloneSyncService::new(stack.map_err(|_| StatusCode::BAD_GATEWAY).and_then(
        |response: http::Response<PermitBody<Incoming>>| async {
            let (head, body) = response.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|_| StatusCode::BAD_GATEWAY)?
                .to_bytes();
            Ok(http::Response::from_parts(head, body))
        },
    ))
}

async fn handler(State(api): State<Api>) -> Result<Bytes, StatusCode> {
    Ok(api.oneshot(get_request()).await?.into_body())
}

async fn body_of(response: axum::response::Response) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

fn request() -> Request<Body> {
    Request::get("/").body(Body::empty()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_handler_calls_out_through_the_layers_in_its_state() {
    let app = Router::new().route("/", get(handler)).with_state(api());
    let start = now();
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let app = app.clone();
        tasks.spawn(async move { body_of(app.oneshot(request()).await.unwrap()).await });
    }
    for body in tasks.join_all().await {
        assert_eq!(body, "hello");
    }
    let expected = Quota::per_second(100).spacing() * 50;
    assert!(now() - start >= expected && now() - start <= expected + millis(3));
}

/// axum calls `layer()` for every route and clones the services. They must share one limit.
#[tokio::test(start_paused = true)]
async fn a_router_with_the_layers_has_one_limit_for_all_routes() {
    let slow = || async {
        tokio::time::sleep(millis(100)).await;
        "hello"
    };
    let app = Router::new()
        .route("/", get(slow))
        .route("/other", get(slow))
        .layer(
            ServiceBuilder::new()
                .layer(RateLimitLayer::new(Quota::per_second(100)))
                .layer(TraceLayer::new_for_http())
                .layer(ConcurrencyLayer::new(2)),
        );
    let start = now();
    let mut tasks = JoinSet::new();
    for n in 0..40 {
        let app = app.clone();
        let path = if n % 2 == 0 { "/" } else { "/other" };
        tasks.spawn(async move {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response: Result<_, Infallible> = app.oneshot(request).await;
            body_of(response.unwrap()).await
        });
    }
    for body in tasks.join_all().await {
        assert_eq!(body, "hello");
    }
    assert!(
        now() - start >= Duration::from_secs(2),
        "two in flight, 100 ms each"
    );
}
