use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::builder::Settings;
use super::control::RequestControl;
use super::spool::DiskOutcome;
use super::stats::{Counts, HeldBy, Rate, Stats};
#[cfg(feature = "tracing")]
use super::trace::Failed;
use crate::batch::MAX_BATCH;
use crate::packer::{Dispatcher, Packer, Position, Priority, Sending, Settled};
use crate::{Cause, Client, Operation, Outcome, Request};

/// The memory that an operation takes beside its JSON: its entry in a lane, the receipt, and the
/// lane and its record of arrival, both in a table that may be half empty. With less, many short
/// operations would take more memory than the bound; `tests/allocations` measures it.
pub(super) const OVERHEAD: usize = 768;

/// The longest time between checks of `max_age`. The check looks at each held operation, so it is
/// not made for each request.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// The state of a queue. It reads no clock and does no I/O; the worker does what it asks for.
pub(super) struct State {
    settings: Arc<Settings>,
    dispatcher: Dispatcher<Member>,
    /// The operations without an outcome, and settled ones between them, in the order of enqueue.
    arrivals: Arrivals,
    /// The requests that the worker sends.
    in_flight: HashMap<u64, InFlight>,
    in_flight_bytes: usize,
    pending: usize,
    next_request: u64,
    /// Each operation with a lower number is in `arrivals` or settled. A spool gives the numbers.
    next_number: u64,
    /// Batches are not waited for while an operation with a lower number has no outcome.
    flushed_before: u64,
    /// The operations without an outcome and the bytes that they count for.
    len: usize,
    bytes: usize,
    /// Canceled operations whose request was taken and did not end yet.
    canceled: HashSet<u64>,
    /// Operations with a lower number are canceled.
    cleared_before: u64,
    is_paused: bool,
    /// No operation is enqueued any longer, and batches do not wait to be filled.
    is_closing: bool,
    /// Each operation is settled. The worker ends once it is polled.
    has_ended: bool,
    /// When the operations that may be packed now were there.
    ready_since: Option<Instant>,
    /// Whether the worker found a request for which too many are in flight: after an outage, the
    /// dispatcher allows fewer than the settings.
    is_limited: bool,
    next_expiry: Option<Instant>,
    next_monitor: Option<Instant>,
    spool: Option<Spooled>,
    counts: Counts,
    rate: Rate,
    version: u64,
    effects: Effects,
}

/// What the queue knows of the operations in its spool.
#[derive(Debug, Default)]
struct Spooled {
    /// Operations that are being written. Counted by the inbox, without the lock of the state.
    arriving: Arc<AtomicUsize>,
    /// Operations that are only on disk.
    backlog: u64,
    dead: u64,
    /// Settled operations cannot be written.
    is_disk_full: bool,
    /// The writer has ended, and the file is unlocked.
    has_ended: bool,
}

/// An operation in the queue.
#[derive(Debug)]
pub(super) struct Member {
    receipt: Option<oneshot::Sender<Outcome>>,
    number: u64,
    charge: u32,
}

struct InFlight {
    sending: Sending<Member>,
    bytes: usize,
    control: Arc<RequestControl>,
}

/// An operation that was loaded from disk.
#[cfg(feature = "spool")]
pub(super) struct Loaded {
    pub(super) number: u64,
    pub(super) operation: Operation,
    pub(super) priority: Priority,
    pub(super) enqueued_at: Instant,
}

/// A request for the worker to send.
pub(super) struct Departure {
    pub(super) id: u64,
    pub(super) request: Request,
    /// The operations of which the spool must know first that they depart.
    pub(super) recorded: Vec<u64>,
    pub(super) control: Arc<RequestControl>,
}

/// What is to be done once the lock is released. Wakers of other tasks may run any code.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) receipts: Vec<(oneshot::Sender<Outcome>, Outcome)>,
    /// What the spool is to write.
    pub(super) settled: Vec<DiskOutcome>,
    pub(super) held: Vec<u64>,
    pub(super) room_len: usize,
    pub(super) room_bytes: usize,
    pub(super) recalls: Vec<Arc<RequestControl>>,
    /// For the log: a subscriber may run any code, too.
    #[cfg(feature = "tracing")]
    pub(super) failed: Option<Failed>,
    pub(super) has_changed: bool,
    pub(super) wakes_worker: bool,
    pub(super) has_closed: bool,
    pub(super) has_ended: bool,
}

