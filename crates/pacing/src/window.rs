use crate::hold::{Hold, HoldCause};
use crate::moment::Span;
use crate::policy::Policy;
use crate::slots::Slots;
use crate::{Moment, Quota};

/// Up to this limit every answer has an entry of its own, which is exact. With a smaller bound a
/// small limit loses 0.4 % of its rate. With a larger one the entries of each limit take more than
/// 16 KiB.
const EXACT: u32 = 1_024;
/// The entries of a coarse list. A slot is freed up to 1/256 of its time late, which costs 0.4 % of
/// the rate. Fewer entries cost more of the rate, and more take more memory.
const ENTRIES: u64 = 256;

/// The slots of one limit, for the requests that may still count at the server.
///
/// W' is the [counted window](Policy::counted_window), T is `max_transit`. A request of cost c may
/// depart only while the slots held and c are at most the limit. It holds c slots:
///
/// - from its departure at s until s + T + W';
/// - after the server's own answer at r, until min(r, s + T) + W';
/// - no slots once it is refunded.
///
/// # Why the server never counts more than the limit
///
/// The slots rest on one assumption: a request reaches the server's counter within T of its
/// departure, or never. With e = min(r, s + T), it arrives at a <= e.
///
/// Take the requests that arrive in a half-open window of length W, and let q be the one that
/// departed last, at s_q <= a_q. Suppose that the slots of another one, p, were freed by s_q. Then
/// a_p <= e_p <= s_q - W' <= a_q - W, so p and q do not share the window. So the slots of all
/// others were held at s_q, and the rule bounds their sum by the limit.
///
/// This covers a sliding log, fixed windows wherever they start, and a token bucket of the limit.
///
/// # After a silence
///
/// A path that was blocked for longer than T breaks the assumption. After the answer that ends the
/// silence, [`hold_again`](Self::hold_again) holds the slots of all requests of the silence for
/// another window.
///
/// # Memory
///
/// Up to a limit of 1,024 each answer of a window has an entry of its own. All other lists have at
/// most 258 entries.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    limit: u32,
    /// The counted window, W'.
    span: Span,
    /// The quota's `max_transit`, T.
    transit: Span,
    /// T + W': how long an unanswered request holds its slots.
    unanswered_for: Span,
    /// The slots of requests that were answered within T. They are freed a window after the answer.
    answered: Slots,
    /// The slots of the other requests. They are freed T and a window after the departure. If the
    /// server counts when it answers, they are freed T and a window after the end.
    unanswered: Slots,
    /// From this moment on, the next departure drops the slots whose time is over.
    drop_from: Moment,
    /// Requests that departed until this moment had no slots left when the quota changed.
    expired: Option<Moment>,
    /// When the quota changed last. The slots of earlier requests have other times since then, so
    /// those of one request can no longer be told from those of another.
    changed: Option<Moment>,
    /// When slots were held again last.
    held_again: Option<Moment>,
    /// The cost in flight, if the server counts when it answers: these slots have no end yet.
    in_flight: Option<u64>,
}

/// A request that departed, as one limit counts it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Moment,
    pub(crate) cost: u64,
}

impl Window {
    /// Returns a window without departures.
    pub(crate) fn new(policy: &Policy, quota: &Quota) -> Self {
        let (span, transit) = (policy.counted_window(), Span::of(quota.max_transit));
        let grain = |held: Span| held.nanos() / ENTRIES;
        Self {
            limit: policy.limit,
            span,
            transit,
            unanswered_for: transit + span,
            // A bucket may be larger than its limit, and all of it may be answered in one window.
            answered: Slots::new(match policy.limit.max(policy.most()) <= EXACT {
                true => 1,
                false => grain(span),
            }),
            unanswered: Slots::new(grain(span + transit)),
            drop_from: Moment::FIRST,
            expired: None,
            changed: None,
            held_again: None,
            in_flight: quota.counted_until_answered.then_some(0),
        }
    }

    /// Returns the cost that may still count at the server.
    pub(crate) fn held(&mut self, now: Moment) -> u64 {
        let in_flight = self.in_flight.unwrap_or_default();
        in_flight + self.unanswered.held_at(now) + self.answered.held_at(now)
    }

