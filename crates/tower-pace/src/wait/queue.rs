use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use pacing::{Due, Group, Moment, Position, WaitQueue};
use tokio::time::Instant;

use super::WaitPolicy;
use super::policy::WaitForecast;
use super::waited::WaitCause;
use crate::clock::{Clock, LONGEST_TIMER, Reading};
use crate::error::LimitKind;
use crate::sync::{Mutex, MutexGuard};

/// How often a waiter polls by itself while only the end of a request can make it due. That end
/// wakes the next waiter. This interval is for a woken waiter that is never polled. A shorter
/// time costs polls of all waiters, and a longer one is lost where no other waiter polls.
const RECHECK: Duration = Duration::from_millis(100);
/// How much later than a grace after the head the waiters behind it may poll. It is longer than
/// [`RECHECK`], which they have while only an answer can make room, by as much as the nearest 16
/// need: with less they would be woken anew each time.
const LATE: Duration = Duration::from_millis(200);
/// How many waiters behind the head are woken one by one if the timer of the nearest is too late.
/// Each is good for about one departure, so fewer would be woken more often, and more would contend
/// for the lock.
const NEAREST: u32 = 16;
/// If an acquisition is due by this much earlier than the waiters were told, the resource has
/// changed at once, as a quota or a gate does, and all late waiters are woken. That looks at
/// each waiter, so it must not happen where departures are only sooner than foreseen. It compares
/// with the time that the waiters were told, not with the timer of the head: the head may have been
/// woken for another change and not have been polled.
const JUMP: Duration = Duration::from_secs(2);

/// What waiters acquire: departures of a rate limit, or permits of a concurrency limit.
pub(crate) trait Resource: Sized {
    /// The limit that a rejected wait names.
    const LIMIT: LimitKind;

    /// Whether the passing of time can make an acquisition due.
    const TIMED: bool;

    /// Whether an acquisition comes before the poll of the inner service. A permit does: it is
    /// released without a trace if the inner service is not ready. A departure comes after it,
    /// since it would be stale by the time that the inner service is ready.
    const ACQUIRES_FIRST: bool;

    /// How much a waiter asks for; the default is the least.
    type Demand: Copy + Default + fmt::Debug;

    /// The record of an acquisition in the state.
    type Token;

    /// An acquisition. Its drop releases it.
    type Acquired;

    /// The part of the state that is read and changed without the lock.
    type Front: Front<Token = Self::Token>;

    /// Returns when this demand may be acquired.
    fn due(&mut self, demand: Self::Demand, now: Moment) -> Due;

    /// Acquires if it is due, and otherwise returns when it may be.
    fn try_acquire(&mut self, demand: Self::Demand, now: Moment) -> Result<Self::Token, Due>;

    /// Wraps a token so that its drop releases it.
    fn guard(queue: &Arc<Queue<Self>>, token: Self::Token) -> Self::Acquired;

    /// Returns the time between two acquisitions when many wait.
    fn interval(&self, now: Moment) -> Duration;

    /// Returns whether this demand can ever be acquired.
    fn fits(&self, _: Self::Demand) -> bool {
        true
    }

    /// Returns what holds back the next waiter, which was told `due`.
    fn cause(&mut self, _due: Due, _now: Moment) -> WaitCause {
        WaitCause::Acknowledged
    }

    /// Returns whether the next waiter, which was told when it is due, would be the first ever, and
    /// waits only for that reason.
    fn is_starting(&self) -> bool {
        false
    }

    /// Records that the next waiter needs this.
    fn want(&mut self, _demand: Self::Demand, _now: Moment) {}

    /// Returns the waker of a driver that the last change concerns. It is woken without the lock.
    #[inline]
    fn take_driver(&mut self) -> Option<Waker> {
        None
    }

    /// Runs `poll`, which polls an inner service for readiness.
    fn poll_inner<T>(_: &Arc<Queue<Self>>, poll: impl FnOnce() -> T) -> T {
        poll()
    }
}

/// The lock-free part of a queue, for callers that come while the queue is empty.
pub(crate) trait Front {
    /// The same as [`Resource::Token`].
    type Token;

    /// Records that the lock was acquired.
    fn locked(&self);

