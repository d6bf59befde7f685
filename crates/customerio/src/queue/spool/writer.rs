use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{iter, mem};

use tokio::sync::oneshot;

use super::error::SpoolError;
use super::inbox::{Command, Inbox, Insert, Patience, Reply, Settled, Taken};
use super::sqlite::Found;
use super::store::{Changes, Failure, Gone, Row, Store, Written};
use crate::queue::clock;
use crate::queue::error::Reason;
use crate::queue::shared::Shared;
use crate::queue::state::{State, Stored};
use crate::{Cause, Outcome};

/// How many operations are loaded at once. More would hold the memory of all of them twice.
const LOAD: usize = 1_000;

/// How often a transaction is tried while another program writes to the file. With the wait of the
/// database, that is about a minute.
const BUSY_ATTEMPTS: u32 = 12;

/// The time between two attempts to fill the reserve on a full disk.
const FULL_INTERVAL: Duration = Duration::from_secs(1);

/// How many receipts of operations that are only on disk are kept before the dropped ones are
/// looked for.
const MIN_WAITING: usize = 1_024;

/// The thread that writes the operations of a queue to disk, and loads them when there is memory.
///
/// The queue in memory holds the oldest operations of the spool, in the order of their ids. The
/// others, the backlog, are only on disk until memory is free.
pub(super) struct Writer {
    store: Box<dyn Store>,
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    /// The operations with this id and higher ones are only on disk.
    next_to_load: u64,
    /// Higher than each id that is in memory, on disk or handed back.
    next_id: u64,
    backlog: u64,
    /// The receipts of the backlog.
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    max_waiting: usize,
    /// Dead letters that are being enqueued again. A second request would enqueue them twice.
    revived: HashSet<u64>,
    /// What is not on disk yet, beside operations to insert.
    pending: Pending,
    /// Set while the reserve is used. No operation is enqueued until it is filled again.
    disk_full: Option<SpoolError>,
    /// When the reserve was tried to be filled last.
    refilled_at: Option<Instant>,
}

impl Drop for Writer {
    /// Settles the receipts of operations that are only on disk.
    fn drop(&mut self) {
        for (_, receipt) in self.waiting.drain() {
            // An error means that the receipt was dropped.
            drop(receipt.send(Outcome::NotSent(Cause::kept())));
        }
    }
}

/// Settled operations and departures that are not on disk yet.
#[derive(Default)]
struct Pending {
    changes: Changes,
    /// The bytes that the settled operations take on disk.
    bytes: u64,
    /// Those who wait until the departures are on disk.
    departing: Vec<oneshot::Sender<()>>,
}

/// Those who wait for an operation.
struct Waiter {
    receipt: Option<oneshot::Sender<Outcome>>,
    durable: oneshot::Sender<Result<(), Reason>>,
    /// The bytes of room in the inbox to release.
    transit: u64,
    revived: Option<u64>,
}

/// Ends the queue when the writer ends, also if it panics.
struct EndGuard {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        for insert in self.inbox.end() {
            Waiter::of(insert).1.reject(&self.inbox.closed_reason());
        }
        self.shared.update(State::end_spool);
    }
}

