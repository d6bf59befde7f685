use crate::moment::Span;
use crate::policy::Policy;
use crate::slots::Slots;
use crate::{Moment, Quota};

/// Up to this limit every answer is remembered by itself; above it, in buckets.
const EXACT: u32 = 1_024;
/// The buckets above it. A slot is freed up to one bucket late: 0.4 % of the time that it is held.
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
/// A request of a cost c takes c slots, and the proof is the same: those of q are c of the limit.
///
/// A request that was given up keeps its slots for W plus the quota's
/// [`max_transit`](Quota::max_transit), since it may still be on its way. With
/// [`counted_on_arrival`](Quota::counted_on_arrival) that is also the longest that a request without an answer keeps them,
/// counted from its departure.
///
/// Memory is bounded whatever the limit is: up to a limit of 1,024 one entry an answer, above it 256 buckets for all that
/// was answered and 256 for all that was given up, rounded so that a slot is freed late and never early.
#[derive(Clone, Debug)]
pub struct Window {
    limit: u32,
    span: Span,
    transit: Span,
    in_flight: u32,
    answered: Slots,
    abandoned: Slots,
    /// What is in flight or was given up, by the time of departure, if the server counts on arrival.
    departed: Option<Slots>,
}

/// Whether there is room for one more request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room now.
    Now,
    /// There is none before this moment, whatever is answered until then.
    At(Moment),
    /// Too much is in flight: only an answer, or an end without one, makes room.
    OnAnswer,
}

/// A request that is in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Moment,
    pub(crate) cost: u32,
}

impl Window {
    pub(crate) fn new(policy: &Policy, quota: &Quota) -> Self {
        let (span, transit) = (policy.counted_window(), Span::of(quota.max_transit));
        let bucket = |held: Span| held.nanos() / BUCKETS;
        let exact_up_to_limit = |held| match policy.limit <= EXACT {
            true => Slots::new(1),
            false => Slots::new(bucket(held)),
        };
        Self {
            limit: policy.limit,
            span,
            transit,
            in_flight: 0,
            answered: exact_up_to_limit(span),
            abandoned: exact_up_to_limit(span + transit),
            departed: quota
                .counted_on_arrival
                .then(|| Slots::new(bucket(span + transit))),
        }
    }

    /// Returns the cost of what has left and has not ended.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Returns the cost of what may still count at the server at `now`, what is in flight included.
    #[must_use]
    pub fn counted(&mut self, now: Moment) -> u64 {
        let in_flight = match &mut self.departed {
            Some(departed) => departed.held_at(now),
            None => self.in_flight.into(),
        };
        in_flight + self.answered.held_at(now) + self.abandoned.held_at(now)
    }

    /// Says when there is room for a request of such a cost.
    pub(crate) fn room(&mut self, cost: u32, now: Moment) -> Room {
        if self.counted(now) + u64::from(cost) <= u64::from(self.limit) {
            return Room::Now;
        }
        let departed = self.departed.as_ref().and_then(Slots::first);
        // An answer that comes now frees its slots a window later, which may be before their departure does.
        let departed = departed.map(|free| free.min(now + self.span));
        let first_free = [self.answered.first(), self.abandoned.first(), departed];
        let first_free = first_free.into_iter().flatten().min();
        first_free.map_or(Room::OnAnswer, Room::At)
    }

    /// Records that a request leaves.
    pub(crate) fn depart(&mut self, cost: u32, now: Moment) {
        self.in_flight = self.in_flight.saturating_add(cost);
        if let Some(departed) = &mut self.departed {
            departed.hold_until(now + self.transit + self.span, cost);
        }
    }

    /// Records that a request was answered at `now`: it counts for one more window.
    pub(crate) fn answer(&mut self, sent: Sent, now: Moment) {
        self.end_flight(sent);
        // With a bound on the arrival, an answer that comes later than it tells nothing new.
        if self.departed.is_none() || now < sent.at + self.transit {
            self.take_departed(sent);
            self.answered.hold_until(now + self.span, sent.cost);
        }
    }

    /// Records that a request ended without an answer: it may still arrive, and counts for a window from then on.
    pub(crate) fn abandon(&mut self, sent: Sent, now: Moment) {
        self.end_flight(sent);
        if self.departed.is_none() {
            let free = now + self.transit + self.span;
            self.abandoned.hold_until(free, sent.cost);
        }
    }

    /// Records that a request never left: it does not count.
    pub(crate) fn refund(&mut self, sent: Sent) {
        self.end_flight(sent);
        self.take_departed(sent);
    }