    /// Records that the lock is about to be released.
    fn unlocking(&self, has_waiters: bool);

    /// Returns whether a new caller may be able to acquire at once.
    fn may_admit(&self) -> bool;

    /// Acquires without the lock, if the resource can do that.
    fn try_acquire(&self) -> Option<Self::Token> {
        None
    }
}

/// Remembers whether the queue had waiters. It decides nothing: the queue asks again under its
/// lock.
#[derive(Debug)]
pub(crate) struct Hint<T> {
    has_waiters: AtomicBool,
    token: std::marker::PhantomData<fn() -> T>,
}

impl<T> Default for Hint<T> {
    fn default() -> Self {
        Self {
            has_waiters: AtomicBool::new(false),
            token: std::marker::PhantomData,
        }
    }
}

impl<T> Front for Hint<T> {
    type Token = T;

    fn locked(&self) {}

    // Relaxed, here and below: nothing is read on the strength of this flag but the flag itself.
    #[inline]
    fn unlocking(&self, has_waiters: bool) {
        self.has_waiters.store(has_waiters, Ordering::Relaxed);
    }

    #[inline]
    fn may_admit(&self) -> bool {
        !self.has_waiters.load(Ordering::Relaxed)
    }
}

/// The state that all waiters of one resource share.
pub(crate) struct Queue<R: Resource> {
    front: R::Front,
    state: Mutex<State<R>>,
}

/// The part of a queue that its lock guards.
struct State<R> {
    clock: Clock,
    waiters: WaitQueue<Waker>,
    resource: R,
    /// The next waiter was told to wait for the end of a request, so every end must wake it.
    awaited: bool,
    /// The latest moment at which the least demand was said to be due, since all late waiters were
    /// woken.
    latest_due: Moment,
}

/// A caller: its group, its demand, and how long it may wait.
#[derive(Clone, Debug)]
pub(super) struct Caller<D, W> {
    pub(super) group: Group,
    pub(super) demand: D,
    pub(super) policy: W,
}

/// A waiter's position, and when it enqueued.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enqueued {
    pub(super) position: Position,
    pub(super) since: Moment,
}

/// The state of a caller after one look at the queue.
pub(super) enum Step<A> {
    /// It has acquired, and its position is free.
    Acquired(A),
    /// It may acquire once its inner service is ready. Another caller may still do so before.
    Due(Moment),
    /// It is enqueued.
    Wait(Wait),
}

/// How a waiter waits.
pub(super) struct Wait {
    pub(super) enqueued: Enqueued,
    pub(super) cause: WaitCause,
    pub(super) now: Moment,
    /// When it should poll by itself.
    pub(super) until: Instant,
}

/// The waiters that a change of the resource concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// None: the change admits no more than before.
    Nothing,
    /// The next waiter, if it was told to wait for the end of a request.
    NextIfAwaited,
    /// The next waiter.
    Next,
    /// The next waiter, and all behind it whose timers are too late. Each waiter is looked at.
    All,
}

/// The wakers to call for a change, once the lock is released.
#[derive(Default)]
#[must_use = "the waiters are not polled until these wakers are called"]
struct Wakers {
    /// That of the next waiter.
    next: Option<Waker>,
    /// Those of the waiters behind it whose timers are too late.
    behind: Vec<Waker>,
}

impl<R: Resource> Queue<R> {
    pub(crate) fn new(resource: R, front: R::Front) -> Arc<Self> {
        Arc::new(Self {
            front,
            state: Mutex::new(State {
                clock: Clock::default(),
                waiters: WaitQueue::default(),
                resource,
                awaited: false,
                latest_due: Moment::ORIGIN,
            }),
        })
    }

    #[inline]
    pub(crate) fn front(&self) -> &R::Front {
        &self.front
    }

    pub(crate) fn add_group(&self) -> Group {
        self.lock().waiters.add_group()
    }

    /// Acquires for a new caller whose inner service is ready, if the queue is empty and the
    /// demand is due. Otherwise it changes nothing.
    #[inline]
    pub(super) fn try_acquire<W: WaitPolicy>(
        self: &Arc<Self>,
        caller: &Caller<R::Demand, W>,
    ) -> Option<R::Acquired> {
        match self.front.try_acquire() {
            Some(token) => Some(R::guard(self, token)),
            None => self.try_acquire_locked(caller),
        }
    }