/// What the worker does next.
pub(super) struct Step {
    pub(super) departures: Vec<Departure>,
    pub(super) wake_at: Option<Instant>,
    /// Whether the monitor is due.
    pub(super) is_monitor_due: bool,
    pub(super) is_over: bool,
}

/// Returns the bytes that an operation counts for.
pub(super) fn charge(operation: &Operation) -> u32 {
    u32::try_from(operation.size() + OVERHEAD).expect("an operation takes 32,000 bytes at most")
}

impl State {
    /// Creates the state of a queue. With a spool, `arriving` counts the operations that are being
    /// written.
    pub(super) fn new(
        settings: Arc<Settings>,
        arriving: Option<Arc<AtomicUsize>>,
        now: Instant,
    ) -> Self {
        let packer = Packer::new(settings.batch).unbounded().resume_lanes();
        Self {
            dispatcher: Dispatcher::new(packer).hold_blocked().start_slowly(),
            arrivals: Arrivals::default(),
            in_flight: HashMap::new(),
            in_flight_bytes: 0,
            pending: 0,
            next_request: 0,
            next_number: 0,
            flushed_before: 0,
            len: 0,
            bytes: 0,
            canceled: HashSet::new(),
            cleared_before: 0,
            is_paused: settings.is_paused,
            is_closing: false,
            has_ended: false,
            ready_since: None,
            is_limited: false,
            next_expiry: None,
            next_monitor: None,
            spool: arriving.map(|arriving| Spooled {
                arriving,
                ..Spooled::default()
            }),
            counts: Counts::default(),
            rate: Rate::new(now),
            version: 0,
            effects: Effects::default(),
            settings,
        }
    }

    pub(super) fn take_effects(&mut self) -> Effects {
        mem::take(&mut self.effects)
    }

    // --- The handle. ---

    /// Queues an operation for which there is room. Returns its number, or the operation if the
    /// queue is closed.
    pub(super) fn enqueue(
        &mut self,
        operation: Operation,
        priority: Priority,
        receipt: oneshot::Sender<Outcome>,
        now: Instant,
    ) -> Result<u64, Operation> {
        if self.is_closed() {
            return Err(operation);
        }
        let number = self.next_number;
        self.push(number, operation, priority, Some(receipt), now, now);
        Ok(number)
    }

    fn push(
        &mut self,
        number: u64,
        operation: Operation,
        priority: Priority,
        receipt: Option<oneshot::Sender<Outcome>>,
        enqueued_at: Instant,
        now: Instant,
    ) {
        let charge = charge(&operation);
        let member = Member {
            receipt,
            number,
            charge,
        };
        let was_full = self.dispatcher.packer().has_full_batch();
        let pushed = self.dispatcher.push_at(priority, operation, member);
        let position = pushed.expect("a packer without bounds takes every operation");
        self.next_number = number + 1;
        self.len += 1;
        self.bytes += charge as usize;
        self.arrivals.push(number, position, enqueued_at);
        // The worker is woken only if its timer or its decision changes: one wake-up for a batch,
        // and not one for each operation.
        let was_ready = self.ready_since.is_some();
        self.update_ready(now);
        let is_ready = !was_ready && self.ready_since.is_some();
        let is_full = !was_full && self.dispatcher.packer().has_full_batch();
        self.effects.wakes_worker |= is_ready || is_full || self.len == 1;
        self.change();
    }

