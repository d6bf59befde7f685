use std::collections::VecDeque;
use std::time::Duration;

use crate::moment::nanos;
use crate::{Moment, Quota};

/// Up to this limit every answer is remembered by itself; above it, in buckets.
const EXACT: u32 = 1_024;
/// The buckets of a window. An answer frees its slot up to one bucket late: 0.4 % of the window.
const BUCKETS: u64 = 256;

/// The acknowledged window: counts every request that may still count at the server.
///
/// A request may leave at `s` only if (requests in flight) + (answers received in (s - W, s]) < limit. The pair
/// (departure, answer) brackets the arrival, so no assumption on delays is needed. Proof: take any half-open window of
/// length W at the server and, of the requests that arrive in it, the one q that departed last, at s, arriving at
/// a_q >= s. Let p be any other. Had p been answered at r_p <= s - W, then it arrived at a_p <= r_p <= a_q - W, and p and
/// q could not share the window. So at s every other one was in flight or answered after s - W; by the rule these were
/// fewer than the limit.
///
/// A request that was given up keeps its slot for W plus the quota's
/// [`max_transit`](Quota::max_transit), since it may still be on its way.
///
/// Memory is bounded whatever the limit is: up to a limit of 1,024 one entry an answer, above it 256 buckets a window,
/// rounded so that a slot is freed late and never early.
#[derive(Clone, Debug)]
pub struct Window {
    limit: u32,
    span: Duration,
    transit: Duration,
    in_flight: u32,
    answered: Slots,
    abandoned: Slots,
}

/// Whether the window has room for one more request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room now.
    Now,
    /// There is none before this moment, and none at all without time passing or an answer coming.
    At(Moment),
    /// Everything is in flight: only an answer, or an end without one, makes room.
    OnAnswer,
}

impl Window {
    /// Returns an empty window for `quota`.
    #[must_use]
    pub fn new(quota: &Quota) -> Self {
        let span = quota.counted_window();
        let grain = if quota.limit() <= EXACT {
            1
        } else {
            nanos(span) / BUCKETS
        };
        Self {
            limit: quota.limit(),
            span,
            transit: quota.transit(),
            in_flight: 0,
            answered: Slots::new(grain),
            abandoned: Slots::new(grain),
        }
    }

    /// Returns the number of requests that have left and have not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Says when there is room for one more request.
    pub fn room(&mut self, now: Moment) -> Room {
        self.answered.release(now);
        self.abandoned.release(now);
        let held = u64::from(self.answered.held) + u64::from(self.abandoned.held);
        if u64::from(self.in_flight) + held < u64::from(self.limit) {
            return Room::Now;
        }
        let first_free = [self.answered.first(), self.abandoned.first()];
        first_free
            .into_iter()
            .flatten()
            .min()
            .map_or(Room::OnAnswer, Room::At)
    }

