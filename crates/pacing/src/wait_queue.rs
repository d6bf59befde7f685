use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Moment;

/// How late a waiter may poll before it is passed over for the first time: some ticks of a common
/// timer. With less, waiters that poll when they are woken would be passed over. With more, each
/// waiter that does not poll costs more time.
const GRACE: Duration = Duration::from_millis(5);

/// How often a grace doubles at most: to 1.28 s. With less, a waiter whose thread blocks for long
/// between two polls could be overtaken forever. With more, a waiter that polls now and then, but
/// never when it is woken, would stop all others for as long.
const MOST_MISSES: u8 = 8;

/// The waiters of one limiter, in order of arrival.
///
/// ```
/// use pacing::{Moment, WaitQueue};
///
/// let (mut queue, now) = (WaitQueue::default(), Moment::ORIGIN);
/// let group = queue.add_group();
/// let position = queue.join(group);
/// let position = queue.wait(position, now, "a waker"); // until its timer fires
/// assert!(queue.is_next(position, now));
/// let _ = queue.serve(position); // it departs
/// ```
///
/// A waiter joins a [`Group`] and keeps its [`Position`] until it leaves. Within a group the order
/// is first in, first out. The heads of all groups compete, and the oldest of them is next. `W` is
/// the type of a waker.
///
/// A waiter is *expected* at some moment: when its timer fires, or when it was woken. A waiter that
/// has not polled within its grace after that moment is *absent*. It is passed over until it polls
/// by itself, and then has its old position again. So a waiter that never polls stops no other for
/// longer than its grace.
///
/// A group is *stuck* while the inner service of its head is not ready. A stuck group stops no
/// other group.
///
/// # Grace
///
/// A waiter has [`GRACE`](Self::GRACE). Each time it was passed over and polls again, its grace
/// doubles, up to 256 times the first one, until it is served. Without that, a waiter whose thread
/// is busy would be passed over forever by the caller that keeps the thread busy. A waiter that is
/// late by up to t is passed over at most log2(t / 5 ms) + 1 times.
///
/// # Cost
///
/// Every query and every change takes logarithmic time in the number of waiters and of groups, and
/// the same again for each waiter that is passed over.
#[derive(Clone, Debug)]
pub struct WaitQueue<W> {
    groups: Groups<W>,
    /// The number of queued waiters.
    len: usize,
    /// The number of the newest position.
    joined: u64,
    /// The number of the newest group.
    opened: u64,
    /// A waiter was passed over since the last `take_passed_over`. Another waiter is next then, and
    /// was not woken.
    has_passed_over: bool,
    /// Wakers of waiters that left the queue, until `take_dropped`.
    dropped: Vec<W>,
}

/// The waiters that share one inner service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(u64);

/// A waiter's position in the queue. It stays the same until the waiter leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a waiter that never leaves its position holds up those behind it"]
pub struct Position {
    group: Group,
    number: u64,
    /// How often the waiter was passed over since it was last served.
    misses: u8,
    /// The waiter called `wait`, so it has a time at which it polls. If it is not queued any more
    /// when it does, it was passed over.
    is_expected: bool,
}

// The states of a waiter, and what changes them:
//
//   joined   => waiting (`wait`) | stuck (`wait_stuck`)
//   waiting  => woken (`wake_next`, `wake_late`) | absent (its grace is over) | served | left
//   woken    => waiting (it polled, and waits again) | absent | served | left
//   stuck    => waiting | absent (after one grace, which is no miss) | served | left
//   absent   => waiting, with twice the grace | stuck | left
//   served   => waiting | stuck: the inner service was ready, and the request may still wait
impl<W> WaitQueue<W> {
    /// How late a waiter may poll before it is passed over for the first time: 5 ms.
    pub const GRACE: Duration = GRACE;

    /// Adds a group.
    pub fn add_group(&mut self) -> Group {
        self.opened += 1;
        Group(self.opened)
    }

    /// Returns the number of queued waiters, without the absent ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if no waiter is queued, or only absent ones are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns a new position behind all others of the group. It is queued from its first
    /// [`wait`](Self::wait) on.
    pub fn join(&mut self, group: Group) -> Position {
        self.joined += 1;
        Position {
            group,
            number: self.joined,
            misses: 0,
            is_expected: false,
        }
    }