impl Writer {
    pub(super) fn new(
        store: Box<dyn Store>,
        found: Found,
        inbox: Arc<Inbox>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            store,
            inbox,
            shared,
            next_to_load: 0,
            next_id: found.next_id,
            backlog: found.len,
            waiting: HashMap::new(),
            max_waiting: MIN_WAITING,
            revived: HashSet::new(),
            pending: Pending::default(),
            disk_full: None,
            refilled_at: None,
        }
    }

    /// Writes until the inbox is closed, or the store fails.
    pub(super) fn run(self) {
        let _guard = EndGuard {
            inbox: Arc::clone(&self.inbox),
            shared: Arc::clone(&self.shared),
        };
        // Dropped before the guard, also in a panic: the file is unlocked before those who wait for
        // the end may open it again.
        let mut writer = self;
        if let Err(error) = writer.rounds() {
            #[cfg(feature = "tracing")]
            crate::queue::trace::spool_failed(&error);
            writer.inbox.fail(error);
        }
    }

    fn rounds(&mut self) -> Result<(), SpoolError> {
        self.disk_full = self.store.refill_reserve().err();
        self.load()?;
        let patience = |writer: &Self| match writer.disk_full {
            Some(_) => Patience::DiskIsFull,
            None => Patience::Any,
        };
        while let Some(work) = self.inbox.next(patience(self)) {
            self.round(work)?;
            self.load()?;
        }
        // Without this attempt, settled operations that a full disk kept back would be sent again.
        self.write_pending()
    }

    fn round(&mut self, work: Taken) -> Result<(), SpoolError> {
        self.pending.settle(work.settled);
        self.pending.changes.departures.extend(work.departures);
        self.pending.departing.extend(work.departing);
        let (rows, waiters): (Vec<_>, Vec<_>) = work.inserts.into_iter().map(Waiter::of).unzip();
        self.try_refill();
        match self.disk_full.clone() {
            Some(error) => {
                self.reject(&rows, waiters, &error);
                self.write_pending()?;
            }
            None => self.write(rows, waiters)?,
        }
        let (cancels, others): (Vec<_>, Vec<_>) = work
            .commands
            .into_iter()
            .partition(|command| matches!(command, Command::Cancel(_)));
        self.cancel(cancels)?;
        others
            .into_iter()
            .try_for_each(|command| self.carry_out(command))
    }

    /// Fills the reserve again after a full disk, at most once a second: it writes 8 MiB.
    fn try_refill(&mut self) {
        let now = clock::now();
        let is_recent = |at: Instant| now.saturating_duration_since(at) < FULL_INTERVAL;
        if self.disk_full.is_some() && !self.refilled_at.is_some_and(is_recent) {
            self.disk_full = self.store.refill_reserve().err();
            self.refilled_at = Some(now);
        }
    }

    /// Writes operations, with everything that is pending, in one transaction.
    fn write(&mut self, rows: Vec<Row>, waiters: Vec<Waiter>) -> Result<(), SpoolError> {
        self.pending.changes.inserted = rows;
        self.pending.changes.forgotten =
            waiters.iter().filter_map(|waiter| waiter.revived).collect();
        if self.pending.changes.is_empty() {
            return Ok(());
        }
        self.pending.changes.backlog = self.next_to_load..self.next_id;
        let committed = commit(&mut *self.store, &self.pending.changes);
        let rows = mem::take(&mut self.pending.changes.inserted);
        self.pending.changes.forgotten.clear();
        match committed {
            Ok(written) => {
                self.written(&written);
                self.inserted(rows, waiters);
                Ok(())
            }
            Err(Failure::DiskFull(error)) => {
                #[cfg(feature = "tracing")]
                crate::queue::trace::disk_full(&error);
                self.reject(&rows, waiters, &error);
                self.disk_full = Some(error);
                self.write_pending()
            }
            Err(Failure::Busy(error) | Failure::Failed(error)) => {
                self.reject(&rows, waiters, &error);
                Err(error)
            }
        }
    }

    /// Writes settled operations and departures, on a full disk into its reserve. If that has no
    /// room either, no request departs until they are written: a crash would send them again.
    fn write_pending(&mut self) -> Result<(), SpoolError> {
        if self.disk_full.is_some() {
            self.store.release_reserve();
        }
        if self.pending.changes.is_empty() {
            return Ok(());
        }
        self.pending.changes.backlog = self.next_to_load..self.next_id;
        match commit(&mut *self.store, &self.pending.changes) {
            Ok(written) => self.written(&written),
            Err(Failure::DiskFull(error)) => {
                self.disk_full = Some(error);
                self.shared.update(|state| state.hold_for_disk(true));
            }
            Err(Failure::Busy(error) | Failure::Failed(error)) => return Err(error),
        }
        Ok(())
    }

    /// Releases the room of the settled operations, and lets the departures go on.
    fn written(&mut self, written: &Written) {
        self.settle_backlog(&written.withheld, &|| {
            Outcome::NotSent(Cause::follows_unknown())
        });
        self.update_state();
        let pending = mem::take(&mut self.pending);
        self.inbox.release_disk(pending.bytes);
        for departing in pending.departing {
            // An error means that the request is not waited for any longer.
            let _ = departing.send(());
        }
        let dead = self.store.dead();
        self.shared.update(|state| {
            state.hold_for_disk(false);
            state.set_dead(dead);
        });
    }

    /// Acknowledges operations that are on disk now.
    fn inserted(&mut self, rows: Vec<Row>, waiters: Vec<Waiter>) {
        let (len, transit) = (rows.len(), transit(&waiters));
        self.forget_revived(&waiters);
        let (receipts, durable): (Vec<_>, Vec<_>) = waiters
            .into_iter()
            .map(|waiter| (waiter.receipt, waiter.durable))
            .unzip();
        self.pass(&rows);
        self.add(rows, receipts);
        // Afterwards: a queue that is drained must not look empty in between.
        self.shared.update(|state| state.arrive(len));
        self.inbox.release_transit(transit);
        for durable in durable {
            // An error means that the caller does not wait for it.
            drop(durable.send(Ok(())));
        }
    }

    /// Adds operations on disk to the queue in memory, or to the backlog if they are not the next
    /// ones or memory has no room.
    fn add(&mut self, rows: Vec<Row>, receipts: Vec<Option<oneshot::Sender<Outcome>>>) {
        let shared = Arc::clone(&self.shared);
        shared.update(|state| {
            for (row, receipt) in rows.into_iter().zip(receipts) {
                let is_next = self.backlog == 0 && !state.has_ended();
                if is_next && shared.acquire_memory(&row.operation) {
                    enqueue(state, row, receipt);
                    continue;
                }
                if self.backlog == 0 {
                    self.next_to_load = row.id;
                }
                self.backlog += 1;
                if let Some(receipt) = receipt.filter(|receipt| !receipt.is_closed()) {
                    self.waiting.insert(row.id, receipt);
                }
            }
        });
        self.update_state();
        // Dropped receipts are looked for now and then, so that they do not add up.
        if self.waiting.len() > self.max_waiting {
            self.waiting.retain(|_, receipt| !receipt.is_closed());
            self.max_waiting = (2 * self.waiting.len()).max(MIN_WAITING);
        }
    }

    /// Loads the backlog while memory has room.
    fn load(&mut self) -> Result<(), SpoolError> {
        while self.backlog > 0 && self.shared.has_memory() {
            let rows = self
                .store
                .load(self.next_to_load, LOAD)
                .map_err(Failure::into_error)?;
            if rows.is_empty() {
                // An operator has deleted them.
                self.backlog = 0;
            }
            let shared = Arc::clone(&self.shared);
            let is_full = shared.update(|state| {
                rows.into_iter().any(|row| {
                    if state.has_ended() || !shared.acquire_memory(&row.operation) {
                        return true;
                    }
                    self.next_to_load = row.id + 1;
                    self.backlog = self.backlog.saturating_sub(1);
                    let receipt = self.waiting.remove(&row.id);
                    enqueue(state, row, receipt);
                    false
                })
            });
            self.update_state();
            if is_full {
                break;
            }
        }
        Ok(())
    }

    /// Records that operations are about to be added or handed back. Earlier, a flush would end
    /// before they are in memory.
    fn pass(&mut self, rows: &[Row]) {
        if let Some(last) = rows.last() {
            self.next_id = last.id + 1;
        }
    }

    /// Shows the backlog to the queue.
    pub(super) fn update_state(&mut self) {
        if self.backlog == 0 {
            self.next_to_load = self.next_id;
        }
        let (backlog, next) = (self.backlog, self.next_to_load);
        self.shared.update(|state| state.set_backlog(backlog, next));
    }

    /// Hands operations back that are not on disk.
    fn reject(&mut self, rows: &[Row], waiters: Vec<Waiter>, error: &SpoolError) {
        let bytes: u64 = rows.iter().map(Row::bytes).sum();
        self.forget_revived(&waiters);
        self.inbox.release_transit(transit(&waiters));
        self.inbox.release_disk(bytes);
        self.pass(rows);
        self.update_state();
        self.shared.update(|state| state.arrive(rows.len()));
        for waiter in waiters {
            waiter.reject(&Reason::Spool(error.clone()));
        }
    }
}

