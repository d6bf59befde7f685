//! Spans of the crate `tracing` for each attempt, with OpenTelemetry's names for HTTP clients.
//!
//! ```
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//! use tower_pace::trace::{SpanLayer, UrlTemplate};
//! use tower_pace::{Quota, RateLimitLayer, RetryLayer};
//! # use std::convert::Infallible;
//! # async fn answer(_: http::Request<String>) -> Result<http::Response<String>, Infallible> {
//! #     Ok(http::Response::new(String::from("hello")))
//! # }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! # let hyper_client = tower::service_fn(answer);
//!
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::default())
//!     .layer(RateLimitLayer::new(Quota::per_second(100)).max_wait(Duration::from_secs(60)))
//!     .layer(SpanLayer::new()) // a span for each attempt, from its departure on
//!     .service(hyper_client);
//!
//! let mut request = http::Request::get("/people/7").body(String::new()).unwrap();
//! request.extensions_mut().insert(UrlTemplate("/people/{id}"));
//! # use tower::ServiceExt;
//! # client.oneshot(request).await.unwrap();
//! # }
//! ```
//!
//! Put the layer below the retry and the limits: a span then begins when its attempt departs, and
//! the attempts of one request are siblings in the span of the caller. A span ends with the head of
//! the response, with an error, or when the call is dropped.
//!
//! # Fields
//!
//! The names are those of OpenTelemetry's [conventions for HTTP clients]. The crate
//! `tracing-opentelemetry` takes the fields that begin with `otel.` as properties of its span.
//! Other subscribers see them as fields like the rest.
//!
//! | field | value |
//! |---|---|
//! | `otel.name` | the method, and the [`UrlTemplate`] where the request has one |
//! | `otel.kind` | `client` |
//! | `http.request.method` | the method; `_OTHER` if it is none of the standard's |
//! | `server.address`, `server.port` | the host and the port of the URL, if it has them |
//! | `url.template` | the [`UrlTemplate`] of the request, if it has one |
//! | `http.request.resend_count` | 1 for the first retry; absent for the first attempt |
//! | `http.response.status_code` | the status of the response |
//! | `error.type` | the status, if it is 400 or more; the type of the error; `cancelled` if the call was dropped |
//! | `otel.status_code` | `ERROR` with an `error.type` |
//!
//! The level is `INFO`, the name `http.client` and the target `tower_pace::trace`. A span holds
//! neither a path, a query nor a header field, since these may have secrets or data of people in
//! them: `url.full`, which the conventions ask for, is left out.
//!
//! [conventions for HTTP clients]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/

mod future;
mod layer;
mod service;
mod span;

pub use future::ResponseFuture;
pub use layer::SpanLayer;
pub use service::Spanned;
pub use span::UrlTemplate;