    fn try_acquire_locked<W: WaitPolicy>(
        self: &Arc<Self>,
        caller: &Caller<R::Demand, W>,
    ) -> Option<R::Acquired> {
        let mut state = self.lock();
        if !state.waiters.is_empty() {
            return None;
        }
        let now = state.now();
        state.admit(caller, None, now).ok()?;
        let token = state.resource.try_acquire(caller.demand, now).ok()?;
        Some(R::guard(self, token))
    }

    /// Acquires, enqueues or keeps a waiter, or a new caller without a position.
    ///
    /// `is_ready` says whether its inner service is ready. A due caller with an inner service that
    /// is not ready gets [`Step::Due`]: the inner service is polled without the lock.
    pub(super) fn step<W: WaitPolicy>(
        self: &Arc<Self>,
        caller: &Caller<R::Demand, W>,
        enqueued: Option<&mut Enqueued>,
        is_ready: bool,
        waker: &Waker,
    ) -> Result<Step<R::Acquired>, W::Rejection> {
        let mut waker = Some(waker.clone());
        let mut state = self.lock();
        let now = state.now();
        let known = enqueued.as_deref().copied();
        let mut wakers = Wakers::default();
        let step = match state.admit(caller, known, now) {
            // Any => Rejected: the caller leaves the queue by itself.
            Err(rejection) => Some(Err(rejection)),
            // Not the next => Waiting.
            Ok(()) if !state.is_next(caller, known, now) => None,
            // Next and ready => Acquired if it is due, and otherwise Waiting.
            Ok(()) if is_ready => match state.resource.try_acquire(caller.demand, now) {
                Ok(token) => {
                    // Wrapped before a waiter is woken: a waker that panics must not lose it.
                    let acquired = R::guard(self, token);
                    if let Some(enqueued) = enqueued {
                        enqueued.position = state.waiters.serve(enqueued.position);
                    }
                    wakers = state.wake_next(now);
                    Some(Ok(Step::Acquired(acquired)))
                }
                Err(_) => None,
            },
            // Next => Due, or Waiting until it is.
            Ok(()) => {
                let due = state.due_for_next(caller.demand, now);
                (due == Due::Now).then_some(Ok(Step::Due(now)))
            }
        };
        let step = step.unwrap_or_else(|| {
            let wait;
            (wakers, wait) = state.enqueue(caller, known, now, &mut waker);
            wait.map(Step::Wait)
        });
        unlock(state, wakers);
        step
    }

    /// Keeps the position of a waiter, or gives one to a new caller, while its inner service is
    /// not ready. Returns when its bounded wait ends, if it has one.
    pub(super) fn wait_stuck<W: WaitPolicy>(
        &self,
        caller: &Caller<R::Demand, W>,
        enqueued: Option<Enqueued>,
        waker: &Waker,
    ) -> Result<(Enqueued, Option<Instant>), W::Rejection> {
        let mut waker = Some(waker.clone());
        let mut state = self.lock();
        let now = state.clock.read();
        let kept = state.wait_stuck(caller, enqueued, now, &mut waker);
        // The waiters of other groups may acquire meanwhile.
        let next = state.wake_next(now.moment);
        unlock(state, next);
        kept
    }

    /// Removes a waiter.
    pub(super) fn leave(&self, position: Position) {
        let mut state = self.lock();
        let now = state.clock.read().moment;
        let next = match state.waiters.leave(position) {
            // It was at the head of its group: the waiter behind it does not know that it is next.
            true => state.wake_next(now),
            false => Wakers::default(),
        };
        unlock(state, next);
    }

    /// Changes the resource by `change`, which returns the waiters that this concerns.
    #[inline]
    pub(crate) fn change(&self, change: impl FnOnce(&mut R, Moment) -> Wake) {
        let mut state = self.lock();
        let now = state.now();
        let wake = change(&mut state.resource, now);
        // With an empty queue there is no waiter to wake, and nothing to drop.
        if state.waiters.is_empty() {
            let driver = state.resource.take_driver();
            drop(state);
            return wake_driver(driver);
        }
        let wakers = state.wakers_for(wake, now);
        unlock(state, wakers);
    }

