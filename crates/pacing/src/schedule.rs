use std::time::Duration;

use crate::Moment;
use crate::moment::Span;
use crate::policy::{Pace, Policy};

/// The longest wait before the very first departure.
const LONGEST_START: Span = Span::of(Duration::from_millis(100));

/// Evenly spaced departures.
///
/// Each departure takes a place, and the next place is one interval later for each unit of its
/// cost. A request that leaves a little late keeps its place, so a late timer costs no throughput;
/// a burst keeps the places of a longer time. Places that are older than that are lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// The next place: a request may leave from here on, unless it is heavier than those before it.
    next: Moment,
    /// The earliest place of the first departure: a process that was just restarted has forgotten
    /// what it sent.
    first: Moment,
    last_departure: Option<Moment>,
    /// Nothing leaves before, after a silence of the path.
    postponed: Moment,
    /// The latest departure, until it is undone.
    latest: Option<Latest>,
}

/// The latest departure, and what it changed.
#[derive(Clone, Copy, Debug)]
struct Latest {
    place: Moment,
    next_before: Moment,
    departure_before: Option<Moment>,
}

impl Schedule {
    /// Starts at `now`. The first departure comes one interval later, or 100 ms if that is sooner,
    /// and takes the place of one interval in any case.
    pub(crate) fn starting(now: Moment, pace: &Pace) -> Self {
        let first = now + pace.interval;
        Self {
            next: first.min(now + LONGEST_START),
            first,
            last_departure: None,
            postponed: now,
            latest: None,
        }
    }

    /// Starts at `now` with the whole burst: the server has counted nothing.
    pub(crate) fn unused(now: Moment, pace: &Pace) -> Self {
        let next = now - pace.slack();
        Self {
            next,
            first: next,
            last_departure: None,
            postponed: next,
            latest: None,
        }
    }

    /// Returns the moment from which a request of this cost may leave, with costs up to `highest`
    /// before it.
    #[inline]
    pub(crate) fn due(&self, policy: &Policy, pace: &Pace, cost: u32, highest: u32) -> Moment {
        // Most requests have the same cost, and need no lead.
        match cost <= highest {
            true => self.next,
            false => {
                let more = pace.interval * (cost - highest);
                self.next + self.lead(policy, more, pace.memory)
            }
        }
    }

    /// Returns the moment from which a request may leave that is no heavier than those before it.
    #[inline]
    pub(crate) fn next(&self) -> Moment {
        self.next
    }

    /// Records a departure at `now`.
    #[inline]
    pub(crate) fn depart(
        &mut self,
        policy: &Policy,
        pace: &Pace,
        cost: u32,
        highest: u32,
        now: Moment,
    ) {
        let mut place = self
            .due(policy, pace, cost, highest)
            .max(now - pace.slack());
        if self.last_departure.is_none() {
            place = place.max(self.first);
        }
        self.latest = Some(Latest {
            place,
            next_before: self.next,
            departure_before: self.last_departure,
        });
        self.next = (place + pace.interval * cost).min(now + pace.memory);
        self.last_departure = Some(now);
    }

    /// Lets nothing leave before `until`.
    pub(crate) fn postpone(&mut self, until: Moment) {
        self.postponed = self.postponed.max(until);
        self.next = self.next.max(until);
    }

    /// Records that the latest departure cost less: `cost`, not what it departed with.
    pub(crate) fn spare(&mut self, pace: &Pace, cost: u32) {
        if let (Some(latest), Some(departure)) = (self.latest, self.last_departure) {
            // Counted from its place: the high cost may have taken less than its intervals, up to
            // the memory.
            let next = (latest.place + pace.interval * cost).min(departure + pace.memory);
            self.next = self.next.min(next.max(self.postponed));
        }
    }

    /// Records that a departure cost more by `added`; `is_latest` says whether the latest one did.
    pub(crate) fn charge(&mut self, pace: &Pace, added: u32, is_latest: bool, now: Moment) {
        let most = now + pace.memory;
        let charged = |next: Moment| (next + pace.interval * added).min(most.max(next));
        self.next = charged(self.next);
        if let Some(latest) = self.latest.as_mut().filter(|_| !is_latest) {
            // An undo or a lower cost of the latest departure starts from these.
            latest.place = charged(latest.place);
            latest.next_before = charged(latest.next_before);
        }
    }

    /// Continues `known`, which had another interval: the next departure comes a `charge` after its
    /// latest one. The rest of a postponement takes as many of the new intervals as it had of the
    /// old ones.
    pub(crate) fn follow(
        &mut self,
        known: &Self,
        charge: Span,
        [before, after]: [Span; 2],
        now: Moment,
    ) {
        if let Some(last) = known.last_departure {
            let left = known.postponed.span_since(now).times(after, before);
            self.postponed = now + left;
            self.next = (last + charge).max(self.postponed);
            self.last_departure = Some(last);
        }
    }