    /// Returns the hold on a request of this cost, if there is no room for it.
    ///
    /// The hold ends at the earliest moment at which a slot can be freed. An answer that comes now
    /// would free its slots a window later.
    #[inline]
    pub(crate) fn hold(&mut self, cost: u32, now: Moment) -> Option<Hold> {
        // The upper bound is enough for most decisions. Only if the window may be full, slots whose
        // time is over are dropped.
        match self.fits(self.held_at_most(), cost) {
            true => None,
            false => self.exact_hold(cost, now),
        }
    }

    /// Returns whether there is room for this cost beside the slots that are held.
    #[inline]
    fn fits(&self, held: u64, cost: u32) -> bool {
        held + u64::from(cost) <= u64::from(self.limit)
    }

    /// Returns the same as [`hold`](Self::hold), and drops the slots whose time is over.
    // Never inlined: the loops over both lists would crowd out the usual departure.
    #[inline(never)]
    fn exact_hold(&mut self, cost: u32, now: Moment) -> Option<Hold> {
        let held = self.held(now);
        if self.fits(held, cost) {
            return None;
        }
        let unanswered = self.unanswered.first();
        let unanswered = unanswered.map(|free| free.min(now + self.span));
        let first_free = self.answered.first().into_iter().chain(unanswered).min();
        Some(Hold {
            by: HoldCause::Window,
            until: first_free,
        })
    }

    /// Returns an upper bound of the slots that are held.
    #[inline]
    fn held_at_most(&self) -> u64 {
        let in_flight = self.in_flight.unwrap_or_default();
        in_flight + self.unanswered.held_at_most() + self.answered.held_at_most()
    }

    /// Records a departure.
    #[inline]
    pub(crate) fn depart(&mut self, cost: u64, now: Moment) {
        if now >= self.drop_from {
            self.drop_expired(now);
        }
        match &mut self.in_flight {
            Some(in_flight) => *in_flight += cost,
            None => self.unanswered.hold_until(now + self.unanswered_for, cost),
        }
    }

    /// Drops the slots whose time is over, once per entry of the coarse list.
    ///
    /// A bucket never asks for the slots held, and a window asks only if it may be full. Without
    /// this the lists would grow without bound.
    // Cold: it runs once in several departures, and at most 256 times in the time of a slot.
    #[cold]
    fn drop_expired(&mut self, now: Moment) {
        self.held(now);
        self.drop_from = now + Span::from_nanos(self.unanswered_for.nanos() / ENTRIES);
    }

    /// Holds slots for the requests in flight when the window starts: their times are unknown.
    pub(crate) fn hold_in_flight(&mut self, cost: u64, now: Moment) {
        self.changed = Some(now);
        match &mut self.in_flight {
            Some(in_flight) => *in_flight = cost,
            None => self.unanswered.hold_until(now + self.unanswered_for, cost),
        }
    }

    /// Records that the server's own answer to a request came at `now`.
    #[inline]
    pub(crate) fn answer(&mut self, sent: Sent, now: Moment) {
        if let Some(in_flight) = &mut self.in_flight {
            *in_flight = in_flight.saturating_sub(sent.cost);
            self.answered.hold_until(now + self.span, sent.cost);
        } else if now < sent.at + self.transit {
            // A later answer changes nothing: the slots end T and a window after the departure.
            let released = self.unanswered.release(self.freed_at(sent), sent.cost);
            self.answered.hold_until(now + self.span, released);
        }
    }

    /// Records that a request ended at `now` without the server's own answer.
    ///
    /// It may still arrive, so it holds its slots. If the server counts when it answers, their time
    /// starts now.
    pub(crate) fn abandon(&mut self, sent: Sent, now: Moment) {
        if let Some(in_flight) = &mut self.in_flight {
            *in_flight = in_flight.saturating_sub(sent.cost);
            let free = now + self.unanswered_for;
            self.unanswered.hold_until(free, sent.cost);
        }
    }

    /// Releases the slots of a request, or of a part of its cost, that was never sent.
    pub(crate) fn refund(&mut self, sent: Sent) {
        match &mut self.in_flight {
            Some(in_flight) => *in_flight = in_flight.saturating_sub(sent.cost),
            None if Some(sent.at) > self.expired => {
                self.unanswered.release(self.freed_at(sent), sent.cost);
            }
            // By the time of this window it would still hold slots: those are of another request.
            None => {}
        }
    }

    /// Holds more slots for a request that departed and costs more than was estimated.
    pub(crate) fn add_cost(&mut self, sent: Sent, now: Moment) {
        match &mut self.in_flight {
            Some(in_flight) => *in_flight += sent.cost,
            None => self.unanswered.insert(self.freed_at(sent), sent.cost, now),
        }
    }

