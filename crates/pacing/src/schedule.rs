use std::time::Duration;

use crate::Moment;
use crate::credit::Credit;
use crate::moment::Span;
use crate::policy::{Pace, Policy};

/// The longest wait before the very first departure. A person who starts a program with a limit per
/// hour should not wait for a whole interval. With less, a program that restarts in a loop sends
/// more. The first departure has the planned time of a whole interval, so the second one waits for
/// it.
const LONGEST_START: Span = Span::of(Duration::from_millis(100));

/// Evenly spaced departures.
///
/// Each departure has a planned time. The next planned time is one interval later for each unit of
/// its cost. A request that departs a little late keeps its planned time, so a late timer costs no
/// throughput. A burst keeps planned times that lie further back. Older ones are lost.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// The next planned time. A request may depart from here on, unless it is heavier than those
    /// before it.
    next: Moment,
    /// The earliest planned time of the first departure. A process that was just restarted has lost
    /// the record of its window.
    first: Moment,
    /// The time of the last departure.
    last_departure: Option<Moment>,
    /// Nothing departs before this moment, since the server may be busy after a silence.
    postponed: Moment,
    /// The latest departure, until it is undone.
    latest: Option<Latest>,
    /// The time that lower costs can release. None until a request costs more than one: such a
    /// request cannot turn out to cost less. Boxed, since few limits need it.
    credit: Option<Box<Credit>>,
}

/// The latest departure, and the state that it changed.
#[derive(Clone, Copy, Debug)]
struct Latest {
    planned: Moment,
    next_before: Moment,
    departure_before: Option<Moment>,
}

impl Schedule {
    /// Returns a schedule that starts at `now`.
    ///
    /// The first departure is one interval later, or 100 ms if that is sooner. Its planned time is
    /// one interval later in any case.
    pub(crate) fn starting(now: Moment, pace: &Pace) -> Self {
        let first = now + pace.interval;
        Self {
            next: first.min(now + LONGEST_START),
            first,
            last_departure: None,
            postponed: now,
            latest: None,
            credit: None,
        }
    }

    /// Returns a schedule that starts at `now` with the whole burst, since the server has counted
    /// nothing.
    pub(crate) fn unused(now: Moment, pace: &Pace) -> Self {
        let next = now - pace.slack();
        Self {
            next,
            first: next,
            last_departure: None,
            postponed: next,
            latest: None,
            credit: None,
        }
    }

    /// Returns the moment from which a request of this cost may depart, after costs of up to
    /// `highest`.
    #[inline]
    pub(crate) fn due(&self, policy: &Policy, pace: &Pace, cost: u32, highest: u32) -> Moment {
        // Most requests have the same cost, and need no lead.
        match cost <= highest {
            true => self.next,
            false => self.next + self.lead(policy, pace, cost, highest),
        }
    }

    /// Returns the next planned time: a request that is no heavier than those before it may depart
    /// from then on.
    #[inline]
    pub(crate) fn next(&self) -> Moment {
        self.next
    }

    /// Records a departure at `now`.
    // Always inlined, as its only caller is: see `LimitState::terms`.
    #[inline(always)]
    pub(crate) fn depart(
        &mut self,
        policy: &Policy,
        pace: &Pace,
        cost: u32,
        highest: u32,
        number: u32,
        now: Moment,
    ) {
        let mut planned = self
            .due(policy, pace, cost, highest)
            .max(now - pace.slack());
        if self.last_departure.is_none() {
            planned = planned.max(self.first);
        }
        self.latest = Some(Latest {
            planned,
            next_before: self.next,
            departure_before: self.last_departure,
        });
        // The server forgets all after the memory, so even the highest cost takes no longer.
        self.next = (planned + pace.interval * cost).min(now + pace.memory);
        self.last_departure = Some(now);
        if cost > 1 || self.credit.is_some() {
            self.record_credit(policy, pace, cost, highest, number, now);
        }
    }