    /// Enqueues a waiter that polls at `expected`, or as soon as `waker` wakes it. Returns the
    /// position for its next call.
    ///
    /// The grace is twice as long as before if the waiter had been passed over.
    pub fn wait(&mut self, position: Position, expected: Moment, waker: W) -> Position {
        let was_missed = position.is_expected && !self.groups.contains(position);
        let misses = position.misses + u8::from(was_missed);
        let position = Position {
            misses: misses.min(MOST_MISSES),
            is_expected: true,
            ..position
        };
        let waiter = Waiter::new(waker, expected, position.misses);
        self.enqueue(position, waiter, false);
        position
    }

    /// Enqueues a waiter whose inner service is not ready. It holds up its group for one grace.
    /// Returns the position for its next call.
    ///
    /// The inner service wakes this waiter, not the queue. So it is no miss if it is passed over,
    /// and its grace does not double.
    pub fn wait_stuck(&mut self, position: Position, now: Moment, waker: W) -> Position {
        self.enqueue(position, Waiter::new(waker, now, 0), true);
        Position {
            is_expected: false,
            ..position
        }
    }

    /// Removes a waiter whose inner service is ready, so that the service may be ready for the
    /// waiters behind it too. Returns the position for its next call, with the first grace.
    pub fn serve(&mut self, position: Position) -> Position {
        let removed = self.groups.change(position.group, |waiters| {
            waiters.stuck = false;
            waiters.queued.remove(&position.number)
        });
        self.drop_later(removed);
        Position {
            misses: 0,
            is_expected: false,
            ..position
        }
    }

    /// Removes a waiter if it is queued. Returns true if it was the head of its group: another
    /// waiter may be next now.
    pub fn leave(&mut self, position: Position) -> bool {
        let (was_head, removed) = self.groups.change(position.group, |waiters| {
            let was_head = waiters.first() == Some(position.number);
            // The next waiter of the group polls the inner service by itself.
            waiters.stuck &= !was_head;
            (was_head, waiters.queued.remove(&position.number))
        });
        self.drop_later(removed);
        was_head
    }

    /// Returns true if a waiter that polls now comes before all queued waiters.
    pub fn is_next(&mut self, position: Position, now: Moment) -> bool {
        self.pass_over_absent(now);
        self.groups.oldest_before(position).is_none()
    }

    /// Returns true if a caller of `group` that has no position need not wait for any waiter.
    pub fn admits(&mut self, group: Group, now: Moment) -> bool {
        self.pass_over_absent(now);
        self.groups.next().is_none() && !self.groups.has_waiters(group)
    }

    /// Returns an upper bound for the number of waiters before this one.
    #[must_use]
    pub fn ahead(&self, position: Position) -> usize {
        let oldest = self.groups.oldest_before(position);
        let since = oldest.map_or(0, |oldest| position.number - oldest);
        usize::try_from(since).unwrap_or(usize::MAX).min(self.len)
    }

    /// Returns the waker of the next waiter, unless it was woken before. The waiter is expected
    /// from `now` on.
    pub fn wake_next(&mut self, now: Moment) -> Option<W> {
        self.pass_over_absent(now);
        let next = self.groups.next()?;
        self.groups.wake(next, now)
    }

    /// Returns when the next waiter is passed over if it does not poll.
    #[must_use]
    pub fn next_is_missed(&self) -> Option<Moment> {
        self.groups.next_is_missed()
    }

    /// Returns the wakers of waiters whose timers would fire too late if the next waiter did not
    /// poll.
    ///
    /// A waiter sets its timer to the time at which the waiters before it should be served. If they
    /// are served sooner, its timer is late. The nearest waiter behind the next one should poll by
    /// `by`, and each further one a grace later.
    ///
    /// If the timer of the nearest waiter is in time, no other one is checked. Otherwise this wakes
    /// the late ones among the next `nearest` waiters, and behind them one at each doubling of the
    /// distance. With `u32::MAX` it wakes all late waiters.
    #[must_use]
    pub fn wake_late(&mut self, now: Moment, by: Moment, nearest: u32) -> Vec<W> {
        let mut woken = Vec::new();
        let Some((head, missed)) = self.groups.next().zip(self.next_is_missed()) else {
            return woken;
        };
        let (mut behind, mut from, by) = (1_u32, head.number + 1, by.max(missed));
        while let Some((key, waiter)) = self.groups.first_from(head.group, from) {
            from = key.number + 1;
            if waiter.missed() <= now {
                // It would be passed over as soon as it was next, so it watches over no other.
                let absent = self.groups.remove(key);
                self.drop_later(absent);
                continue;
            }
            let is_late = waiter.expected > by + GRACE.saturating_mul(behind);
            if behind == 1 && !is_late && nearest < u32::MAX {
                break;
            }
            if is_late {
                woken.extend(self.groups.wake(key, now));
            }
            // Behind the nearest waiters, one at each doubling of the distance bounds the wake-ups
            // of one call to the logarithm of the queue's length.
            let step = if behind < nearest { 1 } else { behind };
            behind = behind.saturating_add(step);
            from = key.number + u64::from(step);
        }
        woken
    }

