use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{iter, mem};

use tokio::sync::oneshot;

use super::dead_letter::DeadOutcome;
use super::error::SpoolError;
use super::inbox::{
    Command, DiskOutcome, Durable, FULL_INTERVAL, Inbox, Insert, Reply, Taken, Wait,
};
use super::sqlite::Found;
use super::store::{Changes, Failure, Row, SettledRow, Store, Written};
use crate::queue::clock;
use crate::queue::error::Reason;
use crate::queue::shared::Shared;
use crate::queue::state::{Loaded, State};
use crate::{Cause, Outcome};

/// How many operations are loaded at once, if memory has room for them. With more, callers whose
/// operations are to be written would wait for longer.
const LOAD: usize = 1_000;

/// How often a transaction is tried while another program writes to the file. With the wait of the
/// database, that is about a minute.
const BUSY_ATTEMPTS: u32 = 12;

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
    /// Dead letters that are being enqueued again. A second call would enqueue them twice.
    put_back: HashSet<u64>,
    /// What is not on disk yet, beside operations to insert.
    pending: Pending,
    /// Set while the reserve is used. No operation is enqueued until it is filled again.
    disk_full: Option<SpoolError>,
    /// How long the last transaction with operations took.
    written_in: Duration,
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
    /// Wakes the requests that wait until their departures are on disk.
    departing: Vec<oneshot::Sender<()>>,
}

/// The senders that report on an operation, and the room that it takes in the inbox.
struct Senders {
    receipt: Option<oneshot::Sender<Outcome>>,
    durable: Durable,
    /// The bytes of room in the inbox to release.
    transit: u64,
    put_back: Option<u64>,
}

/// One reading of both clocks, for a group of operations.
struct Clocks {
    now: Instant,
    wall_millis: u64,
}

