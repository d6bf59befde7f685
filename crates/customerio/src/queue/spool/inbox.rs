use std::collections::VecDeque;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, TryAcquireError, oneshot};

use super::dead_letter::{DeadLetter, DeadOutcome};
use super::error::{Kind, SpoolError};
use super::settings::Spool;
use super::sqlite::Found;
use super::store::{Dead, ROW_OVERHEAD, Row};
use crate::packer::Priority;
use crate::queue::clock;
use crate::queue::error::Reason;
use crate::{Operation, Outcome};

/// How long settled operations wait for others to be written with. Longer would send more of them
/// again after a crash; shorter would sync the disk more often than a busy queue needs.
const SETTLE_LAG: Duration = Duration::from_millis(20);

/// The time between two attempts to write on a full disk.
pub(super) const FULL_INTERVAL: Duration = Duration::from_secs(1);

/// The most bytes of operations in one transaction. A larger one delays those that wait behind it,
/// and a program that enqueues without a pause would never see its first one acknowledged.
const MAX_GROUP: usize = 4 << 20;

/// How many dead letters are put back at once, of 32,000 bytes each at most.
const PUT_BACK: usize = 100;

/// The part of the time of the last transaction for which the writer waits for its callers: they
/// are likely to enqueue their next operations at once. Without the wait, one half of them would
/// enqueue while the other is written, and each would wait for two transactions. A longer wait
/// would cost more if some of them stay away.
const GATHER_PART: u32 = 4;

/// The time in which a caller is woken and enqueues its next operation. The writer waits only if
/// all can do so in that part of the time. Otherwise the two halves are faster: the disk is never
/// idle.
const RETURN: Duration = Duration::from_micros(2);

/// The longest such wait. A disk that stalls for a second would otherwise hold the next ones up.
const MOST_GATHERED: Duration = Duration::from_millis(2);

/// How many callers are woken at once. More would delay the caller that wakes them; with fewer,
/// threads would be switched more often.
const WAKE_UPS: usize = 64;

/// The work for the writer of a spool, from the handles, the receipts and the worker.
pub(in crate::queue) struct Inbox {
    work: Mutex<Work>,
    /// Wakes the writer. Paired with the waits in [`next`](Self::next).
    wake: Condvar,
    /// A permit for each further byte on disk, and for each in the inbox.
    disk: Semaphore,
    transit: Semaphore,
    /// Wakes callers whose operations are on disk.
    acknowledged: Mutex<VecDeque<Durable>>,
    /// Operations that were handed over and did not arrive in the state.
    arriving: Arc<AtomicUsize>,
    /// Why the writer ended, if the disk failed.
    failure: OnceLock<SpoolError>,
    /// The file, for errors.
    path: PathBuf,
}

/// What the writer does in one round.
pub(super) struct Taken {
    pub(super) inserts: Vec<Insert>,
    pub(super) settled: Vec<DiskOutcome>,
    /// Operations that must not be sent twice, and whether their request departs next.
    pub(super) departures: Vec<(u64, bool)>,
    /// Wakes the requests that wait until their departures are on disk.
    pub(super) departing: Vec<oneshot::Sender<()>>,
    pub(super) commands: Vec<Command>,
}

/// The work that the writer has not taken.
#[derive(Default)]
struct Work {
    next_id: u64,
    inserts: Vec<Insert>,
    insert_bytes: usize,
    /// The number of operations in the last transaction.
    last_group: usize,
    /// The number of operations that are likely to come next: as many as the last transaction had,
    /// and those that came while it was written. Set once it is written.
    expected: usize,
    /// The number of operations at which the writer is woken, 0 while it works. Waking it for each
    /// would cost more than the work.
    wake_at: usize,
    settled: Vec<DiskOutcome>,
    departures: Vec<(u64, bool)>,
    departing: Vec<oneshot::Sender<()>>,
    /// Each with the id of the operation that was handed over next: it follows those before.
    commands: VecDeque<(u64, Command)>,
    /// The bytes on disk above the bound. Room is released only below it.
    excess: u64,
    /// The queue is closed: no operation is handed over any longer.
    is_shut: bool,
    is_closing: bool,
    /// No writer takes the work any longer.
    is_over: bool,
}