    /// Reads the resource and the number of waiters, or records something that concerns no waiter.
    pub(crate) fn with<T>(&self, note: impl FnOnce(&mut R, usize) -> T) -> T {
        let mut state = self.lock();
        let queued = state.waiters.len();
        note(&mut state.resource, queued)
    }

    /// Reads a resource that changes with time.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut R, usize, Moment) -> T) -> T {
        self.look_with(|resource, queued, reading| look(resource, queued, reading.moment))
    }

    /// Reads a resource that changes with time, together with the clock.
    pub(crate) fn look_with<T>(&self, look: impl FnOnce(&mut R, usize, Reading) -> T) -> T {
        let mut state = self.lock();
        let (now, queued) = (state.clock.read(), state.waiters.len());
        look(&mut state.resource, queued, now)
    }

    /// Acquires the lock. Nothing that could panic runs between two halves of a change, so a
    /// poisoned lock hides no damage.
    #[inline]
    fn lock(&self) -> Locked<'_, R> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.front.locked();
        Locked {
            front: &self.front,
            state,
        }
    }
}

/// The acquired lock. Its drop tells the front whether there are waiters, and then releases it.
struct Locked<'a, R: Resource> {
    front: &'a R::Front,
    state: MutexGuard<'a, State<R>>,
}

impl<R: Resource> Drop for Locked<'_, R> {
    #[inline]
    fn drop(&mut self) {
        self.front.unlocking(!self.state.waiters.is_empty());
    }
}

impl<R: Resource> Deref for Locked<'_, R> {
    type Target = State<R>;

    #[inline]
    fn deref(&self) -> &State<R> {
        &self.state
    }
}

impl<R: Resource> DerefMut for Locked<'_, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State<R> {
        &mut self.state
    }
}

/// Releases the lock, and then drops and wakes wakers.
///
/// A waker may run any code when it is cloned, woken or dropped, such as a call of the same layer,
/// so none of that happens under the lock: a caller that may have to wait brings a clone, the
/// waiters' wakers are moved in and out, and those that were moved out are used here. A clone that
/// was not needed is dropped when its owner's frame ends, which is later than this.
#[inline]
fn unlock<R: Resource>(mut state: Locked<'_, R>, wakers: Wakers) {
    let dropped = state.waiters.take_dropped();
    let driver = state.resource.take_driver();
    drop(state);
    drop(dropped);
    wake_driver(driver);
    if let Some(next) = wakers.next {
        next.wake();
    }
    wakers.behind.into_iter().for_each(Waker::wake);
}

/// Wakes a driver. It is apart since most resources have none.
#[inline]
fn wake_driver(driver: Option<Waker>) {
    if let Some(driver) = driver {
        driver.wake();
    }
}

impl<R: Resource> State<R> {
    /// Returns the current time, or the last reading if time cannot change the result.
    #[inline]
    fn now(&mut self) -> Moment {
        match self.clock.last() {
            Some(last) if !R::TIMED && self.waiters.is_empty() => last,
            _ => self.clock.read().moment,
        }
    }

    /// Rejects a caller whose deadline has passed, and a new one with a demand that can never be
    /// acquired, if its wait is bounded.
    fn admit<W: WaitPolicy>(
        &self,
        caller: &Caller<R::Demand, W>,
        enqueued: Option<Enqueued>,
        now: Moment,
    ) -> Result<(), W::Rejection> {
        let waited = enqueued.map(|enqueued| now.since(enqueued.since));
        let policy = &caller.policy;
        policy.check_deadline(R::LIMIT, waited.unwrap_or_default())?;
        match enqueued {
            Some(_) => Ok(()),
            None => policy.check_demand(R::LIMIT, || self.resource.fits(caller.demand)),
        }
    }