    /// Settles the oldest operation that has not departed, for room. Returns whether there is one.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let cause = Cause::dropped();
        if let Some((_, member)) = self.arrivals.pop_queued(&mut self.dispatcher) {
            self.settle(vec![(member, Outcome::NotSent(cause))], None);
            return true;
        }
        let Some(oldest) = self
            .dispatcher
            .held_tags()
            .map(|member| member.number)
            .min()
        else {
            return false;
        };
        let settled = self
            .dispatcher
            .withdraw_held(|member| (member.number == oldest).then(|| cause.clone()));
        self.settle(settled, None);
        true
    }

    /// Cancels an operation. Returns whether it is in memory.
    pub(super) fn cancel(&mut self, number: u64) -> bool {
        let cause = Cause::canceled;
        let Some(position) = self.arrivals.position(number) else {
            return false;
        };
        if let Some((_, member)) = self.dispatcher.remove(position) {
            self.settle(vec![(member, Outcome::NotSent(cause()))], None);
            // Those behind it may depart now, and the worker may have no timer.
            self.effects.wakes_worker |= self.dispatcher.can_pack();
            return true;
        }
        self.canceled.insert(number);
        let settled = self
            .dispatcher
            .withdraw_held(|member| (member.number == number).then(cause));
        self.settle(settled, None);
        let is_in = |in_flight: &&InFlight| {
            let mut members = in_flight.sending.tags();
            members.any(|member| member.number == number)
        };
        let recall = self.in_flight.values().find(is_in);
        self.effects
            .recalls
            .extend(recall.map(|in_flight| Arc::clone(&in_flight.control)));
        true
    }

    /// Cancels all operations in memory that have not departed. `before` is the number of the next
    /// operation, if a spool gives it.
    pub(super) fn clear(&mut self, before: Option<u64>) {
        // Operations that were enqueued since are not canceled.
        let before = before.unwrap_or(self.next_number);
        self.cleared_before = self.cleared_before.max(before);
        let is_cleared = |number, _| number < before;
        while let Some((_, member)) = self
            .arrivals
            .pop_queued_while(&mut self.dispatcher, is_cleared)
        {
            self.settle(vec![(member, Outcome::NotSent(Cause::canceled()))], None);
        }
        let settled = self
            .dispatcher
            .withdraw_held(|member| (member.number < before).then(Cause::canceled));
        self.settle(settled, None);
        self.recall_all();
        self.effects.wakes_worker = true;
    }

    fn recall_all(&mut self) {
        let recalls = self.in_flight.values();
        let recalls = recalls.map(|in_flight| Arc::clone(&in_flight.control));
        self.effects.recalls.extend(recalls);
    }

    pub(super) fn pause(&mut self, is_paused: bool, now: Instant) {
        self.is_paused = is_paused;
        if self.is_stopped() {
            // Requests that were taken may wait for minutes. They are put back.
            self.recall_all();
        }
        if !is_paused {
            self.dispatcher.probe_now(now);
        }
        self.effects.wakes_worker = true;
        self.change();
    }

    /// Closes the queue: what is in it is sent, and nothing more is enqueued.
    pub(super) fn close(&mut self, now: Instant) {
        self.is_closing = true;
        // A probe that is due after the deadline of a drain would come too late.
        self.dispatcher.probe_now(now);
        self.effects.has_closed = true;
        self.effects.wakes_worker = true;
        self.change();
    }

    /// Returns the outage as the log shows it: whether the API refuses every request, and the
    /// status of the last response.
    #[cfg(feature = "tracing")]
    pub(super) fn outage(&self) -> Option<(bool, Option<u16>)> {
        let outage = self.dispatcher.outage()?;
        let status = outage.cause().status().map(|status| status.as_u16());
        Some((outage.is_blocked(), status))
    }

    /// Lets batches depart that are not full, until the operations that are in the queue now have
    /// their outcomes. Returns the number of the next operation; a spool gives it as `before`.
    pub(super) fn flush(&mut self, before: Option<u64>) -> u64 {
        self.effects.wakes_worker = true;
        self.flushed_before = before.unwrap_or(self.next_number);
        self.flushed_before
    }

    /// Returns whether each operation with a lower number has its outcome.
    pub(super) fn is_flushed(&self, before: u64) -> bool {
        let is_settled = self.arrivals.first().is_none_or(|first| first >= before);
        is_settled && (self.next_number >= before || self.has_ended)
    }

    /// Returns the number of operations that wait.
    pub(super) fn size(&self) -> usize {
        self.len - self.pending + self.outside()
    }

    /// Returns whether each operation has its outcome.
    pub(super) fn is_idle(&self) -> bool {
        self.len == 0 && self.outside() == 0
    }

    /// Returns the number of operations that are on the way to memory, or only on disk.
    fn outside(&self) -> usize {
        let spooled = self.spool.as_ref().filter(|spooled| !spooled.has_ended);
        spooled.map_or(0, |spooled| {
            spooled.arriving.load(Relaxed) + spooled.backlog as usize
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closing || self.has_ended
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns whether everything has ended, the writer of the spool too.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended && self.spool.as_ref().is_none_or(|spooled| spooled.has_ended)
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    // --- The worker. ---

    /// Settles what is too old, and takes the requests that may be sent now.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        self.expire(now);
        let mut departures = Vec::new();
        while let Some(departure) = self.next_departure(now) {
            departures.push(departure);
        }
        if !departures.is_empty() {
            self.change();
        }
        let is_monitor_due = self.update_monitor(now);
        Step {
            departures,
            wake_at: self.wake_at(now),
            is_monitor_due,
            is_over: self.has_ended || (self.is_closing && self.is_idle()),
        }
    }

    fn next_departure(&mut self, now: Instant) -> Option<Departure> {
        self.is_limited = false;
        if self.has_ended || self.is_stopped() || self.is_disk_full() || !self.has_reserve() {
            return None;
        }
        self.update_ready(now);
        let may_pack = self.may_pack(now);
        let limit = self.settings.concurrency;
        let sending = self.dispatcher.next(now, limit, may_pack);
        self.is_limited = sending.is_none()
            && self.dispatcher.outage().is_none()
            && (self.dispatcher.held() > 0 || (may_pack && self.dispatcher.can_pack()));
        let sending = sending?;
        self.update_ready(now);
        let id = self.next_request;
        self.next_request += 1;
        let bytes = sending.tags().map(|member| member.charge as usize).sum();
        let in_flight = InFlight {
            bytes,
            sending,
            control: Arc::default(),
        };
        let departure = Departure {
            id,
            request: in_flight.sending.request().clone(),
            recorded: self.recorded(&in_flight),
            control: Arc::clone(&in_flight.control),
        };
        self.in_flight_bytes += bytes;
        self.pending += in_flight.sending.len();
        self.in_flight.insert(id, in_flight);
        Some(departure)
    }

    /// A closed queue is sent even if it is paused: nothing could resume it.
    fn is_stopped(&self) -> bool {
        self.is_paused && !self.is_closing
    }

    /// Whether the reserve has room for a full batch; only then a new request is packed.
    fn has_reserve(&self) -> bool {
        self.in_flight.is_empty()
            || self.in_flight_bytes.saturating_add(MAX_BATCH) <= self.settings.reserve()
    }

    /// Returns whether a request may be packed: a batch is full, or it has waited long enough.
    fn may_pack(&self, now: Instant) -> bool {
        self.linger_end().is_some_and(|end| end <= now)
            || self.dispatcher.packer().has_full_batch()
            || self.is_closing
            || !self.is_flushed(self.flushed_before)
    }

    fn linger_end(&self) -> Option<Instant> {
        // None, too, if it lingers for longer than a clock can show.
        self.ready_since?.checked_add(self.settings.linger)
    }

    fn update_ready(&mut self, now: Instant) {
        self.ready_since = match self.dispatcher.can_pack() {
            true => self.ready_since.or(Some(now)),
            false => None,
        };
    }

    /// Returns when the worker must look again if nothing happens before.
    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let dispatch = match self.dispatcher.next_probe() {
            _ if self.is_stopped() => None,
            Some(probe) if self.dispatcher.held() > 0 => Some(probe),
            Some(probe) => self.linger_end().map(|end| end.max(probe)),
            None => self.linger_end(),
        };
        // A time that has passed means that something else holds the next request: the end of a
        // request wakes the worker then. Waking at once would be a busy loop.
        let dispatch = dispatch.filter(|at| *at > now);
        let expiry = self.next_expiry.filter(|_| self.len > 0);
        [dispatch, expiry, self.next_monitor]
            .into_iter()
            .flatten()
            .min()
    }

    /// Settles the operations that are older than `max_age` and have not departed.
    fn expire(&mut self, now: Instant) {
        let Some(max_age) = self.settings.max_age else {
            return;
        };
        let Some(oldest) = self.arrivals.oldest() else {
            self.next_expiry = None;
            return;
        };
        let due = oldest.checked_add(max_age);
        let is_due = due.is_some_and(|due| due <= now);
        let is_early = self.next_expiry.is_some_and(|next| now < next);
        if !is_due {
            self.next_expiry = due;
            return;
        }
        if is_early {
            return;
        }
        let is_old = |_, at| now.saturating_duration_since(at) >= max_age;
        while let Some((_, member)) = self.arrivals.pop_queued_while(&mut self.dispatcher, is_old) {
            self.settle(vec![(member, Outcome::NotSent(Cause::expired()))], None);
        }
        self.withdraw(now);
        let is_old = |member: &Member| self.arrivals.is_old(member.number, max_age, now);
        for in_flight in self.in_flight.values() {
            if in_flight.sending.tags().any(is_old) {
                self.effects.recalls.push(Arc::clone(&in_flight.control));
            }
        }
        let interval = (max_age / 10).clamp(Duration::from_millis(1), EXPIRY_INTERVAL);
        let next = self
            .arrivals
            .oldest()
            .and_then(|at| at.checked_add(max_age));
        self.next_expiry = next.map(|next| next.max(now + interval));
    }

    /// Settles held operations that were canceled or are too old.
    fn withdraw(&mut self, now: Instant) {
        let (max_age, cleared_before) = (self.settings.max_age, self.cleared_before);
        let (canceled, arrivals) = (&self.canceled, &self.arrivals);
        let settled = self.dispatcher.withdraw_held(|member| {
            let is_old = |max_age| arrivals.is_old(member.number, max_age, now);
            if member.number < cleared_before || canceled.contains(&member.number) {
                Some(Cause::canceled())
            } else if max_age.is_some_and(is_old) {
                Some(Cause::expired())
            } else {
                None
            }
        });
        self.settle(settled, None);
    }

    /// Settles a request that has ended. `None` is one that was recalled before it departed.
    pub(super) fn finish(&mut self, id: u64, outcomes: Option<Vec<Outcome>>, now: Instant) {
        let Some(in_flight) = self.take_in_flight(id) else {
            return;
        };
        let recorded = self.recorded(&in_flight);
        match outcomes {
            Some(outcomes) => {
                let Settled { outcomes, given_up } =
                    self.dispatcher.settle(in_flight.sending, outcomes, now);
                #[cfg(feature = "tracing")]
                {
                    let settled = outcomes.iter().chain(&given_up);
                    self.effects.failed = Failed::of(settled.map(|(_, outcome)| outcome));
                }
                self.settle(outcomes, Some(now));
                self.settle(given_up, None);
            }
            None => self.dispatcher.put_back(in_flight.sending),
        }
        // An operation that must not be sent twice is only held if it did not depart.
        let held = recorded.into_iter();
        let held = held.filter(|number| self.arrivals.position(*number).is_some());
        self.effects.held.extend(held);
        // Most requests end without anything canceled; then nothing is looked through.
        if self.dispatcher.held() > 0 {
            self.withdraw(now);
        }
        self.change();
    }

    /// Returns the operations of which the spool must know before they depart: a crash must not
    /// send them again.
    fn recorded(&self, in_flight: &InFlight) -> Vec<u64> {
        match self.spool.is_some() && !in_flight.sending.request().may_replay() {
            true => in_flight
                .sending
                .tags()
                .map(|member| member.number)
                .collect(),
            false => Vec::new(),
        }
    }

    fn take_in_flight(&mut self, id: u64) -> Option<InFlight> {
        let in_flight = self.in_flight.remove(&id)?;
        self.in_flight_bytes -= in_flight.bytes;
        self.pending -= in_flight.sending.len();
        Some(in_flight)
    }

    /// Settles everything, and lets no request depart any longer: when the worker is dropped, when
    /// a drain passes its deadline, or when the spool has failed. It does not wait for the worker,
    /// which may never be polled again.
    pub(super) fn end(&mut self) {
        if self.has_ended {
            return;
        }
        self.has_ended = true;
        self.is_closing = true;
        let ids: Vec<_> = self.in_flight.keys().copied().collect();
        for id in ids {
            let Some(in_flight) = self.take_in_flight(id) else {
                continue;
            };
            let settled = if in_flight.control.stop() {
                self.dispatcher
                    .abandon(in_flight.sending, &Cause::stopped())
            } else {
                // The next queue on the spool sends a recorded operation only if it did not depart.
                let held = self.recorded(&in_flight);
                self.effects.held.extend(held);
                self.dispatcher.give_up(in_flight.sending)
            };
            self.settle(settled, None);
        }
        let held = self.dispatcher.give_up_held();
        self.settle(held, None);
        while let Some((_, member)) = self.arrivals.pop_queued(&mut self.dispatcher) {
            self.settle(vec![(member, Outcome::NotSent(Cause::stopped()))], None);
        }
        self.effects.has_closed = true;
        self.effects.has_ended = true;
        // A worker that is polled drops its requests at once.
        self.effects.wakes_worker = true;
        self.change();
    }

    /// Records outcomes, for their receipts to be settled once the lock is released.
    fn settle(&mut self, settled: Vec<(Member, Outcome)>, now: Option<Instant>) {
        if settled.is_empty() {
            return;
        }
        let accepted = self.counts.accepted;
        for (member, mut outcome) in settled {
            if self.spool.is_some() {
                // The next queue on the spool sends what this one leaves.
                if self.has_ended {
                    outcome = outcome.kept();
                }
                let size = member.charge as usize - OVERHEAD;
                let on_disk = DiskOutcome::new(member.number, size, &outcome);
                self.effects.settled.extend(on_disk);
            }
            self.counts.count(&outcome);
            self.arrivals.settle(member.number);
            if !self.canceled.is_empty() {
                self.canceled.remove(&member.number);
            }
            self.len -= 1;
            self.bytes -= member.charge as usize;
            self.effects.room_len += 1;
            self.effects.room_bytes += member.charge as usize;
            if let Some(receipt) = member.receipt {
                self.effects.receipts.push((receipt, outcome));
            }
        }
        if let Some(now) = now {
            self.rate.count(self.counts.accepted - accepted, now);
        }
        self.effects.wakes_worker |= self.len == 0;
        self.change();
    }

    fn change(&mut self) {
        self.version += 1;
        self.effects.has_changed = true;
    }

    // --- The spool. ---

    fn is_disk_full(&self) -> bool {
        let spooled = self.spool.as_ref();
        spooled.is_some_and(|spooled| spooled.is_disk_full)
    }

    // --- Health. ---

    pub(super) fn stats(&mut self, client: &Client, now: Instant) -> Stats {
        let is_throttled = client.server_pause().is_some();
        let oldest = self.arrivals.oldest();
        Stats {
            size: self.size(),
            pending: self.pending,
            requests: self.in_flight.len(),
            bytes: self.bytes + self.in_flight_bytes,
            oldest: oldest.map(|at| now.saturating_duration_since(at)),
            rate: self.rate.per_second(now),
            held_by: self.held_by(client, is_throttled, now),
            is_throttled,
            accepted: self.counts.accepted,
            rejected: self.counts.rejected,
            unknown: self.counts.unknown,
            not_sent: self.counts.not_sent,
            kept: self.counts.kept,
            backlog: self.spool.as_ref().map_or(0, |spooled| spooled.backlog),
            dead_letters: self.spool.as_ref().map_or(0, |spooled| spooled.dead),
            canceled: self.counts.canceled,
            dropped: self.counts.dropped,
            expired: self.counts.expired,
        }
    }

    fn held_by(&mut self, client: &Client, is_throttled: bool, now: Instant) -> HeldBy {
        let outage = self.dispatcher.outage();
        if self.is_idle() {
            HeldBy::Nothing
        } else if self.is_disk_full() {
            HeldBy::DiskFull
        } else if self.is_stopped() {
            HeldBy::Paused
        } else if outage.is_some_and(|outage| outage.is_blocked()) {
            HeldBy::Blocked
        } else if outage.is_some() {
            HeldBy::Outage
        } else if is_throttled {
            HeldBy::Throttled
        } else if client.limit().queued > 0 {
            HeldBy::RateLimit
        } else if self.size() == 0 {
            HeldBy::Nothing
        } else if self.len == self.pending {
            // Those that wait are not in memory.
            HeldBy::Disk
        } else if !self.dispatcher.has_next() {
            HeldBy::Order
        } else if self.is_limited
            || self.in_flight.len() >= self.settings.concurrency
            || !self.has_reserve()
        {
            HeldBy::Concurrency
        } else if self.dispatcher.held() == 0 && !self.may_pack(now) {
            HeldBy::Linger
        } else {
            // Nothing else is in the way of the next request.
            HeldBy::Worker
        }
    }

    fn update_monitor(&mut self, now: Instant) -> bool {
        let Some((period, _)) = &self.settings.monitor else {
            return false;
        };
        match self.next_monitor {
            Some(next) if now < next => false,
            known => {
                // None, and so never due, if the period is longer than a clock can show.
                self.next_monitor = now.checked_add(*period);
                known.is_some()
            }
        }
    }
}