/// Ends the queue when the writer ends, also if it panics.
struct EndGuard {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        for insert in self.inbox.end() {
            Senders::of(insert).1.reject(&self.inbox.closed_reason());
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
            put_back: HashSet::new(),
            pending: Pending::default(),
            disk_full: None,
            written_in: Duration::ZERO,
            refilled_at: None,
        }
    }

    /// Writes until the inbox is closed, or the store fails.
    pub(super) fn run(self) {
        let _guard = EndGuard {
            inbox: Arc::clone(&self.inbox),
            shared: Arc::clone(&self.shared),
        };
        // Dropped before the guard, also in a panic: the file is unlocked before the end is
        // announced.
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
        let limit = |writer: &Self| match writer.disk_full {
            Some(_) => Wait::ForDisk,
            None => Wait::ForWork,
        };
        while let Some(work) = self.inbox.next(limit(self), self.written_in) {
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
        let (rows, senders): (Vec<_>, Vec<_>) = work.inserts.into_iter().map(Senders::of).unzip();
        self.try_refill();
        match self.disk_full.clone() {
            Some(error) => {
                self.reject(&rows, senders, &Reason::Spool(error));
                self.write_pending()?;
            }
            None => self.write(rows, senders)?,
        }
        let mut canceled = Vec::new();
        for command in work.commands {
            match command {
                Command::Cancel(id) => canceled.push(id),
                command => self.carry_out(command)?,
            }
        }
        self.cancel(&canceled)
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
    fn write(&mut self, rows: Vec<Row>, senders: Vec<Senders>) -> Result<(), SpoolError> {
        self.pending.changes.inserted = rows;
        self.pending.changes.deleted_dead = senders
            .iter()
            .filter_map(|sender| sender.put_back)
            .collect();
        if self.pending.changes.is_empty() {
            return Ok(());
        }
        self.pending.changes.backlog = self.next_to_load..self.next_id;
        let started = clock::now();
        let committed = commit(&mut *self.store, &self.pending.changes);
        if !senders.is_empty() {
            self.written_in = clock::now().saturating_duration_since(started);
        }
        let rows = mem::take(&mut self.pending.changes.inserted);
        self.pending.changes.deleted_dead.clear();
        match committed {
            Ok(written) => {
                self.written(&written);
                self.inserted(rows, senders);
                Ok(())
            }
            Err(Failure::DiskFull(error)) => {
                #[cfg(feature = "tracing")]
                crate::queue::trace::disk_full(&error);
                self.reject(&rows, senders, &Reason::Spool(error.clone()));
                self.disk_full = Some(error);
                self.write_pending()
            }
            Err(failure) => {
                let reason = failure.reason();
                self.reject(&rows, senders, &reason);
                Err(failure.into_error())
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
            Err(failure) => return Err(failure.into_error()),
        }
        Ok(())
    }

    /// Releases the room of the settled operations, and lets the departures go on.
    fn written(&mut self, written: &Written) {
        self.settle_backlog(&written.withheld, &|| {
            Outcome::NotSent(Cause::follows_unknown())
        });
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
    fn inserted(&mut self, rows: Vec<Row>, senders: Vec<Senders>) {
        let transit = transit(&senders);
        self.forget_put_back(&senders);
        let (receipts, durable): (Vec<_>, Vec<_>) = senders
            .into_iter()
            .map(|sender| (sender.receipt, sender.durable))
            .unzip();
        self.pass(&rows);
        self.add(rows, receipts);
        self.inbox.release_transit(transit);
        self.inbox.acknowledge(durable);
    }

    /// Adds operations on disk to the queue in memory, or to the backlog if they are not the next
    /// ones or memory has no room.
    fn add(&mut self, rows: Vec<Row>, receipts: Vec<Option<oneshot::Sender<Outcome>>>) {
        let shared = Arc::clone(&self.shared);
        let clocks = Clocks::now();
        // With one lock: in between, a queue that is drained would look empty.
        shared.update(|state| {
            state.arrive(rows.len());
            for (row, receipt) in rows.into_iter().zip(receipts) {
                let is_next = self.backlog == 0 && !state.has_ended();
                if is_next && shared.acquire_memory(&row.operation) {
                    clocks.enqueue(state, row, receipt);
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
            self.show_backlog(state);
        });
        // Dropped receipts are looked for now and then, so that they do not add up.
        if self.waiting.len() > self.max_waiting {
            self.waiting.retain(|_, receipt| !receipt.is_closed());
            self.max_waiting = (2 * self.waiting.len()).max(MIN_WAITING);
        }
    }

    /// Loads the backlog while memory has room.
    fn load(&mut self) -> Result<(), SpoolError> {
        // Operations behind an unknown one are withheld with the commit of its outcome, which looks
        // for them on disk. Until then none may be loaded: it would be sent.
        while self.backlog > 0 && self.shared.has_memory() && !self.pending.has_unknown() {
            let shared = Arc::clone(&self.shared);
            let mut is_full = false;
            // The room is acquired while they are read: otherwise operations without room would
            // take memory, too.
            let rows = self.store.load(self.next_to_load, LOAD, &mut |row| {
                is_full = !shared.acquire_memory(&row.operation);
                !is_full
            });
            let rows = rows.map_err(Failure::into_error)?;
            if rows.is_empty() && !is_full {
                // An operator has deleted them.
                self.backlog = 0;
            }
            let clocks = Clocks::now();
            let left = shared.update(|state| {
                // With the lock of the state, in which outcomes are handed to the inbox: another
                // thread may have settled an operation as unknown since the rows were read.
                if state.has_ended() || self.inbox.has_unknown() {
                    return rows;
                }
                for row in rows {
                    self.next_to_load = row.id + 1;
                    self.backlog = self.backlog.saturating_sub(1);
                    let receipt = self.waiting.remove(&row.id);
                    clocks.enqueue(state, row, receipt);
                }
                Vec::new()
            });
            // They stay on disk.
            for row in &left {
                self.shared.release_memory(&row.operation);
            }
            self.update_state();
            if is_full || !left.is_empty() {
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
        let shared = Arc::clone(&self.shared);
        shared.update(|state| self.show_backlog(state));
    }

    fn show_backlog(&mut self, state: &mut State) {
        if self.backlog == 0 {
            self.next_to_load = self.next_id;
        }
        state.set_backlog(self.backlog, self.next_to_load);
    }

    /// Hands operations back that were not written, or may not have been.
    fn reject(&mut self, rows: &[Row], senders: Vec<Senders>, reason: &Reason) {
        let bytes: u64 = rows.iter().map(Row::bytes).sum();
        self.forget_put_back(&senders);
        self.inbox.release_transit(transit(&senders));
        self.inbox.release_disk(bytes);
        self.pass(rows);
        self.update_state();
        self.shared.update(|state| state.arrive(rows.len()));
        for sender in senders {
            sender.reject(reason);
        }
    }
}

/// Carrying out commands.
impl Writer {
    fn carry_out(&mut self, command: Command) -> Result<(), SpoolError> {
        match command {
            Command::Cancel(id) => self.cancel(&[id]),
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
                let deleted = ids.into_iter().filter(|id| !self.put_back.contains(id));
                let changes = Changes {
                    deleted_dead: deleted.collect(),
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
            Err(failure) => (Err(failure.into_error()), Ok(())),
        };
        // An error means that the caller does not wait for the reply.
        drop(reply.send(result));
        fatal
    }

    /// Cancels operations, in memory or in the backlog. Those of the backlog share a transaction.
    fn cancel(&mut self, ids: &[u64]) -> Result<(), SpoolError> {
        let mut on_disk = Vec::new();
        for id in ids.iter().copied() {
            let is_in_memory = self.shared.update(|state| state.cancel(id));
            if !is_in_memory && id >= self.next_to_load {
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
                Ok(())
            }
            Err(Failure::Failed(error)) => Err(error),
            // They are not canceled, but sent.
            Err(_) => Ok(()),
        }
    }

    /// Settles operations that are no longer in the backlog.
    fn settle_backlog(&mut self, settled: &[SettledRow], outcome: &dyn Fn() -> Outcome) {
        if settled.is_empty() {
            return;
        }
        for SettledRow { id, bytes } in settled {
            self.backlog = self.backlog.saturating_sub(1);
            self.inbox.release_disk(*bytes);
            self.shared.update(|state| state.count_settled(&outcome()));
            if let Some(receipt) = self.waiting.remove(id) {
                // An error means that the receipt was dropped.
                drop(receipt.send(outcome()));
            }
        }
        self.update_state();
    }

    fn forget_put_back(&mut self, senders: &[Senders]) {
        for id in senders.iter().filter_map(|sender| sender.put_back) {
            self.put_back.remove(&id);
        }
    }

    /// Hands dead letters over as operations, behind all others.
    fn put_back(
        &mut self,
        ids: &[u64],
    ) -> Result<Vec<oneshot::Receiver<Result<(), Reason>>>, Failure> {
        // All are read first: after an error, none of them is marked as being enqueued.
        let mut letters = Vec::new();
        for id in ids {
            let found = self.store.dead_letters(id.saturating_sub(1), 1)?;
            letters.extend(found.into_iter().filter(|letter| letter.row.id == *id));
        }
        let (mut inserts, mut written) = (Vec::new(), Vec::new());
        for letter in letters {
            let id = letter.row.id;
            if !self.put_back.insert(id) {
                continue;
            }
            let (durable, receiver) = oneshot::channel();
            written.push(receiver);
            inserts.push(Insert {
                row: letter.row,
                receipt: None,
                durable,
                put_back: Some(id),
            });
        }
        // A closed queue enqueues nothing: the senders are dropped, and the receivers show it.
        if !self.inbox.put_back_rows(inserts) {
            self.put_back.clear();
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

impl Clocks {
    fn now() -> Self {
        Self {
            now: clock::now(),
            wall_millis: clock::wall_millis(),
        }
    }

    /// Enqueues an operation in memory.
    fn enqueue(&self, state: &mut State, row: Row, receipt: Option<oneshot::Sender<Outcome>>) {
        let age = self.wall_millis.saturating_sub(row.enqueued_at);
        let enqueued_at = self.now.checked_sub(Duration::from_millis(age));
        let loaded = Loaded {
            number: row.id,
            operation: row.operation,
            priority: row.priority,
            enqueued_at: enqueued_at.unwrap_or(self.now),
        };
        state.enqueue_loaded(loaded, receipt, self.now);
    }
}

impl Pending {
    /// Returns whether an operation ended unknown.
    fn has_unknown(&self) -> bool {
        let mut dead = self.changes.dead.iter();
        dead.any(|letter| letter.outcome == DeadOutcome::Unknown)
    }

    fn settle(&mut self, settled: Vec<DiskOutcome>) {
        for DiskOutcome { id, bytes, dead } in settled {
            self.bytes += bytes;
            match dead {
                Some(dead) => self.changes.dead.push(dead),
                None => self.changes.removed.push(id),
            }
        }
    }
}

impl Senders {
    fn of(insert: Insert) -> (Row, Self) {
        let Insert {
            row,
            receipt,
            durable,
            put_back,
        } = insert;
        let transit = match put_back {
            Some(_) => 0,
            None => row.bytes(),
        };
        let sender = Self {
            receipt,
            durable,
            transit,
            put_back,
        };
        (row, sender)
    }

    /// Answers that the operation was not enqueued. An error means that the receipt was dropped.
    fn reject(self, reason: &Reason) {
        if let Some(receipt) = self.receipt {
            drop(receipt.send(Outcome::NotSent(reason.cause())));
        }
        drop(self.durable.send(Err(reason.clone())));
    }
}

fn transit(senders: &[Senders]) -> u64 {
    senders.iter().map(|sender| sender.transit).sum()
}