    /// Returns whether a caller comes before all waiters that are there.
    fn is_next<W>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        enqueued: Option<Enqueued>,
        now: Moment,
    ) -> bool {
        match enqueued {
            Some(enqueued) => self.waiters.is_next(enqueued.position, now),
            None => self.waiters.admits(caller.group, now),
        }
    }

    /// Returns when the next waiter may acquire, and records whether it waits for the end of a
    /// request. The answer to other waiters is not recorded: they may ask for less.
    fn due_for_next(&mut self, demand: R::Demand, now: Moment) -> Due {
        let due = self.resource.due(demand, now);
        self.awaited = due == Due::OnAnswer;
        due
    }

    /// Enqueues a caller and returns when it should poll again.
    ///
    /// If it has found the waiter before it absent, another waiter is next and does not know it.
    /// That one is woken, and the caller polls by itself in case it is absent too.
    fn enqueue<W: WaitPolicy>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        enqueued: Option<Enqueued>,
        now: Moment,
        waker: &mut Option<Waker>,
    ) -> (Wakers, Result<Wait, W::Rejection>) {
        let has_passed_over = self.waiters.take_passed_over();
        if !has_passed_over || self.ahead(enqueued) == 0 {
            let wait = self.wait(caller, enqueued, waker, None);
            return (Wakers::default(), wait);
        }
        let wakers = self.wake_next(now);
        let watch = self.waiters.next_is_missed();
        (wakers, self.wait(caller, enqueued, waker, watch))
    }

    /// Enqueues a caller, which should poll by itself by `watch` at the latest. Takes the waker
    /// only if the caller may wait.
    fn wait<W: WaitPolicy>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        enqueued: Option<Enqueued>,
        waker: &mut Option<Waker>,
        watch: Option<Moment>,
    ) -> Result<Wait, W::Rejection> {
        let reading = self.clock.read();
        let now = reading.moment;
        let ahead = self.ahead(enqueued);
        self.record_latest_due(now);
        let due = match ahead {
            0 => {
                self.resource.want(caller.demand, now);
                self.due_for_next(caller.demand, now)
            }
            _ => self.resource.due(caller.demand, now),
        };
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let forecast = self.forecast(due, ahead, now);
        let is_starting = ahead == 0 && self.resource.is_starting();
        let outlook = WaitForecast {
            start: forecast.filter(|_| is_starting),
            ..self.outlook(enqueued, reading, forecast)
        };
        let left = caller.policy.remaining(&outlook)?;
        let mut enqueued = enqueued.unwrap_or_else(|| self.join(caller.group, now));
        let expected = self.expected(due, ahead, now);
        let bounds = left.map(|left| now + left).into_iter().chain(watch);
        let expected = bounds.fold(expected, Moment::min);
        let waker = waker.take().expect("a caller waits once at each step");
        enqueued.position = self.waiters.wait(enqueued.position, expected, waker);
        Ok(Wait {
            enqueued,
            cause: match ahead {
                0 => self.resource.cause(due, now),
                _ => WaitCause::Queued,
            },
            now,
            until: reading.instant_of(expected),
        })
    }

    /// Records when the least demand is due. A higher demand is due later, which says nothing of
    /// other waiters.
    fn record_latest_due(&mut self, now: Moment) {
        if R::TIMED
            && let Due::At(due) = self.resource.due(R::Demand::default(), now)
        {
            self.latest_due = self.latest_due.max(due);
        }
    }

    fn wait_stuck<W: WaitPolicy>(
        &mut self,
        caller: &Caller<R::Demand, W>,
        enqueued: Option<Enqueued>,
        now: Reading,
        waker: &mut Option<Waker>,
    ) -> Result<(Enqueued, Option<Instant>), W::Rejection> {
        let left = caller
            .policy
            .remaining(&self.outlook(enqueued, now, None))?;
        let mut enqueued = enqueued.unwrap_or_else(|| self.join(caller.group, now.moment));
        let waker = waker.take().expect("a caller waits once at each step");
        enqueued.position = self
            .waiters
            .wait_stuck(enqueued.position, now.moment, waker);
        Ok((enqueued, left.map(|left| now.instant_in(left))))
    }

    /// Returns at most how many waiters are before a waiter, or before a new caller.
    fn ahead(&self, enqueued: Option<Enqueued>) -> usize {
        enqueued.map_or(self.waiters.len(), |enqueued| {
            self.waiters.ahead(enqueued.position)
        })
    }

    fn join(&mut self, group: Group, now: Moment) -> Enqueued {
        Enqueued {
            position: self.waiters.join(group),
            since: now,
        }
    }

    fn outlook(
        &self,
        enqueued: Option<Enqueued>,
        now: Reading,
        forecast: Option<Duration>,
    ) -> WaitForecast {
        WaitForecast {
            limit: R::LIMIT,
            now: now.instant,
            queued: self.waiters.len(),
            waited: enqueued.map(|enqueued| now.moment.since(enqueued.since)),
            forecast,
            start: None,
        }
    }

    /// Returns the time until a caller is due if every waiter before it acquires; none if only the
    /// end of a request can tell.
    fn forecast(&self, due: Due, ahead: u32, now: Moment) -> Option<Duration> {
        let first = match due {
            Due::Now => Duration::ZERO,
            Due::At(due) => due.since(now),
            Due::OnAnswer => return None,
        };
        let behind = self.resource.interval(now).saturating_mul(ahead);
        Some(first.saturating_add(behind))
    }

    /// Returns when a waiter should poll by itself. The next waiter polls at its departure. The
    /// others poll when the next one counts as absent, and later by one interval, or one grace if
    /// that is less, for each waiter between. So k parked waiters are passed over within k graces,
    /// and the waiter behind them polls then.
    fn expected(&self, due: Due, ahead: u32, now: Moment) -> Moment {
        let (due, each) = match due {
            Due::Now => (now, self.spacing(now)),
            Due::At(due) => (due, self.spacing(now)),
            Due::OnAnswer => (now + RECHECK, WaitQueue::<Waker>::GRACE),
        };
        let expected = ahead.checked_sub(1).map_or(due, |between| {
            let missed = self.waiters.next_is_missed().unwrap_or(due);
            missed.max(due + WaitQueue::<Waker>::GRACE) + each.saturating_mul(between)
        });
        expected.min(now + LONGEST_TIMER)
    }

    /// Returns how much later than the waiter before it a waiter polls. Where only the end of a
    /// request makes room, no interval is known, and it is a grace.
    fn spacing(&self, now: Moment) -> Duration {
        match R::TIMED {
            true => self.resource.interval(now).min(WaitQueue::<Waker>::GRACE),
            false => WaitQueue::<Waker>::GRACE,
        }
    }

    /// Wakes the next waiter: to acquire what is due, or to set its timer for when it will be.
    /// Where only the end of a request can make it due, even for the least demand, there is nothing
    /// to do before that.
    #[inline]
    fn wake_next(&mut self, now: Moment) -> Wakers {
        if self.waiters.is_empty() {
            return Wakers::default();
        }
        match self.due_for_next(R::Demand::default(), now) {
            Due::OnAnswer => Wakers::default(),
            Due::Now => self.wake(now, now, NEAREST),
            Due::At(due) => self.wake(due, now, NEAREST),
        }
    }

    #[inline]
    fn wakers_for(&mut self, wake: Wake, now: Moment) -> Wakers {
        let concerns = match wake {
            Wake::Nothing => false,
            Wake::NextIfAwaited => self.awaited,
            Wake::Next | Wake::All => true,
        };
        if !concerns || self.waiters.is_empty() {
            return Wakers::default();
        }
        let nearest = match wake {
            Wake::All => u32::MAX,
            _ => NEAREST,
        };
        // `awaited` stays as it is: until the next waiter has polled, each end of a request looks
        // for it.
        match self.resource.due(R::Demand::default(), now) {
            Due::At(due) => self.wake(due, now, nearest),
            Due::Now | Due::OnAnswer => self.wake(now, now, nearest),
        }
    }

    /// Wakes the next waiter, and the waiters behind it whose timers would be too late if it were
    /// never polled.
    fn wake(&mut self, due: Moment, now: Moment, mut nearest: u32) -> Wakers {
        if self.latest_due > due + JUMP {
            (nearest, self.latest_due) = (u32::MAX, due);
        }
        let late = match nearest {
            u32::MAX => Duration::ZERO,
            _ => LATE,
        };
        let next = self.waiters.wake_next(now);
        let behind = self.waiters.wake_late(now, due + late, nearest);
        Wakers { next, behind }
    }
}

impl<R: Resource> fmt::Debug for Queue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
