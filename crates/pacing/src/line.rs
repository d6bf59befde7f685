use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Moment;

/// The waiters of one limiter: who is next.
///
/// A waiter joins a [`Lane`] and keeps its place, first come first served, until it leaves. Each lane's head stands for
/// its lane, and of the heads the oldest is next. `W` is what it takes to wake a waiter.
///
/// Nothing is handed to a waiter that may never come for it. Every waiter is expected at some moment: when its timer
/// fires, or as soon as it was woken. One that does not come within [`GRACE`](Self::GRACE) is absent, and passed over
/// until it comes by itself; then it has its old place again. A lane whose inner service is not ready is stuck: it holds up
/// no other, until one of its waiters is served or leaves.
///
/// Every question and every change takes logarithmic time in the waiters and in the lanes, and one more for each waiter
/// that is passed over.
#[derive(Clone, Debug)]
pub struct Line<W> {
    lanes: BTreeMap<Lane, Waiters<W>>,
    heads: Heads,
    len: usize,
    joined: u64,
    opened: u64,
    /// What woke those who left, until it is taken.
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
}

/// Those who stand in one lane, by the number of their tickets.
#[derive(Clone, Debug)]
struct Waiters<W> {
    standing: BTreeMap<u64, Waiter<W>>,
    stuck: bool,
}

#[derive(Clone, Debug)]
struct Waiter<W> {
    waker: W,
    expected: Moment,
}

/// The first of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    number: u64,
    expected: Moment,
    stuck: bool,
}

/// The heads of all lanes, so that none has to be looked for.
#[derive(Clone, Debug, Default)]
struct Heads {
    /// Those that wait for their departure, not for an inner service, by their age.
    by_age: BTreeSet<(u64, Lane)>,
    /// All, by when they are expected.
    by_time: BTreeSet<(Moment, Lane)>,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            heads: Heads::default(),
            len: 0,
            joined: 0,
            opened: 0,
            dropped: Vec::new(),
        }
    }
}

impl<W: Clone> Line<W> {
    /// How long a waiter may be late before it is passed over: some ticks of a common timer.
    pub const GRACE: Duration = Duration::from_millis(5);

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

    /// Hands out the last place of a lane. The waiter stands there from its first [`wait`](Self::wait) on.
    pub fn join(&mut self, lane: Lane) -> Ticket {
        self.joined += 1;
        Ticket {
            lane,
            number: self.joined,
        }
    }

    /// Lets a waiter stand in its place; it is expected at `expected` and can be woken by `waker` before.
    pub fn wait(&mut self, ticket: Ticket, expected: Moment, waker: W) {
        self.stand(ticket, Waiter { waker, expected }, false);
    }

    /// Lets a waiter stand in its place while its inner service is not ready, which holds up its lane for a grace.
    pub fn wait_stuck(&mut self, ticket: Ticket, now: Moment, waker: W) {
        let expected = now;
        self.stand(ticket, Waiter { waker, expected }, true);
    }

    /// Takes a waiter out of the line that was served: its inner service is ready, and so may those behind it be.
    pub fn serve(&mut self, ticket: Ticket) {
        let removed = self.change(ticket.lane, |waiters| {
            waiters.stuck = false;
            waiters.standing.remove(&ticket.number)
        });
        self.drop_later(removed);
    }

