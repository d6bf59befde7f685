//! A queue in memory: hand over an operation and go on. It leaves in a batch, in order for each
//! person, within the client's limits.
//!
//! ```
//! # use std::time::Duration;
//! use customerio::queue::Queue;
//! use customerio::{Attributes, Client, Operation, Person};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = Client::disabled();
//! let (queue, worker) = Queue::new(&client); // once, in `main`
//! tokio::spawn(worker);
//!
//! let operation = Operation::identify(&Person::id("u1")?, &Attributes::new())?;
//! queue.enqueue(operation).await?; // in a request handler
//!
//! let drained = queue.drain(Duration::from_secs(20)).await; // at shutdown
//! assert!(drained.is_complete());
//! # Ok(())
//! # }
//! ```
//!
//! Three settings matter most:
//!
//! - [`when_full`](QueueBuilder::when_full): wait, reject, or drop the oldest.
//! - [`max_bytes`](QueueBuilder::max_bytes): the memory that the queue takes, 128 MiB by default.
//! - [`max_age`](QueueBuilder::max_age): the age at which an operation is given up, 24 hours by
//!   default.
//!
//! The queue is lost with the process. [`Queue::drain`] empties it at shutdown.
//!
//! # Order
//!
//! The operations on one person (by the identifier as given) depart in the order of `enqueue`. One
//! request at a time holds operations of a person. [`Priority`] orders people, and never the
//! operations of one person. If an operation ends unknown, those that wait behind it on the same
//! person are settled as not sent; those enqueued later are sent.
//!
//! # Failures
//!
//! | the API | the queue |
//! |---|---|
//! | rejects an operation | settles it; the others of its batch are not affected |
//! | answers 401 or 403, redirects, or is behind a proxy that refuses | holds everything, and probes once a minute |
//! | answers 429 | waits as long as the server asks |
//! | answers with a success that is not from the API, as a proxy's page | sends it again, if that is safe |
//! | fails for every request | holds everything, probes after 1 s to 30 s, and starts slowly afterwards |
//! | fails for one batch, again and again | halves it until the operation that makes the server fail is alone; that one ends unknown |
//!
//! What must not be sent twice, such as a merge, ends unknown instead. An event without an id must
//! not be sent twice, too; [`Queue::stamp`] adds one.
//!
//! # Health
//!
//! [`Queue::stats`] shows the state, [`Queue::subscribe`] its changes, and
//! [`QueueBuilder::monitor`] writes it in each period. With feature `tracing`, the events
//! `customerio.queue.blocked`, `customerio.queue.outage` (both warn, with `status`) and
//! `customerio.queue.recovered` (info) say when the queue holds its operations, and
//! `QueueBuilder::log` writes the state every ten seconds.
//!
//! # For users of p-queue
//!
//! | p-queue 10 | here | difference |
//! |---|---|---|
//! | `add(fn)` | [`enqueue`](Queue::enqueue) | returns a [`Receipt`], which may be awaited or dropped |
//! | `size` | [`Stats::size`] | |
//! | `pending` | [`Stats::pending`] | counts operations; [`Stats::requests`] counts requests |
//! | `pause()`, `start()`, `autoStart: false` | [`pause`](Queue::pause), [`resume`](Queue::resume), [`paused`](QueueBuilder::paused) | |
//! | `onIdle()` | [`on_idle`](Queue::on_idle) | |
//! | `onEmpty()`, `onSizeLessThan(n)` | [`on_size_less_than`](Queue::on_size_less_than) | `onEmpty` is with 1 |
//! | `priority`, `setPriority` | [`with_priority`](Queue::with_priority) | of a person: a later operation may raise it |
//! | `concurrency` | [`concurrency`](QueueBuilder::concurrency) | counts requests; fixed |
//! | `interval`, `intervalCap` | [`Limits`](crate::client::Limits) of the client | paced, and shared with other clients |
//! | `signal` | [`Receipt::cancel`] | settles as not sent; what has departed is awaited |
//! | `clear()` | [`clear`](Queue::clear) | settles each receipt as not sent |
//! | `onRateLimit()`, `isRateLimited` | [`subscribe`](Queue::subscribe), [`Stats::is_throttled`] | throttled by the server; [`Stats::held_by`] also names the own limit |
//! | `isSaturated` | [`Stats::held_by`] | [`HeldBy::Concurrency`] or [`HeldBy::RateLimit`] |
//! | `timeout` | [`max_age`](QueueBuilder::max_age) | counts from `enqueue`; an attempt has the client's timeout |
//!
//! Left out: `runningTasks` and `sizeBy`, which would show people's data; `queueClass`, since the
//! order is a promise; `addAll`, which is a loop over `enqueue`.

mod builder;
mod clock;
mod error;
#[expect(clippy::module_inception, reason = "the file of `Queue` has its name")]
mod queue;
mod receipt;
mod shared;
mod state;
mod stats;
#[cfg(feature = "tracing")]
mod trace;
mod worker;

pub use self::builder::{QueueBuilder, WhenFull};
pub use self::error::NotEnqueued;
pub use self::queue::{Drained, Queue};
pub use self::receipt::Receipt;
pub use self::stats::{HeldBy, Stats, StatsWatcher};
pub use self::worker::Worker;
pub use crate::packer::Priority;