    /// Returns true if a waiter was passed over since the last call. Another waiter is next then,
    /// and must be woken.
    pub fn take_passed_over(&mut self) -> bool {
        std::mem::take(&mut self.has_passed_over)
    }

    /// Returns the wakers that are not needed any more, for the caller to drop.
    ///
    /// A drop of a waker may run any code: do it outside of the lock that guards the queue.
    #[must_use]
    pub fn take_dropped(&mut self) -> Vec<W> {
        std::mem::take(&mut self.dropped)
    }

    fn enqueue(&mut self, position: Position, waiter: Waiter<W>, stuck: bool) {
        let replaced = self.groups.change(position.group, |waiters| {
            let replaced = waiters.queued.insert(position.number, waiter);
            // A head that is not stuck waits for its departure now, so its group is stuck no more.
            // A waiter behind the head says nothing about the inner service.
            waiters.stuck = stuck || (waiters.stuck && waiters.first() != Some(position.number));
            replaced
        });
        self.len += 1;
        self.drop_later(replaced);
    }

    /// Counts a waiter as gone, and keeps its waker until it can be dropped without a lock.
    fn drop_later(&mut self, waiter: Option<Waiter<W>>) {
        if let Some(waiter) = waiter {
            self.len -= 1;
            self.dropped.extend(waiter.waker);
        }
    }

    fn pass_over_absent(&mut self, now: Moment) {
        while let Some(absent) = self.groups.pop_missed(now) {
            self.drop_later(Some(absent));
            self.has_passed_over = true;
        }
    }
}

impl<W> Default for WaitQueue<W> {
    fn default() -> Self {
        Self {
            groups: Groups::default(),
            len: 0,
            joined: 0,
            opened: 0,
            has_passed_over: false,
            dropped: Vec::new(),
        }
    }
}

/// The waiters of every group, and the heads of the groups in order, so that no query searches.
#[derive(Clone, Debug)]
struct Groups<W> {
    /// A group without waiters has no entry.
    by_group: BTreeMap<Group, Waiters<W>>,
    heads: Heads,
}

/// The queued waiters of one group, by number.
#[derive(Clone, Debug)]
struct Waiters<W> {
    queued: BTreeMap<u64, Waiter<W>>,
    stuck: bool,
}

#[derive(Clone, Debug)]
struct Waiter<W> {
    /// None once it was woken: then it polls, or it is absent.
    waker: Option<W>,
    expected: Moment,
    misses: u8,
}

/// The first waiter of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    number: u64,
    missed: Moment,
    stuck: bool,
}

#[derive(Clone, Debug, Default)]
struct Heads {
    /// The heads that wait for their departure, not for an inner service, by age.
    by_age: BTreeSet<(u64, Group)>,
    /// All heads, by the moment at which they are passed over.
    by_time: BTreeSet<(Moment, Group)>,
}

/// The key of a queued waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    number: u64,
    group: Group,
}

impl<W> Groups<W> {
    fn has_waiters(&self, group: Group) -> bool {
        self.by_group.contains_key(&group)
    }

    fn contains(&self, position: Position) -> bool {
        let waiters = self.by_group.get(&position.group);
        waiters.is_some_and(|waiters| waiters.queued.contains_key(&position.number))
    }

    /// Returns the oldest head that is not stuck.
    fn next(&self) -> Option<Key> {
        let &(number, group) = self.heads.by_age.first()?;
        Some(Key { number, group })
    }