/// Carrying out commands.
impl Writer {
    fn carry_out(&mut self, command: Command) -> Result<(), SpoolError> {
        match command {
            Command::Cancel(_) => self.cancel(vec![command]),
            Command::Clear(before) => {
                self.shared.update(|state| state.clear(Some(before)));
                let all = self.next_to_load..before;
                self.cancel_backlog(iter::once(all).collect())
            }
            Command::DeadLetters {
                after,
                limit,
                reply,
            } => {
                let letters = self.store.dead_letters(after, limit);
                let letters = letters.map(|found| found.into_iter().map(Into::into).collect());
                self.answer(reply, letters)
            }
            Command::PutBack { ids, reply } => {
                let moved = self.put_back(&ids);
                self.answer(reply, moved)
            }
            Command::DeleteDead { ids, reply } => {
                let before = self.store.dead();
                let forgotten = ids.into_iter().filter(|id| !self.revived.contains(id));
                let changes = Changes {
                    forgotten: forgotten.collect(),
                    ..Changes::default()
                };
                let deleted = commit(&mut *self.store, &changes);
                let deleted = deleted.map(|_| before.saturating_sub(self.store.dead()) as usize);
                self.answer(reply, deleted)
            }
        }
    }

    /// Replies to a command. The writer ends only if the store must not be used further.
    fn answer<T>(&self, reply: Reply<T>, result: Result<T, Failure>) -> Result<(), SpoolError> {
        let dead = self.store.dead();
        self.shared.update(|state| state.set_dead(dead));
        let (result, fatal) = match result {
            Ok(value) => (Ok(value), Ok(())),
            Err(Failure::Failed(error)) => (Err(error.clone()), Err(error)),
            Err(Failure::Busy(error) | Failure::DiskFull(error)) => (Err(error), Ok(())),
        };
        // An error means that the caller does not wait for the reply.
        drop(reply.send(result));
        fatal
    }

