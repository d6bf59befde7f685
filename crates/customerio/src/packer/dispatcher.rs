use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{NotQueued, PackedRequest, Packer, Position, Priority, Sending};
use crate::{Cause, Operation, Outcome};

/// The pause before the first probe in an outage. It doubles with each further one. A shorter pause
/// adds requests to a server in trouble; a longer one adds delay after a short failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between probes: few requests for a server in trouble, and a short delay
/// compared with the time that operators need to notice.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause between probes while the API refuses every request, as after a 401. A person has to
/// change something first, so more requests are useless and may lock the account.
const BLOCKED_PAUSE: Duration = Duration::from_secs(60);

/// How often a request that ends in 500 is sent while others succeed, before it is split. With 1, a
/// server that has just gone down would have its batches split.
const ATTEMPTS_500: u32 = 2;

/// The same for other failures. An overloaded server returns them for any request, so they say less
/// about the request than a 500.
const ATTEMPTS: u32 = 4;

/// A packer with the decisions of a long-lived sender: what is sent next, what is sent again, and
/// when.
///
/// Like [`Packer`], it does no I/O and reads no clock.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use customerio::packer::{Dispatcher, Packer};
/// use customerio::{Attributes, Cause, Operation, Outcome, Person};
///
/// let mut dispatcher = Dispatcher::new(Packer::new(500));
/// let operation = Operation::identify(&Person::id("u1")?, &Attributes::new())?;
/// dispatcher.push(operation, "row 1")?;
///
/// # #[expect(clippy::disallowed_methods)]
/// let now = Instant::now();
/// let sending = dispatcher.next(now, 10, true).expect("an operation is queued");
/// let failed = Outcome::NotSent(Cause::new(std::io::Error::other("no route to host")));
/// assert!(dispatcher.settle(sending, vec![failed], now).outcomes.is_empty()); // held
/// assert!(dispatcher.next(now, 10, true).is_none()); // an outage
///
/// let later = now + Duration::from_secs(1);
/// let sending = dispatcher.next(later, 10, true).expect("a probe is due");
/// let settled = dispatcher.settle(sending, vec![Outcome::Accepted], later);
/// assert_eq!(settled.outcomes[0].0, "row 1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Failures
///
/// | a request ends | then |
/// |---|---|
/// | in a failure that may pass, while others succeed | it is sent again |
/// | in that failure again and again, while others succeed | it is split, until the operation that makes the server fail is alone; that one ends unknown |
/// | in a failure that may pass, and no other succeeds | an outage: one request at a time, after pauses of 1 s to 30 s |
/// | in a refusal that waiting does not change, such as 401 | it is settled, or [held](Self::hold_blocked): one request a minute |
///
/// A request that must not be sent twice is settled as unknown instead of sent again.
#[derive(Debug)]
pub struct Dispatcher<T> {
    packer: Packer<T>,
    /// Requests that failed and are to be sent again, the next one first.
    held: VecDeque<Sending<T>>,
    /// The requests that were taken and not settled.
    in_flight: usize,
    outage: Option<Outage>,
    /// Requests with an answer about an operation.
    successes: u64,
    holds_blocked: bool,
    starts_slowly: bool,
    /// The requests in flight at most, in the time after an outage.
    recovery: Option<usize>,
}

/// A time in which every request fails.
#[derive(Clone, Debug)]
pub struct Outage {
    cause: Cause,
    is_blocked: bool,
    pause: Duration,
    next_probe: Instant,
}

/// The operations that a request settled.
#[derive(Debug)]
pub struct Settled<T> {
    /// The operations whose outcome the request decided, and those that follow an unknown one.
    pub outcomes: Vec<(T, Outcome)>,
    /// An operation that makes the server fail, which is not sent again, and those that follow it.
    pub given_up: Vec<(T, Outcome)>,
}

/// The meaning of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The server may fail for every request.
    Outage,
    /// Others succeed, and this request may too.
    Retry,
    /// Others succeed, and this request has failed too often: one of its operations is the reason.
    Split,
}