/// An operation to write, with the senders that report on it.
pub(super) struct Insert {
    pub(super) row: Row,
    pub(super) receipt: Option<oneshot::Sender<Outcome>>,
    pub(super) durable: Durable,
    /// The dead letter that the operation was.
    pub(super) put_back: Option<u64>,
}

/// What the disk keeps of an operation that has its outcome.
pub(in crate::queue) struct DiskOutcome {
    pub(super) id: u64,
    pub(super) bytes: u64,
    /// The dead letter that it becomes. `None` removes it.
    pub(super) dead: Option<Dead>,
}

/// A request of a handle, carried out after the other work of the round.
pub(super) enum Command {
    Cancel(u64),
    /// Cancels the operations with a lower id.
    Clear(u64),
    DeadLetters {
        after: u64,
        limit: usize,
        reply: Reply<Vec<DeadLetter>>,
    },
    /// Replies with a future for each operation that is enqueued again.
    PutBack {
        ids: Vec<u64>,
        reply: Reply<Vec<oneshot::Receiver<Result<(), Reason>>>>,
    },
    DeleteDead {
        ids: Vec<u64>,
        reply: Reply<usize>,
    },
}

/// Tells a caller that an operation is on disk, or why it is not.
pub(in crate::queue) type Durable = oneshot::Sender<Result<(), Reason>>;

pub(super) type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

/// How long the writer waits for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Until there is some.
    ForWork,
    /// At most until the next attempt to write on a full disk.
    ForDisk,
}

impl DiskOutcome {
    /// Returns what the spool does with an operation of `size` bytes. `None` keeps it for the next
    /// queue.
    pub(in crate::queue) fn new(id: u64, size: usize, outcome: &Outcome) -> Option<Self> {
        let dead = |outcome, reason| {
            Some(Dead {
                id,
                outcome,
                reason,
            })
        };
        let dead = match outcome {
            Outcome::Accepted => None,
            Outcome::Rejected(rejection) => dead(DeadOutcome::Rejected, rejection.to_string()),
            Outcome::Unknown(cause) | Outcome::NotSent(cause) if cause.is_kept() => return None,
            Outcome::Unknown(cause) => dead(DeadOutcome::Unknown, cause.to_string()),
            Outcome::NotSent(cause) if cause.is_canceled() => None,
            Outcome::NotSent(cause) => dead(DeadOutcome::NotSent, cause.to_string()),
        };
        let bytes = (size + ROW_OVERHEAD) as u64;
        Some(Self { id, bytes, dead })
    }
}

