mod lanes;

use std::time::Duration;

use self::lanes::{Lanes, Waiter};
use crate::Moment;

/// How long a waiter may be late before it is passed over for the first time: some ticks of a
/// common timer. A shorter one would pass over waiters that come when they are woken, and a longer
/// one is lost with each that does not.
const GRACE: Duration = Duration::from_millis(5);

/// How often a grace doubles at most: to 1.28 s. A thread that blocks for longer between two polls
/// can still be overtaken. A larger bound would let a waiter that comes now and then, and never
/// when it is woken, stop all others for as long.
const MOST_MISSES: u8 = 8;

/// The waiters of one limiter: who is next.
///
/// A waiter joins a [`Lane`] and keeps its place, first come first served, until it leaves. Each
/// lane's head stands for its lane, and of the heads the oldest is next. `W` is what it takes to
/// wake a waiter.
///
/// Nothing is handed to a waiter that may never come for it. Every waiter is expected at some
/// moment: when its timer fires, or as soon as it was woken. One that does not come within its
/// grace is absent, and passed over until it comes by itself; then it has its old place again. A
/// lane whose inner service is not ready is stuck: it holds up no other, until one of its waiters
/// is served or leaves.
///
/// # Grace
///
/// A waiter has [`GRACE`](Self::GRACE). Each time it was passed over and comes back by itself its
/// grace doubles, up to 256 times, until it is served. A waiter whose thread is busy is late
/// whenever it is woken, and without that would be passed over for ever by the caller that keeps
/// the thread busy. One that is late by up to t is passed over at most log2(t / 5 ms) + 1 times.
///
/// # Cost
///
/// Every question and every change takes logarithmic time in the waiters and in the lanes, and one
/// more for each waiter that is passed over.
#[derive(Clone, Debug)]
pub struct Line<W> {
    lanes: Lanes<W>,
    len: usize,
    joined: u64,
    opened: u64,
    /// Somebody was passed over since that was last asked, so another is next and does not know it.
    has_passed_over: bool,
    /// The wakers of waiters that left, until they are taken.
    dropped: Vec<W>,
}

/// A group of waiters that wait for the same inner service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u64);

/// A waiter's place in the line: it stays the same until the waiter leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a place that is never left holds up those behind it"]
pub struct Ticket {
    lane: Lane,
    number: u64,
    /// How often its holder was passed over since it was last served.
    misses: u8,
    /// Its holder was told when to come. If it does not stand in the line any more, it was passed
    /// over.
    is_expected: bool,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self {
            lanes: Lanes::default(),
            len: 0,
            joined: 0,
            opened: 0,
            has_passed_over: false,
            dropped: Vec::new(),
        }
    }
}

impl<W> Line<W> {
    /// How long a waiter may be late before it is passed over for the first time: 5 ms.
    pub const GRACE: Duration = GRACE;

    /// Opens a lane.
    pub fn open_lane(&mut self) -> Lane {
        self.opened += 1;
        Lane(self.opened)
    }

    /// Returns how many waiters stand in the line, without the absent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Says whether nobody stands in the line, or only absent ones.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Hands out the last place of a lane. The waiter stands there from its first
    /// [`wait`](Self::wait) on.
    pub fn join(&mut self, lane: Lane) -> Ticket {
        self.joined += 1;
        Ticket {
            lane,
            number: self.joined,
            misses: 0,
            is_expected: false,
        }
    }

    /// Lets a waiter stand in its place; it is expected at `expected` and can be woken by `waker`
    /// before. Returns the ticket to come back with, whose grace is longer if the waiter had been
    /// passed over.
    pub fn wait(&mut self, ticket: Ticket, expected: Moment, waker: W) -> Ticket {
        let was_missed = ticket.is_expected && !self.lanes.stands(ticket);
        let misses = ticket.misses + u8::from(was_missed);
        let ticket = Ticket {
            misses: misses.min(MOST_MISSES),
            is_expected: true,
            ..ticket
        };
        self.stand(ticket, Waiter::new(waker, expected, ticket.misses), false);
        ticket
    }

    /// Lets a waiter stand in its place while its inner service is not ready, which holds up its
    /// lane for a grace. Returns the ticket to come back with. To be passed over is no miss then:
    /// the inner service wakes it, not the line.
    pub fn wait_stuck(&mut self, ticket: Ticket, now: Moment, waker: W) -> Ticket {
        self.stand(ticket, Waiter::new(waker, now, 0), true);
        Ticket {
            is_expected: false,
            ..ticket
        }
    }