/// What the writer of a spool changes.
#[cfg(feature = "spool")]
impl State {
    /// Queues an operation that is on disk.
    pub(super) fn enqueue_loaded(
        &mut self,
        loaded: Loaded,
        receipt: Option<oneshot::Sender<Outcome>>,
        now: Instant,
    ) {
        let Loaded {
            number,
            operation,
            priority,
            enqueued_at,
        } = loaded;
        self.push(number, operation, priority, receipt, enqueued_at, now);
    }

    /// Counts operations that the spool has written or handed back.
    pub(super) fn arrive(&mut self, operations: usize) {
        if let Some(spooled) = &mut self.spool {
            spooled.arriving.fetch_sub(operations, Relaxed);
        }
        self.effects.wakes_worker |= self.is_idle();
        self.change();
    }

    /// Sets the number of operations that are only on disk, and the number of the first of them.
    pub(super) fn set_backlog(&mut self, backlog: u64, next_number: u64) {
        if let Some(spooled) = &mut self.spool {
            spooled.backlog = backlog;
        }
        self.next_number = self.next_number.max(next_number);
        self.effects.wakes_worker |= self.is_idle();
        self.change();
    }

    /// Counts an operation that was settled on disk.
    pub(super) fn count_settled(&mut self, outcome: &Outcome) {
        self.counts.count(outcome);
        self.change();
    }

