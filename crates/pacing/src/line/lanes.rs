use std::collections::{BTreeMap, BTreeSet};

use super::{GRACE, Lane, Ticket};
use crate::Moment;

/// The waiters of each lane, and the heads of the lanes in order, so that none has to be looked
/// for.
#[derive(Clone, Debug)]
pub(super) struct Lanes<W> {
    by_lane: BTreeMap<Lane, Waiters<W>>,
    heads: Heads,
}

/// The waiters of one lane, by the number of their tickets.
#[derive(Clone, Debug)]
pub(super) struct Waiters<W> {
    pub(super) standing: BTreeMap<u64, Waiter<W>>,
    pub(super) stuck: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Waiter<W> {
    /// None once it was woken: it comes then, or it is absent.
    pub(super) waker: Option<W>,
    pub(super) expected: Moment,
    misses: u8,
}

/// The first of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    number: u64,
    missed: Moment,
    stuck: bool,
}

#[derive(Clone, Debug, Default)]
struct Heads {
    /// Those that wait for their departure, not for an inner service, by their age.
    by_age: BTreeSet<(u64, Lane)>,
    /// All, by when they are missed.
    by_time: BTreeSet<(Moment, Lane)>,
}

/// One who stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) lane: Lane,
}

impl<W> Default for Lanes<W> {
    fn default() -> Self {
        Self {
            by_lane: BTreeMap::new(),
            heads: Heads::default(),
        }
    }
}

impl<W> Lanes<W> {
    pub(super) fn is_open(&self, lane: Lane) -> bool {
        self.by_lane.contains_key(&lane)
    }

    pub(super) fn stands(&self, ticket: Ticket) -> bool {
        let waiters = self.by_lane.get(&ticket.lane);
        waiters.is_some_and(|waiters| waiters.standing.contains_key(&ticket.number))
    }

    /// The oldest head, of those that are not stuck.
    pub(super) fn next(&self) -> Option<Place> {
        let &(number, lane) = self.heads.by_age.first()?;
        Some(Place { number, lane })
    }

    /// When the oldest head is passed over if it does not come.
    pub(super) fn next_is_missed(&self) -> Option<Moment> {
        let waiters = self.by_lane.get(&self.next()?.lane)?;
        waiters.head().map(|head| head.missed)
    }

    /// Returns the oldest waiter before the holder of `ticket`: in its own lane, and among the
    /// heads of the others.
    pub(super) fn oldest_before(&self, ticket: Ticket) -> Option<u64> {
        let own = self.by_lane.get(&ticket.lane).and_then(Waiters::first);
        let mut others = self.heads.by_age.iter();
        let other = others.find(|(_, lane)| *lane != ticket.lane);
        let oldest = own.into_iter().chain(other.map(|&(number, _)| number));
        oldest.min().filter(|&number| number < ticket.number)
    }

    /// Returns the first from `number` on among the waiters of `lane` and the heads of the others.
    pub(super) fn first_from(&self, lane: Lane, number: u64) -> Option<(Place, &Waiter<W>)> {
        let own = self.by_lane.get(&lane);
        let own = own.and_then(|waiters| waiters.standing.range(number..).next());
        let own = own.map(|(&number, _)| Place { number, lane });
        let mut heads = self.heads.by_age.range((number, Lane(0))..);
        let other = heads.find(|(_, other)| *other != lane);
        let other = other.map(|&(number, lane)| Place { number, lane });
        let first = own.into_iter().chain(other).min()?;
        let waiter = self.by_lane.get(&first.lane)?.standing.get(&first.number)?;
        Some((first, waiter))
    }

    pub(super) fn remove(&mut self, place: Place) -> Option<Waiter<W>> {
        self.change(place.lane, |waiters| waiters.standing.remove(&place.number))
    }

    /// Takes a waiter out that is at the head of its lane and should have come by now.
    pub(super) fn pop_missed(&mut self, now: Moment) -> Option<Waiter<W>> {
        let &(missed, lane) = self.heads.by_time.first()?;
        if missed > now {
            return None;
        }
        let popped = self.change(lane, |waiters| waiters.standing.pop_first());
        popped.map(|(_, waiter)| waiter)
    }

    /// Returns what wakes one who stands in the line, unless it was woken before, and expects it
    /// from `now` on.
    pub(super) fn wake(&mut self, place: Place, now: Moment) -> Option<W> {
        self.change(place.lane, |waiters| {
            let waiter = waiters.standing.get_mut(&place.number)?;
            waiter.expected = waiter.expected.min(now);
            waiter.waker.take()
        })
    }

    /// Changes one lane, and nothing else, so that its head stays known.
    pub(super) fn change<T>(&mut self, lane: Lane, change: impl FnOnce(&mut Waiters<W>) -> T) -> T {
        let waiters = self.by_lane.entry(lane).or_default();
        let before = waiters.head();
        let result = change(waiters);
        let after = waiters.head();
        if after.is_none() {
            self.by_lane.remove(&lane);
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
            self.by_time.remove(&(head.missed, lane));
        }
        if let Some(head) = after {
            self.by_time.insert((head.missed, lane));
            if !head.stuck {
                self.by_age.insert((head.number, lane));
            }
        }
    }
}

impl<W> Waiters<W> {
    pub(super) fn first(&self) -> Option<u64> {
        self.standing.keys().next().copied()
    }

    fn head(&self) -> Option<Head> {
        let (&number, waiter) = self.standing.first_key_value()?;
        Some(Head {
            number,
            missed: waiter.missed(),
            stuck: self.stuck,
        })
    }
}

impl<W> Waiter<W> {
    pub(super) fn new(waker: W, expected: Moment, misses: u8) -> Self {
        Self {
            waker: Some(waker),
            expected,
            misses,
        }
    }

    /// When it is passed over if it does not come.
    pub(super) fn missed(&self) -> Moment {
        self.expected + GRACE * (1 << self.misses)
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