    /// Records the latest departure, which has this number, for lower costs.
    // Cold, with all its arithmetic: most requests cost one.
    #[cold]
    fn record_credit(
        &mut self,
        policy: &Policy,
        pace: &Pace,
        cost: u32,
        highest: u32,
        number: u32,
        now: Moment,
    ) {
        let Some(latest) = self.latest else { return };
        let is_heavier = cost > highest && policy.spaces_costs();
        let headroom = match is_heavier && latest.is_lead_cut(pace, cost - highest) {
            // It would depart at this time whatever the earlier costs were.
            true => Span::ZERO,
            false => latest.planned.span_since(now - pace.slack()),
        };
        let is_cut = latest.planned + pace.interval * cost > now + pace.memory;
        // Earlier departures no longer matter, and this one cannot turn out to cost less, or would
        // release more than it took.
        if is_cut || (cost == 1 && headroom == Span::ZERO) {
            self.credit = None;
        } else {
            let credit = self.credit.get_or_insert_default();
            credit.depart(number, pace.interval, headroom);
        }
    }

    /// Lets nothing depart before `until`.
    pub(crate) fn postpone(&mut self, until: Moment) {
        // What departed before no longer decides when the next request may depart.
        self.credit = None;
        self.postponed = self.postponed.max(until);
        self.next = self.next.max(until);
    }

    /// Records that the latest departure cost less than was estimated, only `cost`.
    pub(crate) fn lower_latest_cost(&mut self, pace: &Pace, cost: u32) {
        if let (Some(latest), Some(departure)) = (self.latest, self.last_departure) {
            // Counted from its planned time: the memory may have cut off a part of the high cost,
            // so the difference of the costs would release more than was taken.
            let next = (latest.planned + pace.interval * cost).min(departure + pace.memory);
            self.next = self.next.min(next.max(self.postponed));
        }
    }

    /// Records that the departure with this number, an earlier one than the latest, cost `less`
    /// than was estimated.
    pub(crate) fn lower_cost(&mut self, number: u32, less: u32) {
        let credit = self.credit.as_mut();
        let released = credit.map_or(Span::ZERO, |credit| credit.release(number, less));
        // No time is released from before a postponement, so this stays behind it.
        self.next = self.next - released;
        if let Some(latest) = &mut self.latest {
            // An undo or a lower cost of the latest departure starts from these times.
            latest.planned = latest.planned - released;
            latest.next_before = latest.next_before - released;
        }
    }

    /// Records that the departure with this number cost `added` more. `is_latest` is true for the
    /// latest departure.
    pub(crate) fn add_cost(
        &mut self,
        pace: &Pace,
        added: u32,
        number: u32,
        is_latest: bool,
        now: Moment,
    ) {
        // If the cost is lowered again, the interval of the departure is released.
        let credit = self.credit.as_ref();
        let departed_with = credit.and_then(|credit| credit.interval_of(number));
        let more = pace.interval.max(departed_with.unwrap_or_default()) * added;
        let most = now + pace.memory;
        let raised = |next: Moment| (next + more).min(most.max(next));
        if self.next + more > most {
            self.credit = None;
        }
        self.next = raised(self.next);
        if let Some(latest) = self.latest.as_mut().filter(|_| !is_latest) {
            // An undo or a lower cost of the latest departure starts from these times. Without this
            // it would undo the higher cost of the earlier departure as well.
            latest.planned = raised(latest.planned);
            latest.next_before = raised(latest.next_before);
        }
    }

    /// Continues `known`, which had another interval. The next departure is `spacing` after the
    /// latest one of `known`.
    ///
    /// The rest of a postponement is as many of the new intervals as it was of the old ones.
    pub(crate) fn follow(
        &mut self,
        known: &Self,
        spacing: Span,
        [before, after]: [Span; 2],
        now: Moment,
    ) {
        if let Some(last) = known.last_departure {
            let rest = known.postponed.span_since(now).times(after, before);
            self.postponed = now + rest;
            self.next = (last + spacing).max(self.postponed);
            self.last_departure = Some(last);
        }
    }

    /// Undoes the latest departure, once. A later postponement remains.
    pub(crate) fn undo(&mut self) {
        if let Some(latest) = self.latest.take() {
            self.next = latest.next_before.max(self.postponed);
            self.last_departure = latest.departure_before;
        }
    }

