//! Tower layers for clients of rate-limited HTTP APIs.
//!
//! ```
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};
//! # use std::convert::Infallible;
//! # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, Infallible> {
//! #     Ok(http::Response::new(String::from("hello")))
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let hyper_client = tower::service_fn(answer);
//!
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::default()))
//!     .layer(RateLimitLayer::new(Quota::per_second(100)).max_wait(Duration::from_secs(60)))
//!     .layer(ConcurrencyLayer::new(32))
//!     .service(hyper_client);
//!
//! # let request = http::Request::new(String::new());
//! let response = client.clone().oneshot(request).await.unwrap();
//! assert_eq!(response.status(), 200);
//! # }
//! ```
//!
//! [`docs::clients`] has the lines for `hyper_client`, and for reqwest, tonic and other clients.
//! Four independent [`tower`] layers go around any client from [`http::Request`] to
//! [`http::Response`]:
//!
//! | layer | what it does |
//! |---|---|
//! | [`RetryLayer`] | sends a request again when that is safe, as late as the server asks |
//! | [`RateLimitLayer`] | spaces requests so that the server throttles none |
//! | [`ConcurrencyLayer`] | bounds the number of requests in flight, to the end of the response body |
//! | [`DeadlineLayer`] | ends a call at a deadline |
//!
//! Any subset of the layers works. This is the recommended order, from the outside to the inside:
//! every attempt of a retry then waits for the rate limit, and a backoff holds no permit. A
//! [`DeadlineLayer`] goes outside all of them.
//!
//! # Three settings
//!
//! - The [`Quota`]: the number of requests per window that the server allows. Add its
//!   [`model`](Quota::model), if you know how the server counts: without one, small quotas are only
//!   half used. [`rate`] has a table.
//! - [`max_wait`](RateLimitLayer::max_wait): the longest wait of a request. Without it requests
//!   wait without an upper bound, since the rate limit is no backpressure.
//! - The mark [`Replay`] for each POST that may be sent twice without harm, or
//!   [`IdempotencyKeys`](retry::IdempotencyKeys). Without them a POST is sent again only if the
//!   server throttled it or if it provably was not sent.
//!
//! A call that waited too long or passed its deadline ends with an [`Error`].
//! [`Error::rejection`] says which limit rejected it, and when to try again.
//!
//! A [`Classifier`] adds what the layers cannot know: the errors of your client that prove that
//! nothing was sent, and responses whose status says too little, such as those of gRPC.
//!
//! With the feature `tracing` the layers emit events, and `trace::SpanLayer` makes a span for each
//! attempt.
//!
//! # Shared state
//!
//! A clone of a layer, of a service, or of a stack shares the state of its original. Two layers
//! from two calls of `new` share nothing.
//!
//! A dropped future cancels its request and releases its position and its permit. A request that
//! has departed keeps its slot for as long as the server may count it.
//!
//! Waiting needs a tokio runtime with a timer. Creating a layer or a service needs no runtime.
//!
//! # Requirements
//!
//! If the compiler reports that the bounds of `call` or `oneshot` are not met, check these:
//!
//! - The inner service is `Clone` (rate limit, retry), as a hyper client and a boxed clone service
//!   are.
//! - The error of the inner service is `'static` (rate limit, retry).
//! - The request body is `Clone` (retry). For a stream or a boxed body use
//!   [`RetryLayer::buffered`].
//! - The response body is an [`http_body::Body`] (concurrency limit, retry). The concurrency limit
//!   wraps it in a [`PermitBody`](concurrency::PermitBody), unless it counts requests only
//!   [`until_response`](ConcurrencyLayer::until_response).
//!
//! A stack can be named. Its futures are `Send` if those of the inner service are:
//!
//! ```
//! use tower_pace::{Concurrency, Deadlined, RateLimit, Retry, wait::BoundedWait};
//!
//! type Stack<S> = Retry<RateLimit<Concurrency<S>>>;
//! type BoundedStack<S> = Deadlined<Retry<RateLimit<Concurrency<S>, BoundedWait>>>;
//! # fn assert_shareable<T: Clone + Send + Sync>() {}
//! assert_shareable::<Stack<String>>();
//! assert_shareable::<BoundedStack<String>>();
//! ```
//!
//! `buffered` makes a [`BufferedRetry`](retry::BufferedRetry) of `Retry`, and
//! [`until_response`](ConcurrencyLayer::until_response) adds a third parameter to `Concurrency`.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `hyper` | [`was_sent`] knows the errors of hyper, of h2 and of hyper-util's clients |
//! | `tracing` | events of closed gates, stated limits, slow responses and retries; `trace::SpanLayer` |
//!
//! # More pages
//!
//! - [`docs::rate_limit`]: how a request waits, the table of settings, what a response changes, and
//!   why the server throttles no request.
//! - [`docs::clients`]: the layers around hyper-util, its pools, reqwest, tower-http-client, tonic,
//!   kube and a client of your own.
//! - [`docs::apis`]: the settings for APIs such as GitHub's, Stripe's and OpenAI's.
//! - [`docs::applications`]: the layers in the state of axum, in a box, with a deadline, with a
//!   limit for each tenant, and in a test.
//! - [`docs::processes`]: one limit for several processes, by parts or through Redis.
//!
//! [`tower`]: https://docs.rs/tower

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod classifier;
mod clock;
pub mod concurrency;
pub mod deadline;
pub mod docs;
mod error;
mod hint_headers;
mod random;
pub mod rate;
pub mod retry;
mod sync;
#[cfg(feature = "tracing")]
pub mod trace;
pub mod wait;
mod was_sent;

pub use classifier::Classifier;
pub use concurrency::{Concurrency, ConcurrencyLayer};
pub use deadline::{Deadline, DeadlineLayer, Deadlined};
pub use error::{Elapsed, Error, Rejected};
pub use hint_headers::HintHeaders;
pub use pacing::{Adaptive, Cost, Model, Quota, TooHeavy, UnsafeQuota};
pub use rate::{Charged, Handle, RateLimit, RateLimitLayer};
pub use retry::{Attempt, Replay, Retried, Retry, RetryLayer, RetryPolicy};
pub use wait::Waited;
pub use was_sent::was_sent;