    /// Cancels operations, in memory or in the backlog. Those of the backlog share a transaction.
    fn cancel(&mut self, commands: Vec<Command>) -> Result<(), SpoolError> {
        let mut on_disk = Vec::new();
        for command in commands {
            if let Command::Cancel(id) = command
                && !self.shared.update(|state| state.cancel(id))
                && id >= self.next_to_load
            {
                on_disk.push(id..id + 1);
            }
        }
        self.cancel_backlog(on_disk)
    }

    /// Cancels the operations of the backlog with ids in some ranges.
    fn cancel_backlog(&mut self, mut ids: Vec<Range<u64>>) -> Result<(), SpoolError> {
        ids.retain(|ids| !ids.is_empty());
        if self.backlog == 0 || ids.is_empty() {
            return Ok(());
        }
        let changes = Changes {
            canceled: ids,
            ..Changes::default()
        };
        let mut committed = commit(&mut *self.store, &changes);
        if let Err(Failure::DiskFull(error)) = committed {
            self.disk_full = Some(error);
            self.store.release_reserve();
            committed = commit(&mut *self.store, &changes);
        }
        match committed {
            Ok(written) => {
                let canceled = || Outcome::NotSent(Cause::canceled());
                self.settle_backlog(&written.canceled, &canceled);
                self.update_state();
                Ok(())
            }
            // They are not canceled, but sent.
            Err(Failure::DiskFull(_) | Failure::Busy(_)) => Ok(()),
            Err(Failure::Failed(error)) => Err(error),
        }
    }

