use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
#[cfg(feature = "spool")]
use super::spool::{self, Opened, Spool, SpoolError};
use super::{Queue, Stats, Worker};
use crate::Client;

/// The default number of operations in one request. With operations of 1,000 bytes, a batch is then
/// as large as the API allows.
const BATCH: usize = 500;

/// The default number of requests in flight: with 500 operations each, far above the limit on
/// operations per second. More would only make the batches smaller.
const CONCURRENCY: usize = 10;

/// The default bounds: small beside the memory of a server, and minutes of a busy application.
const MAX_LEN: usize = 100_000;
const MAX_BYTES: usize = 128 << 20;

/// The least bound in bytes. Below it, a batch and the operations of the next one have no room.
const MIN_BYTES: usize = 1_000_000;

/// The default wait for a batch to fill: short for a person, and long enough for 500 operations of
/// a busy application.
const LINGER: Duration = Duration::from_millis(50);

/// The default age at which an operation in memory is not worth sending: a day, as in the official
/// SDKs. Events older than 72 hours trigger no campaign.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of a [`Queue`].
///
/// | setting | default |
/// |---|---|
/// | [`batch`](Self::batch) | 500 operations |
/// | [`concurrency`](Self::concurrency) | 10 requests |
/// | [`linger`](Self::linger) | 50 ms |
/// | [`max_len`](Self::max_len) | 100,000 operations |
/// | [`max_bytes`](Self::max_bytes) | 128 MiB |
/// | [`max_age`](Self::max_age) | 24 hours |
/// | [`when_full`](Self::when_full) | [`WhenFull::Wait`] |
#[must_use]
pub struct QueueBuilder {
    client: Client,
    settings: Settings,
}

pub(super) struct Settings {
    pub(super) batch: usize,
    pub(super) concurrency: usize,
    pub(super) linger: Duration,
    pub(super) max_len: usize,
    pub(super) max_bytes: usize,
    pub(super) max_age: Option<Duration>,
    pub(super) when_full: WhenFull,
    pub(super) is_paused: bool,
    pub(super) monitor: Option<(Duration, Monitor)>,
    /// Whether operations wait in memory for the writer of a spool.
    pub(super) has_transit: bool,
}

pub(super) type Monitor = Arc<dyn Fn(&Stats) + Send + Sync>;

/// The reaction to an operation for which a queue has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// `enqueue` waits for room, in the order of the calls.
    #[default]
    Wait,
    /// `enqueue` returns an error with the operation.
    Reject,
    /// The oldest operation that is in no request is settled as not sent, with
    /// [`Cause::is_dropped`](crate::Cause::is_dropped). It counts in
    /// [`Stats::dropped`](super::Stats::dropped).
    ///
    /// If there is none, the oldest operation of a request that failed is dropped: one that waits
    /// until it is sent again. If it may have arrived, it is settled as unknown with the same
    /// cause, and counts in [`Stats::unknown`](super::Stats::unknown); those behind it on the same
    /// person are not sent. If each operation is in flight, `enqueue` returns an error.
    DropOldest,
}

impl QueueBuilder {
    pub(super) fn new(client: &Client) -> Self {
        Self {
            client: client.without_bounds(),
            settings: Settings {
                batch: BATCH,
                concurrency: CONCURRENCY,
                linger: LINGER,
                max_len: MAX_LEN,
                max_bytes: MAX_BYTES,
                max_age: Some(MAX_AGE),
                when_full: WhenFull::default(),
                is_paused: false,
                monitor: None,
                has_transit: false,
            },
        }
    }

    /// Sets how many operations one request holds at most; 0 counts as 1. With 1, each goes alone.
    pub fn batch(mut self, operations: usize) -> Self {
        self.settings.batch = operations.max(1);
        self
    }