    /// Returns when that head is passed over if it does not poll.
    fn next_is_missed(&self) -> Option<Moment> {
        let waiters = self.by_group.get(&self.next()?.group)?;
        waiters.head().map(|head| head.missed)
    }

    /// Returns the oldest waiter before a position: of its own group, and of the heads of the
    /// others.
    fn oldest_before(&self, position: Position) -> Option<u64> {
        let own = self.by_group.get(&position.group).and_then(Waiters::first);
        let mut others = self.heads.by_age.iter();
        let other = others.find(|(_, group)| *group != position.group);
        let oldest = own.into_iter().chain(other.map(|&(number, _)| number));
        oldest.min().filter(|&number| number < position.number)
    }

    /// Returns the first waiter from `number` on, of `group` and of the heads of the others.
    fn first_from(&self, group: Group, number: u64) -> Option<(Key, &Waiter<W>)> {
        let own = self.by_group.get(&group);
        let own = own.and_then(|waiters| waiters.queued.range(number..).next());
        let own = own.map(|(&number, _)| Key { number, group });
        let mut heads = self.heads.by_age.range((number, Group(0))..);
        let other = heads.find(|(_, other)| *other != group);
        let other = other.map(|&(number, group)| Key { number, group });
        let first = own.into_iter().chain(other).min()?;
        let waiter = self.by_group.get(&first.group)?.queued.get(&first.number)?;
        Some((first, waiter))
    }

    fn remove(&mut self, key: Key) -> Option<Waiter<W>> {
        self.change(key.group, |waiters| waiters.queued.remove(&key.number))
    }

    /// Removes a head that should have polled by `now`.
    fn pop_missed(&mut self, now: Moment) -> Option<Waiter<W>> {
        let &(missed, group) = self.heads.by_time.first()?;
        if missed > now {
            return None;
        }
        let popped = self.change(group, |waiters| waiters.queued.pop_first());
        popped.map(|(_, waiter)| waiter)
    }

    /// Returns the waker of a queued waiter, unless it was woken before. The waiter is expected
    /// from `now` on.
    fn wake(&mut self, key: Key, now: Moment) -> Option<W> {
        self.change(key.group, |waiters| {
            let waiter = waiters.queued.get_mut(&key.number)?;
            waiter.expected = waiter.expected.min(now);
            waiter.waker.take()
        })
    }

    /// Changes the waiters of one group. Every change goes through here, so that the heads stay in
    /// order.
    fn change<T>(&mut self, group: Group, change: impl FnOnce(&mut Waiters<W>) -> T) -> T {
        let waiters = self.by_group.entry(group).or_default();
        let before = waiters.head();
        let result = change(waiters);
        let after = waiters.head();
        if after.is_none() {
            self.by_group.remove(&group);
        }
        if before != after {
            self.heads.replace(group, before, after);
        }
        result
    }
}

impl Heads {
    fn replace(&mut self, group: Group, before: Option<Head>, after: Option<Head>) {
        if let Some(head) = before {
            self.by_age.remove(&(head.number, group));
            self.by_time.remove(&(head.missed, group));
        }
        if let Some(head) = after {
            self.by_time.insert((head.missed, group));
            if !head.stuck {
                self.by_age.insert((head.number, group));
            }
        }
    }
}

impl<W> Waiters<W> {
    fn first(&self) -> Option<u64> {
        self.queued.keys().next().copied()
    }

    fn head(&self) -> Option<Head> {
        let (&number, waiter) = self.queued.first_key_value()?;
        Some(Head {
            number,
            missed: waiter.missed(),
            stuck: self.stuck,
        })
    }
}

impl<W> Waiter<W> {
    fn new(waker: W, expected: Moment, misses: u8) -> Self {
        Self {
            waker: Some(waker),
            expected,
            misses,
        }
    }

    /// Returns when it is passed over if it does not poll.
    fn missed(&self) -> Moment {
        self.expected + GRACE * (1 << self.misses)
    }
}

// Derived, these would ask for `W: Default`.
impl<W> Default for Groups<W> {
    fn default() -> Self {
        Self {
            by_group: BTreeMap::new(),
            heads: Heads::default(),
        }
    }
}