    /// Releases the slots of a part of the cost of a request whose answer came at `answered`.
    ///
    /// If its slots were moved while it was in flight, or by a change of the quota, they stay:
    /// others in their place are of another request.
    pub(crate) fn remove_answered_cost(&mut self, sent: Sent, answered: Moment) {
        let moved = self.held_again.filter(|&again| again != answered);
        if Some(sent.at) <= self.changed.max(moved) {
            return;
        }
        let (slots, free) = self.slots_after_answer(sent, answered);
        slots.release(free, sent.cost);
    }

    /// Holds more slots for a request whose answer came at `answered`, and which cost more than was
    /// estimated.
    pub(crate) fn add_answered_cost(&mut self, sent: Sent, answered: Moment, now: Moment) {
        let (slots, free) = self.slots_after_answer(sent, answered);
        slots.insert(free, sent.cost, now);
    }

    /// Returns the list with the slots of a request whose answer came at `answered`, and when they
    /// are freed.
    fn slots_after_answer(&mut self, sent: Sent, answered: Moment) -> (&mut Slots, Moment) {
        let is_in_time = self.in_flight.is_some() || answered < sent.at + self.transit;
        // Its answer may have ended a silence, and then held its slots again.
        match is_in_time || self.held_again == Some(answered) {
            true => (&mut self.answered, answered + self.span),
            false => {
                let free = self.freed_at(sent);
                (&mut self.unanswered, free)
            }
        }
    }

    /// Holds the requests that departed after `since` until a window after `now` at least.
    ///
    /// After a silence they may arrive as late as now. `unproven` is their cost, including requests
    /// that were abandoned or whose slots are free.
    pub(crate) fn hold_again(&mut self, unproven: u64, since: Option<Moment>, now: Moment) {
        self.held_again = Some(now);
        let free = now + self.span;
        if self.in_flight.is_some() {
            return self.answered.hold_until(free, unproven);
        }
        // No request that departed after `since` was answered before, so their slots are those that
        // are freed after its own. Requests of less than T ago are held long enough already.
        // Requests in the same entry as `since` are indistinguishable from it: their slots stay,
        // and are held once more.
        let proven = since.map(|since| since + self.unanswered_for);
        let released = self.unanswered.release_between(proven, free);
        let stay = self.unanswered.held_past(proven);
        // After a change of the quota these entries may hold earlier requests as well. All released
        // slots are held again, so that none of them is lost.
        let again = unproven.saturating_sub(stay).max(released);
        self.answered.hold_until(free, again);
    }

    /// Copies the slots of another window, and holds them for the time of this one.
    ///
    /// `in_flight` is the cost in flight, in this limit's unit. `counts_alike` is true if the other
    /// window has the same unit.
    pub(crate) fn remember(
        &mut self,
        known: &Self,
        in_flight: u64,
        counts_alike: bool,
        now: Moment,
    ) {
        let (from, to) = (known.unanswered_for, self.unanswered_for);
        self.expired = known.expired.max(Some(now - from));
        self.changed = Some(now);
        self.answered.copy(&known.answered, known.span, self.span);
        self.unanswered.copy(&known.unanswered, from, to);
        match &mut self.in_flight {
            Some(own) => *own = in_flight,
            // The times of its departures are unknown in this unit. Now is the latest possible one.
            None if known.in_flight.is_some() || !counts_alike => {
                self.unanswered.hold_until(now + to, in_flight);
            }
            None => {}
        }
    }