    /// Sets how many requests may be in flight at once; 0 counts as 1. The client's own limit
    /// applies, too.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.settings.concurrency = requests.max(1);
        self
    }

    /// Sets how long a batch that is not full waits for more operations.
    pub fn linger(mut self, time: Duration) -> Self {
        self.settings.linger = time;
        self
    }

    /// Sets how many operations without an outcome the queue holds at most; 0 counts as 1.
    pub fn max_len(mut self, operations: usize) -> Self {
        self.settings.max_len = operations.max(1);
        self
    }

    /// Sets the memory that the queue takes at most, in bytes; at least 1,000,000.
    ///
    /// An operation counts with its JSON and 768 bytes for its place in the queue and its receipt.
    /// A quarter is reserved for the bodies of requests in flight. Below 2,000,000 one body may be
    /// larger than that. The buffers of connections are not counted. On a spool, a receipt of
    /// [`try_enqueue`](Queue::try_enqueue) keeps a copy of its operation until it is polled or
    /// dropped, which is not counted.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes.max(MIN_BYTES);
        self
    }

    /// Sets the age at which an operation that has not departed is settled as not sent, with
    /// [`Cause::is_expired`](crate::Cause::is_expired). `None` sets no bound.
    ///
    /// One whose request failed is not sent again at that age. If it may have arrived, it is
    /// settled as unknown with the same cause.
    ///
    /// It may take up to a second, or a tenth of a shorter age, until that is seen.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.settings.max_age = age.into();
        self
    }

    /// Sets the reaction to an operation for which there is no room.
    pub fn when_full(mut self, reaction: WhenFull) -> Self {
        self.settings.when_full = reaction;
        self
    }

    /// Creates the queue paused, until [`resume`](Queue::resume).
    pub fn paused(mut self) -> Self {
        self.settings.is_paused = true;
        self
    }

    /// Calls `monitor` with the state of the queue in each `period`, such as to write a log line.
    ///
    /// The worker calls it, so it must not block. If it panics, the worker ends, as if dropped.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use customerio::{Client, queue::Queue};
    /// # let client = Client::disabled();
    /// let (queue, worker) = Queue::builder(&client)
    ///     .monitor(Duration::from_secs(10), |stats| println!("queue: {stats}"))
    ///     .build();
    /// # drop((queue, worker));
    /// ```
    pub fn monitor(
        mut self,
        period: Duration,
        monitor: impl Fn(&Stats) + Send + Sync + 'static,
    ) -> Self {
        // A period of zero would keep the worker busy.
        let period = period.max(Duration::from_millis(1));
        self.settings.monitor = Some((period, Arc::new(monitor)));
        self
    }

    /// Writes the state of the queue to the log every ten seconds, as an event of `tracing` with
    /// level info.
    #[cfg(feature = "tracing")]
    pub fn log(self) -> Self {
        self.monitor(
            Duration::from_secs(10),
            |stats| tracing::info!(name: "customerio.queue", "customerio queue: {stats}"),
        )
    }

    /// Creates the queue in memory and its worker. It needs no runtime yet.
    pub fn build(self) -> (Queue, Worker) {
        let shared = Arc::new(Shared::new(self.client, self.settings, None));
        (Queue::new_handle(&shared), Worker::new(shared))
    }

    /// Creates the queue on a spool, and its worker: an operation is on disk when `enqueue`
    /// returns. The operations that are in the spool are sent first.
    ///
    /// It starts the thread that writes, and blocks while it checks the file. `max_age` and
    /// [`WhenFull::DropOldest`] are for memory only: a spool keeps each operation, and a full one
    /// returns an error. `max_len` and `max_bytes` bound the memory; further operations wait on
    /// disk.
    ///
    /// # Errors
    ///
    /// The spool is in use, damaged or of another destination, or it cannot be opened.
    #[cfg(feature = "spool")]
    pub fn open(self, spool: &Spool) -> Result<(Queue, Worker), SpoolError> {
        let client = self.client.clone();
        self.open_with(|transit| spool::open(spool, &client, transit))
    }

    /// Creates the queue on an opened spool. `open` gets the bytes of its inbox.
    #[cfg(feature = "spool")]
    pub(super) fn open_with(
        mut self,
        open: impl FnOnce(usize) -> Result<Opened, SpoolError>,
    ) -> Result<(Queue, Worker), SpoolError> {
        self.settings.max_age = None;
        self.settings.has_transit = true;
        let opened = open(self.settings.transit())?;
        let inbox = Some(Arc::clone(opened.inbox()));
        let shared = Arc::new(Shared::new(self.client, self.settings, inbox));
        opened.start(&shared)?;
        Ok((Queue::new_handle(&shared), Worker::new(shared)))
    }
}

impl Settings {
    /// The bytes that are reserved for the bodies of requests in flight.
    pub(super) fn reserve(&self) -> usize {
        self.max_bytes / 4
    }

    /// The bytes that are reserved for operations that wait for the writer of a spool.
    pub(super) fn transit(&self) -> usize {
        match self.has_transit {
            true => self.max_bytes / 8,
            false => 0,
        }
    }

    /// The number of operations and the bytes for which there is room.
    pub(super) fn room(&self) -> (usize, usize) {
        // A semaphore has fewer permits than `usize` has values.
        let most = tokio::sync::Semaphore::MAX_PERMITS;
        let bytes = self.max_bytes - self.reserve() - self.transit();
        (self.max_len.min(most), bytes.min(most))
    }
}

impl fmt::Debug for QueueBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueBuilder")
            .field("batch", &self.settings.batch)
            .field("concurrency", &self.settings.concurrency)
            .field("max_len", &self.settings.max_len)
            .field("max_bytes", &self.settings.max_bytes)
            .finish_non_exhaustive()
    }
}
