//! Sends requests through a ready-made stack: retried when that is safe, paced, bounded, timed.
//!
//! From outside: retry, rate limit, concurrency, and one exchange that sends a request and reads
//! the whole answer within the attempt's timeout. So every attempt pays the limiter, waiting for a
//! turn is no timeout, and a body that breaks off is a failed attempt. Redirects are not followed.
//! Nothing is spawned but what hyper spawns for its connections.
//!
//! ```
//! use customerio::client::{Client, Limits, Quota};
//! use customerio::{Attributes, Credentials, Person};
//! use tower::service_fn;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // `build()` connects to Customer.io; this service stands for it.
//! let api = service_fn(|_| async {
//!     Ok::<_, std::io::Error>(http::Response::new(String::from("{}")))
//! });
//! let client = Client::builder()
//!     .credentials(Credentials::new("site", "key")?)
//!     .limits(Limits::documented().ingress(Quota::per_second(100)))
//!     .build_with(api)?;
//!
//! let mut attributes = Attributes::new();
//! attributes.insert("plan", "pro")?;
//! client.identify(&Person::id("u1")?, &attributes).await?;
//! assert_eq!(client.stats().requests, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Watching it
//!
//! [`Client::stats`] counts attempts and outcomes, and [`Client::limit`] shows the line; the
//! example `prometheus` exports both. With feature `tracing` the client tells a subscriber of your
//! choice what it does. Names are kept like those of functions. No id, attribute, path, body or key
//! is in them.
//!
//! | name | kind | level | fields |
//! |---|---|---|---|
//! | `customerio.request` | span, from the wait for a turn to the answer | debug | `method`, `route` (such as `/api/v1/customers/{id}`), `operations`, `status` of the last answer |
//! | `customerio.attempt` | event in it | debug | `status`, if an answer came, `may_have_arrived` |
//!
//! Beside them are those of `tower_pace`, of waits for a retry, closed gates and slower limits.

mod builder;
mod calls;
mod carry;
mod connection;
mod diagnosis;
mod disabled;
mod error;
mod exchange;
mod handle;
mod hold;
mod ids;
mod limits;
mod mask;
mod meter;
mod proxy;
mod roots;
mod shown;
mod stack;
mod stats;
#[cfg(not(feature = "tracing"))]
#[path = "no_trace.rs"]
mod trace;
#[cfg(feature = "tracing")]
mod trace;
mod trail;
mod transport;

pub use builder::ClientBuilder;
#[cfg(feature = "testing")]
pub(crate) use disabled::ANSWER;
pub use error::{BuildError, Error};
pub use handle::Client;
pub use hold::Hold;
pub use limits::{Budget, Limits};
pub use proxy::Proxy;
pub use roots::RootCertificates;
pub use stats::Stats;
pub use tower_pace::rate::Snapshot;
pub use tower_pace::{
    Adaptive, ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy, UnsafeQuota,
};
