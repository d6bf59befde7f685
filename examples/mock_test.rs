//! Code that calls an API, and a unit test of it with a mock in place of the API.
//!
//! Run it with `cargo run --example mock_test`, and its tests with
//! `cargo test --example mock_test`. The code takes any tower service. So the test puts the layers
//! around a mock, responds by hand, and runs on paused time.

use std::error::Error;

use customerio_sim::{Server, Simulator};
use http::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_pace::{
    Concurrency, ConcurrencyLayer, Quota, RateLimit, RateLimitLayer, Retry, RetryLayer, RetryPolicy,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Removes the plan of a person. Returns whether the API accepted it.
///
/// # Errors
///
/// If `url` or `id` make no valid request, or the service fails.
async fn cancel<S, B>(api: S, url: &str, id: &str) -> Result<bool, Failure>
where
    S: Service<Request<String>, Response = Response<B>>,
    S::Error: Into<Failure>,
{
    let request = Request::put(format!("{url}/api/v1/customers/{id}"))
        .header("authorization", "Basic c2l0ZTprZXk=")
        .header("content-type", "application/json")
        .body(String::from(r#"{"plan":null}"#))?;
    let response = api.oneshot(request).await.map_err(Into::into)?;
    Ok(response.status() == StatusCode::OK)
}

/// Returns the layers, for the program and its tests.
fn layers<S>() -> impl Layer<S, Service = Retry<RateLimit<Concurrency<S>>>> {
    ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(RateLimitLayer::new(Quota::per_second(100)))
        .layer(ConcurrencyLayer::new(32))
        .into_inner()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let simulator = Simulator::builder().build();
    let server = Server::bind("127.0.0.1:0", simulator.clone()).await?;
    let hyper_client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build_http();

    let is_accepted = cancel(layers().layer(hyper_client), &server.url(), "5").await?;

    assert!(is_accepted);
    assert_eq!(simulator.totals().people, 1);
    println!("the simulator accepted the cancellation");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use tower_test::mock;

    use super::*;

    fn response(status: u16, headers: &[(&str, &str)]) -> Response<String> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(String::new()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_cancellation_is_sent_again_after_retry_after() {
        let (service, mut api) = mock::pair::<Request<String>, Response<String>>();
        let canceling = tokio::spawn(cancel(layers().layer(service), "http://api", "5"));

        let (request, reply) = api.next_request().await.unwrap();
        assert_eq!(request.uri(), "http://api/api/v1/customers/5");
        reply.send_response(response(429, &[("retry-after", "2")]));

        let early = timeout(Duration::from_millis(1_990), api.next_request()).await;
        assert!(
            early.is_err(),
            "a request departed before Retry-After was over"
        );

        let (_, reply) = api.next_request().await.unwrap();
        reply.send_response(response(200, &[]));
        assert!(canceling.await.unwrap().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_cancellation_returns_false() {
        let (service, mut api) = mock::pair::<Request<String>, Response<String>>();
        let canceling = tokio::spawn(cancel(layers().layer(service), "http://api", "5"));

        let (_, reply) = api.next_request().await.unwrap();
        reply.send_response(response(400, &[]));
        assert!(!canceling.await.unwrap().unwrap());
    }
}