    pub(super) fn set_dead(&mut self, dead: u64) {
        if let Some(spooled) = &mut self.spool {
            spooled.dead = dead;
        }
    }

    /// Lets no request depart while settled operations cannot be written.
    pub(super) fn hold_for_disk(&mut self, is_full: bool) {
        if self.is_disk_full() == is_full {
            return;
        }
        if let Some(spooled) = &mut self.spool {
            spooled.is_disk_full = is_full;
        }
        if is_full {
            // As in a pause: they would depart later.
            self.recall_all();
        }
        self.effects.wakes_worker = true;
        self.change();
    }

    /// Marks the writer as ended. It ends before the queue only if the disk has failed: then the
    /// queue ends, too, and its operations stay on disk.
    pub(super) fn end_spool(&mut self) {
        if let Some(spooled) = &mut self.spool {
            spooled.has_ended = true;
            self.counts.kept += spooled.backlog;
        }
        self.end();
        self.change();
    }
}

/// The operations in the order of enqueue, until they are settled.
#[derive(Debug, Default)]
struct Arrivals {
    /// The first one is not settled.
    entries: VecDeque<Arrival>,
    settled: usize,
    /// No operation with a lower number is queued: each is in a request or settled.
    queued_from: u64,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    number: u64,
    position: Position,
    /// When it was enqueued, until it is settled.
    enqueued_at: Option<Instant>,
}