    /// Takes a waiter out of the line, if it stands there, and says whether it stood at the head of its lane: then
    /// another may be next now. The ticket stays good for coming back.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let (was_head, removed) = self.change(ticket.lane, |waiters| {
            let was_head = waiters.first() == Some(ticket.number);
            // The next one in the lane tries by itself.
            waiters.stuck &= !was_head;
            (was_head, waiters.standing.remove(&ticket.number))
        });
        self.drop_later(removed);
        was_head
    }

    /// Says whether the holder of `ticket`, who is here now, comes before all who stand in the line.
    pub fn is_next(&mut self, ticket: Ticket, now: Moment) -> bool {
        self.pass_over_absent(now);
        self.oldest_before(ticket).is_none()
    }

    /// Says whether a newcomer in `lane`, who is here now, has nobody to wait for.
    pub fn admits(&mut self, lane: Lane, now: Moment) -> bool {
        self.pass_over_absent(now);
        self.heads.by_age.is_empty() && !self.lanes.contains_key(&lane)
    }

    /// Returns at most how many stand before the holder of `ticket`.
    #[must_use]
    pub fn ahead(&self, ticket: Ticket) -> usize {
        let since = self
            .oldest_before(ticket)
            .map_or(0, |oldest| ticket.number - oldest);
        usize::try_from(since).unwrap_or(usize::MAX).min(self.len)
    }

    /// Returns what wakes the one who is next, and expects it from `now` on.
    pub fn wake_next(&mut self, now: Moment) -> Option<W> {
        self.pass_over_absent(now);
        let &(_, lane) = self.heads.by_age.first()?;
        self.change(lane, |waiters| {
            let mut head = waiters.standing.first_entry()?;
            let waiter = head.get_mut();
            waiter.expected = waiter.expected.min(now);
            Some(waiter.waker.clone())
        })
    }

    /// Takes the wakers that are of no more use. Their drop may run foreign code: do that without a lock.
    #[must_use]
    pub fn take_dropped(&mut self) -> Vec<W> {
        std::mem::take(&mut self.dropped)
    }

    fn stand(&mut self, ticket: Ticket, waiter: Waiter<W>, stuck: bool) {
        let replaced = self.change(ticket.lane, |waiters| {
            let replaced = waiters.standing.insert(ticket.number, waiter);
            // One at the head that is not stuck waits for its departure now, whatever it waited for before.
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
            self.dropped.push(waiter.waker);
        }
    }

    /// The oldest of those who come before the holder of `ticket`: in its own lane, and the heads of the others.
    fn oldest_before(&self, ticket: Ticket) -> Option<u64> {
        let own = self.lanes.get(&ticket.lane).and_then(Waiters::first);
        let mut others = self.heads.by_age.iter();
        let other = others.find(|(_, lane)| *lane != ticket.lane);
        let oldest = own.into_iter().chain(other.map(|&(number, _)| number));
        oldest.min().filter(|&number| number < ticket.number)
    }

    fn pass_over_absent(&mut self, now: Moment) {
        while let Some(&(expected, lane)) = self.heads.by_time.first()
            && expected + Self::GRACE <= now
        {
            let absent = self.change(lane, |waiters| waiters.standing.pop_first());
            self.drop_later(absent.map(|(_, waiter)| waiter));
        }
    }

    /// Changes one lane, and nothing else, so that its head stays known.
    fn change<T>(&mut self, lane: Lane, change: impl FnOnce(&mut Waiters<W>) -> T) -> T {
        let waiters = self.lanes.entry(lane).or_default();
        let before = waiters.head();
        let result = change(waiters);
        let after = waiters.head();
        if after.is_none() {
            self.lanes.remove(&lane);
        }
        if before != after {
            self.heads.replace(lane, before, after);
        }
        result
    }
}

impl Heads {
    fn replace(&mut self, lane: Lane, before: Option<Head>, after: Option<Head>) {
        if let Some(head) = before {
            self.by_age.remove(&(head.number, lane));
            self.by_time.remove(&(head.expected, lane));
        }
        if let Some(head) = after {
            self.by_time.insert((head.expected, lane));
            if !head.stuck {
                self.by_age.insert((head.number, lane));
            }
        }
    }
}

impl<W> Waiters<W> {
    fn first(&self) -> Option<u64> {
        self.standing.keys().next().copied()
    }

    fn head(&self) -> Option<Head> {
        let (&number, waiter) = self.standing.first_key_value()?;
        Some(Head {
            number,
            expected: waiter.expected,
            stuck: self.stuck,
        })
    }
}