    /// Records that a request leaves.
    pub fn depart(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// Records that a request was answered at `now`: it counts for one more window.
    pub fn answer(&mut self, now: Moment) {
        self.end_flight();
        self.answered.hold_until(now + self.span);
    }

    /// Records that a request ended without an answer: it may still arrive, and counts for a window from then on.
    pub fn abandon(&mut self, now: Moment) {
        self.end_flight();
        self.abandoned.hold_until(now + self.transit + self.span);
    }

    /// Records that a request never left: it does not count.
    pub fn refund(&mut self) {
        self.end_flight();
    }

    fn end_flight(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

/// Slots that come free in the order in which they were taken.
#[derive(Clone, Debug)]
struct Slots {
    grain: u64,
    held: u32,
    entries: VecDeque<(Moment, u32)>,
}

impl Slots {
    fn new(grain: u64) -> Self {
        Self {
            grain: grain.max(1),
            held: 0,
            entries: VecDeque::new(),
        }
    }

    fn hold_until(&mut self, free: Moment) {
        let free = free.round_up(self.grain);
        self.held = self.held.saturating_add(1);
        match self.entries.back_mut() {
            // The same bucket, or a clock that stood still: late is safe, early is not.
            Some((last, count)) if *last >= free => *count = count.saturating_add(1),
            _ => self.entries.push_back((free, 1)),
        }
    }

    fn release(&mut self, now: Moment) {
        while let Some(&(free, count)) = self.entries.front()
            && free <= now
        {
            self.entries.pop_front();
            self.held = self.held.saturating_sub(count);
        }
    }

    fn first(&self) -> Option<Moment> {
        self.entries.front().map(|&(free, _)| free)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn window(limit: u32) -> Window {
        Window::new(&Quota::per_second(limit))
    }

    #[test]
    fn a_request_in_flight_holds_its_slot_for_ever() {
        let mut window = window(1);
        window.depart();
        assert_eq!(window.room(at(1_000_000)), Room::OnAnswer);
    }

    #[test]
    fn an_answer_frees_its_slot_one_counted_window_later() {
        let mut window = window(1);
        window.depart();
        window.answer(at(500));
        let free = at(500) + Quota::per_second(1).counted_window();
        assert_eq!(window.room(at(501)), Room::At(free));
        assert_eq!(window.room(free), Room::Now);
    }

    #[test]
    fn a_request_given_up_counts_for_its_transit_and_a_window() {
        let mut window = window(1);
        window.depart();
        window.abandon(at(0));
        let free = at(1_000) + Quota::per_second(1).counted_window();
        assert_eq!(window.room(at(10)), Room::At(free));
    }

    #[test]
    fn a_request_that_never_left_does_not_count() {
        let mut window = window(1);
        window.depart();
        window.refund();
        assert_eq!(window.room(at(0)), Room::Now);
    }

    #[test]
    fn memory_stays_bounded_at_the_largest_limit() {
        let mut window = window(u32::MAX);
        for micros in 0..100_000 {
            window.depart();
            window.answer(Moment::from_nanos(micros * 10_000));
            window.room(Moment::from_nanos(micros * 10_000));
        }
        assert!(window.answered.entries.len() <= 258);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Depart,
        Answer,
        Abandon,
        Refund,
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Depart),
            3 => Just(Step::Answer),
            1 => Just(Step::Abandon),
            1 => Just(Step::Refund),
            3 => (0_u64..400).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..300)
    }

    proptest! {
        /// The plain definition: every request as a pair of "left" and "free again".
        #[test]
        fn the_window_agrees_with_its_definition(limit in 1_u32..20, steps in steps()) {
            let quota = Quota::per_second(limit);
            let mut window = Window::new(&quota);
            let (mut now, mut in_flight, mut held) = (Moment::ORIGIN, 0_u32, Vec::new());
            for step in steps {
                match step {
                    Step::Wait(millis) => now = now + Duration::from_millis(millis),
                    Step::Depart => {
                        if window.room(now) == Room::Now {
                            window.depart();
                            in_flight += 1;
                        }
                    }
                    _ if in_flight == 0 => {}
                    Step::Answer => {
                        window.answer(now);
                        in_flight -= 1;
                        held.push(now + quota.counted_window());
                    }
                    Step::Abandon => {
                        window.abandon(now);
                        in_flight -= 1;
                        held.push(now + quota.counted_window() + Duration::from_secs(1));
                    }
                    Step::Refund => {
                        window.refund();
                        in_flight -= 1;
                    }
                }
                let counted = in_flight as usize + held.iter().filter(|&&free| free > now).count();
                prop_assert!(counted <= limit as usize);
                prop_assert_eq!(window.room(now) == Room::Now, counted < limit as usize);
            }
        }

        /// Coarse buckets hold a slot at least as long as the exact window does, and one bucket longer at most.
        #[test]
        fn buckets_free_late_and_never_early(answers in prop::collection::vec(0_u64..5_000_000, 1..100)) {
            let quota = Quota::per_second(5_000);
            let (mut window, mut now) = (Window::new(&quota), Moment::ORIGIN);
            for wait in answers {
                now = now + Duration::from_nanos(wait);
                window.depart();
                window.answer(now);
            }
            let (free, _) = *window.answered.entries.back().expect("an answer was recorded");
            let exact = now + quota.counted_window();
            prop_assert!(free >= exact);
            prop_assert!(free.since(exact) <= quota.counted_window() / 256);
        }
    }
}