impl Outage {
    /// Returns why the last request failed.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Returns whether the API refuses every request for a reason that waiting does not change, as
    /// with wrong credentials.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Returns when the next request may depart.
    #[must_use]
    pub fn next_probe(&self) -> Instant {
        self.next_probe
    }
}

impl<T> Dispatcher<T> {
    /// Creates a dispatcher of the operations in a packer.
    #[must_use]
    pub fn new(packer: Packer<T>) -> Self {
        Self {
            packer,
            held: VecDeque::new(),
            in_flight: 0,
            outage: None,
            successes: 0,
            holds_blocked: false,
            starts_slowly: false,
            recovery: None,
        }
    }

    /// Holds operations that the API refuses for a reason that waiting does not change, such as
    /// wrong credentials, and probes once a minute. By default they are settled as not sent.
    ///
    /// A success that is not from the API, such as the page of a proxy, is then a failure that may
    /// pass.
    #[must_use]
    pub fn hold_blocked(mut self) -> Self {
        self.holds_blocked = true;
        self
    }

    /// Sends two requests at once after an outage, and twice as many after each success. By default
    /// as many as allowed are sent at once.
    #[must_use]
    pub fn start_slowly(mut self) -> Self {
        self.starts_slowly = true;
        self
    }

    /// Returns the packer, for its counts.
    #[must_use]
    pub fn packer(&self) -> &Packer<T> {
        &self.packer
    }

    /// Returns whether a new request can be packed.
    pub fn can_pack(&mut self) -> bool {
        self.packer.has_next()
    }

    /// Returns the tags of the held operations.
    pub fn held_tags(&self) -> impl Iterator<Item = &T> {
        self.held.iter().flat_map(Sending::tags)
    }

    /// Returns whether a request can be taken if no bound or outage forbids it.
    pub fn has_next(&mut self) -> bool {
        !self.held.is_empty() || self.packer.has_next()
    }

