use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64 as Counter, Ordering};
use std::time::Duration;

use pacing::{Adaptive, AdaptiveLimit, Answer, Due, Moment, Sample};

use super::Snapshot;
use super::events::Events;
use super::nested::InnerPoll;
use super::permit::Permit;
use crate::clock::Clock;
use crate::error::LimitKind;
use crate::sync::AtomicU64;
use crate::wait::{Front, Queue, Resource};

/// The state of one concurrency limit, under the lock of its queue.
#[derive(Debug)]
pub(crate) struct ConcurrencyState {
    limit: Limit,
    permits: Arc<Permits>,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each layer, in an allocation of its own"
)]
enum Limit {
    Fixed(usize),
    Adaptive(AdaptiveState),
}

#[derive(Debug)]
struct AdaptiveState {
    limit: AdaptiveLimit,
    clock: Clock,
    /// Whether all permits of the current limit were in use at once.
    was_full: bool,
}

impl AdaptiveState {
    fn new(bounds: Adaptive) -> Self {
        Self {
            limit: AdaptiveLimit::new(bounds),
            clock: Clock::default(),
            was_full: false,
        }
    }

    fn depart(&mut self, in_use: usize, queued: usize) -> Sample {
        let limit = self.limit.limit();
        self.was_full |= in_use >= limit;
        // Responses that arrive together let as many requests depart one by one, and only the last
        // one finds the limit reached. A cohort would then take a round trip for each request. So
        // the others count as departed at the full limit too, once a new limit was full. Before
        // that they do not: fewer requests were in flight beside them.
        let is_refilled = self.was_full && in_use + queued >= limit;
        let in_flight = if is_refilled {
            limit.max(in_use)
        } else {
            in_use
        };
        self.limit.depart(self.clock.read().moment, in_flight)
    }

    fn end(&mut self, sample: Sample, answer: Option<Answer>) {
        let before = self.limit.limit();
        match answer {
            Some(answer) => {
                let now = self.clock.read().moment;
                self.limit.answer(sample, now, answer);
            }
            None => self.limit.cancel(sample),
        }
        self.was_full &= self.limit.limit() == before;
    }

    fn set(&mut self, limit: usize) {
        self.limit.set(limit);
        self.was_full = false;
    }
}

impl ConcurrencyState {
    pub(super) fn fixed(limit: usize) -> Arc<Queue<Self>> {
        let limit = at_least_one(limit);
        Self::queue(Limit::Fixed(limit), Permits::fixed(limit))
    }

    pub(super) fn adaptive(bounds: Adaptive) -> Arc<Queue<Self>> {
        Self::queue(
            Limit::Adaptive(AdaptiveState::new(bounds)),
            Permits::adaptive(),
        )
    }

    fn queue(limit: Limit, permits: Arc<Permits>) -> Arc<Queue<Self>> {
        let front = Arc::clone(&permits);
        Queue::new(Self { limit, permits }, front)
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        match &mut self.limit {
            Limit::Fixed(fixed) => {
                *fixed = at_least_one(limit);
                self.permits.set_limit(limit);
            }
            Limit::Adaptive(adaptive) => adaptive.set(limit),
        }
    }

    /// Records a departure while `queued` others wait for a permit. A fixed limit ignores it.
    pub(super) fn depart(&mut self, queued: usize) -> Sample {
        let in_use = self.permits.count.in_use() as usize;
        match &mut self.limit {
            Limit::Fixed(_) => Sample::default(),
            Limit::Adaptive(adaptive) => adaptive.depart(in_use, queued),
        }
    }

    /// Records the end of a call, without an answer if it was cancelled.
    pub(super) fn end(&mut self, sample: Sample, answer: Option<Answer>) -> Events {
        let before = self.limit();
        if let Limit::Adaptive(adaptive) = &mut self.limit {
            adaptive.end(sample, answer);
        }
        let after = self.limit();
        Events { before, after }
    }