impl Inbox {
    /// Creates the inbox of a spool, with room for `transit` bytes that wait to be written.
    pub(super) fn new(spool: &Spool, found: Found, transit: usize) -> Self {
        // The bound is clamped before the operations on disk are subtracted: their room is released
        // later, and a semaphore that gets more permits than it may have panics.
        let bound = spool.max_bytes.min(Semaphore::MAX_PERMITS as u64);
        let room = bound.saturating_sub(found.bytes);
        Self {
            work: Mutex::new(Work {
                next_id: found.next_id,
                excess: found.bytes.saturating_sub(bound),
                ..Work::default()
            }),
            wake: Condvar::new(),
            disk: Semaphore::new(room as usize),
            transit: Semaphore::new(transit),
            acknowledged: Mutex::default(),
            arriving: Arc::default(),
            failure: OnceLock::new(),
            path: spool.path.clone(),
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acquires room for an operation, on disk and in the inbox.
    pub(in crate::queue) fn try_acquire(&self, operation: &Operation) -> Result<(), Reason> {
        let bytes = charge(operation);
        let reason = |error, full| match error {
            TryAcquireError::NoPermits => full,
            TryAcquireError::Closed => self.closed_reason(),
        };
        let disk = self.disk.try_acquire_many(bytes);
        let disk = disk.map_err(|error| reason(error, Reason::SpoolFull))?;
        let transit = self.transit.try_acquire_many(bytes);
        let transit = transit.map_err(|error| reason(error, Reason::UnwrittenFull))?;
        transit.forget();
        disk.forget();
        Ok(())
    }

    /// Waits for room, in the order of the calls. Returns false if the queue is closed.
    ///
    /// Dropping the future releases what it acquired.
    pub(in crate::queue) async fn acquire(&self, operation: &Operation) -> bool {
        let bytes = charge(operation);
        let Ok(disk) = self.disk.acquire_many(bytes).await else {
            return false;
        };
        let Ok(transit) = self.transit.acquire_many(bytes).await else {
            return false;
        };
        transit.forget();
        disk.forget();
        true
    }

    /// Returns why no operation is enqueued any longer.
    pub(in crate::queue) fn closed_reason(&self) -> Reason {
        match self.failure.get() {
            Some(error) => Reason::Spool(error.clone()),
            None => Reason::Closed,
        }
    }

    /// Returns the counter of the operations that did not arrive in the state. It grows with the
    /// lock of the work held, and shrinks with that of the state.
    pub(in crate::queue) fn arriving(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.arriving)
    }

    /// Hands over an operation for which room was acquired. Returns its id, or `None` if the queue
    /// is closed.
    pub(in crate::queue) fn push(
        &self,
        operation: Operation,
        priority: Priority,
        receipt: oneshot::Sender<Outcome>,
        durable: Durable,
    ) -> Option<u64> {
        let enqueued_at = clock::wall_millis();
        // One lock for the id and the position: ids are written in their order.
        let mut work = self.work();
        if work.is_shut || work.is_over {
            return None;
        }
        // Relaxed: a worker that finds the queue idle has taken the lock of the state after the
        // queue was closed, and `shut` has taken this one.
        self.arriving.fetch_add(1, Relaxed);
        let id = work.next_id;
        work.next_id += 1;
        work.insert_bytes += operation.size();
        let row = Row {
            id,
            priority,
            enqueued_at,
            operation,
        };
        let receipt = Some(receipt);
        work.inserts.push(Insert {
            row,
            receipt,
            durable,
            put_back: None,
        });
        let wakes = work.inserts.len() == work.wake_at;
        drop(work);
        if wakes {
            self.wake.notify_one();
        }
        Some(id)
    }

    /// Returns the id of the next operation.
    pub(in crate::queue) fn next_id(&self) -> u64 {
        self.work().next_id
    }

    pub(in crate::queue) fn settle(&self, settled: impl IntoIterator<Item = DiskOutcome>) {
        self.add(|work| work.settled.extend(settled));
    }

    /// Records that the request of operations that must not be sent twice did not depart.
    pub(in crate::queue) fn hold(&self, ids: Vec<u64>) {
        self.add(|work| {
            work.departures
                .extend(ids.into_iter().map(|id| (id, false)))
        });
    }

    /// Records that the request of such operations departs, and waits until that is on disk. If the
    /// spool fails, it waits forever: the request must not depart.
    pub(in crate::queue) async fn depart(&self, ids: Vec<u64>) {
        let (reply, written) = oneshot::channel();
        self.add(|work| {
            work.departures.extend(ids.into_iter().map(|id| (id, true)));
            work.departing.push(reply);
        });
        if written.await.is_err() {
            std::future::pending().await
        }
    }

    pub(in crate::queue) fn cancel(&self, id: u64) {
        self.command(Command::Cancel(id));
    }

    pub(in crate::queue) fn clear(&self, before: u64) {
        self.command(Command::Clear(before));
    }

    fn command(&self, command: Command) {
        self.add(|work| work.commands.push_back((work.next_id, command)));
    }

    /// Returns at most `limit` dead letters with an id higher than `after`.
    pub(in crate::queue) async fn dead_letters(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, SpoolError> {
        let ask = |reply| Command::DeadLetters {
            after,
            limit,
            reply,
        };
        self.ask(ask).await
    }

    /// Enqueues dead letters again. Returns their number.
    pub(in crate::queue) async fn put_back(&self, ids: Vec<u64>) -> Result<usize, SpoolError> {
        let mut moved = 0;
        // In groups, so that the letters do not fill the memory.
        for ids in ids.chunks(PUT_BACK) {
            let ids = ids.to_vec();
            for written in self.ask(|reply| Command::PutBack { ids, reply }).await? {
                match written.await {
                    Ok(Ok(())) => moved += 1,
                    Ok(Err(Reason::Spool(error) | Reason::MaybeWritten(error))) => {
                        return Err(error);
                    }
                    // The queue was closed in between, so the letter stays a dead one.
                    Ok(Err(_)) | Err(_) => return Err(self.closed_error()),
                }
            }
        }
        Ok(moved)
    }

    /// Deletes dead letters. Returns their number.
    pub(in crate::queue) async fn delete_dead(&self, ids: Vec<u64>) -> Result<usize, SpoolError> {
        self.ask(|reply| Command::DeleteDead { ids, reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, SpoolError> {
        let (reply, answer) = oneshot::channel();
        self.command(command(reply));
        answer.await.unwrap_or_else(|_| Err(self.closed_error()))
    }

    fn closed_error(&self) -> SpoolError {
        let failure = self.failure.get().cloned();
        failure.unwrap_or_else(|| SpoolError::new(&self.path, Kind::Closed))
    }

    /// Lets no operation be handed over any longer.
    pub(in crate::queue) fn shut(&self) {
        self.work().is_shut = true;
    }

    /// Wakes some of the callers that [`acknowledge`](Self::acknowledge) has not woken yet. Returns
    /// whether there were any.
    pub(in crate::queue) fn acknowledge_some(&self) -> bool {
        let some: Vec<_> = {
            let mut acknowledged = self.acknowledged();
            let len = acknowledged.len().min(WAKE_UPS);
            acknowledged.drain(..len).collect()
        };
        let is_some = !some.is_empty();
        // Without the lock: a waker may run any code.
        for durable in some {
            // An error means that the caller does not wait for it.
            drop(durable.send(Ok(())));
        }
        is_some
    }

    fn acknowledged(&self) -> MutexGuard<'_, VecDeque<Durable>> {
        let acknowledged = self.acknowledged.lock();
        acknowledged.unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the writer end after the work that is there.
    pub(in crate::queue) fn close(&self) {
        self.add(|work| work.is_closing = true);
    }

    /// Wakes the callers that wait for room, which get none. Their wakers may run any code.
    pub(in crate::queue) fn close_room(&self) {
        self.disk.close();
        self.transit.close();
    }

    fn add(&self, change: impl FnOnce(&mut Work)) {
        let mut work = self.work();
        // Later work is dropped, so that no caller waits for a reply.
        if work.is_over {
            return;
        }
        change(&mut work);
        drop(work);
        self.wake.notify_one();
    }
}

/// The side of the writer.
impl Inbox {
    /// Waits for work, and takes it. Returns `None` once the inbox is closed and empty.
    pub(super) fn next(&self, limit: Wait, written_in: Duration) -> Option<Taken> {
        let mut work = self.work();
        if let Some(most) = gather_time(work.expected, written_in)
            && work.gathers()
        {
            work.wake_at = work.expected;
            let gathers = |work: &mut Work| work.gathers();
            let waited = self.wake.wait_timeout_while(work, most, gathers);
            work = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        work.wake_at = 1;
        while !work.is_urgent() {
            if work.is_closing && work.is_settled() {
                work.is_over = true;
                return None;
            }
            let wait = match (work.is_settled(), limit) {
                _ if work.is_closing => break,
                (false, Wait::ForWork) => SETTLE_LAG,
                (_, Wait::ForDisk) => FULL_INTERVAL,
                (true, Wait::ForWork) => {
                    work = self.wake.wait(work).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            // Waiting on through further wake-ups keeps the lag from starting again with each.
            let waited = self
                .wake
                .wait_timeout_while(work, wait, |work| !work.is_urgent() && !work.is_closing);
            work = waited.unwrap_or_else(PoisonError::into_inner).0;
            break;
        }
        Some(work.take())
    }

    /// Wakes the callers of operations that are on disk.
    ///
    /// A caller that is woken by this thread may take the processor at once, enqueue, and hand it
    /// back: for a group, that would be a switch of threads for each caller. So the first one that
    /// is polled wakes all others, on the thread of their runtime. This thread goes on waking them
    /// meanwhile, so no caller depends on another.
    pub(super) fn acknowledge(&self, durable: Vec<Durable>) {
        // Before the first is woken: it looks for the others at once.
        let mut durable = durable.into_iter();
        let first = durable.next();
        self.acknowledged().extend(durable);
        if let Some(first) = first {
            // An error means that the caller does not wait for it.
            drop(first.send(Ok(())));
        }
        while self.acknowledge_some() {}
    }

    /// Adds dead letters behind all other operations. They waited for no room, so their bytes add
    /// to the excess. Returns false if the queue is closed.
    pub(super) fn put_back_rows(&self, inserts: Vec<Insert>) -> bool {
        let mut work = self.work();
        if work.is_shut {
            return false;
        }
        self.arriving.fetch_add(inserts.len(), Relaxed);
        for mut insert in inserts {
            insert.row.id = work.next_id;
            work.next_id += 1;
            work.excess += insert.row.bytes();
            work.insert_bytes += insert.row.operation.size();
            work.inserts.push(insert);
        }
        true
    }

    /// Returns whether an operation ended unknown whose outcome the writer has not taken.
    pub(super) fn has_unknown(&self) -> bool {
        let is_unknown = |dead: &Dead| dead.outcome == DeadOutcome::Unknown;
        let work = self.work();
        let mut dead = work
            .settled
            .iter()
            .filter_map(|settled| settled.dead.as_ref());
        dead.any(is_unknown)
    }

    /// Releases the room of operations that left the inbox, and are on disk or were not enqueued.
    pub(super) fn release_transit(&self, bytes: u64) {
        let mut work = self.work();
        // Before the callers are woken: then none of them is counted twice.
        work.expected = work.last_group + work.inserts.len();
        drop(work);
        self.transit.add_permits(bytes as usize);
    }

    /// Releases the room of operations that left the disk.
    pub(super) fn release_disk(&self, bytes: u64) {
        let mut work = self.work();
        let paid = work.excess.min(bytes);
        work.excess -= paid;
        drop(work);
        self.disk.add_permits((bytes - paid) as usize);
    }

    /// Records why the writer ends. The first reason stays.
    pub(super) fn fail(&self, error: SpoolError) {
        drop(self.failure.set(error));
    }

    /// Ends the inbox, and drops the work that is in it and later work. Returns the operations that
    /// were not written.
    pub(super) fn end(&self) -> Vec<Insert> {
        let mut work = self.work();
        let rest = Work {
            next_id: work.next_id,
            is_over: true,
            ..Work::default()
        };
        let left = mem::replace(&mut *work, rest);
        drop(work);
        self.close_room();
        left.inserts
    }
}

impl Work {
    /// Returns whether a caller waits for this work.
    fn is_urgent(&self) -> bool {
        !self.inserts.is_empty() || !self.departing.is_empty() || !self.commands.is_empty()
    }

    /// Returns whether further operations are likely to come at once, and nothing else waits.
    fn gathers(&self) -> bool {
        let waits_for_no_other = self.departing.is_empty() && self.commands.is_empty();
        waits_for_no_other && !self.is_closing && self.inserts.len() < self.expected
    }

    fn is_settled(&self) -> bool {
        self.settled.is_empty() && self.departures.is_empty()
    }

    /// Takes the work of one transaction, and the commands that follow no operation that is left.
    fn take(&mut self) -> Taken {
        let rest = match self.insert_bytes > MAX_GROUP {
            true => self.inserts.split_off(self.first_group()),
            false => Vec::new(),
        };
        let inserts = mem::replace(&mut self.inserts, rest);
        (self.last_group, self.expected, self.wake_at) = (inserts.len(), 0, 0);
        let size = |insert: &Insert| insert.row.operation.size();
        self.insert_bytes = self.inserts.iter().map(size).sum();
        let next = self
            .inserts
            .first()
            .map_or(u64::MAX, |insert| insert.row.id);
        let ready = self.commands.iter().take_while(|(id, _)| *id <= next);
        let ready = ready.count();
        let commands = self.commands.drain(..ready);
        Taken {
            commands: commands.map(|(_, command)| command).collect(),
            inserts,
            settled: mem::take(&mut self.settled),
            departures: mem::take(&mut self.departures),
            departing: mem::take(&mut self.departing),
        }
    }

    /// Returns how many operations fit into one transaction.
    fn first_group(&self) -> usize {
        let mut bytes = 0;
        let fit = self.inserts.iter().take_while(|insert| {
            bytes += insert.row.operation.size();
            bytes <= MAX_GROUP
        });
        fit.count()
    }
}

/// Returns how long the writer waits at most for a number of callers, after a transaction that took
/// `written_in`, if that pays. One caller alone is not waited for: nothing would be written with
/// its operation.
fn gather_time(callers: usize, written_in: Duration) -> Option<Duration> {
    let most = (written_in / GATHER_PART).min(MOST_GATHERED);
    let returned = RETURN * u32::try_from(callers).unwrap_or(u32::MAX);
    (callers > 1 && returned <= most).then_some(most)
}

fn charge(operation: &Operation) -> u32 {
    let bytes = operation.size() + ROW_OVERHEAD;
    u32::try_from(bytes).expect("an operation takes 32,000 bytes at most")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_bound_that_is_reached() {
        let spool = Spool::new("queue.db");
        let found = |bytes| Found {
            len: 1,
            bytes,
            next_id: 2,
        };
        let person = crate::Person::id("a").unwrap();
        let operation = Operation::identify(&person, &crate::Attributes::new()).unwrap();
        for (bytes, transit, named) in [
            (spool.max_bytes, 1_000, "`Spool::max_bytes`"),
            (0, 100, "`QueueBuilder::max_bytes`"),
        ] {
            let inbox = Inbox::new(&spool, found(bytes), transit);
            let reason = inbox.try_acquire(&operation).unwrap_err();
            let operation = operation.clone();
            let error = crate::queue::NotEnqueued { operation, reason };
            assert!(error.is_full());
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn the_writer_waits_for_callers_only_where_the_disk_is_slower_than_they_are() {
        let micros = Duration::from_micros;
        for (callers, written_in, waits) in [
            (1, 1_000_000, None),
            (4, 200, Some(50)),
            (64, 250, None),
            (64, 1_000, Some(250)),
            (64, 5_000, Some(1_250)),
            (1_000, 5_000, None),
            (1_000, 20_000, Some(2_000)),
            (64, 10_000_000, Some(2_000)),
            (usize::MAX, u64::MAX, None),
        ] {
            let found = gather_time(callers, micros(written_in));
            assert_eq!(found, waits.map(micros), "{callers}, {written_in} us");
        }
    }
}
