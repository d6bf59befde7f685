//! Bounds how many requests are in flight, to the end of the response's body.
//!
//! ```
//! use tower_pace::ConcurrencyLayer;
//!
//! let layer = ConcurrencyLayer::new(32);
//! ```
//!
//! [`Concurrency`] acquires a permit in `poll_ready`, first come first served. The permit is
//! released when the response's body has ended, has failed or is dropped. It is also released when
//! the call fails, and when the service or future that holds it is dropped. A body that is not read
//! keeps its permit. So read or drop each body, or count requests only
//! [`until_response`](ConcurrencyLayer::until_response).
//!
//! The limit is fixed, or [adapts](ConcurrencyLayer::adaptive) to the server's capacity. A
//! [`Handle`] shows the limit and sets it at run time.
//!
//! # Place in the stack
//!
//! The same layer may be in a stack only once. If it is there twice, `poll_ready` panics.
//!
//! Two cases are not detected: between the two is a service that is ready by itself, as a rate
//! limit is, or the inner one is called in a future. A call then takes two permits, and all calls
//! wait forever once the outer ones hold all permits. [`max_wait`](ConcurrencyLayer::max_wait) ends
//! that with an error.
//!
//! # Waiters that are not polled
//!
//! A free permit is not handed to a waiter. The next waiter is woken, and if it does not acquire
//! the permit within 5 ms, the waiter behind it may. So k waiters that are never polled delay those
//! behind them by 5 ms each, once, and by up to 200 ms in all before the first is found missing.
//!
//! A waiter that was passed over keeps its position for its next poll. From then on the others wait
//! for it twice as long, each time until it has a permit, up to 1.28 s. So even a caller whose
//! thread is busy whenever it is woken gets a permit.
//!
//! While no permit is released, a waiter polls by itself every 100 ms, and 5 ms later for each
//! waiter before it. No permit is held while the inner service is not ready.
//!
//! # Paused time
//!
//! On paused time, a test never ends if it waits for a permit that is never released. Use a
//! `tokio::time::timeout` around it.
//!
//! # The adaptive limit, measured
//!
//! Beside the best fixed limit for the same server, the tests' adaptive limit has at least 94 % of
//! its throughput and at most 1.25 times its latency. If a server drops requests above its capacity
//! without a response, about one request in ten is lost before the limit fits.

mod body;
mod events;
mod future;
mod handle;
mod in_flight;
mod layer;
mod nested;
mod permit;
mod service;
mod state;
mod until;

pub use body::PermitBody;
pub use future::ResponseFuture;
pub use handle::{Handle, Snapshot};
pub use layer::ConcurrencyLayer;
pub use service::Concurrency;
pub use until::{BodyEnd, ResponseHead, Until};