    /// Settles operations that are no longer in the backlog.
    fn settle_backlog(&mut self, gone: &[Gone], outcome: &dyn Fn() -> Outcome) {
        for Gone { id, bytes } in gone {
            self.backlog = self.backlog.saturating_sub(1);
            self.inbox.release_disk(*bytes);
            self.shared.update(|state| state.count_settled(&outcome()));
            if let Some(receipt) = self.waiting.remove(id) {
                // An error means that the receipt was dropped.
                drop(receipt.send(outcome()));
            }
        }
    }

    fn forget_revived(&mut self, waiters: &[Waiter]) {
        for id in waiters.iter().filter_map(|waiter| waiter.revived) {
            self.revived.remove(&id);
        }
    }

    /// Hands dead letters over as operations, behind all others.
    fn put_back(
        &mut self,
        ids: &[u64],
    ) -> Result<Vec<oneshot::Receiver<Result<(), Reason>>>, Failure> {
        let (mut inserts, mut written) = (Vec::new(), Vec::new());
        for id in ids {
            let found = self.store.dead_letters(id.saturating_sub(1), 1)?;
            let found = found.into_iter().find(|buried| buried.row.id == *id);
            let Some(buried) = found.filter(|_| self.revived.insert(*id)) else {
                continue;
            };
            let (durable, receiver) = oneshot::channel();
            written.push(receiver);
            inserts.push(Insert {
                row: buried.row,
                receipt: None,
                durable,
                revived: Some(*id),
            });
        }
        let len = inserts.len();
        // A closed queue enqueues nothing: the senders are dropped, and the receivers show it.
        if self.shared.update(|state| state.announce(len)) {
            self.inbox.revive(inserts);
        } else {
            self.revived.clear();
        }
        Ok(written)
    }
}

/// Writes changes, and waits while another program writes to the file.
fn commit(store: &mut dyn Store, changes: &Changes) -> Result<Written, Failure> {
    for _ in 1..BUSY_ATTEMPTS {
        match store.commit(changes) {
            Err(Failure::Busy(_)) => {}
            result => return result,
        }
    }
    store.commit(changes)
}

/// Enqueues an operation in memory.
fn enqueue(state: &mut State, row: Row, receipt: Option<oneshot::Sender<Outcome>>) {
    let now = clock::now();
    let age = clock::wall_millis().saturating_sub(row.enqueued_at);
    let enqueued_at = now.checked_sub(Duration::from_millis(age)).unwrap_or(now);
    let stored = Stored {
        number: row.id,
        operation: row.operation.compacted(),
        priority: row.priority,
        enqueued_at,
    };
    state.enqueue_stored(stored, receipt, now);
}

impl Pending {
    fn settle(&mut self, settled: Vec<Settled>) {
        for Settled { id, bytes, dead } in settled {
            self.bytes += bytes;
            match dead {
                Some(dead) => self.changes.dead.push(dead),
                None => self.changes.removed.push(id),
            }
        }
    }
}

impl Waiter {
    fn of(insert: Insert) -> (Row, Self) {
        let Insert {
            row,
            receipt,
            durable,
            revived,
        } = insert;
        let transit = match revived {
            Some(_) => 0,
            None => row.bytes(),
        };
        let waiter = Self {
            receipt,
            durable,
            transit,
            revived,
        };
        (row, waiter)
    }

    /// Answers that the operation was not enqueued. An error means that the receipt was dropped.
    fn reject(self, reason: &Reason) {
        if let Some(receipt) = self.receipt {
            drop(receipt.send(Outcome::NotSent(reason.cause())));
        }
        drop(self.durable.send(Err(reason.clone())));
    }
}

fn transit(waiters: &[Waiter]) -> u64 {
    waiters.iter().map(|waiter| waiter.transit).sum()
}
