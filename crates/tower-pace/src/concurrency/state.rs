use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64 as Counter, Ordering};
use std::time::Duration;

use pacing::{Adaptive, AdaptiveLimit, Answer, Due, Moment, Sample};

use super::Snapshot;
use super::events::Events;
use super::nested::Asking;
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
    Learned(Learned),
}

#[derive(Debug)]
struct Learned {
    limit: AdaptiveLimit,
    clock: Clock,
    /// All permits of the present limit were taken at once.
    was_full: bool,
}

impl Learned {
    fn new(bounds: Adaptive) -> Self {
        Self {
            limit: AdaptiveLimit::new(bounds),
            clock: Clock::default(),
            was_full: false,
        }
    }

    fn depart(&mut self, taken: usize, queued: usize) -> Sample {
        let limit = self.limit.limit();
        self.was_full |= taken >= limit;
        // Answers that come together let as many depart one by one, of which only the last one
        // would find the limit reached: a cohort would take a round trip for each request. Until a
        // new limit was full once, that is right: those before had less beside them.
        let is_refilled = self.was_full && taken + queued >= limit;
        let in_flight = if is_refilled { limit.max(taken) } else { taken };
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
        Self::queue(Limit::Learned(Learned::new(bounds)), Permits::adaptive())
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
            Limit::Learned(learned) => learned.set(limit),
        }
    }

    /// A call departs with a permit, while so many others wait for one. Only a limit that learns
    /// wants to know.
    pub(super) fn depart(&mut self, queued: usize) -> Sample {
        let taken = self.permits.word.taken() as usize;
        match &mut self.limit {
            Limit::Fixed(_) => Sample::default(),
            Limit::Learned(learned) => learned.depart(taken, queued),
        }
    }

    /// A call ended: it was answered, or nobody waits for the answer any more.
    pub(super) fn end(&mut self, sample: Sample, answer: Option<Answer>) -> Events {
        let before = self.limit();
        if let Limit::Learned(learned) = &mut self.limit {
            learned.end(sample, answer);
        }
        let after = self.limit();
        Events { before, after }
    }

    pub(super) fn release(&mut self) {
        self.permits.word.release_locked();
    }

    pub(super) fn snapshot(&self, queued: usize) -> Snapshot {
        self.permits.snapshot(self.limit(), queued)
    }

    fn limit(&self) -> usize {
        match &self.limit {
            Limit::Fixed(limit) => *limit,
            Limit::Learned(learned) => learned.limit.limit(),
        }
    }
}

impl Resource for ConcurrencyState {
    const LIMIT: LimitKind = LimitKind::Concurrency;

    const TIMED: bool = false;

    type Demand = ();

    type Token = ();

    type Acquired = Permit;

    type Front = Arc<Permits>;

    fn due(&mut self, (): (), _: Moment) -> Due {
        if (self.permits.word.taken() as usize) < self.limit() {
            Due::Now
        } else {
            Due::OnAnswer
        }
    }

    fn try_acquire(&mut self, (): (), now: Moment) -> Result<(), Due> {
        match self.due((), now) {
            Due::Now => {
                self.permits.word.acquire_locked();
                Ok(())
            }
            due => Err(due),
        }
    }

    fn guard(queue: &Arc<Queue<Self>>, (): ()) -> Permit {
        Permit::new(Arc::clone(queue))
    }

    fn interval(&self, _: Moment) -> Duration {
        Duration::ZERO
    }

    fn poll_inner<T>(queue: &Arc<Queue<Self>>, poll: impl FnOnce() -> T) -> T {
        let asking = Asking::begin(queue);
        let polled = poll();
        drop(asking);
        polled
    }
}

fn at_least_one(limit: usize) -> usize {
    assert!(limit > 0, "a concurrency of 0 lets nothing through");
    limit
}

/// The permits and the counters, which are read and changed without the lock.
#[derive(Debug)]
pub(crate) struct Permits {
    pub(super) word: Word,
    /// An adaptive limit records every call, so every permit changes hands under the lock.
    is_adaptive: bool,
    /// A hint for new callers: the queue asks again under its lock.
    has_waiters: AtomicBool,
    answered: Counter,
    failed: Counter,
    cancelled: Counter,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its future was dropped before it was complete.
    Cancelled,
    Answered,
    Failed,
}