    /// Returns when the slots of a request are freed if there is no answer.
    #[inline]
    fn freed_at(&self, sent: Sent) -> Moment {
        sent.at + self.unanswered_for
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

    fn of(quota: &Quota) -> Window {
        let policy = quota.policies().next().expect("a quota has a limit");
        Window::new(&policy, quota)
    }

    fn window(limit: u32) -> Window {
        of(&Quota::per_second(limit))
    }

    fn sent(millis: u64, cost: u64) -> Sent {
        Sent {
            at: at(millis),
            cost,
        }
    }

    fn until(hold: Option<Hold>) -> Option<Moment> {
        hold.expect("there is no room").until
    }

    /// A slot is held for T and a window of one second. An entry of the list covers 1/256 of that.
    const HELD: Duration = Duration::from_micros(2_001_500);
    const ENTRY: Duration = Duration::from_micros(7_900);
    const COUNTED: Duration = Duration::from_micros(1_001_500);

    #[test]
    fn a_request_without_an_answer_holds_its_slot_for_the_transit_and_a_window() {
        for abandoned in [false, true] {
            let mut window = window(1);
            window.depart(1, at(0));
            if abandoned {
                window.abandon(sent(0, 1), at(5));
            }
            assert_eq!(window.held(at(0) + HELD - Duration::from_nanos(1)), 1);
            assert_eq!(window.held(at(0) + HELD + ENTRY), 0);
        }
    }

    #[test]
    fn an_answer_frees_the_slot_one_counted_window_later() {
        let mut window = window(1);
        window.depart(1, at(0));
        assert_eq!(until(window.hold(1, at(10))), Some(at(10) + COUNTED));
        window.answer(sent(0, 1), at(500));
        assert_eq!(until(window.hold(1, at(501))), Some(at(500) + COUNTED));
        assert_eq!(window.hold(1, at(500) + COUNTED), None);
    }

    #[test]
    fn an_answer_after_the_transit_changes_nothing() {
        let mut window = window(1);
        window.depart(1, at(0));
        window.answer(sent(0, 1), at(1_000));
        assert_eq!(window.held(at(1_990)), 1);
        assert_eq!(window.held(at(0) + HELD + ENTRY), 0);
        window.answer(sent(0, 1), at(5_000));
        assert_eq!(window.held(at(5_000)), 0);
    }

    #[test]
    fn a_refunded_request_holds_nothing() {
        let mut window = window(1);
        window.depart(1, at(0));
        window.refund(sent(0, 1));
        assert_eq!(window.hold(1, at(0)), None);
    }

    #[test]
    fn a_request_holds_a_slot_per_unit_of_cost() {
        let mut window = window(10);
        window.depart(7, at(0));
        assert_eq!(window.hold(3, at(0)), None);
        assert!(window.hold(4, at(0)).is_some());
        window.answer(sent(0, 7), at(5));
        assert_eq!(window.held(at(5)), 7);
        assert_eq!(until(window.hold(4, at(5))), Some(at(5) + COUNTED));
        assert_eq!(window.hold(10, at(5) + COUNTED), None);
    }

    #[test]
    fn a_settled_cost_changes_the_slots_of_its_departure() {
        let mut window = window(10);
        window.depart(7, at(0));
        window.refund(sent(0, 5));
        window.add_cost(sent(0, 1), at(3));
        assert_eq!(window.held(at(4)), 3);
        window.answer(sent(0, 3), at(5));
        assert_eq!(window.held(at(5) + COUNTED), 0);
        window.add_cost(sent(0, 4), at(5_000));
        assert_eq!(window.held(at(5_000)), 0);
    }

    #[test]
    fn after_a_silence_every_unproven_request_is_held_again() {
        let mut window = window(10);
        // Answered before the silence, at 3 ms.
        window.depart(1, at(0));
        window.answer(sent(0, 1), at(3));
        // Already freed, abandoned, and departed less than T ago.
        for millis in [100, 4_000, 5_900] {
            window.depart(1, at(millis));
        }
        assert_eq!(window.held(at(6_500)), 1);
        window.hold_again(3, Some(at(0)), at(6_500));
        assert_eq!(window.held(at(6_500)), 3);
        assert_eq!(window.held(at(6_499) + COUNTED), 3);
        assert_eq!(
            window.held(at(6_500) + COUNTED),
            1,
            "it departed less than T ago"
        );
        assert_eq!(window.held(at(5_900) + HELD + ENTRY), 0);
    }

    #[test]
    fn a_silence_keeps_the_slots_of_earlier_departures() {
        let mut window = window(10);
        window.depart(1, at(0));
        window.depart(1, at(900));
        window.depart(1, at(1_000));
        window.answer(sent(900, 1), at(905));
        window.hold_again(1, Some(at(900)), at(1_700));
        // The first one, which has no answer; the answer of the second; the third, which departed
        // less than T ago.
        assert_eq!(window.held(at(1_700)), 3);
        assert_eq!(window.held(at(905) + COUNTED), 2);
        assert_eq!(window.held(at(0) + HELD + ENTRY), 1);
    }

    #[test]
    fn the_first_proof_of_a_path_holds_every_departure() {
        let mut window = window(10);
        for millis in 0..5 {
            window.depart(1, at(millis));
        }
        assert_eq!(window.held(at(10_000)), 0);
        window.hold_again(5, None, at(10_000));
        assert_eq!(window.held(at(10_000)), 5);
    }

    /// A window of 1 s before a server that counts when it answers.
    fn until_answered() -> Window {
        of(&Quota::per_second(1).counted_until_answered())
    }

    #[test]
    fn a_request_may_count_until_it_is_answered() {
        let mut window = until_answered();
        window.depart(1, at(0));
        assert_eq!(until(window.hold(1, at(1_000_000))), None);
        window.answer(sent(0, 1), at(1_000_000));
        assert_eq!(
            until(window.hold(1, at(1_000_000))),
            Some(at(1_000_000) + COUNTED)
        );
        assert_eq!(window.held(at(1_000_000) + COUNTED), 0);
    }

    #[test]
    fn a_request_that_counts_until_its_answer_is_held_from_its_end_without_one() {
        let mut window = until_answered();
        window.depart(1, at(0));
        window.abandon(sent(0, 1), at(5_000));
        assert_eq!(window.held(at(5_000) + HELD - Duration::from_nanos(1)), 1);
        assert_eq!(window.held(at(5_000) + HELD + ENTRY), 0);
        window.depart(1, at(9_000));
        window.refund(sent(9_000, 1));
        assert_eq!(window.held(at(9_000)), 0);
        window.depart(3, at(9_000));
        window.add_cost(sent(9_000, 2), at(9_000));
        assert_eq!(window.held(at(99_000)), 5);
        window.hold_again(5, None, at(99_000));
        assert_eq!(window.held(at(99_000)), 10);
    }

    #[test]
    fn memory_stays_bounded_at_the_largest_limit() {
        let quota = Quota::new(u32::MAX, Duration::from_secs(1)).unwrap();
        let mut window = of(&quota.max_transit(Duration::from_secs(3_600)));
        for micros in 0..200_000 {
            let now = Moment::from_nanos(micros * 100_000);
            window.depart(2, now);
            window.answer(Sent { at: now, cost: 1 }, now);
            window.held(now);
        }
        assert!(window.answered.len() <= 258 && window.unanswered.len() <= 258);
    }

    #[test]
    fn memory_stays_bounded_where_the_slots_held_are_never_read() {
        for size in [1, 1_000, 1_000_000] {
            let bucket = crate::Model::TokenBucket { size, refill: 100 };
            let mut window = of(&Quota::per_second(100).model(bucket).unwrap());
            for nanos in 0..20_000 {
                let now = Moment::from_nanos(nanos);
                window.depart(1, now);
                window.answer(Sent { at: now, cost: 1 }, now);
            }
            // A small bucket has more entries only if its caller ignores the pace, as here.
            assert!(window.answered.len() <= 1_024 || size <= 1_000);
            for millis in 2_000..20_000 {
                window.depart(1, at(millis));
                window.answer(sent(millis, 1), at(millis));
            }
            let entries = window.answered.len().max(window.unanswered.len());
            assert!(entries <= 1_024, "{entries} of {size}");
        }
    }

    #[test]
    fn a_silence_keeps_the_slots_that_a_new_quota_held_for_requests_in_flight() {
        let mut known = window(10);
        known.depart(1, at(0));
        let mut next = window(100);
        next.remember(&known, 50, false, at(500));
        next.depart(1, at(600));
        next.depart(1, at(700));
        // The proven departure, at 400 ms, is of before the change. The cost in flight was held
        // from 500 ms on, so its entry looks unproven.
        next.hold_again(1, Some(at(400)), at(2_000));
        assert!(next.held(at(2_100)) >= 51);
    }

    #[test]
    fn a_window_copies_the_slots_of_another() {
        fn check(known: &Quota, next: &Quota, until: u64) {
            let mut known = of(known);
            known.depart(2, at(0));
            known.depart(1, at(0));
            known.answer(sent(0, 1), at(0));
            let mut next = of(next);
            next.remember(&known, 2, true, at(0));
            assert_eq!(next.held(at(0)), 3);
            next.answer(sent(0, 2), at(0));
            assert!(next.held(at(until - 20)) > 0, "{until}");
            assert_eq!(next.held(at(until + 20)), 0, "{until}");
        }
        let second = Quota::per_second(10);
        let ten = Quota::new(10, Duration::from_secs(10)).unwrap();
        check(&second, &second, 1_002);
        check(&second, &ten, 10_006);
        // The entries of a longer window are coarser. The answer does not find its slots, so they
        // are held as if it had no answer.
        check(&ten, &second, 2_030);
        check(&second, &second.max_transit(Duration::from_secs(3)), 1_002);
        check(&second.counted_until_answered(), &second, 1_002);
    }

    #[test]
    fn a_window_of_another_unit_holds_the_cost_in_flight_from_now_on() {
        let mut known = window(10);
        known.depart(1, at(0));
        let mut next = window(100);
        next.remember(&known, 50, false, at(500));
        assert_eq!(next.held(at(500)), 51);
        assert_eq!(next.held(at(499) + HELD), 50);
        let mut next = until_answered();
        next.remember(&known, 50, false, at(500));
        next.answer(sent(0, 50), at(3_000));
        assert_eq!(next.held(at(3_000)), 50);
    }

    #[test]
    fn an_unanswered_request_is_held_for_the_longer_window_and_transit() {
        let mut known = window(10);
        known.depart(1, at(0));
        let ten = Quota::new(10, Duration::from_secs(10)).unwrap();
        let mut next = of(&ten.max_transit(Duration::from_secs(3)));
        next.remember(&known, 1, true, at(0));
        assert_eq!(next.held(at(13_005)), 1);
        assert_eq!(next.held(at(13_070)), 0);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Depart,
        Answer(usize),
        Abandon,
        Refund(usize),
        Wait(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => Just(Step::Depart),
            3 => any::<usize>().prop_map(Step::Answer),
            1 => Just(Step::Abandon),
            1 => any::<usize>().prop_map(Step::Refund),
            3 => (0_u64..400).prop_map(Step::Wait),
        ];
        prop::collection::vec(step, 0..300)
    }

    proptest! {
        /// The reference keeps each request with the time at which its slot is freed. The window
        /// may free an unanswered request up to one entry late.
        #[test]
        fn the_window_agrees_with_the_reference(limit in 1_u32..20, steps in steps()) {
            let mut window = window(limit);
            let (mut now, mut in_flight) = (at(0), Vec::new());
            let (mut answered, mut unanswered) = (Vec::new(), Vec::<Moment>::new());
            for step in steps {
                match step {
                    Step::Wait(millis) => now = now + Duration::from_millis(millis),
                    Step::Depart if window.hold(1, now).is_none() => {
                        window.depart(1, now);
                        in_flight.push(now);
                        unanswered.push(now);
                    }
                    Step::Answer(index) | Step::Refund(index) if !in_flight.is_empty() => {
                        let sent = in_flight.remove(index % in_flight.len());
                        let is_late = now >= sent + Duration::from_secs(1);
                        if matches!(step, Step::Refund(_)) || !is_late {
                            let first = unanswered.iter().position(|&at| at == sent).unwrap();
                            unanswered.remove(first);
                        }
                        match step {
                            Step::Answer(_) => {
                                window.answer(Sent { at: sent, cost: 1 }, now);
                                answered.extend((!is_late).then(|| now + COUNTED));
                            }
                            _ => window.refund(Sent { at: sent, cost: 1 }),
                        }
                    }
                    Step::Abandon if !in_flight.is_empty() => {
                        window.abandon(Sent { at: in_flight.remove(0), cost: 1 }, now);
                    }
                    _ => {}
                }
                let held = |late: Duration| {
                    let answered = answered.iter().filter(|&&free| free > now).count();
                    let free = |sent: &&Moment| **sent + HELD + late > now;
                    (answered + unanswered.iter().filter(free).count()) as u64
                };
                let (least, most) = (held(Duration::ZERO), held(ENTRY));
                prop_assert!((least..=most).contains(&window.held(now)));
                prop_assert!(window.held(now) <= u64::from(limit));
            }
        }

        /// Coarse entries hold a slot as long as the exact window does, and at most one entry
        /// longer.
        #[test]
        fn entries_free_late_and_never_early(
            answers in prop::collection::vec(0_u64..5_000_000, 1..100),
        ) {
            let quota = Quota::per_second(5_000);
            let (mut window, mut now) = (of(&quota), Moment::ORIGIN);
            for wait in answers {
                now = now + Duration::from_nanos(wait);
                window.depart(1, now);
                window.answer(Sent { at: now, cost: 1 }, now);
            }
            let free = window.answered.last().expect("an answer was recorded");
            let exact = now + quota.counted_window();
            prop_assert!(free >= exact);
            prop_assert!(free.since(exact) <= quota.counted_window() / 256);
        }
    }
}
