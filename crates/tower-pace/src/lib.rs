//! Layers for clients of rate-limited HTTP APIs: never over the limit, retried only when that is safe.
//!
//! Three independent [`tower`] layers for any service from [`http::Request`] to [`http::Response`]:
//!
//! - [`RateLimitLayer`] lets requests leave so that the server refuses none.
//! - [`RetryLayer`] sends a request again when that is safe and promising, as late as the server asked for.
//! - [`ConcurrencyLayer`] bounds what is in flight, to the end of the response's body.
//!
//! Any subset works. Together they belong in this order, from outside: every attempt then pays the limiter, and nothing
//! is held during a backoff. A fourth, [`DeadlineLayer`], ends a call in time and belongs outside of them all.
//!
//! ```
//! use tower::ServiceBuilder;
//! use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};
//! # use std::convert::Infallible;
//! # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, Infallible> {
//! #     Ok(http::Response::new(String::from("hello")))
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let hyper_client = tower::service_fn(answer);
//!
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::default()))
//!     .layer(RateLimitLayer::new(Quota::per_second(100)))
//!     .layer(ConcurrencyLayer::new(32))
//!     .service(hyper_client);
//!
//! # use tower::ServiceExt;
//! let response = client.oneshot(http::Request::new(String::new())).await.unwrap();
//! assert_eq!(response.status(), 200);
//! # }
//! ```
//!
//! # What they share
//!
//! A clone shares the state of its original: of a layer, a service, or a stack of them. Two layers made by two calls of
//! `new` share nothing. Dropping a future stops its work and gives back its place and its permit; a request that has left
//! keeps counting for the limit.
//!
//! Waiting needs a tokio runtime with its timer; making a layer or a service needs none.
//!
//! # What they ask for
//!
//! Where the compiler says that `call` or `oneshot` exists and its bounds do not hold, look here:
//!
//! - The inner service is `Clone` (rate limit, retry), as a hyper client and a boxed clone service are, and its error
//!   `'static`.
//! - The request's body is `Clone` (retry). A stream or a boxed body takes [`RetryLayer::buffered`].
//! - The response's body is an [`http_body::Body`] (concurrency limit, retry). The concurrency limit makes a
//!   [`PermitBody`](concurrency::PermitBody) of it, unless it counts only
//!   [`until_response`](ConcurrencyLayer::until_response).
//!
//! A stack has a name, and futures that are `Send` if those of the inner service are:
//!
//! ```
//! use tower_pace::{Concurrency, Deadlined, RateLimit, Retry, line::Bounds};
//!
//! type Stack<S> = Retry<RateLimit<Concurrency<S>>>;
//! type BoundedStack<S> = Deadlined<Retry<RateLimit<Concurrency<S>, Bounds>>>;
//! # fn assert_shareable<T: Clone + Send + Sync>() {}
//! assert_shareable::<Stack<String>>();
//! assert_shareable::<BoundedStack<String>>();
//! ```
//!
//! # Clients with types of their own
//!
//! A client that takes and gives other types than those of [`http`] stands behind two adapters of tower, innermost:
//!
//! ```
//! use std::convert::Infallible;
//! use http_body_util::BodyExt;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};
//!
//! struct Sent(http::Request<String>);
//! struct Received(http::Response<String>);
//!
//! async fn own_client(Sent(request): Sent) -> Result<Received, Infallible> {
//!     Ok(Received(http::Response::new(request.into_body())))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::default()))
//!     .layer(RateLimitLayer::new(Quota::per_second(100)))
//!     .layer(ConcurrencyLayer::new(32))
//!     .map_request(Sent)
//!     .map_response(|Received(response)| response)
//!     .service_fn(own_client);
//!
//! let response = client.oneshot(http::Request::new(String::from("hello"))).await.unwrap();
//! assert_eq!(response.collect().await.unwrap().to_bytes(), "hello");
//! # }
//! ```
//!
//! reqwest's client (0.13) is such a one. It follows redirects and sends again what HTTP/2 refused, both of which the
//! limiter would not see, so both are turned off; and none of its errors proves to [`was_sent`] that nothing was sent:
//!
//! ```text
//!     .map_request(|request: http::Request<Bytes>| {
//!         reqwest::Request::try_from(request).expect("the URI is absolute")
//!     })
//!     .map_response(http::Response::<reqwest::Body>::from)
//!     .service(
//!         reqwest::Client::builder()
//!             .redirect(reqwest::redirect::Policy::none())
//!             .retry(reqwest::retry::never())
//!             .build()?,
//!     );
//! ```
//!
//! [`tower`]: https://docs.rs/tower

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod clock;
pub mod concurrency;
pub mod deadline;
pub mod line;
#[cfg(feature = "hyper")]
mod never_left;
mod proof;
mod random;
pub mod rate;
pub mod retry;
mod retry_after;
mod sync;
mod was_sent;

pub use concurrency::{Concurrency, ConcurrencyLayer};
pub use deadline::{Deadline, DeadlineLayer, Deadlined, TimedOut};
pub use line::{Bounded, Refused, Waited};
pub use pacing::{Adaptive, Cost, Model, Quota, TooHeavy, UnsafeQuota};
pub use rate::{Handle, RateLimit, RateLimitLayer};
pub use retry::{Attempt, Replay, Retried, Retry, RetryLayer, RetryPolicy};
pub use was_sent::was_sent;