impl Arrival {
    fn is_settled(&self) -> bool {
        self.enqueued_at.is_none()
    }
}

impl Arrivals {
    fn push(&mut self, number: u64, position: Position, enqueued_at: Instant) {
        self.entries.push_back(Arrival {
            number,
            position,
            enqueued_at: Some(enqueued_at),
        });
    }

    fn index(&self, number: u64) -> Option<usize> {
        // Numbers mostly follow each other. The search reads many entries that no cache holds.
        let expected = number.checked_sub(self.first()?)? as usize;
        let is_at = |index| {
            let arrival: Option<&Arrival> = self.entries.get(index);
            arrival.is_some_and(|arrival| arrival.number == number)
        };
        if is_at(expected) {
            return Some(expected);
        }
        let search = self
            .entries
            .binary_search_by_key(&number, |arrival| arrival.number);
        search.ok()
    }

    /// Returns the position of an operation that has no outcome.
    fn position(&self, number: u64) -> Option<Position> {
        let arrival = &self.entries[self.index(number)?];
        (!arrival.is_settled()).then_some(arrival.position)
    }

    /// Returns whether an operation without an outcome was enqueued at least `max_age` ago.
    fn is_old(&self, number: u64, max_age: Duration, now: Instant) -> bool {
        let arrival = self.index(number).map(|index| &self.entries[index]);
        let enqueued_at = arrival.and_then(|arrival| arrival.enqueued_at);
        enqueued_at.is_some_and(|at| now.saturating_duration_since(at) >= max_age)
    }

