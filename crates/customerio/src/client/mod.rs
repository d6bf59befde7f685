//! A client that sends operations and messages, with retries, rate limits, a bound on requests in
//! flight and timeouts.
//!
//! ```
//! use customerio::client::{Client, Limits, Quota};
//! use customerio::{Attributes, Credentials, Person};
//!
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
//! # fn main() { simulated(async {
//! let client = Client::builder()
//!     .credentials(Credentials::new("site", "key")?)
//!     .limits(Limits::documented().ingress(Quota::per_second(100)))
//!     # .base_url(std::env::var("CUSTOMERIO_BASE_URL")?)
//!     .build()?;
//!
//! client.identify(&Person::id("u1")?, &Attributes::new()).await?;
//! assert_eq!(client.stats().requests, 1);
//! # Ok(()) }) }
//! ```
//!
//! Three settings matter most:
//!
//! - [`limits`](ClientBuilder::limits): the requests per second, 1,000 by default. Set it lower if
//!   other programs send to the same workspace.
//! - [`deadline`](ClientBuilder::deadline): the time that a call may take. By default a call waits
//!   as long as it takes.
//! - [`concurrency`](ClientBuilder::concurrency): the requests in flight, 64 by default.
//!
//! # The way of a request
//!
//! From outside to inside: retry, rate limit, concurrency, and one attempt, which sends the request
//! and reads the whole response within a timeout.
//!
//! - Each attempt waits in the rate limiter. The wait does not count towards its timeout.
//! - A response that ends too early is a failed attempt.
//! - A request is sent again only if a second copy changes nothing, or if it was certainly not
//!   sent.
//! - Redirects are not followed.
//! - No task is spawned, except by hyper for its connections.
//!
//! The Track API with transactional messages, the triggers of broadcasts, and the rest of the App
//! API have a rate limiter each. [`Client::app`] is the door to the App API.
//!
//! # Monitoring
//!
//! [`Client::stats`] counts attempts and outcomes. [`Client::limit`] shows the rate limiter and its
//! wait queue, and [`Client::server_pause`] a pause that the server asked for. The example
//! `prometheus` exports statistics and limit.
//!
//! With feature `tracing` the client has a span for each request and an event for each attempt:
//!
//! | name | kind | level | fields |
//! |---|---|---|---|
//! | `customerio.request` | span of one request, with waits and retries | debug | `method`, `route` (such as `/api/v1/customers/{id}` or `/v1/customers/{}/attributes`), `operations`, `status` of the last response |
//! | `customerio.attempt` | event in that span | debug | `status`, if a response came, `may_have_arrived` |
//!
//! `tower_pace` adds events about backoffs, gates and slower limits. Names are part of the public
//! API. No id, attribute, path, body or key is in a span or an event.

mod app;
mod attempt;
mod builder;
mod call;
mod classify;
#[expect(clippy::module_inception, reason = "the file of `Client` has its name")]
mod client;
mod daily_quota;
mod disabled;
mod error;
mod failures;
mod ids;
mod limits;
mod pages;
mod progress;
mod proxy;
mod quotas;
mod receive_limit;
mod redact;
mod roots;
mod server_pause;
mod stack;
mod stats;
mod trace;
mod transport;

pub use app::{App, AppCall, AppResponse};
pub use builder::ClientBuilder;
pub use client::Client;
#[cfg(feature = "testing")]
pub(crate) use disabled::RESPONSE;
pub use error::{BuildError, Error};
pub use failures::Failures;
pub(crate) use ids::random_id;
pub use limits::{ApiLimit, Limits};
pub use pages::Pages;
pub use proxy::Proxy;
pub use roots::RootCertificates;
pub use server_pause::ServerPause;
pub use stats::Stats;
pub use tower_pace::rate::Snapshot;
pub use tower_pace::rate::shared::SharedLimits;
pub use tower_pace::{
    Adaptive, ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy, UnsafeQuota,
};