    pub(super) fn release(&mut self) {
        self.permits.count.release_locked();
    }

    pub(super) fn snapshot(&self, queued: usize) -> Snapshot {
        self.permits.snapshot(self.limit(), queued)
    }

    fn limit(&self) -> usize {
        match &self.limit {
            Limit::Fixed(limit) => *limit,
            Limit::Adaptive(adaptive) => adaptive.limit.limit(),
        }
    }
}

impl Resource for ConcurrencyState {
    const LIMIT: LimitKind = LimitKind::Concurrency;

    const TIMED: bool = false;

    const ACQUIRES_FIRST: bool = true;

    type Demand = ();

    type Token = ();

    type Acquired = Permit;

    type Front = Arc<Permits>;

    fn due(&mut self, (): (), _: Moment) -> Due {
        if (self.permits.count.in_use() as usize) < self.limit() {
            Due::Now
        } else {
            Due::OnAnswer
        }
    }

    fn try_acquire(&mut self, (): (), now: Moment) -> Result<(), Due> {
        match self.due((), now) {
            Due::Now => {
                self.permits.count.acquire_locked();
                Ok(())
            }
            due => Err(due),
        }
    }

    #[inline]
    fn guard(queue: &Arc<Queue<Self>>, (): ()) -> Permit {
        Permit::new(Arc::clone(queue))
    }

    fn interval(&self, _: Moment) -> Duration {
        Duration::ZERO
    }

    #[inline]
    fn poll_inner<T>(queue: &Arc<Queue<Self>>, poll: impl FnOnce() -> T) -> T {
        let _poll = InnerPoll::begin(queue);
        poll()
    }
}

fn at_least_one(limit: usize) -> usize {
    assert!(limit > 0, "a concurrency of 0 lets nothing through");
    limit
}

/// The permits and the counters, which are read and changed without the lock.
#[derive(Debug)]
pub(crate) struct Permits {
    pub(super) count: PermitCount,
    /// An adaptive limit records each call, so it acquires and releases permits only under the
    /// lock.
    is_adaptive: bool,
    /// Whether there were waiters when the lock was last released. A hint for new callers: the
    /// queue checks again under its lock.
    has_waiters: AtomicBool,
    answered: Counter,
    failed: Counter,
    cancelled: Counter,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its future was dropped before it had a result.
    Cancelled,
    /// It got a response.
    Answered,
    /// The inner service failed.
    Failed,
}

impl Permits {
    pub(super) fn fixed(limit: usize) -> Arc<Self> {
        Self::new(counted(limit), false)
    }

    pub(super) fn adaptive() -> Arc<Self> {
        Self::new(MAX_PERMITS, true)
    }

    fn new(limit: u32, is_adaptive: bool) -> Arc<Self> {
        let permits = Self {
            count: PermitCount::new(limit),
            is_adaptive,
            has_waiters: AtomicBool::new(false),
            answered: Counter::default(),
            failed: Counter::default(),
            cancelled: Counter::default(),
        };
        if is_adaptive {
            permits.count.require_lock();
        }
        Arc::new(permits)
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.count.set_limit(counted(limit));
    }

    #[inline]
    pub(super) fn is_adaptive(&self) -> bool {
        self.is_adaptive
    }

    /// Counts how a call ended.
    // Relaxed: the counters are only shown, and order nothing.
    #[inline]
    pub(super) fn record(&self, end: End) {
        let counter = match end {
            End::Cancelled => &self.cancelled,
            End::Answered => &self.answered,
            End::Failed => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, limit: usize, queued: usize) -> Snapshot {
        Snapshot {
            limit,
            in_flight: self.count.in_use() as usize,
            queued,
            answered: self.answered.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
        }
    }
}

impl Front for Arc<Permits> {
    type Token = ();

    #[inline]
    fn locked(&self) {
        self.count.require_lock();
    }