impl Permits {
    pub(super) fn fixed(limit: usize) -> Arc<Self> {
        Self::new(counted(limit), false)
    }

    pub(super) fn adaptive() -> Arc<Self> {
        Self::new(MOST, true)
    }

    fn new(limit: u32, is_adaptive: bool) -> Arc<Self> {
        let permits = Self {
            word: Word::new(limit),
            is_adaptive,
            has_waiters: AtomicBool::new(false),
            answered: Counter::default(),
            failed: Counter::default(),
            cancelled: Counter::default(),
        };
        if is_adaptive {
            permits.word.hold();
        }
        Arc::new(permits)
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.word.set_limit(counted(limit));
    }

    #[inline]
    pub(super) fn is_adaptive(&self) -> bool {
        self.is_adaptive
    }

    /// Counts how a call ended.
    #[inline]
    pub(super) fn count(&self, end: End) {
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
            in_flight: self.word.taken() as usize,
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
        self.word.hold();
    }

    #[inline]
    fn unlocking(&self, has_waiters: bool) {
        self.has_waiters.store(has_waiters, Ordering::Relaxed);
        if !has_waiters && !self.is_adaptive {
            self.word.release();
        }
    }

    #[inline]
    fn may_admit(&self) -> bool {
        !self.has_waiters.load(Ordering::Relaxed) && self.word.has_room()
    }

    #[inline]
    fn try_acquire(&self) -> Option<()> {
        self.word.take().then_some(())
    }
}

/// More than can be counted is more than anyone has in flight.
fn counted(limit: usize) -> u32 {
    u32::try_from(limit).map_or(MOST, |limit| limit.min(MOST))
}

/// The lock is acquired, or the queue has waiters.
const HELD: u64 = 1 << 31;
/// The most permits that the word can count.
pub(super) const MOST: u32 = (1 << 31) - 1;

/// The number of permits in use and the limit, in one atomic word.
///
/// While the queue is empty, a permit is acquired and released by one exchange of the word. A
/// thread that acquires the lock holds the word first, and the word stays held while the queue has
/// waiters. Meanwhile permits change hands only under the lock, so none is released between a look
/// at the word and the wait that follows it.
#[derive(Debug)]
pub(super) struct Word(AtomicU64);

impl Word {
    pub(super) fn new(limit: u32) -> Self {
        Self(AtomicU64::new(word(limit, 0)))
    }

    /// Acquires a permit, if there is one and the word is not held.
    #[inline]
    pub(super) fn take(&self) -> bool {
        self.exchange(|word| (taken(word) < limit(word)).then_some(word + 1))
    }

    /// Releases a permit, unless the word is held.
    #[inline]
    pub(super) fn put_back(&self) -> bool {
        self.exchange(|word| Some(word - 1))
    }

    fn exchange(&self, change: impl Fn(u64) -> Option<u64>) -> bool {
        let change = |word| change(word).filter(|_| word & HELD == 0);
        let result = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        result.is_ok()
    }

    /// Lets permits change hands only under the lock.
    pub(super) fn hold(&self) {
        self.0.fetch_or(HELD, Ordering::AcqRel);
    }

    /// Lets permits change hands without the lock again.
    pub(super) fn release(&self) {
        self.0.fetch_and(!HELD, Ordering::AcqRel);
    }

    /// Returns whether there may be a permit, held or not.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        taken(word) < limit(word)
    }

    pub(super) fn taken(&self) -> u32 {
        taken(self.0.load(Ordering::Acquire))
    }

    /// Acquires a permit under the lock, whether there is one or not.
    pub(super) fn acquire_locked(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Releases a permit under the lock.
    pub(super) fn release_locked(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    /// Changes the limit under the lock.
    pub(super) fn set_limit(&self, limit: u32) {
        let held = self.0.load(Ordering::Acquire);
        self.0
            .store(word(limit, taken(held)) | HELD, Ordering::Release);
    }
}

fn word(limit: u32, taken: u32) -> u64 {
    u64::from(limit) << 32 | u64::from(taken)
}

fn limit(word: u64) -> u32 {
    (word >> 32) as u32
}

fn taken(word: u64) -> u32 {
    (word & (HELD - 1)) as u32
}