    /// Returns the number of the oldest operation without an outcome.
    fn first(&self) -> Option<u64> {
        self.entries.front().map(|arrival| arrival.number)
    }

    fn settle(&mut self, number: u64) {
        let Some(index) = self.index(number) else {
            return;
        };
        self.entries[index].enqueued_at = None;
        self.settled += 1;
        while self.entries.front().is_some_and(Arrival::is_settled) {
            self.entries.pop_front();
            self.settled -= 1;
        }
        // An old operation may keep many settled ones behind it. Removing them now and then bounds
        // the memory by the operations without an outcome. More often, more of them would have to
        // be searched for.
        if self.settled > 1_024 && self.settled > self.entries.len() / 4 * 3 {
            self.entries.retain(|arrival| !arrival.is_settled());
            self.settled = 0;
        }
        if self.entries.capacity() > 4_096 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// Returns when the oldest operation without an outcome was enqueued.
    fn oldest(&self) -> Option<Instant> {
        self.entries.front()?.enqueued_at
    }

    /// Removes the oldest operation that is queued.
    fn pop_queued(&mut self, dispatcher: &mut Dispatcher<Member>) -> Option<(Operation, Member)> {
        self.pop_queued_while(dispatcher, |_, _| true)
    }

    /// Removes the oldest operation that is queued, unless `fits` is false for it or for an older
    /// one without an outcome. `fits` gets its number, and when it was enqueued.
    fn pop_queued_while(
        &mut self,
        dispatcher: &mut Dispatcher<Member>,
        fits: impl Fn(u64, Instant) -> bool,
    ) -> Option<(Operation, Member)> {
        let from = self.queued_from;
        let first = self
            .entries
            .partition_point(|arrival| arrival.number < from);
        for arrival in self.entries.range(first..) {
            let enqueued_at = arrival.enqueued_at;
            if enqueued_at.is_some_and(|at| !fits(arrival.number, at)) {
                return None;
            }
            self.queued_from = arrival.number + 1;
            let removed = enqueued_at.and_then(|_| dispatcher.remove(arrival.position));
            if removed.is_some() {
                return removed;
            }
        }
        None
    }
}