    #[inline]
    fn unlocking(&self, has_waiters: bool) {
        // Relaxed: a caller that reads an old value finds the truth under the lock.
        self.has_waiters.store(has_waiters, Ordering::Relaxed);
        if !has_waiters && !self.is_adaptive {
            self.count.allow_without_lock();
        }
    }

    #[inline]
    fn may_admit(&self) -> bool {
        !self.has_waiters.load(Ordering::Relaxed) && self.count.may_acquire()
    }

    #[inline]
    fn try_acquire(&self) -> Option<()> {
        self.count.try_acquire().then_some(())
    }
}

/// Returns a limit that can be counted. It is lowered only if it is more than two billion, which
/// no client has in flight.
fn counted(limit: usize) -> u32 {
    u32::try_from(limit).map_or(MAX_PERMITS, |limit| limit.min(MAX_PERMITS))
}

/// Set while the lock is acquired, and while the queue has waiters. It is the bit above the permits
/// in use, so neither can change the other.
const LOCK_REQUIRED: u64 = 1 << 31;
/// The most permits that fit below [`LOCK_REQUIRED`].
const MAX_PERMITS: u32 = (1 << 31) - 1;

/// The number of permits in use and the limit, in one atomic word.
///
/// While the queue is empty, one exchange of the word acquires or releases a permit. A thread that
/// acquires the lock first makes the lock required, and it stays required while the queue has
/// waiters. Meanwhile permits are acquired and released only under the lock. So once a caller has
/// found no free permit, none is released before the caller is enqueued and can be woken.
// All exchanges acquire and release: a thread that acquires a permit sees all that was done before
// its release, as with a lock.
#[derive(Debug)]
pub(super) struct PermitCount(AtomicU64);

impl PermitCount {
    fn new(limit: u32) -> Self {
        Self(AtomicU64::new(word(limit, 0)))
    }

    /// Acquires a permit, if one is free and the lock is not required.
    #[inline]
    fn try_acquire(&self) -> bool {
        self.exchange(|word| (in_use(word) < limit(word)).then_some(word + 1))
    }

    /// Releases a permit, if the lock is not required.
    #[inline]
    pub(super) fn try_release(&self) -> bool {
        self.exchange(|word| Some(word - 1))
    }

    fn exchange(&self, change: impl Fn(u64) -> Option<u64>) -> bool {
        let change = |word| change(word).filter(|_| word & LOCK_REQUIRED == 0);
        let result = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        result.is_ok()
    }

    fn require_lock(&self) {
        self.0.fetch_or(LOCK_REQUIRED, Ordering::AcqRel);
    }

    fn allow_without_lock(&self) {
        self.0.fetch_and(!LOCK_REQUIRED, Ordering::AcqRel);
    }

    /// Returns whether a permit may be free, whether or not the lock is required.
    // Relaxed: the answer may be old at once, and acquiring checks again.
    #[inline]
    fn may_acquire(&self) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        in_use(word) < limit(word)
    }

    fn in_use(&self) -> u32 {
        in_use(self.0.load(Ordering::Acquire))
    }

    /// Acquires a permit under the lock. The caller has checked that one is free.
    fn acquire_locked(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Releases a permit under the lock.
    fn release_locked(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Changes the limit under the lock.
    // A load and a store are enough: the lock is required, so no other thread changes the word.
    fn set_limit(&self, limit: u32) {
        let current = self.0.load(Ordering::Acquire);
        let changed = word(limit, in_use(current)) | LOCK_REQUIRED;
        self.0.store(changed, Ordering::Release);
    }
}

fn word(limit: u32, in_use: u32) -> u64 {
    u64::from(limit) << 32 | u64::from(in_use)
}

fn limit(word: u64) -> u32 {
    (word >> 32) as u32
}

fn in_use(word: u64) -> u32 {
    (word & (LOCK_REQUIRED - 1)) as u32
}
