use std::collections::BTreeMap;
use std::time::Duration;

use crate::Moment;

/// The waiters of one limiter: who is next.
///
/// A waiter joins a [`Lane`] and keeps its place, first come first served, until it leaves. Each lane's head stands for
/// its lane, and of the heads the oldest is next. `W` is what it takes to wake a waiter.
///
/// Nothing is handed to a waiter that may never come for it. Every waiter is expected at some moment: when its timer
/// fires, or as soon as it was woken. One that does not come within [`GRACE`](Self::GRACE) is absent, and passed over
/// until it comes by itself; then it has its old place again. One whose lane's inner service is not ready is stuck: it
/// holds up its own lane for a grace, and no other.
#[derive(Clone, Debug)]
pub struct Line<W> {
    lanes: BTreeMap<Lane, BTreeMap<u64, Waiter<W>>>,
    len: usize,
    joined: u64,
    opened: u64,
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

#[derive(Clone, Debug)]
struct Waiter<W> {
    waker: W,
    expected: Moment,
    stuck: bool,
}

impl<W> Default for Line<W> {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            len: 0,
            joined: 0,
            opened: 0,
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
        self.stand(
            ticket,
            Waiter {
                waker,
                expected,
                stuck: false,
            },
        );
    }

    /// Lets a waiter stand in its place while its inner service is not ready.
    pub fn wait_stuck(&mut self, ticket: Ticket, now: Moment, waker: W) {
        self.stand(
            ticket,
            Waiter {
                waker,
                expected: now,
                stuck: true,
            },
        );
    }

    /// Takes a waiter out of the line, if it stands there, and says whether it stood at the head of its lane: then
    /// another may be next now. The ticket stays good for coming back.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let Some(waiters) = self.lanes.get_mut(&ticket.lane) else {
            return false;
        };
        let was_head = waiters.keys().next() == Some(&ticket.number);
        if waiters.remove(&ticket.number).is_some() {
            self.len -= 1;
        }
        if waiters.is_empty() {
            self.lanes.remove(&ticket.lane);
        }
        was_head
    }

    /// Says whether the holder of `ticket`, who is here now, comes before all who stand in the line.
    pub fn is_next(&mut self, ticket: Ticket, now: Moment) -> bool {
        self.pass_over_absent(now);
        let ahead_in_lane = self
            .lanes
            .get(&ticket.lane)
            .is_some_and(|waiters| waiters.range(..ticket.number).next().is_some());
        let ahead_elsewhere = self
            .heads()
            .any(|head| head.lane != ticket.lane && head.number < ticket.number);
        !ahead_in_lane && !ahead_elsewhere
    }

    /// Returns at most how many stand before the holder of `ticket`.
    #[must_use]
    pub fn ahead(&self, ticket: Ticket) -> usize {
        let oldest = self
            .lanes
            .values()
            .filter_map(|waiters| waiters.keys().next())
            .min()
            .map_or(0, |&oldest| ticket.number.saturating_sub(oldest));
        usize::try_from(oldest).unwrap_or(usize::MAX).min(self.len)
    }

    /// Returns what wakes the one who is next, and expects it from `now` on.
    pub fn wake_next(&mut self, now: Moment) -> Option<W> {
        self.pass_over_absent(now);
        let next = self.heads().min_by_key(|head| head.number)?;
        let waiter = self.lanes.get_mut(&next.lane)?.get_mut(&next.number)?;
        waiter.expected = waiter.expected.min(now);
        Some(waiter.waker.clone())
    }

    fn stand(&mut self, ticket: Ticket, waiter: Waiter<W>) {
        let waiters = self.lanes.entry(ticket.lane).or_default();
        if waiters.insert(ticket.number, waiter).is_none() {
            self.len += 1;
        }
    }

    /// The heads that wait for their departure, not for an inner service.
    fn heads(&self) -> impl Iterator<Item = Ticket> {
        self.lanes.iter().filter_map(|(&lane, waiters)| {
            let (&number, head) = waiters.first_key_value()?;
            (!head.stuck).then_some(Ticket { lane, number })
        })
    }

    fn pass_over_absent(&mut self, now: Moment) {
        let Self { lanes, len, .. } = self;
        lanes.retain(|_, waiters| {
            while let Some(head) = waiters.first_entry()
                && head.get().expected + Self::GRACE <= now
            {
                head.remove();
                *len -= 1;
            }
            !waiters.is_empty()
        });
    }
}