impl<W> Default for Waiters<W> {
    fn default() -> Self {
        Self {
            standing: BTreeMap::new(),
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

    /// A line with waiters 1, 2, .. in the given lanes, all expected far ahead.
    fn line<const N: usize>(lanes: [u64; N]) -> (Line<u64>, [Ticket; N]) {
        let mut line = Line::default();
        let tickets = lanes.map(|lane| {
            let ticket = line.join(Lane(lane));
            line.wait(ticket, at(1_000_000), ticket.number);
            ticket
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
        line.wait(first, at(50), 1);
        assert!(!line.is_next(second, at(16)), "it has its old place again");
    }

    #[test]
    fn a_stuck_lane_holds_up_no_other_until_it_is_served() {
        let (mut line, [first, second, other]) = line([1, 1, 2]);
        line.wait_stuck(first, at(0), 1);
        assert!(line.is_next(other, at(0)) && !line.is_next(second, at(0)));
        assert!(line.is_next(second, at(5)) && line.is_next(other, at(5)));
        line.serve(first);
        assert!(!line.is_next(other, at(5)), "the lane is free again");
    }

    #[test]
    fn a_stuck_waiter_that_leaves_lets_its_lane_try_again() {
        let (mut line, [first, _, _]) = line([1, 1, 2]);
        line.wait_stuck(first, at(0), 1);
        assert!(line.leave(first));
        assert_eq!(line.wake_next(at(0)), Some(2));
    }

    #[test]
    fn a_stuck_waiter_that_waits_for_its_departure_again_is_woken() {
        let (mut line, [first, _]) = line([1, 2]);
        line.wait_stuck(first, at(0), 1);
        line.wait(first, at(100), 1);
        assert_eq!(line.wake_next(at(1)), Some(1));
    }

    #[test]
    fn a_newcomer_has_nobody_to_wait_for_but_those_who_come() {
        let (mut line, [first]) = line([1]);
        assert!(!line.admits(Lane(1), at(0)) && !line.admits(Lane(2), at(0)));
        line.wait_stuck(first, at(0), 1);
        assert!(!line.admits(Lane(1), at(0)) && line.admits(Lane(2), at(0)));
        assert!(
            line.admits(Lane(1), at(5)),
            "the stuck one is absent by now"
        );
    }

    #[test]
    fn the_wakers_of_those_who_left_are_handed_out() {
        let (mut line, [first, second]) = line([1, 1]);
        line.wait(first, at(0), 10);
        line.leave(second);
        line.wake_next(at(5));
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
        line.wait_stuck(second, at(0), 2);
        assert_eq!(line.ahead(third), 0);
    }

    /// The plain model: every waiter that ever joined, in a list.
    #[derive(Default)]
    struct Model {
        waiters: Vec<(u64, Option<Moment>)>,
        stuck: [bool; 3],
    }

    impl Model {
        fn head(&self, lane: u64) -> Option<usize> {
            (0..self.waiters.len())
                .find(|&n| self.waiters[n].0 == lane && self.waiters[n].1.is_some())
        }

        fn pass_over(&mut self, now: Moment) {
            for lane in 0..3 {
                while let Some(head) = self.head(lane)
                    && self.waiters[head]
                        .1
                        .is_some_and(|expected| expected + at(5).since(at(0)) <= now)
                {
                    self.waiters[head].1 = None;
                }
                self.stuck[lane as usize] &= self.head(lane).is_some();
            }
        }

        fn is_next(&self, n: usize) -> bool {
            let lane = self.waiters[n].0;
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

        fn leave(&mut self, n: usize) -> bool {
            let lane = self.waiters[n].0;
            let was_head = self.head(lane) == Some(n);
            self.waiters[n].1 = None;
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
                        let ticket = line.join(Lane(lane));
                        line.wait(ticket, now, tickets.len());
                        tickets.push(ticket);
                        model.waiters.push((lane, Some(now)));
                        let n = tickets.len() - 1;
                        model.stuck[lane as usize] &= model.head(lane) != Some(n);
                    }
                    Step::Wait(who, wait) => if let Some(n) = pick(who) {
                        let expected = now + at(wait).since(at(0));
                        line.wait(tickets[n], expected, n);
                        model.waiters[n].1 = Some(expected);
                        let lane = model.waiters[n].0;
                        model.stuck[lane as usize] &= model.head(lane) != Some(n);
                    },
                    Step::Stuck(who) => if let Some(n) = pick(who) {
                        line.wait_stuck(tickets[n], now, n);
                        model.waiters[n].1 = Some(now);
                        model.stuck[model.waiters[n].0 as usize] = true;
                    },
                    Step::Serve(who) => if let Some(n) = pick(who) {
                        line.serve(tickets[n]);
                        model.stuck[model.waiters[n].0 as usize] = false;
                        model.leave(n);
                    },
                    Step::Leave(who) => if let Some(n) = pick(who) {
                        prop_assert_eq!(line.leave(tickets[n]), model.leave(n));
                    },
                    Step::Wake => {
                        model.pass_over(now);
                        let next = model.next();
                        prop_assert_eq!(line.wake_next(now), next);
                        if let Some((_, expected)) = next.map(|n| &mut model.waiters[n]) {
                            *expected = expected.map(|expected| expected.min(now));
                        }
                    }
                }
                model.pass_over(now);
                for (n, &ticket) in tickets.iter().enumerate() {
                    prop_assert_eq!(line.is_next(ticket, now), model.is_next(n));
                }
                let standing = model.waiters.iter().filter(|waiter| waiter.1.is_some()).count();
                prop_assert_eq!((line.len(), line.is_empty()), (standing, standing == 0));
            }
        }
    }
}