    /// Takes a waiter out of the line that was served: its inner service is ready, and so may those
    /// behind it be. Returns the ticket to come back with, which has missed nothing.
    pub fn serve(&mut self, ticket: Ticket) -> Ticket {
        let removed = self.lanes.change(ticket.lane, |waiters| {
            waiters.stuck = false;
            waiters.standing.remove(&ticket.number)
        });
        self.drop_later(removed);
        Ticket {
            misses: 0,
            is_expected: false,
            ..ticket
        }
    }

    /// Takes a waiter out of the line, if it stands there, and says whether it stood at the head of
    /// its lane: then another may be next now.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let (was_head, removed) = self.lanes.change(ticket.lane, |waiters| {
            let was_head = waiters.first() == Some(ticket.number);
            // The next one in the lane tries by itself.
            waiters.stuck &= !was_head;
            (was_head, waiters.standing.remove(&ticket.number))
        });
        self.drop_later(removed);
        was_head
    }

    /// Says whether the holder of `ticket`, who is here now, comes before all who stand in the
    /// line.
    pub fn is_next(&mut self, ticket: Ticket, now: Moment) -> bool {
        self.pass_over_absent(now);
        self.lanes.oldest_before(ticket).is_none()
    }

    /// Says whether a newcomer in `lane`, who is here now, has nobody to wait for.
    pub fn admits(&mut self, lane: Lane, now: Moment) -> bool {
        self.pass_over_absent(now);
        self.lanes.next().is_none() && !self.lanes.is_open(lane)
    }

    /// Returns at most how many stand before the holder of `ticket`.
    #[must_use]
    pub fn ahead(&self, ticket: Ticket) -> usize {
        let oldest = self.lanes.oldest_before(ticket);
        let since = oldest.map_or(0, |oldest| ticket.number - oldest);
        usize::try_from(since).unwrap_or(usize::MAX).min(self.len)
    }

    /// Returns what wakes the one who is next, unless it was woken before, and expects it from
    /// `now` on.
    pub fn wake_next(&mut self, now: Moment) -> Option<W> {
        self.pass_over_absent(now);
        let next = self.lanes.next()?;
        self.lanes.wake(next, now)
    }

    /// Returns when the one who is next is passed over if it does not come.
    #[must_use]
    pub fn next_is_missed(&self) -> Option<Moment> {
        self.lanes.next_is_missed()
    }

    /// Returns the wakers of waiters behind the head that would look too late if the head did not
    /// come. The nearest should look by `by`, and each further one a grace later.
    ///
    /// A waiter sets its timer by the time at which the waiters before it should be served. If they
    /// are served sooner, the timer is too late. While that of the nearest waiter is in time, no
    /// other timer is looked at. Otherwise this wakes the late ones among the next `nearest`
    /// waiters, and behind them one at each doubling of the distance. With `u32::MAX` it wakes all
    /// late ones.
    #[must_use]
    pub fn hasten(&mut self, now: Moment, by: Moment, nearest: u32) -> Vec<W> {
        let mut woken = Vec::new();
        let Some((head, missed)) = self.lanes.next().zip(self.next_is_missed()) else {
            return woken;
        };
        let (mut behind, mut from, by) = (1_u32, head.number + 1, by.max(missed));
        while let Some((place, waiter)) = self.lanes.first_from(head.lane, from) {
            from = place.number + 1;
            if waiter.missed() <= now {
                // It would be passed over as soon as it was next, and looks after nobody.
                let absent = self.lanes.remove(place);
                self.drop_later(absent);
                continue;
            }
            let is_late = waiter.expected > by + GRACE.saturating_mul(behind);
            if behind == 1 && !is_late && nearest < u32::MAX {
                break;
            }
            if is_late {
                woken.extend(self.lanes.wake(place, now));
            }
            let step = if behind < nearest { 1 } else { behind };
            behind = behind.saturating_add(step);
            from = place.number + u64::from(step);
        }
        woken
    }

    /// Says whether somebody was passed over since this was last asked: then another is next, who
    /// must be woken.
    pub fn take_passed_over(&mut self) -> bool {
        std::mem::take(&mut self.has_passed_over)
    }

    /// Takes the wakers that are of no more use. Their drop may run foreign code: do that without a
    /// lock.
    #[must_use]
    pub fn take_dropped(&mut self) -> Vec<W> {
        std::mem::take(&mut self.dropped)
    }

    fn stand(&mut self, ticket: Ticket, waiter: Waiter<W>, stuck: bool) {
        let replaced = self.lanes.change(ticket.lane, |waiters| {
            let replaced = waiters.standing.insert(ticket.number, waiter);
            // One at the head that is not stuck waits for its departure now, whatever it waited for
            // before.
            waiters.stuck = stuck || (waiters.stuck && waiters.first() != Some(ticket.number));
            replaced
        });
        self.len += 1;
        self.drop_later(replaced);
    }

    /// Takes one off the count whose place is free again, or was taken anew.
    fn drop_later(&mut self, waiter: Option<Waiter<W>>) {
        if let Some(waiter) = waiter {
            self.len -= 1;
            self.dropped.extend(waiter.waker);
        }
    }

    fn pass_over_absent(&mut self, now: Moment) {
        while let Some(absent) = self.lanes.pop_missed(now) {
            self.drop_later(Some(absent));
            self.has_passed_over = true;
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

    /// A line with waiters 1, 2, .. in the given lanes, all expected far ahead.
    fn line<const N: usize>(lanes: [u64; N]) -> (Line<u64>, [Ticket; N]) {
        let mut line = Line::default();
        let tickets = lanes.map(|lane| {
            let ticket = line.join(Lane(lane));
            line.wait(ticket, at(1_000_000), ticket.number)
        });
        (line, tickets)
    }

    #[test]
    fn no_two_lanes_are_the_same() {
        let mut line = Line::<()>::default();
        let lanes = [line.open_lane(), line.open_lane(), line.open_lane()];
        assert!(lanes[0] < lanes[1] && lanes[1] < lanes[2]);
    }

    #[test]
    fn the_oldest_is_next_across_lanes() {
        let (mut line, [first, second, third]) = line([1, 2, 1]);
        assert!(line.is_next(first, at(0)));
        assert!(!line.is_next(second, at(0)) && !line.is_next(third, at(0)));
        assert!(line.leave(first));
        assert!(line.is_next(second, at(0)));
        assert_eq!(line.wake_next(at(0)), Some(2));
    }

    #[test]
    fn one_that_was_woken_and_does_not_come_is_passed_over_after_a_grace() {
        let (mut line, [first, second]) = line([1, 1]);
        assert_eq!(line.wake_next(at(10)), Some(1));
        assert!(!line.is_next(second, at(14)));
        assert!(line.is_next(second, at(15)));
        assert_eq!(line.len(), 1);
        assert!(line.take_passed_over() && !line.take_passed_over());
        let _ = line.wait(first, at(50), 1);
        assert!(!line.is_next(second, at(16)), "it has its old place again");
    }

    #[test]
    fn one_that_was_passed_over_and_comes_back_has_twice_the_grace_until_it_is_served() {
        let (mut line, [mut first, second]) = line([1, 1]);
        let (mut now, mut expected) = (at(0), Line::<u64>::GRACE);
        for _ in 0..12 {
            assert_eq!(line.wake_next(now), Some(1));
            let missed = now + expected;
            assert_eq!(line.next_is_missed(), Some(missed));
            assert!(!line.is_next(second, missed - Duration::from_nanos(1)));
            assert!(line.is_next(second, missed));
            now = missed;
            first = line.wait(first, now, 1);
            expected = (expected * 2).min(Line::<u64>::GRACE * 256);
        }
        first = line.serve(first);
        first = line.wait(first, now, 1);
        assert_eq!(line.next_is_missed(), Some(now + Line::<u64>::GRACE));
        first = line.wait(first, now, 1);
        assert_eq!(
            line.next_is_missed(),
            Some(now + Line::<u64>::GRACE),
            "it was there"
        );
        line.leave(first);
    }

    #[test]
    fn one_that_was_stuck_missed_nothing() {
        let (mut line, [first, second]) = line([1, 1]);
        let first = line.wait_stuck(first, at(0), 1);
        assert!(line.is_next(second, at(5)));
        let _ = line.wait(first, at(10), 1);
        assert_eq!(line.next_is_missed(), Some(at(15)));
    }

    #[test]
    fn one_is_woken_once_until_it_comes() {
        let (mut line, [first]) = line([1]);
        assert_eq!(
            [at(0), at(1)].map(|now| line.wake_next(now)),
            [Some(1), None]
        );
        let _ = line.wait(first, at(50), 1);
        assert_eq!(line.wake_next(at(2)), Some(1));
    }

    #[test]
    fn those_who_would_look_too_late_are_hastened_the_nearest_and_one_in_each_doubling() {
        let mut line = Line::default();
        for number in 1..=200 {
            let ticket = line.join(Lane(1));
            let _ = line.wait(ticket, at(1_000), number);
        }
        assert_eq!(line.hasten(at(0), at(1_000), 16), [], "they are in time");
        assert_eq!(line.wake_next(at(0)), Some(1));
        let mut expected: Vec<_> = (2..=17).collect();
        expected.extend([33, 65, 129]);
        assert_eq!(line.hasten(at(0), at(100), 16), expected);
        assert_eq!(line.hasten(at(0), at(100), 16), [], "they come");
    }

    #[test]
    fn all_are_hastened_if_all_are_to_be() {
        let mut line = Line::default();
        for number in 1..=200 {
            let ticket = line.join(Lane(1));
            let _ = line.wait(ticket, at(60_000), number);
        }
        assert_eq!(line.wake_next(at(0)), Some(1));
        assert!(
            line.hasten(at(0), at(100), u32::MAX)
                .into_iter()
                .eq(2..=200)
        );
    }

    #[test]
    fn all_are_hastened_even_behind_those_who_were_woken_and_have_not_come() {
        let (mut line, _) = line([1, 1, 2, 1]);
        assert_eq!(line.wake_next(at(0)), Some(1));
        assert_eq!(line.hasten(at(0), at(1), 2), [2, 3]);
        assert_eq!(line.hasten(at(0), at(1), 2), [], "they may come");
        assert_eq!(line.hasten(at(0), at(1), u32::MAX), [4]);
    }

    #[test]
    fn one_behind_the_head_that_is_absent_by_now_looks_after_nobody() {
        let (mut line, [_, second, _]) = line([1, 1, 1]);
        let _ = line.wait(second, at(0), 2);
        assert_eq!(line.wake_next(at(5)), Some(1));
        assert_eq!(line.hasten(at(5), at(10), 16), [3]);
        assert_eq!(line.len(), 2);
    }

    #[test]
    fn the_heads_of_other_lanes_are_hastened_as_well() {
        let (mut line, _) = line([1, 2, 1, 3, 2]);
        assert_eq!(line.wake_next(at(0)), Some(1));
        assert_eq!(line.hasten(at(0), at(0), 16), [2, 3, 4]);
    }

    #[test]
    fn a_stuck_lane_holds_up_no_other_until_it_is_served() {
        let (mut line, [first, second, other]) = line([1, 1, 2]);
        let _ = line.wait_stuck(first, at(0), 1);
        assert!(line.is_next(other, at(0)) && !line.is_next(second, at(0)));
        assert!(line.is_next(second, at(5)) && line.is_next(other, at(5)));
        let _ = line.serve(first);
        assert!(!line.is_next(other, at(5)), "the lane is free again");
    }

    #[test]
    fn a_stuck_waiter_that_leaves_lets_its_lane_try_again() {
        let (mut line, [first, _, _]) = line([1, 1, 2]);
        let _ = line.wait_stuck(first, at(0), 1);
        assert!(line.leave(first));
        assert_eq!(line.wake_next(at(0)), Some(2));
    }

    #[test]
    fn a_stuck_waiter_that_waits_for_its_departure_again_is_woken() {
        let (mut line, [first, _]) = line([1, 2]);
        let _ = line.wait_stuck(first, at(0), 1);
        let _ = line.wait(first, at(100), 1);
        assert_eq!(line.wake_next(at(1)), Some(1));
    }

    #[test]
    fn a_newcomer_has_nobody_to_wait_for_but_those_who_come() {
        let (mut line, [first]) = line([1]);
        assert!(!line.admits(Lane(1), at(0)) && !line.admits(Lane(2), at(0)));
        let _ = line.wait_stuck(first, at(0), 1);
        assert!(!line.admits(Lane(1), at(0)) && line.admits(Lane(2), at(0)));
        assert!(
            line.admits(Lane(1), at(5)),
            "the stuck one is absent by now"
        );
    }

    #[test]
    fn the_wakers_of_those_who_left_are_handed_out() {
        let (mut line, [first, second]) = line([1, 1]);
        let _ = line.wait(first, at(0), 10);
        line.leave(second);
        assert!(line.admits(Lane(1), at(5)), "the first is absent");
        assert_eq!(line.take_dropped(), [1, 2, 10]);
        assert!(line.take_dropped().is_empty());
    }

    #[test]
    fn a_waiter_counts_at_most_those_that_stand_before_it() {
        let (mut line, [first, second, third]) = line([1, 1, 2]);
        assert_eq!(
            [first, second, third].map(|ticket| line.ahead(ticket)),
            [0, 1, 2]
        );
        line.leave(first);
        assert_eq!([second, third].map(|ticket| line.ahead(ticket)), [0, 1]);
        let _ = line.wait_stuck(second, at(0), 2);
        assert_eq!(line.ahead(third), 0);
    }

    /// The plain model: every waiter that ever joined, in a list.
    #[derive(Default)]
    struct Model {
        waiters: Vec<Plain>,
        stuck: [bool; 3],
    }

    #[derive(Clone, Copy, Debug, Default)]
    struct Plain {
        lane: u64,
        /// When it is expected, and with which grace, if it stands in the line.
        stands: Option<(Moment, Duration)>,
        is_woken: bool,
        misses: u32,
        is_late_if_absent: bool,
    }

    impl Model {
        fn head(&self, lane: u64) -> Option<usize> {
            (0..self.waiters.len())
                .find(|&n| self.waiters[n].lane == lane && self.waiters[n].stands.is_some())
        }

        fn join(&mut self, lane: u64) -> usize {
            self.waiters.push(Plain {
                lane,
                ..Plain::default()
            });
            self.waiters.len() - 1
        }

        fn wait(&mut self, n: usize, expected: Moment) {
            let waiter = &mut self.waiters[n];
            waiter.misses += u32::from(waiter.is_late_if_absent && waiter.stands.is_none());
            waiter.misses = waiter.misses.min(8);
            let grace = Duration::from_millis(5) * 2_u32.pow(waiter.misses);
            waiter.stands = Some((expected, grace));
            waiter.is_woken = false;
            waiter.is_late_if_absent = true;
            let lane = waiter.lane;
            self.stuck[lane as usize] &= self.head(lane) != Some(n);
        }

        fn wait_stuck(&mut self, n: usize, now: Moment) {
            let waiter = &mut self.waiters[n];
            waiter.stands = Some((now, Duration::from_millis(5)));
            waiter.is_woken = false;
            waiter.is_late_if_absent = false;
            self.stuck[waiter.lane as usize] = true;
        }

        fn serve(&mut self, n: usize) {
            self.stuck[self.waiters[n].lane as usize] = false;
            self.leave(n);
            let waiter = &mut self.waiters[n];
            (waiter.misses, waiter.is_late_if_absent) = (0, false);
        }

        /// Says whether anyone was passed over.
        fn pass_over(&mut self, now: Moment) -> bool {
            let mut any = false;
            for lane in 0..3 {
                while let Some(head) = self.head(lane)
                    && self.waiters[head]
                        .stands
                        .is_some_and(|(expected, grace)| expected + grace <= now)
                {
                    self.waiters[head].stands = None;
                    any = true;
                }
                self.stuck[lane as usize] &= self.head(lane).is_some();
            }
            any
        }

        fn is_next(&self, n: usize) -> bool {
            let lane = self.waiters[n].lane;
            (0..3).all(|other| {
                let counts = other == lane || !self.stuck[other as usize];
                !counts || self.head(other).is_none_or(|head| head >= n)
            })
        }

        fn next(&self) -> Option<usize> {
            (0..3)
                .filter(|&lane| !self.stuck[lane as usize])
                .filter_map(|lane| self.head(lane))
                .min()
        }

        /// Wakes one who was not woken before.
        fn wake(&mut self, n: usize, now: Moment) -> Option<usize> {
            let waiter = &mut self.waiters[n];
            let (expected, _) = waiter.stands.as_mut()?;
            *expected = now.min(*expected);
            (!std::mem::replace(&mut waiter.is_woken, true)).then_some(n)
        }

        /// Those behind the head that count for it, and that are expected too late.
        fn hasten(&mut self, now: Moment, by: Moment, nearest: u32) -> Vec<usize> {
            let Some(next) = self.next() else {
                return Vec::new();
            };
            let (expected, grace) = self.waiters[next].stands.unwrap();
            let by = by.max(expected + grace);
            let lane = self.waiters[next].lane;
            let (mut late, mut rank, mut from) = (Vec::new(), 1, next + 1);
            while let Some(n) = (from..self.waiters.len()).find(|&n| self.counts(n, lane)) {
                let (expected, grace) = self.waiters[n].stands.unwrap();
                if expected + grace <= now {
                    self.waiters[n].stands = None;
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

        /// Whether one stands in `lane` or is the head of another lane that is not stuck.
        fn counts(&self, n: usize, lane: u64) -> bool {
            let other = self.waiters[n].lane;
            let is_head = !self.stuck[other as usize] && self.head(other) == Some(n);
            self.waiters[n].stands.is_some() && (other == lane || is_head)
        }

        fn leave(&mut self, n: usize) -> bool {
            let lane = self.waiters[n].lane;
            let was_head = self.head(lane) == Some(n);
            self.waiters[n].stands = None;
            self.stuck[lane as usize] &= !was_head && self.head(lane).is_some();
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
        Hasten(u64, u32),
        Advance(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let who = any::<prop::sample::Index>;
        let step = prop_oneof![
            3 => (0_u64..3).prop_map(Step::Join),
            3 => (who(), 0_u64..40).prop_map(|(who, wait)| Step::Wait(who, wait)),
            1 => who().prop_map(Step::Stuck),
            1 => who().prop_map(Step::Serve),
            2 => who().prop_map(Step::Leave),
            2 => Just(Step::Wake),
            1 => (0_u64..20, 1_u32..20).prop_map(|(by, nearest)| Step::Hasten(by, nearest)),
            3 => (0_u64..12).prop_map(Step::Advance),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn the_line_agrees_with_a_plain_list(steps in steps()) {
            let (mut line, mut model, mut tickets) = (Line::default(), Model::default(), Vec::new());
            let mut now = at(0);
            for step in steps {
                let pick = |who: prop::sample::Index| (!tickets.is_empty()).then(|| who.index(tickets.len()));
                match step {
                    Step::Advance(time) => now = now + at(time).since(at(0)),
                    Step::Join(lane) => {
                        let n = model.join(lane);
                        let ticket = line.join(Lane(lane));
                        tickets.push(line.wait(ticket, now, n));
                        model.wait(n, now);
                    }
                    Step::Wait(who, wait) => if let Some(n) = pick(who) {
                        let expected = now + at(wait).since(at(0));
                        tickets[n] = line.wait(tickets[n], expected, n);
                        model.wait(n, expected);
                    },
                    Step::Stuck(who) => if let Some(n) = pick(who) {
                        tickets[n] = line.wait_stuck(tickets[n], now, n);
                        model.wait_stuck(n, now);
                    },
                    Step::Serve(who) => if let Some(n) = pick(who) {
                        tickets[n] = line.serve(tickets[n]);
                        model.serve(n);
                    },
                    Step::Leave(who) => if let Some(n) = pick(who) {
                        prop_assert_eq!(line.leave(tickets[n]), model.leave(n));
                    },
                    Step::Wake => {
                        let any = model.pass_over(now);
                        let next = model.next().and_then(|n| model.wake(n, now));
                        prop_assert_eq!(line.wake_next(now), next);
                        prop_assert_eq!(line.take_passed_over(), any);
                    }
                    Step::Hasten(by, nearest) => {
                        let by = now + at(by).since(at(0));
                        prop_assert_eq!(line.hasten(now, by, nearest), model.hasten(now, by, nearest));
                    }
                }
                let any = model.pass_over(now);
                let missed = model.next().and_then(|n| model.waiters[n].stands);
                for (n, &ticket) in tickets.iter().enumerate() {
                    prop_assert_eq!(line.is_next(ticket, now), model.is_next(n));
                }
                prop_assert_eq!(line.take_passed_over(), any && !tickets.is_empty());
                prop_assert_eq!(line.next_is_missed(), missed.map(|(expected, grace)| expected + grace));
                let standing = model.waiters.iter().filter(|waiter| waiter.stands.is_some()).count();
                prop_assert_eq!((line.len(), line.is_empty()), (standing, standing == 0));
            }
        }
    }
}