    /// Returns the lead of a heavier request: the time that it waits after the next planned time.
    ///
    /// The departures before it were spaced for lower costs. The server forgets everything after
    /// the memory, so the lead ends one memory after the last departure. A planned time may lie
    /// further back than that departure. Sliding logs and fixed windows are held by their slots and
    /// need no lead.
    fn lead(&self, policy: &Policy, pace: &Pace, cost: u32, highest: u32) -> Span {
        match self.last_departure {
            Some(last) if policy.spaces_costs() => {
                let more = pace.interval * (cost - highest);
                let forgotten = (last + pace.memory).span_since(self.next);
                more.min(forgotten)
            }
            _ => Span::ZERO,
        }
    }
}

impl Latest {
    /// Returns whether the lead for `more` cost than the highest before ended because the server
    /// forgets.
    fn is_lead_cut(&self, pace: &Pace, more: u32) -> bool {
        self.departure_before.is_some_and(|last| {
            let forgotten = (last + pace.memory).span_since(self.next_before);
            forgotten < pace.interval * more
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Model;

    const PACE: Pace = Pace {
        interval: Span::of(Duration::from_millis(10)),
        lateness: Span::of(Duration::from_millis(2)),
        burst: 1,
        highest: 1,
        memory: Span::of(Duration::from_millis(80)),
    };
    const UNKNOWN: Policy = Policy::new(100, Duration::from_secs(1));

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    /// A schedule whose first departure was long ago.
    fn running() -> Schedule {
        let mut schedule = Schedule::starting(at(0), &PACE);
        depart(&mut schedule, &PACE, 1, 10);
        schedule
    }

    fn depart(schedule: &mut Schedule, pace: &Pace, cost: u32, now: u64) {
        schedule.depart(&UNKNOWN, pace, cost, cost, 0, at(now));
    }

    #[test]
    fn the_first_departure_waits_an_interval_or_100_ms_and_takes_an_interval_in_any_case() {
        fn check(interval: u64, first: u64, second: u64) {
            let interval = Span::of(Duration::from_millis(interval));
            let pace = Pace {
                interval,
                memory: interval * 100,
                ..PACE
            };
            let mut schedule = Schedule::starting(at(5), &pace);
            assert_eq!(schedule.next, at(first));
            depart(&mut schedule, &pace, 1, first);
            assert_eq!(schedule.next, at(second));
        }
        check(10, 15, 25);
        check(20_000, 105, 40_005);
    }

    #[test]
    fn an_unused_limit_starts_with_its_whole_burst_at_the_origin_too() {
        let pace = Pace { burst: 3, ..PACE };
        let mut schedule = Schedule::unused(at(0), &pace);
        for _ in 0..3 {
            assert!(schedule.due(&UNKNOWN, &pace, 1, 1) <= at(0));
            depart(&mut schedule, &pace, 1, 0);
        }
        assert_eq!(schedule.next, at(8));
    }

    #[test]
    fn a_late_departure_keeps_its_planned_time_and_a_very_late_one_loses_it() {
        let mut schedule = running();
        depart(&mut schedule, &PACE, 1, 22);
        assert_eq!(schedule.next, at(30));
        depart(&mut schedule, &PACE, 1, 33);
        assert_eq!(schedule.next, at(41));
    }

    #[test]
    fn idle_time_counts_up_to_the_burst() {
        fn check(burst: u32, next: u64) {
            let pace = Pace { burst, ..PACE };
            let mut schedule = running();
            depart(&mut schedule, &pace, 1, 60_000);
            assert_eq!(schedule.next, at(next), "{burst}");
        }
        check(1, 60_008);
        check(2, 59_998);
        check(5, 59_968);
    }

    #[test]
    fn a_cost_takes_its_intervals_up_to_the_memory_of_the_server() {
        fn check(cost: u32, next: u64) {
            let mut schedule = running();
            depart(&mut schedule, &PACE, cost, 20);
            assert_eq!(schedule.next, at(next), "{cost}");
        }
        check(1, 30);
        check(7, 90);
        check(9, 100);
        check(u32::MAX, 100);
    }

    #[test]
    fn a_heavier_request_needs_a_lead_unless_slots_hold_it_back() {
        fn check(model: Model, cost: u32, highest: u32, due: u64) {
            let policy = Policy { model, ..UNKNOWN };
            assert_eq!(
                running().due(&policy, &PACE, cost, highest),
                at(due),
                "{model:?}"
            );
        }
        let bucket = Model::TokenBucket {
            size: 80,
            refill: 100,
        };
        check(Model::Unknown, 1, 1, 20);
        check(Model::Unknown, 5, 1, 60);
        check(Model::Unknown, 5, 5, 20);
        check(bucket, 5, 2, 50);
        check(Model::SlidingLog, 5, 1, 20);
        check(Model::FixedWindow, 5, 1, 20);
        // The server has forgotten the last departure, at 10 ms, 80 ms later.
        check(Model::Unknown, 50, 1, 90);
    }

    #[test]
    fn the_lead_of_a_heavy_request_ends_one_memory_after_the_last_departure() {
        let pace = Pace { burst: 5, ..PACE };
        let mut schedule = running();
        depart(&mut schedule, &pace, 1, 1_000);
        assert_eq!(schedule.next, at(968));
        assert_eq!(schedule.due(&UNKNOWN, &pace, 50, 1), at(1_080));
        schedule.depart(&UNKNOWN, &pace, 5, 1, 0, at(1_008));
        assert_eq!(schedule.next, at(1_058));
    }

    #[test]
    fn the_first_request_needs_no_lead() {
        let schedule = Schedule::starting(at(0), &PACE);
        assert_eq!(schedule.due(&UNKNOWN, &PACE, 50, 1), at(10));
    }

    #[test]
    fn a_settled_cost_moves_the_next_departure() {
        let mut schedule = running();
        depart(&mut schedule, &PACE, 5, 20);
        schedule.lower_latest_cost(&PACE, 2);
        assert_eq!(schedule.next, at(40));
        schedule.add_cost(&PACE, 2, 0, true, at(25));
        assert_eq!(schedule.next, at(60));
        schedule.add_cost(&PACE, 50, 0, true, at(25));
        assert_eq!(schedule.next, at(105));
        schedule.add_cost(&PACE, 50, 0, true, at(5));
        assert_eq!(
            schedule.next,
            at(105),
            "a clock that goes back brings no departure nearer"
        );
    }

    #[test]
    fn a_cost_that_is_settled_lower_releases_only_the_time_that_it_took() {
        let mut schedule = running();
        depart(&mut schedule, &PACE, 50, 20);
        assert_eq!(schedule.next, at(100));
        schedule.lower_latest_cost(&PACE, 9);
        assert_eq!(schedule.next, at(100));
        schedule.lower_latest_cost(&PACE, 3);
        assert_eq!(schedule.next, at(50));
        schedule.postpone(at(45));
        schedule.lower_latest_cost(&PACE, 1);
        assert_eq!(schedule.next, at(45));
    }

    #[test]
    fn a_schedule_continues_another_from_its_last_departure_if_it_has_one() {
        let known = Schedule::starting(at(0), &PACE);
        let mut schedule = Schedule::starting(at(15), &PACE);
        let second = Span::of(Duration::from_secs(1));
        let intervals = [PACE.interval, PACE.interval * 3];
        schedule.follow(&known, second, intervals, at(20));
        assert_eq!(schedule.next, at(25));
        let mut known = running();
        schedule.follow(&known, second, intervals, at(20));
        assert_eq!(schedule.next, at(1_010));
        known.postpone(at(1_020));
        schedule.follow(&known, second, intervals, at(20));
        assert_eq!(schedule.next, at(3_020));
        schedule.follow(&known, second, intervals, at(1_015));
        assert_eq!(schedule.next, at(1_030));
    }

    #[test]
    fn the_latest_departure_is_undone_once() {
        let mut schedule = running();
        depart(&mut schedule, &PACE, 1, 20);
        depart(&mut schedule, &PACE, 3, 30);
        schedule.undo();
        assert_eq!(
            (schedule.next, schedule.last_departure),
            (at(30), Some(at(20)))
        );
        schedule.undo();
        assert_eq!(schedule.next, at(30));
    }

    #[test]
    fn later_changes_remain_when_the_latest_departure_is_undone_or_settled_lower() {
        let departed = || {
            let mut schedule = running();
            depart(&mut schedule, &PACE, 1, 20);
            depart(&mut schedule, &PACE, 3, 30);
            assert_eq!(schedule.next, at(60));
            schedule
        };
        let mut schedule = departed();
        schedule.postpone(at(70));
        schedule.undo();
        assert_eq!(schedule.next, at(70));
        // The one before the latest cost 2 more, and then the latest one did.
        let mut schedule = departed();
        schedule.add_cost(&PACE, 2, 0, false, at(35));
        assert_eq!(schedule.next, at(80));
        schedule.lower_latest_cost(&PACE, 1);
        assert_eq!(schedule.next, at(60));
        schedule.undo();
        assert_eq!(schedule.next, at(50));
        let mut schedule = departed();
        schedule.add_cost(&PACE, 2, 0, true, at(35));
        schedule.undo();
        assert_eq!(schedule.next, at(30));
    }

    #[test]
    fn an_undone_departure_restores_the_burst_of_an_unused_limit() {
        let pace = Pace { burst: 3, ..PACE };
        let mut schedule = Schedule::unused(at(0), &pace);
        let next = schedule.next;
        depart(&mut schedule, &pace, 1, 0);
        schedule.lower_latest_cost(&pace, 1);
        assert_eq!(schedule.next, next + PACE.interval);
        schedule.undo();
        assert_eq!(schedule.next, next);
    }

    #[test]
    fn an_undone_first_departure_restores_the_start() {
        let mut schedule = Schedule::starting(at(0), &PACE);
        depart(&mut schedule, &PACE, 1, 10);
        schedule.undo();
        depart(&mut schedule, &PACE, 1, 10);
        assert_eq!(schedule.next, at(20));
    }

    /// A departure: its cost, the cost that it is settled to later, the time until it is due or
    /// later, and after how many departures it is settled.
    type Drawn = (u32, u32, u64, usize);

    /// Departs as drawn. Returns the next planned time with all costs settled, and the one of a
    /// schedule that knew the settled costs from the start.
    fn settled_and_replayed(
        policy: &Policy,
        pace: &Pace,
        drawn: &[Drawn],
        faster: &Pace,
    ) -> (Moment, Moment) {
        let pace_of = |n: usize| if n % 7 == 3 { faster } else { pace };
        let mut schedule = Schedule::starting(at(0), pace);
        let mut replayed = schedule.clone();
        let (mut now, mut highest) = (at(0), 1);
        for (n, &(cost, _, idle, _)) in drawn.iter().enumerate() {
            let idle = Duration::from_millis(idle);
            let due = schedule.due(policy, pace_of(n), cost, highest);
            now = due.max(now) + idle;
            schedule.depart(policy, pace_of(n), cost, highest, n as u32, now);
            let true_cost = drawn[n].1.min(cost);
            replayed.depart(policy, pace_of(n), true_cost, highest, n as u32, now);
            highest = highest.max(cost);
            for (of, &(cost, true_cost, _, after)) in drawn.iter().enumerate().take(n + 1) {
                let is_now = of + after == n || (n + 1 == drawn.len() && of + after > n);
                match cost.checked_sub(true_cost).filter(|_| is_now) {
                    Some(_) if of == n => schedule.lower_latest_cost(pace_of(n), true_cost),
                    Some(less) => schedule.lower_cost(of as u32, less),
                    None => {}
                }
            }
        }
        (schedule.next, replayed.next)
    }

    proptest! {
        /// A released time is never more than what a schedule had gained that knew the lower costs
        /// from the start; and without leads it is just as much.
        #[test]
        fn lower_costs_release_what_a_schedule_would_have_gained_that_knew_them(
            drawn in proptest::collection::vec((1_u32..9, 1_u32..9, 0_u64..60, 0_usize..9), 1..30),
            burst in 1_u32..40,
        ) {
            let memory = PACE.memory * 100;
            let pace = Pace { burst, memory, ..PACE };
            let faster = Pace { interval: PACE.interval + Span::from_nanos(7), ..pace };
            let (settled, replayed) = settled_and_replayed(&UNKNOWN, &pace, &drawn, &faster);
            prop_assert!(settled >= replayed);
            let log = Policy { model: Model::SlidingLog, ..UNKNOWN };
            let (settled, replayed) = settled_and_replayed(&log, &pace, &drawn, &faster);
            prop_assert_eq!(settled, replayed);
            let short = Pace { memory: PACE.memory, ..pace };
            let (settled, replayed) = settled_and_replayed(&UNKNOWN, &short, &drawn, &faster);
            prop_assert!(settled >= replayed);
        }
    }
}