    /// Returns the requests that were taken and not settled.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the number of requests that are held until they are sent again.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Returns the number of operations that are queued or held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packer.len() + self.held_len()
    }

    /// Returns whether no operation is queued or held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packer.is_empty() && self.held.is_empty()
    }

    fn held_len(&self) -> usize {
        self.held.iter().map(Sending::len).sum()
    }

    /// Returns the outage, if there is one.
    #[must_use]
    pub fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    /// Ends the pause of an outage, so that the next probe is due. Call it when something has
    /// changed, such as the credentials.
    pub fn probe_now(&mut self, now: Instant) {
        if let Some(outage) = &mut self.outage {
            outage.next_probe = outage.next_probe.min(now);
        }
    }

    /// Queues an operation behind the earlier ones of its lane.
    ///
    /// # Errors
    ///
    /// As for [`Packer::push`].
    pub fn push(&mut self, operation: Operation, tag: T) -> Result<(), NotQueued<T>> {
        self.packer.push(operation, tag)
    }

    /// Queues an operation with a priority; see [`Packer::push_at`].
    ///
    /// # Errors
    ///
    /// As for [`Packer::push`].
    pub fn push_at(
        &mut self,
        priority: Priority,
        operation: Operation,
        tag: T,
    ) -> Result<Position, NotQueued<T>> {
        self.packer.push_at(priority, operation, tag)
    }

    /// Removes an operation that is queued. Returns `None` if it is held, in flight or settled.
    pub fn remove(&mut self, position: Position) -> Option<(Operation, T)> {
        self.packer.remove(position)
    }

    /// Returns the next request to send, if fewer than `limit` are in flight. In an outage, one is
    /// returned when a probe is due.
    ///
    /// A new request is packed only if `may_pack`: pass false to wait until a batch is full.
    pub fn next(&mut self, now: Instant, limit: usize, may_pack: bool) -> Option<Sending<T>> {
        let limit = self.recovery.map_or(limit, |recovery| recovery.min(limit));
        let sending = if self.outage.is_some() {
            self.probe(now, limit, may_pack)
        } else if self.in_flight < limit {
            let held = self.held.pop_front();
            held.or_else(|| self.pack(may_pack))
        } else {
            None
        };
        self.in_flight += usize::from(sending.is_some());
        sending
    }

    /// In an outage, returns one request when the next probe is due. One that was never sent comes
    /// first: one of the held ones may be the reason for the failure.
    fn probe(&mut self, now: Instant, limit: usize, may_pack: bool) -> Option<Sending<T>> {
        let is_due = self.next_probe() <= Some(now);
        if !is_due || self.in_flight > 0 {
            return None;
        }
        // The bound keeps a long outage from moving all operations into requests.
        let new = match self.held.len() < limit {
            true => self.pack(may_pack),
            false => None,
        };
        new.or_else(|| self.next_held())
    }

    fn pack(&mut self, may_pack: bool) -> Option<Sending<T>> {
        let packed: PackedRequest<T> = may_pack.then(|| self.packer.next_request())??;
        Some(Sending::new(packed, self.successes))
    }

    /// Returns the request that was held longest. If it ended in 500 twice, it is split: if one of
    /// its operations makes the server fail, the other half shows that the server works.
    fn next_held(&mut self) -> Option<Sending<T>> {
        let sending = self.held.pop_front()?;
        if !sending.ended_in_500() || sending.failures() < 2 {
            return Some(sending);
        }
        let (first, second) = sending.split(self.successes);
        if let Some(second) = second {
            self.held.push_front(second);
        }
        Some(first)
    }

    /// Returns when the next probe may depart, if there is an outage.
    #[must_use]
    pub fn next_probe(&self) -> Option<Instant> {
        self.outage.as_ref().map(|outage| outage.next_probe)
    }

    /// Settles the operations of a request that have a final outcome, and holds the others.
    /// `outcomes` has one entry for each operation, in the order of the request.
    ///
    /// # Panics
    ///
    /// The number of outcomes is not the number of operations.
    pub fn settle(
        &mut self,
        sending: Sending<T>,
        outcomes: Vec<Outcome>,
        now: Instant,
    ) -> Settled<T> {
        assert_eq!(
            sending.len(),
            outcomes.len(),
            "one outcome for each operation"
        );
        self.in_flight -= 1;
        if outcomes.iter().any(Outcome::is_about_operation) {
            self.successes += 1;
            self.end_outage();
        } else if outcomes.iter().any(|outcome| self.ends_outage(outcome)) {
            self.end_outage();
        }
        let holds_blocked = self.holds_blocked;
        let (outcomes, left) = sending.settle(&mut self.packer, outcomes, |cause| {
            may_pass(cause, holds_blocked)
        });
        let given_up = left.map(|left| self.hold(left, now)).unwrap_or_default();
        Settled { outcomes, given_up }
    }

    /// Any answer that is not a transient failure ends an outage, even if it is not from the API;
    /// except one after which the operations are held.
    fn ends_outage(&self, outcome: &Outcome) -> bool {
        let is_held = |cause| may_pass(cause, self.holds_blocked);
        outcome.is_answer() && !outcome.cause().is_some_and(is_held)
    }

    fn end_outage(&mut self) {
        match self.outage.take() {
            Some(_) if self.starts_slowly => self.recovery = Some(2),
            Some(_) | None => {
                // Doubles with each success; far above any limit, the recovery is over.
                let doubled = self.recovery.map(|recovery| recovery.saturating_mul(2));
                self.recovery = doubled.filter(|recovery| *recovery <= 4_096);
            }
        }
    }

    /// Holds a request that failed for a reason that may pass. Splits it if one of its operations
    /// is the reason, and gives that operation up once it is alone.
    fn hold(&mut self, mut sending: Sending<T>, now: Instant) -> Vec<(T, Outcome)> {
        // Classified before the failure is recorded: that resets the successes it compares with.
        let failure = self.classify(&sending);
        sending.record_failure(self.successes);
        match failure {
            Failure::Outage => {
                let cause = sending
                    .failure()
                    .expect("a request that is left has failed");
                self.record_outage(cause.clone(), now);
                self.held.push_back(sending);
            }
            Failure::Retry => self.held.push_back(sending),
            Failure::Split => match sending.split(self.successes) {
                (first, Some(second)) => self.held.extend([first, second]),
                (whole, None) => return whole.give_up(&mut self.packer),
            },
        }
        Vec::new()
    }

    fn classify(&self, sending: &Sending<T>) -> Failure {
        if sending.failure().is_some_and(Cause::is_blocking) {
            return Failure::Outage;
        }
        let attempts = if sending.ended_in_500() {
            ATTEMPTS_500
        } else {
            ATTEMPTS
        };
        match sending.others_have_succeeded(self.successes) {
            // No other request may be left whose success could follow. Without this arm, a sender
            // with one last operation would wait for it in a false outage.
            false if sending.is_single_suspect() && sending.failures() >= ATTEMPTS => {
                Failure::Split
            }
            false => Failure::Outage,
            true if sending.failures() >= attempts && sending.may_have_arrived() > 0 => {
                Failure::Split
            }
            true => Failure::Retry,
        }
    }

    /// Begins an outage, or makes its pause longer.
    fn record_outage(&mut self, cause: Cause, now: Instant) {
        let is_blocked = cause.is_blocking();
        let pause = match &self.outage {
            _ if is_blocked => BLOCKED_PAUSE,
            // None => Outage
            None => FIRST_PAUSE,
            // Outage => Outage: a request that departed before the outage was known.
            Some(outage) if now < outage.next_probe => return,
            // Outage => Outage: a probe has failed.
            Some(outage) => (outage.pause * 2).min(LONGEST_PAUSE),
        };
        self.recovery = None;
        self.outage = Some(Outage {
            cause,
            is_blocked,
            pause,
            next_probe: now + pause,
        });
    }

    /// Holds a request again that was certainly not sent, in front of the others.
    pub fn put_back(&mut self, sending: Sending<T>) {
        self.in_flight -= 1;
        self.held.push_front(sending);
    }

    /// Settles a request that is not sent again, with the outcomes that its operations have: not
    /// sent, or unknown if they may have arrived with an earlier request.
    pub fn give_up(&mut self, sending: Sending<T>) -> Vec<(T, Outcome)> {
        self.in_flight -= 1;
        sending.give_up(&mut self.packer)
    }

    /// Settles a request that may have arrived and is not awaited any longer, as unknown.
    pub fn abandon(&mut self, sending: Sending<T>, cause: &Cause) -> Vec<(T, Outcome)> {
        self.in_flight -= 1;
        let outcomes = vec![Outcome::Unknown(cause.clone()); sending.len()];
        let (settled, _) = sending.settle(&mut self.packer, outcomes, |_| false);
        settled
    }

    /// Settles the held operations for which `cause` returns one: as not sent, or as unknown if
    /// they may have arrived.
    pub fn withdraw_held(
        &mut self,
        mut cause: impl FnMut(&T) -> Option<Cause>,
    ) -> Vec<(T, Outcome)> {
        let mut all = Vec::new();
        for _ in 0..self.held.len() {
            let Some(sending) = self.held.pop_front() else {
                break;
            };
            let (settled, left) = sending.withdraw(&mut self.packer, &mut cause);
            all.extend(settled);
            self.held.extend(left);
        }
        all
    }

    /// Settles all held requests as [`give_up`](Self::give_up) does.
    pub fn give_up_held(&mut self) -> Vec<(T, Outcome)> {
        let mut all = Vec::new();
        while let Some(sending) = self.held.pop_front() {
            all.extend(sending.give_up(&mut self.packer));
        }
        all
    }
}

/// Returns whether an operation is sent again after this failure, if that is safe.
fn may_pass(cause: &Cause, holds_blocked: bool) -> bool {
    is_transient(cause) || (holds_blocked && (cause.is_blocking() || cause.is_not_json()))
}

/// Returns whether a later attempt may succeed: also after the client's rate limiter has rejected
/// the wait.
fn is_transient(cause: &Cause) -> bool {
    #[cfg(feature = "client")]
    if cause.is_wait_rejected() {
        return true;
    }
    cause.is_transient()
}
