//! A queue, in memory or on disk: hand over an operation and go on. It departs in a batch, in order
//! for each person, within the client's limits.
//!
//! ```
//! use std::time::Duration;
//!
//! use customerio::queue::Queue;
//! use customerio::{Client, Event, Operation, Person};
//!
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
//! # fn main() { simulated(async {
//! let client = Client::from_env()?;
//! let (queue, worker) = Queue::new(&client); // once, in `main`
//! tokio::spawn(worker);
//!
//! let event = queue.stamp(Event::new("ordered")?); // adds an id and the time
//! let operation = Operation::event(&Person::id("u1")?, &event)?;
//! queue.enqueue(operation).await?; // in a request handler; returns a receipt
//!
//! let drained = queue.drain(Duration::from_secs(20)).await; // at shutdown
//! assert!(drained.is_complete());
//! # Ok(()) }) }
//! ```
//!
//! Stamp events before they are enqueued. One without an id must not be sent twice, so that it has
//! a request of its own and ends unknown after a timeout. One without a time has that of its
//! arrival.
//!
//! The runtime needs tokio's timer. Three settings matter most:
//!
//! - [`when_full`](QueueBuilder::when_full): wait, reject, or drop the oldest.
//! - [`max_bytes`](QueueBuilder::max_bytes): the memory that the queue takes, 128 MiB by default.
//! - [`max_age`](QueueBuilder::max_age): the age at which an operation is given up, 24 hours by
//!   default.
//!
//! A queue in memory is lost with the process. [`Queue::drain`] empties it at shutdown.
//!
//! # On disk
//!
//! With feature `spool`, an operation is on disk when [`Queue::enqueue`] returns, and the next
//! queue on the same file sends what a crash or a deadline has left. One line is different:
//!
//! ```
//! # #[cfg(feature = "spool")]
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
//! # #[cfg(feature = "spool")]
//! # fn main() { simulated(async {
//! # use std::time::Duration;
//! # use customerio::{Attributes, Client, Operation, Person};
//! use customerio::queue::{Queue, Spool};
//!
//! # let client = Client::from_env()?;
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(&folder)?;
//! let (queue, worker) = Queue::builder(&client).open(&Spool::new("queue.db"))?;
//! # let operation = Operation::identify(&Person::id("u1")?, &Attributes::new())?;
//! let worker = tokio::spawn(worker);
//! queue.enqueue(operation).await?; // it is on disk
//!
//! let drained = queue.drain(Duration::from_secs(20)).await;
//! worker.await?; // now another queue may open the file
//! assert!(drained.is_complete());
//! # Ok(()) }) }
//! # #[cfg(not(feature = "spool"))]
//! # fn main() {}
//! ```
//!
//! - **Sent again:** a crash loses the outcomes that are not on disk yet. The next queue sends
//!   their operations again, as it does with operations that were in flight. An outcome waits at
//!   most 20 ms and then for the commits under way; on a busy disk these take longer, and up to a
//!   minute while an operator locks the file. A second copy changes nothing if an operation may be
//!   [replayed](crate::Operation::may_replay).
//! - **Not sent again:** the others, such as a merge, are recorded before they depart. If the
//!   program ends before the outcome is on disk, the operation becomes a dead letter with an
//!   unknown outcome, also if the API had just accepted it. Those behind it on the same person
//!   become dead letters that were not sent.
//! - **Dead letters:** operations that were rejected, ended unknown, or were not sent behind an
//!   unknown one. [`Queue::dead_letters`] shows them, [`Queue::put_back`] enqueues them again.
//! - **Bounds:** [`Spool::max_bytes`] for operations and [`Spool::max_dead`] for dead letters, of
//!   up to 32,000 bytes each. [`max_len`](QueueBuilder::max_len) and
//!   [`max_bytes`](QueueBuilder::max_bytes) bound the memory; further operations wait on disk,
//!   where [priorities](Priority) do not apply. [`max_age`](QueueBuilder::max_age) does not apply
//!   at all.
//! - **A full disk:** `enqueue` returns an error, and outcomes are written into a reserve of 8 MiB,
//!   once a second. If that is full, too, no request departs until there is room. A queue that ends
//!   then may leave outcomes that are not on disk, and the next one sends their operations again.
//! - **A broken disk:** the queue ends after a commit that failed, and each later `enqueue` returns
//!   the error. [`NotEnqueued::spool_error`] has it. What was acknowledged stays in the file. The
//!   operations of the failed commit may be in the file, too: [`NotEnqueued::may_be_kept`] and
//!   [`Cause::may_be_kept`](crate::Cause::may_be_kept) are true for them.
//! - **One process:** a second queue on the file is an error. The file belongs to one base URL and
//!   one site id. An operator who locks the file for writing for a minute ends the queue.
//! - **Files:** `queue.db`, and beside it `queue.db-wal` and `-shm` of SQLite, `-lock` and
//!   `-reserve`. They are created with mode 0600. Copy and move them together. A lost or cut `-wal`
//!   loses operations without an error, since SQLite takes it for the end of the log.
//! - **SQLite:** the versions 0.39 to 0.43 of `rusqlite` fit. A program with `sqlx` 0.9 gets 0.39.
//!
//! Operators read the tables with `sqlite3`, also while the queue writes. A long transaction lets
//! the log grow until it ends.
//!
//! - The table `operations` has the columns `id` in the order of enqueue, `enqueued_at` in
//!   milliseconds since 1970, `priority` from 0 (low) to 2 (high), `lane` and `other_lane` as
//!   hashes, `may_replay`, `goes_alone`, `has_departed` for what must not be sent twice, and
//!   `json`.
//! - `dead` has the same columns without `has_departed`, `outcome` (`rejected`, `unknown` or
//!   `not sent`) and `reason`.
//! - `destination` has `base_url`, `site` (the SHA-256 of the site id) and `next_id`.
//!
//! ```console
//! $ sqlite3 queue.db "SELECT reason, count(*) FROM dead GROUP BY reason"
//! $ sqlite3 queue.db "SELECT min(enqueued_at), count(*) FROM operations"
//! ```
//!
//! A wrong value that an operator has written is an error with the table, the row and the column.
//! In `dead`, the queue goes on. In `operations`, it ends: correct or delete the row, then start
//! again.
//!
//! If the file is damaged, no queue opens it. These commands make a spool of the rows that can be
//! read. `ROLLBACK` ends the output of `.dump` if some cannot. The numbers mark the file as a spool
//! and name the version of its tables.
//!
//! ```console
//! $ umask 077 && mkdir damaged && mv queue.db* damaged/
//! $ sqlite3 damaged/queue.db .dump | sed 's/^ROLLBACK;.*/COMMIT;/' | sqlite3 queue.db
//! $ sqlite3 queue.db "PRAGMA application_id = 1128877905; PRAGMA user_version = 1"
//! ```
//!
//! # Order
//!
//! Within one queue, the operations on one person (by the identifier as given) depart in the order
//! of `enqueue`. Another queue, another process, and calls of the client beside the queue keep no
//! order with it. One request at a time holds operations of a person. [`Priority`] orders people,
//! and never the operations of one person. If an operation ends unknown, those that wait behind it
//! on the same person are settled as not sent; those enqueued later are sent.
//!
//! # Failures
//!
//! | the API | the queue |
//! |---|---|
//! | rejects an operation | settles it; the others of its batch are not affected |
//! | answers 401 or 403, or redirects | holds everything, and probes once a minute |
//! | is behind a proxy that refuses | the same |
//! | answers 429 | waits as the server asks, an hour at most: [`max_retry_after`] |
//! | answers with a proxy's page | sends it again, if that is safe |
//! | fails for every request | holds everything, probes after 1 s to 30 s, and starts slowly |
//! | fails for one batch again and again | halves it; the operation at fault ends unknown |
//!
//! What must not be sent twice, such as a merge, ends unknown instead.
//!
//! [`max_retry_after`]: tower_pace::Quota::max_retry_after
//!
//! # Health
//!
//! [`Queue::stats`] shows the state, [`Queue::subscribe`] its changes, and
//! [`QueueBuilder::monitor`] writes it in each period. With feature `tracing`, the events
//! `customerio.queue.blocked`, `customerio.queue.outage` (both warn, with `status`) and
//! `customerio.queue.recovered` (info) say when the queue holds its operations,
//! `customerio.queue.failed` (warn) says that operations of a request were rejected or ended
//! unknown, and `QueueBuilder::log` writes the state every ten seconds. A spool adds
//! `customerio.queue.disk_full` (warn) and `customerio.queue.spool_failed` (error).
//!
//! # For users of p-queue
//!
//! | p-queue 10 | here | difference |
//! |---|---|---|
//! | `add(fn)` | [`enqueue`](Queue::enqueue) | returns a [`Receipt`], which may be awaited or dropped |
//! | `size` | [`Stats::size`] | |
//! | `pending` | [`Stats::pending`] | counts operations; [`Stats::requests`] counts requests |
//! | `pause()`, `start()`, `autoStart: false` | [`pause`](Queue::pause), [`resume`](Queue::resume), [`paused`](QueueBuilder::paused) | |
//! | `isPaused` | [`Stats::held_by`] | [`HeldBy::Paused`] |
//! | events `completed` and `error`, `onError()` | [`Receipt`] | with an outcome; [`Stats`] counts them, and a spool keeps failures as dead letters |
//! | `onIdle()` | [`on_idle`](Queue::on_idle) | |
//! | `onEmpty()`, `onSizeLessThan(n)` | [`on_size_less_than`](Queue::on_size_less_than) | `onEmpty` is with 1 |
//! | `priority`, `setPriority` | [`with_priority`](Queue::with_priority) | of a person: a later operation may raise it |
//! | `concurrency` | [`concurrency`](QueueBuilder::concurrency) | counts requests; fixed |
//! | `interval`, `intervalCap` | [`Limits`](crate::client::Limits) of the client | paced, and shared with other clients |
//! | `signal` | [`Receipt::cancel`] | settles as not sent; what has departed is awaited |
//! | `clear()` | [`clear`](Queue::clear) | settles each receipt as not sent |
//! | `onRateLimit()`, `isRateLimited` | [`subscribe`](Queue::subscribe), [`HeldBy::RateLimit`] | the own limit; [`Stats::is_throttled`] says that the server has throttled a request |
//! | `isSaturated` | [`Stats::held_by`] | [`HeldBy::Concurrency`] or [`HeldBy::RateLimit`] |
//! | `timeout` | [`max_age`](QueueBuilder::max_age) | counts from `enqueue`; an attempt has the client's timeout |
//!
//! Left out: `runningTasks` and `sizeBy`, which would show people's data; `queueClass`, since the
//! order is a promise; `addAll`, which is a loop over `enqueue`; the events `active` and `next`,
//! and `onPendingZero()`, since operations depart and end in batches.
//!
//! The [guide to migration](crate::guide::migration) maps Bottleneck and analytics-node.

mod builder;
mod clock;
mod control;
mod error;
#[expect(clippy::module_inception, reason = "the file of `Queue` has its name")]
mod queue;
mod receipt;
mod shared;
#[cfg(feature = "spool")]
mod spool;
#[cfg(not(feature = "spool"))]
#[path = "spool/absent.rs"]
mod spool;
mod state;
mod stats;
#[cfg(feature = "tracing")]
mod trace;
mod worker;

pub use self::builder::{QueueBuilder, WhenFull};
pub use self::error::NotEnqueued;
pub use self::queue::{Drained, Queue};
pub use self::receipt::Receipt;
#[cfg(feature = "spool")]
pub use self::spool::{DeadLetter, DeadOutcome, Spool, SpoolError};
pub use self::stats::{HeldBy, Stats, StatsWatcher};
pub use self::worker::Worker;
pub use crate::packer::Priority;
