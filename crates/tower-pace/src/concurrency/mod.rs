//! BoundedWait how many requests are in flight, to the end of the response's body.
//!
//! [`Concurrency`] takes a permit in `poll_ready`, first come first served. The permit comes back
//! when the response's body has ended, failed or was dropped, when the call failed, or when the
//! service or future that holds it is dropped. A body that nobody reads keeps its own permit, and
//! no other: read bodies, or drop them, or count requests only
//! [`until_response`](ConcurrencyLayer::until_response).
//!
//! A free permit is not handed to a waiter: the waiter is woken, and if it does not come within 5
//! ms the next one may take it. So k parked waiters cost those behind them 5 ms each, once, and up
//! to 200 ms in all before the first is missed. A waiter that was passed over and is polled again
//! has its old place. It is then waited for twice as long, each time until it has a permit, up to
//! 1.28 s: so a caller whose thread is busy whenever it is woken has its turn too. While no permit
//! comes back, a waiter looks every 100 ms, and 5 ms more seldom for each that stands before it. No
//! permit is held while the inner service is not ready.
//!
//! A layer stands in a stack once. If it stands there twice, `poll_ready` panics. Where something
//! between the two is ready by itself, as a rate limit is, or the inner one is called in a future,
//! a call takes two permits, and all wait for ever once the outer ones hold all permits: a
//! [`max_wait`](ConcurrencyLayer::max_wait) ends that with an error.
//!
//! On paused time a test that waits for a permit which nobody gives back never ends: put a
//! `tokio::time::timeout` around it.
//!
//! The limit is fixed, or [adapts](ConcurrencyLayer::adaptive) to what the server can take: in the
//! tests, beside the best fixed limit for the same server, to at least 94 % of its throughput at
//! most 1.25 times its latency. Where a server drops what is above its capacity in silence, about
//! one request in ten is lost in finding that out. A [`Handle`] shows the limit, that of a trial
//! too, and sets it at run time.

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