    /// Takes over what another window knows, and holds it for the time of this one. What the other one counted by its
    /// departure and this one by its answer is held by both for a while. The other one may count otherwise, so what is in
    /// flight is said apart.
    pub(crate) fn remember(&mut self, known: &Self, in_flight: u32, now: Moment) {
        let (from, to) = (known.span + known.transit, self.span + self.transit);
        self.in_flight = in_flight;
        self.abandoned.copy(&known.answered, known.span, self.span);
        self.abandoned.copy(&known.abandoned, from, to);
        match (&mut self.departed, &known.departed) {
            (Some(departed), Some(known)) => departed.copy(known, from, to),
            (Some(departed), None) => departed.hold_until(now + to, in_flight),
            (None, Some(known)) => self.abandoned.copy(known, from, to),
            (None, None) => {}
        }
    }

    fn end_flight(&mut self, sent: Sent) {
        self.in_flight = self.in_flight.saturating_sub(sent.cost);
    }

    fn take_departed(&mut self, sent: Sent) {
        if let Some(departed) = &mut self.departed {
            departed.take(sent.at + self.transit + self.span, sent.cost);
        }
    }
}

impl Room {
    /// Returns when there is room for both: time is waited for before answers are, since an answer helps only then.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::At(one), Self::At(other)) => Self::At(one.max(other)),
            (at @ Self::At(_), _) | (_, at @ Self::At(_)) => at,
            (Self::OnAnswer, _) | (_, Self::OnAnswer) => Self::OnAnswer,
            (Self::Now, Self::Now) => Self::Now,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn window(limit: u32) -> Window {
        of(&Quota::per_second(limit))
    }

    fn of(quota: &Quota) -> Window {
        let policy = quota.policies().next().expect("a quota has a limit");
        Window::new(&policy, quota)
    }

    const fn sent(millis: u64) -> Sent {
        let at = Moment::from_nanos(millis * 1_000_000);
        Sent { at, cost: 1 }
    }

    #[test]
    fn a_request_in_flight_holds_its_slot_for_ever() {
        let mut window = window(1);
        window.depart(1, at(0));
        assert_eq!(window.room(1, at(1_000_000)), Room::OnAnswer);
    }

    #[test]
    fn an_answer_frees_its_slot_one_counted_window_later() {
        let mut window = window(1);
        window.depart(1, at(0));
        window.answer(sent(0), at(500));
        let free = at(500) + Quota::per_second(1).counted_window();
        assert_eq!(window.room(1, at(501)), Room::At(free));
        assert_eq!(window.room(1, free), Room::Now);
    }

    #[test]
    fn a_request_given_up_counts_for_its_transit_and_a_window() {
        let mut window = window(1);
        window.depart(1, at(0));
        window.abandon(sent(0), at(0));
        let free = at(1_000) + Quota::per_second(1).counted_window();
        assert_eq!(window.room(1, at(10)), Room::At(free));
    }

    #[test]
    fn a_request_that_never_left_does_not_count() {
        let mut window = window(1);
        window.depart(1, at(0));
        window.refund(sent(0));
        assert_eq!(window.room(1, at(0)), Room::Now);
    }

    #[test]
    fn memory_stays_bounded_at_the_largest_limit() {
        let mut window = window(u32::MAX);
        for micros in 0..100_000 {
            window.depart(1, at(0));
            window.answer(sent(0), Moment::from_nanos(micros * 10_000));
            window.room(1, Moment::from_nanos(micros * 10_000));
        }
        assert!(window.answered.iter().count() <= 258);
    }

    #[test]
    fn memory_stays_bounded_when_everything_is_given_up() {
        let quota = Quota::new(u32::MAX, Duration::from_millis(10)).unwrap();
        let mut window = of(&quota.max_transit(Duration::from_secs(3_600)));
        for millis in 0..20_000 {
            window.depart(1, at(0));
            window.abandon(sent(0), at(millis * 200));
            window.room(1, at(millis * 200));
        }
        assert!(window.abandoned.iter().count() <= 258);
    }

    #[test]
    fn a_cost_holds_so_many_slots() {
        let mut window = window(10);
        window.depart(7, at(0));
        assert_eq!(window.room(3, at(0)), Room::Now);
        assert_eq!(window.room(4, at(0)), Room::OnAnswer);
        window.answer(Sent { at: at(0), cost: 7 }, at(5));
        assert_eq!((window.in_flight(), window.counted(at(5))), (0, 7));
        let free = at(5) + Quota::per_second(10).counted_window();
        assert_eq!(window.room(4, at(5)), Room::At(free));
        assert_eq!(window.room(10, free), Room::Now);
    }

    /// A window of 1 s, in which a slot is held 2 s at most, and a bucket longer.
    fn on_arrival() -> Window {
        of(&Quota::per_second(1).counted_on_arrival())
    }

    #[test]
    fn what_counts_on_arrival_frees_its_slot_without_an_answer() {
        let mut window = on_arrival();
        window.depart(1, at(0));
        let held = Duration::from_micros(2_001_500);
        assert_eq!(window.counted(at(0) + held), 1);
        assert_eq!(window.counted(at(0) + held + held / 256), 0);
        assert_eq!(window.in_flight(), 1);
        window.answer(sent(0), at(5_000));
        assert_eq!(window.counted(at(5_000)), 0);
    }