    /// Undoes the latest departure, once. A postponement that came after it stays.
    pub(crate) fn undo(&mut self) {
        if let Some(latest) = self.latest.take() {
            self.next = latest.next_before.max(self.postponed);
            self.last_departure = latest.departure_before;
        }
    }

    /// Returns how long after the next place a request may leave that is heavier than all before
    /// it, which were spaced for lighter ones: `more` is the time of what it costs more.
    ///
    /// The server forgets everything after the memory, so no longer silence is needed. It counts
    /// from the last departure, since a place may lie further back. A log and a fixed window are
    /// kept by their slots and need none.
    fn lead(&self, policy: &Policy, more: Span, memory: Span) -> Span {
        match self.last_departure {
            Some(last) if policy.spaces_costs() => {
                let forgotten = (last + memory).span_since(self.next);
                more.min(forgotten)
            }
            _ => Span::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
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
        schedule.depart(&UNKNOWN, pace, cost, cost, at(now));
    }

    #[test]
    fn the_first_departure_is_an_interval_or_100_ms_away_and_takes_an_interval_in_any_case() {
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
    fn a_late_departure_keeps_its_place_and_a_very_late_one_loses_it() {
        let mut schedule = running();
        depart(&mut schedule, &PACE, 1, 22);
        assert_eq!(schedule.next, at(30));
        depart(&mut schedule, &PACE, 1, 33);
        assert_eq!(schedule.next, at(41));
    }

    #[test]
    fn idle_time_is_not_saved_up_beyond_the_burst() {
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
    fn a_cost_takes_its_intervals_and_no_longer_than_the_server_remembers() {
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
    fn a_heavier_request_needs_silence_before_it_unless_its_slots_guard_it() {
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
    fn the_silence_before_a_heavy_request_counts_from_the_last_departure() {
        let pace = Pace { burst: 5, ..PACE };
        let mut schedule = running();
        depart(&mut schedule, &pace, 1, 1_000);
        assert_eq!(schedule.next, at(968));
        assert_eq!(schedule.due(&UNKNOWN, &pace, 50, 1), at(1_080));
        schedule.depart(&UNKNOWN, &pace, 5, 1, at(1_008));
        assert_eq!(schedule.next, at(1_058));
    }

    #[test]
    fn the_first_request_needs_no_silence() {
        let schedule = Schedule::starting(at(0), &PACE);
        assert_eq!(schedule.due(&UNKNOWN, &PACE, 50, 1), at(10));
    }

    #[test]
    fn a_settled_cost_moves_the_next_departure() {
        let mut schedule = running();
        depart(&mut schedule, &PACE, 5, 20);
        schedule.spare(&PACE, 2);
        assert_eq!(schedule.next, at(40));
        schedule.charge(&PACE, 2, true, at(25));
        assert_eq!(schedule.next, at(60));
        schedule.charge(&PACE, 50, true, at(25));
        assert_eq!(schedule.next, at(105));
        schedule.charge(&PACE, 50, true, at(5));
        assert_eq!(
            schedule.next,
            at(105),
            "time stands still and nothing comes nearer"
        );
    }

    #[test]
    fn a_high_cost_that_turns_out_low_gives_back_no_more_than_it_took() {
        let mut schedule = running();
        depart(&mut schedule, &PACE, 50, 20);
        assert_eq!(schedule.next, at(100));
        schedule.spare(&PACE, 9);
        assert_eq!(schedule.next, at(100));
        schedule.spare(&PACE, 3);
        assert_eq!(schedule.next, at(50));
        schedule.postpone(at(45));
        schedule.spare(&PACE, 1);
        assert_eq!(schedule.next, at(45));
    }

    #[test]
    fn another_schedule_goes_on_from_the_last_departure_if_there_is_one() {
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
    fn what_came_after_the_latest_departure_stays_when_that_is_undone_or_cost_less() {
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
        schedule.charge(&PACE, 2, false, at(35));
        assert_eq!(schedule.next, at(80));
        schedule.spare(&PACE, 1);
        assert_eq!(schedule.next, at(60));
        schedule.undo();
        assert_eq!(schedule.next, at(50));
        let mut schedule = departed();
        schedule.charge(&PACE, 2, true, at(35));
        schedule.undo();
        assert_eq!(schedule.next, at(30));
    }

    #[test]
    fn the_burst_of_an_unused_limit_is_given_back_too() {
        let pace = Pace { burst: 3, ..PACE };
        let mut schedule = Schedule::unused(at(0), &pace);
        let next = schedule.next;
        depart(&mut schedule, &pace, 1, 0);
        schedule.spare(&pace, 1);
        assert_eq!(schedule.next, next + PACE.interval);
        schedule.undo();
        assert_eq!(schedule.next, next);
    }

    #[test]
    fn a_first_departure_that_is_undone_leaves_the_start_as_it_was() {
        let mut schedule = Schedule::starting(at(0), &PACE);
        depart(&mut schedule, &PACE, 1, 10);
        schedule.undo();
        depart(&mut schedule, &PACE, 1, 10);
        assert_eq!(schedule.next, at(20));
    }
}