impl<W> Default for Waiters<W> {
    fn default() -> Self {
        Self {
            queued: BTreeMap::new(),
            stuck: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    /// A queue with waiters 1, 2, .. of the given groups, all expected far ahead.
    fn queue<const N: usize>(groups: [u64; N]) -> (WaitQueue<u64>, [Position; N]) {
        let mut queue = WaitQueue::default();
        let positions = groups.map(|group| {
            let position = queue.join(Group(group));
            queue.wait(position, at(1_000_000), position.number)
        });
        (queue, positions)
    }

    #[test]
    fn groups_are_distinct() {
        let mut queue = WaitQueue::<()>::default();
        let groups = [queue.add_group(), queue.add_group(), queue.add_group()];
        assert!(groups[0] < groups[1] && groups[1] < groups[2]);
    }

    #[test]
    fn the_oldest_waiter_of_all_groups_is_next() {
        let (mut queue, [first, second, third]) = queue([1, 2, 1]);
        assert!(queue.is_next(first, at(0)));
        assert!(!queue.is_next(second, at(0)) && !queue.is_next(third, at(0)));
        assert!(queue.leave(first));
        assert!(queue.is_next(second, at(0)));
        assert_eq!(queue.wake_next(at(0)), Some(2));
    }

    #[test]
    fn a_waiter_that_was_woken_and_does_not_poll_is_passed_over_after_a_grace() {
        let (mut queue, [first, second]) = queue([1, 1]);
        assert_eq!(queue.wake_next(at(10)), Some(1));
        assert!(!queue.is_next(second, at(14)));
        assert!(queue.is_next(second, at(15)));
        assert_eq!(queue.len(), 1);
        assert!(queue.take_passed_over() && !queue.take_passed_over());
        let _ = queue.wait(first, at(50), 1);
        assert!(
            !queue.is_next(second, at(16)),
            "it has its old position again"
        );
    }

    #[test]
    fn a_waiter_that_was_passed_over_and_polls_again_has_twice_the_grace_until_it_is_served() {
        let (mut queue, [mut first, second]) = queue([1, 1]);
        let (mut now, mut expected) = (at(0), WaitQueue::<u64>::GRACE);
        for _ in 0..12 {
            assert_eq!(queue.wake_next(now), Some(1));
            let missed = now + expected;
            assert_eq!(queue.next_is_missed(), Some(missed));
            assert!(!queue.is_next(second, missed - Duration::from_nanos(1)));
            assert!(queue.is_next(second, missed));
            now = missed;
            first = queue.wait(first, now, 1);
            expected = (expected * 2).min(WaitQueue::<u64>::GRACE * 256);
        }
        first = queue.serve(first);
        first = queue.wait(first, now, 1);
        assert_eq!(queue.next_is_missed(), Some(now + WaitQueue::<u64>::GRACE));
        first = queue.wait(first, now, 1);
        assert_eq!(
            queue.next_is_missed(),
            Some(now + WaitQueue::<u64>::GRACE),
            "it was queued"
        );
        queue.leave(first);
    }

    #[test]
    fn a_stuck_waiter_that_was_passed_over_keeps_its_grace() {
        let (mut queue, [first, second]) = queue([1, 1]);
        let first = queue.wait_stuck(first, at(0), 1);
        assert!(queue.is_next(second, at(5)));
        let _ = queue.wait(first, at(10), 1);
        assert_eq!(queue.next_is_missed(), Some(at(15)));
    }

    #[test]
    fn a_waiter_is_woken_once_until_it_polls() {
        let (mut queue, [first]) = queue([1]);
        assert_eq!(
            [at(0), at(1)].map(|now| queue.wake_next(now)),
            [Some(1), None]
        );
        let _ = queue.wait(first, at(50), 1);
        assert_eq!(queue.wake_next(at(2)), Some(1));
    }

    #[test]
    fn late_waiters_are_woken_the_nearest_and_one_at_each_doubling() {
        let mut queue = WaitQueue::default();
        for number in 1..=200 {
            let position = queue.join(Group(1));
            let _ = queue.wait(position, at(1_000), number);
        }
        assert_eq!(
            queue.wake_late(at(0), at(1_000), 16),
            [],
            "they are in time"
        );
        assert_eq!(queue.wake_next(at(0)), Some(1));
        let mut expected: Vec<_> = (2..=17).collect();
        expected.extend([33, 65, 129]);
        assert_eq!(queue.wake_late(at(0), at(100), 16), expected);
        assert_eq!(queue.wake_late(at(0), at(100), 16), [], "they were woken");
    }

    #[test]
    fn all_late_waiters_are_woken_on_request() {
        let mut queue = WaitQueue::default();
        for number in 1..=200 {
            let position = queue.join(Group(1));
            let _ = queue.wait(position, at(60_000), number);
        }
        assert_eq!(queue.wake_next(at(0)), Some(1));
        assert!(
            queue
                .wake_late(at(0), at(100), u32::MAX)
                .into_iter()
                .eq(2..=200)
        );
    }

    #[test]
    fn all_late_waiters_are_woken_even_behind_some_that_have_not_polled_yet() {
        let (mut queue, _) = queue([1, 1, 2, 1]);
        assert_eq!(queue.wake_next(at(0)), Some(1));
        assert_eq!(queue.wake_late(at(0), at(1), 2), [2, 3]);
        assert_eq!(queue.wake_late(at(0), at(1), 2), [], "they may still poll");
        assert_eq!(queue.wake_late(at(0), at(1), u32::MAX), [4]);
    }

    #[test]
    fn an_absent_waiter_behind_the_head_is_removed_before_late_ones_are_woken() {
        let (mut queue, [_, second, _]) = queue([1, 1, 1]);
        let _ = queue.wait(second, at(0), 2);
        assert_eq!(queue.wake_next(at(5)), Some(1));
        assert_eq!(queue.wake_late(at(5), at(10), 16), [3]);
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn the_late_heads_of_other_groups_are_woken_too() {
        let (mut queue, _) = queue([1, 2, 1, 3, 2]);
        assert_eq!(queue.wake_next(at(0)), Some(1));
        assert_eq!(queue.wake_late(at(0), at(0), 16), [2, 3, 4]);
    }

    #[test]
    fn a_stuck_group_holds_up_no_other_until_it_is_served() {
        let (mut queue, [first, second, other]) = queue([1, 1, 2]);
        let _ = queue.wait_stuck(first, at(0), 1);
        assert!(queue.is_next(other, at(0)) && !queue.is_next(second, at(0)));
        assert!(queue.is_next(second, at(5)) && queue.is_next(other, at(5)));
        let _ = queue.serve(first);
        assert!(!queue.is_next(other, at(5)), "the group is not stuck");
    }

    #[test]
    fn a_stuck_waiter_that_leaves_lets_its_group_poll_again() {
        let (mut queue, [first, _, _]) = queue([1, 1, 2]);
        let _ = queue.wait_stuck(first, at(0), 1);
        assert!(queue.leave(first));
        assert_eq!(queue.wake_next(at(0)), Some(2));
    }

    #[test]
    fn a_stuck_waiter_that_waits_for_its_departure_again_is_woken() {
        let (mut queue, [first, _]) = queue([1, 2]);
        let _ = queue.wait_stuck(first, at(0), 1);
        let _ = queue.wait(first, at(100), 1);
        assert_eq!(queue.wake_next(at(1)), Some(1));
    }

    #[test]
    fn a_new_caller_waits_for_present_waiters_only() {
        let (mut queue, [first]) = queue([1]);
        assert!(!queue.admits(Group(1), at(0)) && !queue.admits(Group(2), at(0)));
        let _ = queue.wait_stuck(first, at(0), 1);
        assert!(!queue.admits(Group(1), at(0)) && queue.admits(Group(2), at(0)));
        assert!(
            queue.admits(Group(1), at(5)),
            "the stuck waiter is absent by now"
        );
    }

    #[test]
    fn the_wakers_of_waiters_that_left_are_returned() {
        let (mut queue, [first, second]) = queue([1, 1]);
        let _ = queue.wait(first, at(0), 10);
        queue.leave(second);
        assert!(queue.admits(Group(1), at(5)), "the first is absent");
        assert_eq!(queue.take_dropped(), [1, 2, 10]);
        assert!(queue.take_dropped().is_empty());
    }

    #[test]
    fn ahead_bounds_the_number_of_waiters_before_a_position() {
        let (mut queue, [first, second, third]) = queue([1, 1, 2]);
        assert_eq!(
            [first, second, third].map(|position| queue.ahead(position)),
            [0, 1, 2]
        );
        queue.leave(first);
        assert_eq!(
            [second, third].map(|position| queue.ahead(position)),
            [0, 1]
        );
        let _ = queue.wait_stuck(second, at(0), 2);
        assert_eq!(queue.ahead(third), 0);
    }

    /// The plain model: a list of all waiters that ever joined.
    #[derive(Default)]
    struct Model {
        waiters: Vec<Plain>,
        stuck: [bool; 3],
    }

    #[derive(Clone, Copy, Debug, Default)]
    struct Plain {
        group: u64,
        /// When it is expected, and its grace, if it is queued.
        queued: Option<(Moment, Duration)>,
        is_woken: bool,
        misses: u32,
        is_late_if_absent: bool,
    }

    impl Model {
        fn head(&self, group: u64) -> Option<usize> {
            (0..self.waiters.len())
                .find(|&n| self.waiters[n].group == group && self.waiters[n].queued.is_some())
        }

        fn join(&mut self, group: u64) -> usize {
            self.waiters.push(Plain {
                group,
                ..Plain::default()
            });
            self.waiters.len() - 1
        }

        fn wait(&mut self, n: usize, expected: Moment) {
            let waiter = &mut self.waiters[n];
            waiter.misses += u32::from(waiter.is_late_if_absent && waiter.queued.is_none());
            waiter.misses = waiter.misses.min(8);
            let grace = Duration::from_millis(5) * 2_u32.pow(waiter.misses);
            waiter.queued = Some((expected, grace));
            waiter.is_woken = false;
            waiter.is_late_if_absent = true;
            let group = waiter.group;
            self.stuck[group as usize] &= self.head(group) != Some(n);
        }

        fn wait_stuck(&mut self, n: usize, now: Moment) {
            let waiter = &mut self.waiters[n];
            waiter.queued = Some((now, Duration::from_millis(5)));
            waiter.is_woken = false;
            waiter.is_late_if_absent = false;
            self.stuck[waiter.group as usize] = true;
        }

        fn serve(&mut self, n: usize) {
            self.stuck[self.waiters[n].group as usize] = false;
            self.leave(n);
            let waiter = &mut self.waiters[n];
            (waiter.misses, waiter.is_late_if_absent) = (0, false);
        }

        /// Returns true if a waiter was passed over.
        fn pass_over(&mut self, now: Moment) -> bool {
            let mut any = false;
            for group in 0..3 {
                while let Some(head) = self.head(group)
                    && self.waiters[head]
                        .queued
                        .is_some_and(|(expected, grace)| expected + grace <= now)
                {
                    self.waiters[head].queued = None;
                    any = true;
                }
                self.stuck[group as usize] &= self.head(group).is_some();
            }
            any
        }

        fn is_next(&self, n: usize) -> bool {
            let group = self.waiters[n].group;
            (0..3).all(|other| {
                let counts = other == group || !self.stuck[other as usize];
                !counts || self.head(other).is_none_or(|head| head >= n)
            })
        }

        fn next(&self) -> Option<usize> {
            (0..3)
                .filter(|&group| !self.stuck[group as usize])
                .filter_map(|group| self.head(group))
                .min()
        }

        /// Wakes a waiter that was not woken before.
        fn wake(&mut self, n: usize, now: Moment) -> Option<usize> {
            let waiter = &mut self.waiters[n];
            let (expected, _) = waiter.queued.as_mut()?;
            *expected = now.min(*expected);
            (!std::mem::replace(&mut waiter.is_woken, true)).then_some(n)
        }

        /// Wakes the waiters behind the next one that are expected too late.
        fn wake_late(&mut self, now: Moment, by: Moment, nearest: u32) -> Vec<usize> {
            let Some(next) = self.next() else {
                return Vec::new();
            };
            let (expected, grace) = self.waiters[next].queued.unwrap();
            let by = by.max(expected + grace);
            let group = self.waiters[next].group;
            let (mut late, mut rank, mut from) = (Vec::new(), 1, next + 1);
            while let Some(n) = (from..self.waiters.len()).find(|&n| self.counts(n, group)) {
                let (expected, grace) = self.waiters[n].queued.unwrap();
                if expected + grace <= now {
                    self.waiters[n].queued = None;
                    from = n + 1;
                    continue;
                }
                let is_late = expected > by + Duration::from_millis(5) * rank;
                if rank == 1 && !is_late {
                    break;
                }
                late.extend(is_late.then(|| self.wake(n, now)).flatten());
                let step = if rank < nearest { 1 } else { rank };
                (rank, from) = (rank + step, n + step as usize);
            }
            late
        }

        /// Returns true for a queued waiter of `group`, and for the head of another group that is
        /// not stuck.
        fn counts(&self, n: usize, group: u64) -> bool {
            let other = self.waiters[n].group;
            let is_head = !self.stuck[other as usize] && self.head(other) == Some(n);
            self.waiters[n].queued.is_some() && (other == group || is_head)
        }

        fn leave(&mut self, n: usize) -> bool {
            let group = self.waiters[n].group;
            let was_head = self.head(group) == Some(n);
            self.waiters[n].queued = None;
            self.stuck[group as usize] &= !was_head && self.head(group).is_some();
            was_head
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(u64),
        Wait(prop::sample::Index, u64),
        Stuck(prop::sample::Index),
        Serve(prop::sample::Index),
        Leave(prop::sample::Index),
        Wake,
        WakeLate(u64, u32),
        Advance(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let waiter = any::<prop::sample::Index>;
        let step = prop_oneof![
            3 => (0_u64..3).prop_map(Step::Join),
            3 => (waiter(), 0_u64..40).prop_map(|(waiter, wait)| Step::Wait(waiter, wait)),
            1 => waiter().prop_map(Step::Stuck),
            1 => waiter().prop_map(Step::Serve),
            2 => waiter().prop_map(Step::Leave),
            2 => Just(Step::Wake),
            1 => (0_u64..20, 1_u32..20).prop_map(|(by, nearest)| Step::WakeLate(by, nearest)),
            3 => (0_u64..12).prop_map(Step::Advance),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn the_queue_agrees_with_a_plain_list(steps in steps()) {
            let (mut queue, mut model) = (WaitQueue::default(), Model::default());
            let mut positions = Vec::new();
            let mut now = at(0);
            for step in steps {
                let pick = |waiter: prop::sample::Index| {
                    (!positions.is_empty()).then(|| waiter.index(positions.len()))
                };
                match step {
                    Step::Advance(time) => now = now + at(time).since(at(0)),
                    Step::Join(group) => {
                        let n = model.join(group);
                        let position = queue.join(Group(group));
                        positions.push(queue.wait(position, now, n));
                        model.wait(n, now);
                    }
                    Step::Wait(waiter, wait) => if let Some(n) = pick(waiter) {
                        let expected = now + at(wait).since(at(0));
                        positions[n] = queue.wait(positions[n], expected, n);
                        model.wait(n, expected);
                    },
                    Step::Stuck(waiter) => if let Some(n) = pick(waiter) {
                        positions[n] = queue.wait_stuck(positions[n], now, n);
                        model.wait_stuck(n, now);
                    },
                    Step::Serve(waiter) => if let Some(n) = pick(waiter) {
                        positions[n] = queue.serve(positions[n]);
                        model.serve(n);
                    },
                    Step::Leave(waiter) => if let Some(n) = pick(waiter) {
                        prop_assert_eq!(queue.leave(positions[n]), model.leave(n));
                    },
                    Step::Wake => {
                        let any = model.pass_over(now);
                        let next = model.next().and_then(|n| model.wake(n, now));
                        prop_assert_eq!(queue.wake_next(now), next);
                        prop_assert_eq!(queue.take_passed_over(), any);
                    }
                    Step::WakeLate(by, nearest) => {
                        let by = now + at(by).since(at(0));
                        let woken = model.wake_late(now, by, nearest);
                        prop_assert_eq!(queue.wake_late(now, by, nearest), woken);
                    }
                }
                let any = model.pass_over(now);
                let missed = model.next().and_then(|n| model.waiters[n].queued);
                for (n, &position) in positions.iter().enumerate() {
                    prop_assert_eq!(queue.is_next(position, now), model.is_next(n));
                }
                prop_assert_eq!(queue.take_passed_over(), any && !positions.is_empty());
                let missed = missed.map(|(expected, grace)| expected + grace);
                prop_assert_eq!(queue.next_is_missed(), missed);
                let queued = model.waiters.iter().filter(|waiter| waiter.queued.is_some()).count();
                prop_assert_eq!((queue.len(), queue.is_empty()), (queued, queued == 0));
            }
        }
    }
}