    #[test]
    fn what_counts_on_arrival_frees_its_slot_a_window_after_an_early_answer() {
        let mut window = on_arrival();
        window.depart(1, at(0));
        let earliest = at(10) + Quota::per_second(1).counted_window();
        assert_eq!(window.room(1, at(10)), Room::At(earliest));
        window.answer(sent(0), at(10));
        assert_eq!(window.room(1, at(10)), Room::At(earliest));
        assert_eq!(window.room(1, earliest), Room::Now);
    }

    #[test]
    fn what_counts_on_arrival_is_held_as_long_when_it_is_given_up_and_not_when_it_never_left() {
        let mut window = on_arrival();
        window.depart(1, at(0));
        window.abandon(sent(0), at(5));
        assert_eq!(window.counted(at(2_001)), 1);
        assert_eq!(window.counted(at(2_010)), 0);
        window.depart(1, at(3_000));
        window.refund(sent(3_000));
        assert_eq!(window.counted(at(3_000)), 0);
    }

    #[test]
    fn another_window_takes_over_what_a_window_knows() {
        fn check(known: &Quota, next: &Quota, until: u64) {
            let mut known = of(known);
            known.depart(2, at(0));
            known.depart(1, at(0));
            known.answer(sent(0), at(0));
            let mut next = of(next);
            next.remember(&known, known.in_flight(), at(0));
            assert_eq!(next.in_flight(), 2);
            next.answer(Sent { at: at(0), cost: 2 }, at(0));
            assert!(next.counted(at(until - 10)) > 0, "{until}");
            assert_eq!(next.counted(at(until + 10)), 0, "{until}");
        }
        let second = Quota::per_second(10);
        let ten = Quota::new(10, Duration::from_secs(10)).unwrap();
        check(&second, &second, 1_002);
        check(&second, &ten, 10_006);
        check(&ten, &second, 1_002);
        check(&second, &second.max_transit(Duration::from_secs(3)), 1_002);
        check(&second, &second.counted_on_arrival(), 1_002);
        check(&second.counted_on_arrival(), &second, 2_005);
        check(
            &second.counted_on_arrival(),
            &second.counted_on_arrival(),
            1_002,
        );
    }

    #[test]
    fn what_was_given_up_is_held_for_the_longer_window_and_the_longer_transit() {
        let mut known = window(10);
        known.depart(1, at(0));
        known.abandon(sent(0), at(0));
        let ten = Quota::new(10, Duration::from_secs(10)).unwrap();
        let mut next = of(&ten.max_transit(Duration::from_secs(3)));
        next.remember(&known, 0, at(0));
        assert_eq!(next.counted(at(13_005)), 1);
        assert_eq!(next.counted(at(13_007)), 0);
    }

    #[test]
    fn what_is_in_flight_when_arrivals_begin_to_count_is_held_from_then_on() {
        let mut known = window(10);
        known.depart(3, at(0));
        let mut next = on_arrival();
        next.remember(&known, known.in_flight(), at(500));
        assert_eq!(next.counted(at(2_500)), 3);
        assert_eq!(next.counted(at(2_510)), 0);
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
            let mut window = of(&quota);
            let (mut now, mut in_flight, mut held) = (Moment::ORIGIN, 0_u32, Vec::new());
            for step in steps {
                match step {
                    Step::Wait(millis) => now = now + Duration::from_millis(millis),
                    Step::Depart => {
                        if window.room(1, now) == Room::Now {
                            window.depart(1, at(0));
                            in_flight += 1;
                        }
                    }
                    _ if in_flight == 0 => {}
                    Step::Answer => {
                        window.answer(sent(0), now);
                        in_flight -= 1;
                        held.push(now + quota.counted_window());
                    }
                    Step::Abandon => {
                        window.abandon(sent(0), now);
                        in_flight -= 1;
                        held.push(now + quota.counted_window() + Duration::from_secs(1));
                    }
                    Step::Refund => {
                        window.refund(sent(0));
                        in_flight -= 1;
                    }
                }
                let counted = in_flight as usize + held.iter().filter(|&&free| free > now).count();
                prop_assert!(counted <= limit as usize);
                prop_assert_eq!(window.room(1, now) == Room::Now, counted < limit as usize);
            }
        }

        /// Coarse buckets hold a slot at least as long as the exact window does, and one bucket longer at most.
        #[test]
        fn buckets_free_late_and_never_early(answers in prop::collection::vec(0_u64..5_000_000, 1..100)) {
            let quota = Quota::per_second(5_000);
            let (mut window, mut now) = (of(&quota), Moment::ORIGIN);
            for wait in answers {
                now = now + Duration::from_nanos(wait);
                window.depart(1, at(0));
                window.answer(sent(0), now);
            }
            let &(free, _) = window.answered.iter().last().expect("an answer was recorded");
            let exact = now + quota.counted_window();
            prop_assert!(free >= exact);
            prop_assert!(free.since(exact) <= quota.counted_window() / 256);
        }
    }
}
