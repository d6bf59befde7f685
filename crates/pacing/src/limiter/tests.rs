use proptest::prelude::*;

use super::*;
use crate::Model;
use crate::fields::StatedUnit;
use crate::limit_state::LimitState;

fn at(millis: u64) -> Moment {
    Moment::ORIGIN + Duration::from_millis(millis)
}

/// A sliding log of 100 a second: departures are 10.015 ms apart after the start.
fn log() -> Quota {
    Quota::per_second(100).model(Model::SlidingLog).unwrap()
}

/// A limiter that is past its start.
fn running(quota: Quota) -> Limiter {
    let mut limiter = Limiter::new(quota);
    assert_ne!(limiter.due(Moment::ORIGIN), Due::Now);
    limiter
}

fn interval_after(limiter: &mut Limiter, cost: u32, now: Moment) -> Duration {
    assert_eq!(limiter.due_for(Cost::of(cost), now), Due::Now);
    let departure = limiter.depart_with(Cost::of(cost), now);
    limiter.answer(departure, now, Feedback::Failed);
    let Due::At(next) = limiter.due(now) else {
        panic!("departures are spaced")
    };
    next.since(now)
}

/// The slots of a request expire under a short window. Under a longer one they would still be held,
/// in an entry that a later request shares.
#[test]
fn a_refund_after_a_change_of_the_quota_releases_no_slot_of_another_request() {
    for seconds in 0..15 {
        let mut now = Moment::ORIGIN + Duration::from_secs(seconds);
        let mut limiter = Limiter::new(Quota::per_second(10));
        let depart = |limiter: &mut Limiter, now: &mut Moment| {
            while let Due::At(due) = limiter.due(*now) {
                *now = due;
            }
            limiter.depart(*now)
        };
        let connecting = depart(&mut limiter, &mut now);
        now = now + Duration::from_secs(4);
        assert_eq!(limiter.counted(now), 0);
        limiter.set_quota(Quota::per_hour(1_000), now);
        let _arrived = depart(&mut limiter, &mut now);
        assert_eq!(limiter.counted(now), 1);
        limiter.refund(connecting);
        assert_eq!(limiter.counted(now), 1, "{seconds}");
    }
}

#[test]
fn the_first_departure_waits_and_the_start_is_slow() {
    let quota = log();
    let mut limiter = Limiter::new(quota);
    let start = Quota::per_second(100).spacing();
    assert_eq!(limiter.due(at(50)), Due::At(at(50) + start));
    assert_eq!(limiter.due(at(50) + start), Due::Now);
    let over = at(50) + quota.counted_window() + Duration::from_millis(100);
    assert_eq!(limiter.interval(over - Duration::from_nanos(1)), start);
    assert_eq!(limiter.interval(over), quota.spacing());
}

#[test]
fn a_request_departs_when_every_limit_has_room_and_counts_in_all() {
    let minute = Quota::new(3, Duration::from_secs(60)).unwrap();
    let mut limiter = running(
        log()
            .and(minute.model(Model::FixedWindow).unwrap())
            .unwrap(),
    );
    let mut now = at(100_000);
    for _ in 0..3 {
        if let Due::At(next) = limiter.due(now) {
            now = next;
        }
        let departure = limiter.depart(now);
        limiter.answer(departure, now, Feedback::Accepted);
        now = now + Duration::from_secs(20);
    }
    assert_eq!(
        limiter.counted(now),
        0,
        "they no longer count in the first limit"
    );
    let Due::At(next) = limiter.due(now) else {
        panic!("they count in the second limit")
    };
    assert!(next >= at(160_000), "{next:?}");
}

/// Limits of ten requests and of a cost of 100 a second, both in a sliding log.
fn of_requests_and_records() -> Quota {
    let requests = Quota::per_second(10).by_request();
    let both = requests.and(Quota::per_second(100)).unwrap();
    both.model(Model::SlidingLog).unwrap()
}

/// Sends requests of this cost, each as soon as it may depart, until one would wait for longer.
/// Returns their number.
fn depart_until(limiter: &mut Limiter, cost: u32, until: Moment) -> u32 {
    let (mut now, mut departed) = (at(10_000), 0);
    while let Due::Now | Due::At(_) = limiter.due_for(Cost::of(cost), now) {
        if let Due::At(next) = limiter.due_for(Cost::of(cost), now) {
            now = next;
            continue;
        }
        if now >= until {
            break;
        }
        let departure = limiter.depart_with(Cost::of(cost), now);
        limiter.answer(departure, now, Feedback::Accepted);
        departed += 1;
    }
    departed
}

#[test]
fn a_limit_of_requests_and_a_limit_of_cost_are_both_kept() {
    for (cost, expected) in [(1, 10), (10, 10), (20, 5), (50, 2), (100, 1)] {
        let mut limiter = running(of_requests_and_records());
        let departed = depart_until(&mut limiter, cost, at(11_000));
        assert_eq!(departed, expected, "of a cost of {cost}");
    }
}

#[test]
fn limits_of_another_unit_know_the_load_in_flight() {
    let mut limiter = running(of_requests_and_records());
    let departure = limiter.depart_with(Cost::of(50), at(10_000));
    assert_eq!((limiter.in_flight(), limiter.counted(at(10_000))), (1, 1));
    for (quota, expected) in [
        (log(), 50),
        (of_requests_and_records(), 1),
        (log().by_request(), 1),
    ] {
        limiter.set_quota(quota, at(10_001));
        assert_eq!(limiter.in_flight(), expected);
    }
    limiter.answer(departure, at(10_002), Feedback::Accepted);
    assert_eq!(limiter.in_flight(), 0);
    limiter.set_quota(log(), at(10_003));
    assert_eq!(limiter.in_flight(), 0);
}

#[test]
fn a_cost_takes_its_intervals_and_its_slots() {
    let mut limiter = running(log());
    let spacing = log().spacing();
    let late = Duration::from_millis(20);
    assert_eq!(
        interval_after(&mut limiter, 7, at(10_000)),
        spacing * 7 - late
    );
    assert_eq!(limiter.counted(at(10_000)), 7);
}

#[test]
fn a_cost_above_the_limit_counts_as_the_whole_limit() {
    let mut limiter = running(log());
    assert_eq!(limiter.due_for(Cost::of(500), at(10_000)), Due::Now);
}

#[test]
fn a_heavy_request_to_an_unknown_server_needs_a_lead_and_slows_later_ones() {
    let mut limiter = running(Quota::per_second(100));
    let light = interval_after(&mut limiter, 1, at(10_000));
    let Due::At(heavy) = limiter.due_for(Cost::of(50), at(10_000)) else {
        panic!("it needs a lead")
    };
    assert!(heavy.since(at(10_000)) > light * 49);
    let departure = limiter.depart_with(Cost::of(50), heavy);
    assert_eq!(limiter.in_flight(), 50);
    limiter.answer(departure, heavy, Feedback::Accepted);
    let slower = interval_after(&mut limiter, 1, heavy + Duration::from_secs(2));
    assert!(slower > light, "{slower:?}");
    let again = interval_after(&mut limiter, 1, heavy + Duration::from_secs(9));
    assert_eq!(again, light);
}

#[test]
fn a_burst_may_depart_after_the_start_but_not_during_a_recovery() {
    let mut limiter = running(Quota::per_second(100).burst(5).unwrap());
    let depart_all = |limiter: &mut Limiter, now| {
        let mut departed = Vec::new();
        while limiter.due(now) == Due::Now {
            departed.push(limiter.depart(now));
        }
        departed
    };
    assert_eq!(
        depart_all(&mut limiter, at(14)).len(),
        1,
        "the burst builds up from the start on"
    );
    let departed = depart_all(&mut limiter, at(10_000));
    assert_eq!(departed.len(), 5);
    limiter.answer(departed[0], at(10_001), Feedback::Throttled(None));
    assert_eq!(depart_all(&mut limiter, at(20_000)).len(), 1);
}

#[test]
fn a_refund_undoes_the_interval_of_the_latest_departure_only() {
    let mut limiter = running(Quota::per_second(100));
    let (first, now) = (limiter.depart(at(10_000)), at(10_015));
    let second = limiter.depart(now);
    let next = limiter.due(now);
    assert_ne!(next, Due::Now);
    limiter.refund(first);
    assert_eq!((limiter.due(now), limiter.in_flight()), (next, 1));
    limiter.refund(second);
    assert_eq!((limiter.due(now), limiter.in_flight()), (Due::Now, 0));
}

#[test]
fn a_burst_of_the_whole_limit_does_not_hold_the_second_request_back() {
    let hourly = Quota::per_hour(1_000).model(Model::SlidingLog).unwrap();
    let mut limiter = running(hourly.burst(1_000).unwrap());
    let _first = limiter.depart(at(100));
    let Due::At(second) = limiter.due(at(100)) else {
        panic!("a start has no burst")
    };
    assert!(second < at(8_000), "{second:?}");
}

fn learned(quota: Quota) -> Limiter {
    let mut limiter = running(quota);
    for reply in 0..5_000 {
        let departure = limiter.depart(at(reply * 100));
        limiter.answer(departure, at(reply * 100 + 5), Feedback::Accepted);
    }
    limiter
}

#[test]
fn a_new_quota_keeps_the_learned_jitter_unless_its_ceiling_differs() {
    fn check(quota: Quota, assumed: u64) {
        let mut limiter = learned(Quota::per_second(100));
        limiter.set_quota(quota, at(500_000));
        assert_eq!(limiter.assumed_jitter(), Duration::from_millis(assumed));
        let settled = at(510_000);
        let ceiling = quota.jitter_ceiling(Duration::from_millis(assumed));
        assert_eq!(limiter.interval(settled), ceiling.spacing());
    }
    check(Quota::per_second(50), 2);
    let ceiling = Duration::from_millis(70);
    check(Quota::per_second(50).jitter_ceiling(ceiling), 70);
}

/// A round trip of 5 ms and a jitter of 2 ms take less than one interval. So the cap holds requests
/// back beyond two unproven ones.
#[test]
fn a_path_without_answers_is_probed_at_gaps_that_double() {
    for model in [Model::Unknown, Model::SlidingLog] {
        let mut limiter = learned(Quota::per_second(100).model(model).unwrap());
        let mut now = at(600_000);
        let mut departed = Vec::new();
        for _ in 0..16 {
            while let Due::At(due) = limiter.due(now) {
                now = due;
            }
            departed.push((now, limiter.depart(now)));
        }
        let interval = limiter.interval(now);
        let gaps: Vec<_> = departed
            .windows(2)
            .map(|pair| pair[1].0.since(pair[0].0))
            .collect();
        let doubled = gaps[2..8].windows(2).all(|pair| pair[1] == pair[0] * 2);
        assert!(doubled && gaps[2] == interval * 2, "{model:?}: {gaps:?}");
        assert!(
            gaps[9..].iter().all(|&gap| gap == Duration::from_secs(1)),
            "{gaps:?}"
        );
        let hold = limiter.hold(Cost::ONE, now).expect("probes have gaps");
        assert_eq!(hold.by, HoldCause::Cap, "{model:?}");

        let (_, probe) = departed[15];
        assert!(
            limiter.answer(probe, now, Feedback::Accepted),
            "a waiter has a time"
        );
        let hold = limiter
            .hold(Cost::ONE, now)
            .expect("the unproven load arrives now");
        assert_ne!(hold.by, HoldCause::Cap, "{model:?}");
    }
}

#[test]
fn requests_that_a_later_answer_proves_do_not_count_for_the_cap() {
    let mut limiter = learned(log());
    let mut now = at(600_000);
    for _ in 0..50 {
        let _hung = limiter.depart(now);
        now = now + Duration::from_millis(20);
        let later = limiter.depart(now);
        limiter.answer(later, now + Duration::from_millis(5), Feedback::Accepted);
        now = now + Duration::from_millis(20);
        assert_eq!(limiter.due(now), Due::Now);
    }
}

#[test]
fn a_gateway_answer_proves_the_path_holds_the_slots_and_may_close_the_gate() {
    let mut limiter = learned(log());
    let now = at(600_000);
    let departed: Vec<_> = (0..5).map(|_| limiter.depart(now)).collect();
    let round_trip = limiter.shared.path.round_trip(Span::ZERO);
    limiter.answer_from_gateway(departed[4], at(600_700), None);
    assert_eq!(limiter.shared.path.unproven(), Load::default());
    assert_eq!(limiter.shared.path.round_trip(Span::ZERO), round_trip);
    assert_eq!(limiter.counted(at(601_990)), 5);
    assert_eq!(limiter.in_flight(), 4);
    assert!(limiter.open_from() < at(600_700));
    let hint = Some(Duration::from_secs(3));
    limiter.answer_from_gateway(departed[3], at(600_800), hint);
    assert_eq!(limiter.open_from(), at(603_800));
}

#[test]
fn an_abandoned_request_proves_nothing_and_a_refunded_one_does_not_count() {
    let mut limiter = learned(Quota::per_second(100));
    let [one, other] = [600_000, 600_100].map(|millis| limiter.depart(at(millis)));
    limiter.abandon(one, at(600_200));
    assert_eq!(limiter.shared.path.unproven().requests, 2);
    limiter.refund(other);
    assert_eq!(limiter.shared.path.unproven().requests, 1);
    assert_eq!((limiter.in_flight(), limiter.counted(at(600_300))), (0, 1));
}

#[test]
fn an_answer_to_an_earlier_departure_is_not_a_proof() {
    let mut limiter = learned(Quota::per_second(100));
    let [one, two, three] = [600_000, 600_100, 600_200].map(|millis| limiter.depart(at(millis)));
    limiter.answer(two, at(600_250), Feedback::Accepted);
    assert_eq!(
        limiter.shared.path.unproven(),
        Load {
            requests: 1,
            cost: 1
        }
    );
    limiter.answer(one, at(600_260), Feedback::Accepted);
    assert_eq!(
        limiter.shared.path.unproven(),
        Load {
            requests: 1,
            cost: 1
        }
    );
    limiter.answer(three, at(600_270), Feedback::Accepted);
    assert_eq!(limiter.shared.path.unproven(), Load::default());
}

#[test]
fn a_silence_is_counted_from_the_first_request_that_waits_for_an_answer() {
    let mut limiter = learned(log());
    // Idle for 100 s, then answered after 400 ms: idle time is not a silence.
    let departure = limiter.depart(at(600_000));
    limiter.answer(departure, at(600_400), Feedback::Accepted);
    // No answer for 1.5 s: the requests of that time may all arrive now.
    let abandoned = limiter.depart(at(700_000));
    limiter.abandon(abandoned, at(700_050));
    let later = limiter.depart(at(701_000));
    limiter.answer(later, at(701_500), Feedback::Accepted);
    assert_eq!(limiter.counted(at(702_480)), 2);
    assert_eq!(limiter.counted(at(702_510)), 0);
}

#[test]
fn a_cost_that_was_settled_higher_stays_known_when_a_later_request_is_refunded() {
    let mut limiter = running(Quota::per_second(100));
    let estimated = limiter.depart(at(10_000));
    let unsent = limiter.depart(at(10_020));
    let settled = limiter.settle(estimated, Cost::of(40), at(10_020));
    let Due::At(next) = limiter.due(at(10_020)) else {
        panic!("40 take their time")
    };
    limiter.refund(unsent);
    let Due::At(due) = limiter.due(at(10_020)) else {
        panic!("39 more take their time")
    };
    assert!(due < next);
    let spacing = Quota::per_second(100).spacing();
    assert!(due.since(at(10_020)) > spacing * 39, "{due:?}");
    assert_eq!(limiter.due_for(Cost::of(40), due), Due::Now);
    limiter.answer(settled, at(10_030), Feedback::Accepted);
}

fn stated(remaining: u64, reset: u64) -> [StatedLimit; 1] {
    [StatedLimit {
        limit: Some(5_000),
        remaining,
        reset: Duration::from_secs(reset),
        unit: None,
    }]
}

/// A request that waits for answers under an allowance asks again when the unanswered requests no
/// longer count, and at the reset.
#[test]
fn an_allowance_decides_again_if_the_answers_never_come() {
    for (reset, asks_by) in [(1_200, 11_040), (0, 11_010)] {
        let mut limiter = running(Quota::per_hour(5_000).burst(1).unwrap());
        let departure = limiter.depart(at(10_000));
        let answer = stated(5, reset);
        limiter.answer_with(departure, at(10_010), Feedback::Accepted, &answer);
        let _hung = [10_030, 10_040].map(|now| limiter.depart(at(now)));
        let hold = limiter.hold(Cost::of(2), at(10_050)).expect("two are left");
        assert!(hold.until <= Some(at(asks_by)), "{reset}: {hold:?}");
        assert!(hold.until > Some(at(11_000)), "{reset}: {hold:?}");
    }
}

#[test]
fn a_throttled_response_that_ends_an_allowance_wakes_the_waiters_for_its_reset() {
    let mut limiter = running(Quota::per_hour(5_000));
    let departure = limiter.depart(at(10_000));
    let other = limiter.depart(at(10_000));
    let answer = stated(3, 1_200);
    limiter.answer_with(departure, at(10_010), Feedback::Accepted, &answer);
    let hold = limiter.hold(Cost::of(5), at(10_020)).expect("3 are left");
    assert_eq!(hold.by, HoldCause::Allowance);
    assert!(limiter.answer(other, at(10_020), Feedback::Throttled(None)));
    let hold = limiter
        .hold(Cost::of(5), at(10_020))
        .expect("the gate is closed");
    assert_ne!(hold.by, HoldCause::Allowance);
}

#[test]
fn a_heavy_request_asks_again_when_the_rate_rises() {
    let mut limiter = running(Quota::per_second(100));
    let departure = limiter.depart(at(10_000));
    let hint = Some(Duration::from_millis(10));
    limiter.answer(departure, at(10_000), Feedback::Throttled(hint));
    let hold = limiter.hold(Cost::of(80), at(10_100)).expect("it is heavy");
    let step = Quota::per_second(100).counted_window();
    assert_eq!(hold.until, Some(at(10_010) + step));
    assert_eq!(
        limiter.due(at(10_010)),
        Due::Now,
        "a light one needs no lead"
    );
}

/// Requests that departed under an allowance restore it when they are refunded.
#[test]
fn refunded_requests_restore_the_allowance() {
    let mut limiter = running(Quota::per_hour(5_000));
    let departure = limiter.depart(at(10_000));
    let now = at(10_010);
    limiter.answer_with(departure, now, Feedback::Accepted, &stated(5, 1_200));
    let mut now = now;
    for _ in 0..50 {
        now = now + Duration::from_millis(20);
        assert_eq!(limiter.due(now), Due::Now);
        let unsent = limiter.depart(now);
        limiter.refund(unsent);
    }
    for count in 0..5 {
        now = now + Duration::from_millis(20);
        assert_eq!(limiter.due(now), Due::Now, "{count}");
        let departure = limiter.depart(now);
        limiter.answer_with(
            departure,
            now,
            Feedback::Accepted,
            &stated(4 - count, 1_200),
        );
    }
    let hold = limiter.hold(Cost::ONE, now).expect("none is left");
    assert_eq!(hold.by, HoldCause::Allowance);
    assert!(hold.until > Some(at(1_210_000)), "{hold:?}");
}

#[test]
fn an_allowance_is_ignored_after_a_throttled_response_that_it_does_not_explain() {
    let mut limiter = running(Quota::per_hour(5_000));
    let departure = limiter.depart(at(10_000));
    limiter.answer_with(
        departure,
        at(10_010),
        Feedback::Accepted,
        &stated(4_000, 1_200),
    );
    let departure = limiter.depart(at(10_030));
    assert_eq!(limiter.due(at(10_050)), Due::Now);
    let hint = Some(Duration::from_millis(1));
    limiter.answer(departure, at(10_060), Feedback::Throttled(hint));
    let departure = limiter.depart(at(10_100));
    limiter.answer_with(
        departure,
        at(10_110),
        Feedback::Accepted,
        &stated(4_000, 1_200),
    );
    let hold = limiter
        .hold(Cost::ONE, at(10_130))
        .expect("the pace holds again");
    assert_eq!(hold.by, HoldCause::Pace);
    limiter.set_quota(Quota::per_hour(6_000), at(10_130));
    let departure = limiter.depart(at(100_000));
    limiter.answer_with(
        departure,
        at(100_010),
        Feedback::Accepted,
        &stated(4_000, 1_200),
    );
    assert!(!limiter.limits[0].allowance_is_open());
}

#[test]
fn a_stated_limit_of_another_number_opens_no_allowance() {
    fn check(quota: Quota, stated: &[StatedLimit], opens: bool) {
        let mut limiter = running(quota);
        let departure = limiter.depart(at(10_000));
        limiter.answer_with(departure, at(10_010), Feedback::Accepted, stated);
        let open = limiter.limits.iter().any(LimitState::allowance_is_open);
        assert_eq!(open, opens, "{stated:?}");
    }
    let hourly = Quota::per_hour(5_000);
    let [stated_limit] = stated(4_000, 1_200);
    let other = |limit, reset| StatedLimit {
        limit,
        remaining: 10,
        reset: Duration::from_secs(reset),
        unit: None,
    };
    check(hourly, &[stated_limit], true);
    check(hourly, &[other(Some(60), 60), stated_limit], true);
    check(hourly, &[other(Some(60), 60), other(Some(100), 60)], false);
    check(hourly, &[other(None, 60)], false);
    check(hourly, &[other(Some(0), 60)], false);
    check(hourly, &[other(Some(9), 60)], false);
    check(hourly, &[other(Some(10), 60)], true);
    check(hourly, &[other(Some(5_000), 3_604)], false);
    check(hourly, &[other(Some(5_000), 3_602)], true);
    check(Quota::per_second(5_000), &[stated_limit], false);
    let both = Quota::per_second(10).and(hourly).unwrap();
    check(both, &[other(Some(10), 1)], false);
    check(both, &[stated_limit], true);
}

#[test]
fn a_throttled_response_closes_the_gate_lowers_the_rate_and_resets_the_jitter() {
    let quota = Quota::per_second(100);
    let mut limiter = learned(quota);
    let now = at(500_000);
    assert_eq!(limiter.assumed_jitter(), Duration::from_millis(2));
    let learned = limiter.interval(now);
    assert!(learned < quota.spacing());

    let departure = limiter.depart(now);
    limiter.answer(departure, now, Feedback::Throttled(None));
    assert_eq!(limiter.assumed_jitter(), Duration::from_millis(100));
    let pause = quota.counted_window() + Duration::from_millis(100);
    assert_eq!(limiter.due(now), Due::At(now + pause));
    assert_eq!(limiter.open_from(), now + pause);
    assert_eq!(
        limiter.interval(now).as_nanos(),
        quota.spacing().as_nanos() * 5 / 4 + 1
    );
}

#[test]
fn a_lowered_rate_spaces_a_limit_of_one_and_heavy_requests_too() {
    fn check(quota: Quota, cost: u32) {
        let mut limiter = running(quota);
        let usual = interval_after(&mut limiter, cost, at(100_000));
        let departure = limiter.depart(at(200_000));
        limiter.answer(departure, at(200_000), Feedback::Throttled(None));
        let now = at(220_000);
        assert!(limiter.interval(now) > quota.spacing());
        assert!(interval_after(&mut limiter, cost, now) > usual);
    }
    check(Quota::per_second(1), 1);
    check(Quota::per_second(100).model(Model::SlidingLog).unwrap(), 90);
}

#[test]
fn a_retry_after_sets_the_pause_within_bounds_and_zero_counts_as_none() {
    fn check(hint: u64, pause: u64) {
        let quota = Quota::per_second(100).max_retry_after(Duration::from_secs(60));
        let mut limiter = running(quota);
        let departure = limiter.depart(at(10_000));
        let hint = Some(Duration::from_secs(hint));
        limiter.answer(departure, at(10_000), Feedback::Throttled(hint));
        let paused = limiter.open_from().since(at(10_000));
        assert_eq!(paused, Duration::from_micros(pause), "{hint:?}");
    }
    check(5, 5_000_000);
    check(3_600, 60_000_000);
    check(0, 1_101_500);
}

#[test]
fn a_later_retry_after_of_the_same_closing_postpones_the_climb() {
    let mut limiter = running(Quota::per_second(100));
    let (one, other) = (limiter.depart(at(10_000)), limiter.depart(at(10_020)));
    limiter.answer(one, at(10_030), Feedback::Throttled(None));
    let hint = Some(Duration::from_secs(30));
    limiter.answer(other, at(10_040), Feedback::Throttled(hint));
    assert_eq!(limiter.open_from(), at(40_040));
    assert_eq!(limiter.interval(at(40_030)), limiter.interval(at(10_040)));
}

#[test]
fn a_penalty_holds_everything_back() {
    let mut limiter = running(log());
    limiter.penalize(at(50_000));
    assert_eq!(limiter.due(at(10_000)), Due::At(at(50_000)));
    assert_eq!(limiter.due(at(50_000)), Due::Now);
}

#[test]
fn a_new_quota_counts_earlier_departures_and_is_spaced_from_the_last() {
    let mut limiter = running(log());
    let departure = limiter.depart(at(10_000));
    let lost = limiter.depart(at(10_100));
    limiter.abandon(lost, at(10_200));
    let four = Quota::new(4, Duration::from_secs(10)).unwrap();
    limiter.set_quota(four, at(10_300));
    assert_eq!((limiter.quota(), limiter.in_flight()), (&four, 1));
    assert_eq!(limiter.counted(at(10_300)), 2);
    assert_eq!(
        limiter.due(at(10_300)),
        Due::At(at(10_100) + four.spacing())
    );
    limiter.answer(departure, at(10_300), Feedback::Accepted);
    // The other one departed at 10.1 s, arrives within a second, and counts for 10 s.
    assert_eq!(limiter.counted(at(21_100)), 1);
    assert_eq!(limiter.counted(at(21_160)), 0);
}

/// A departure of the last minute does not count in a limit per second, though the limit per minute
/// remembers it.
#[test]
fn each_limit_of_another_quota_counts_its_own_window() {
    let minute = Quota::new(1_000, Duration::from_secs(60)).unwrap();
    let both = log().and(minute.model(Model::SlidingLog).unwrap()).unwrap();
    let mut limiter = running(both);
    assert_eq!(depart_until(&mut limiter, 1, at(15_000)), 84);
    limiter.set_quota(both.max_transit(Duration::from_secs(2)), at(17_000));
    assert_eq!(limiter.counted(at(17_000)), 0);
    assert_eq!(limiter.due(at(17_000)), Due::Now);
    assert_eq!(limiter.limits[1].window.held(at(17_000)), 84);
}

#[test]
fn an_answer_after_a_change_to_a_smaller_quota_ends_the_whole_cost() {
    let mut limiter = running(log());
    let departure = limiter.depart_with(Cost::of(50), at(10_000));
    limiter.set_quota(Quota::per_second(10), at(10_000));
    assert_eq!(limiter.counted(at(10_500)), 50);
    limiter.answer(departure, at(13_000), Feedback::Accepted);
    assert_eq!(limiter.in_flight(), 0);
}

#[test]
fn requests_of_an_allowance_depart_10_ms_apart() {
    let mut limiter = running(Quota::per_hour(5_000));
    let departure = limiter.depart(at(10_000));
    let answer = stated(50, 1_200);
    limiter.answer_with(departure, at(10_010), Feedback::Accepted, &answer);
    let departure = limiter.depart(at(10_030));
    limiter.answer(departure, at(10_031), Feedback::Accepted);
    assert_eq!(limiter.due(at(10_031)), Due::At(at(10_040)));
    assert_eq!(limiter.due(at(10_040)), Due::Now);
}

#[test]
fn the_unproven_load_counts_as_if_it_arrived_with_the_proof() {
    let mut limiter = learned(log());
    let departed: Vec<_> = (0..5).map(|_| limiter.depart(at(600_000))).collect();
    limiter.answer(departed[4], at(600_700), Feedback::Accepted);
    // Four more than may arrive at once, less a round trip of 5 ms and a jitter of 2 ms.
    let busy = log().spacing() * 4 - Duration::from_millis(7);
    assert_eq!(limiter.due(at(600_700)), Due::At(at(600_700) + busy));
}

/// A request that departs late keeps its planned time, also after its answer.
#[test]
fn a_proof_without_other_unproven_requests_postpones_nothing() {
    let mut limiter = learned(log());
    for now in [600_000, 600_005] {
        assert_eq!(limiter.due(at(now)), Due::Now);
        let departure = limiter.depart(at(now));
        limiter.answer(departure, at(now), Feedback::Accepted);
    }
    assert_eq!(limiter.due(at(600_006)), Due::Now);
}

#[test]
fn a_request_that_counts_until_its_answer_makes_room_after_it_is_abandoned() {
    let mut limiter = running(Quota::per_second(1).counted_until_answered());
    let departure = limiter.depart(at(10_000));
    assert_eq!(limiter.due(at(60_000)), Due::OnAnswer);
    limiter.abandon(departure, at(60_000));
    let Due::At(due) = limiter.due(at(60_000)) else {
        panic!("it may still arrive")
    };
    assert!(due > at(61_000), "{due:?}");
    assert_eq!(limiter.due(at(62_020)), Due::Now);
}

#[test]
fn a_settled_cost_changes_slots_and_pace_by_the_difference() {
    let mut limiter = running(log());
    let (spacing, late) = (log().spacing(), Duration::from_millis(20));
    let mut departure = limiter.depart_with(Cost::of(40), at(10_000));
    for cost in [5, 70, 70, 69] {
        departure = limiter.settle(departure, Cost::of(cost), at(10_000));
        assert_eq!(limiter.counted(at(10_000)), cost.into());
        assert_eq!(limiter.in_flight(), cost.into());
        let next = at(10_000) + spacing * cost - late;
        assert_eq!(limiter.due(at(10_000)), Due::At(next), "{cost}");
    }
    limiter.answer(departure, at(10_000), Feedback::Accepted);
    assert_eq!((limiter.in_flight(), limiter.counted(at(10_000))), (0, 69));
}

#[test]
fn a_cost_that_is_settled_after_the_answer_changes_slots_and_pace_until_the_server_forgets_it() {
    let mut limiter = running(log());
    let (spacing, late) = (log().spacing(), Duration::from_millis(20));
    let departure = limiter.depart_with(Cost::of(40), at(10_000));
    limiter.answer(departure, at(10_000), Feedback::Accepted);
    let mut settled = departure;
    for cost in [5, 70, 70, 69] {
        limiter.settle_answered(&mut settled, at(10_000), Cost::of(cost), at(10_000));
        assert_eq!(settled.cost(), Cost::of(cost));
        assert_eq!(limiter.counted(at(10_000)), cost.into());
        assert_eq!(limiter.in_flight(), 0);
        let next = at(10_000) + spacing * cost - late;
        assert_eq!(limiter.due(at(10_000)), Due::At(next), "{cost}");
    }
    assert_eq!(limiter.shared.path.unproven(), Load::default());
    let forgotten = at(10_000) + Duration::from_micros(2_001_500);
    assert_eq!(limiter.counted(forgotten), 0);
    limiter.settle_answered(&mut settled, at(10_000), Cost::of(100), forgotten);
    assert_eq!(limiter.due(forgotten), Due::Now);
    assert_eq!(limiter.counted(forgotten), 0);
}

/// Settles a cost of 40 after an answer at `answered`, and checks when its slots are freed.
#[track_caller]
fn check_settled(quota: Quota, answered: u64, is_proof: bool, freed: u64) {
    let mut limiter = running(quota);
    let departure = limiter.depart_with(Cost::of(40), at(10_000));
    if !is_proof {
        let later = limiter.depart(at(10_450));
        limiter.answer(later, at(10_450), Feedback::Accepted);
    }
    limiter.answer(departure, at(answered), Feedback::Accepted);
    let now = at(answered + 10);
    let mut settled = departure;
    limiter.settle_answered(&mut settled, at(answered), Cost::of(5), now);
    assert_eq!(limiter.counted(now), 5);
    limiter.settle_answered(&mut settled, at(answered), Cost::of(60), now);
    assert_eq!(limiter.counted(now), 60);
    assert!(limiter.counted(at(freed)) >= 60);
    assert_eq!(limiter.counted(at(freed + 20)), 0);
}

#[test]
fn a_settled_cost_has_the_slots_of_its_answer_or_of_its_departure() {
    check_settled(log(), 10_300, true, 11_300);
    check_settled(log(), 11_500, true, 12_500);
    check_settled(log(), 11_500, false, 12_000);
    check_settled(log().counted_until_answered(), 10_300, true, 11_300);
}

/// The first answer ends the silence, and its slots are held with those of the other request.
#[test]
fn a_lower_cost_after_a_silence_releases_no_slot_of_another_request() {
    let mut limiter = running(log());
    let mut first = limiter.depart_with(Cost::of(10), at(10_000));
    let mut proof = limiter.depart_with(Cost::of(20), at(10_000));
    limiter.answer(proof, at(11_500), Feedback::Accepted);
    limiter.answer(first, at(11_600), Feedback::Accepted);
    let mut other = limiter.depart_with(Cost::of(30), at(11_600));
    limiter.answer(other, at(11_600), Feedback::Accepted);
    assert_eq!(limiter.counted(at(11_610)), 60);
    limiter.settle_answered(&mut first, at(11_600), Cost::ONE, at(11_610));
    assert_eq!(limiter.counted(at(11_610)), 60, "its slots were moved");
    limiter.settle_answered(&mut proof, at(11_500), Cost::ONE, at(11_610));
    assert_eq!(limiter.counted(at(11_610)), 41);
    limiter.set_quota(Quota::per_second(99), at(11_610));
    limiter.settle_answered(&mut other, at(11_600), Cost::ONE, at(11_620));
    assert_eq!(limiter.counted(at(11_620)), 41, "the quota has changed");
}

#[test]
fn a_higher_cost_of_an_answered_request_is_not_unproven() {
    let mut limiter = running(log());
    let mut answered = limiter.depart(at(10_000));
    limiter.answer(answered, at(10_000), Feedback::Accepted);
    let in_flight = limiter.depart_with(Cost::of(3), at(10_020));
    limiter.settle_answered(&mut answered, at(10_000), Cost::of(50), at(10_030));
    assert_eq!(
        limiter.shared.path.unproven(),
        Load {
            requests: 1,
            cost: 3
        }
    );
    limiter.answer(in_flight, at(10_040), Feedback::Accepted);
}

#[test]
fn a_statement_belongs_to_the_limit_of_its_unit() {
    let quota = Quota::per_minute(500).by_request();
    let mut limiter = running(quota.and(Quota::per_minute(30_000)).unwrap());
    let of = |limit, remaining, unit| StatedLimit {
        limit: Some(limit),
        remaining,
        reset: Duration::from_secs(30),
        unit: Some(unit),
    };
    let departure = limiter.depart(at(10_000));
    let stated = [
        of(600, 599, StatedUnit::Requests),
        of(20_000, 7, StatedUnit::Cost),
    ];
    limiter.answer_with(departure, at(10_010), Feedback::Accepted, &stated);
    assert!(limiter.limits.iter().all(LimitState::allowance_is_open));
    assert_eq!(limiter.closed_until(), Moment::ORIGIN, "requests remain");
    assert!(limiter.hold(Cost::of(7), at(11_100)).is_none());
    let hold = limiter.hold(Cost::of(8), at(11_100)).expect("7 remain");
    assert_eq!(hold.by, HoldCause::Allowance);
    // A quota that counts no tokens ignores them.
    let mut limiter = running(quota);
    let departure = limiter.depart(at(10_000));
    limiter.answer_with(departure, at(10_010), Feedback::Accepted, &stated[1..]);
    assert!(!limiter.limits[0].allowance_is_open());
}

#[test]
fn after_a_reset_only_the_requests_in_flight_count() {
    let day = Duration::from_secs(86_400);
    let quota = Quota::new(10, day).and_then(|quota| quota.model(Model::FixedWindow));
    let quota = quota.and_then(|quota| quota.burst(10)).unwrap();
    for quota in [quota, quota.counted_until_answered()] {
        let mut limiter = running(quota);
        let departed: Vec<_> = (0..10)
            .map(|n| limiter.depart(at(90_000_000 + n)))
            .collect();
        for &departure in &departed[..7] {
            limiter.answer(departure, at(90_000_100), Feedback::Accepted);
        }
        assert_ne!(limiter.due(at(90_001_000)), Due::Now);
        limiter.record_reset(at(90_001_000));
        assert_eq!(limiter.counted(at(90_001_000)), 3);
        for _ in 0..3 {
            assert_eq!(limiter.due(at(90_001_000)), Due::Now);
            let _counted = limiter.depart(at(90_001_000));
        }
        limiter.answer(departed[7], at(90_001_010), Feedback::Accepted);
        assert!(limiter.counted(at(90_001_010)) >= 6, "it may count now");
        let mut early = departed[0];
        limiter.settle_answered(&mut early, at(90_000_100), Cost::ONE, at(90_001_020));
        limiter.refund(departed[8]);
        assert!(limiter.counted(at(90_001_020)) >= 5);
    }
}

#[test]
fn a_reset_forgets_what_was_stated_and_keeps_a_closed_gate() {
    let mut limiter = running(Quota::per_hour(5_000));
    let departure = limiter.depart(at(10_000));
    limiter.answer_with(departure, at(10_010), Feedback::Accepted, &stated(0, 1_200));
    assert_eq!(limiter.closed_until(), at(1_210_010));
    limiter.penalize(at(20_000));
    limiter.record_reset(at(15_000));
    assert_eq!(limiter.due(at(15_000)), Due::At(at(20_000)));
    assert_eq!(limiter.due(at(20_000)), Due::Now);
}

#[test]
fn a_limiter_is_as_new_once_nothing_counts() {
    let mut limiter = running(Quota::per_hour(1_000));
    assert!(limiter.is_as_new(at(5_000)));
    let departure = limiter.depart(at(10_000));
    assert!(!limiter.is_as_new(at(90_000_000)), "it is in flight");
    let answer = stated(10, 3_602);
    limiter.answer_with(departure, at(10_010), Feedback::Accepted, &answer);
    assert!(!limiter.is_as_new(at(3_611_800)), "it still counts");
    assert_eq!(limiter.counted(at(3_612_500)), 0);
    assert!(
        !limiter.is_as_new(at(3_612_500)),
        "a stated limit is in force"
    );
    assert!(limiter.is_as_new(at(3_613_010)));
    let departure = limiter.depart(at(4_000_000));
    limiter.answer(departure, at(4_000_010), Feedback::Accepted);
    assert!(!limiter.is_as_new(at(4_000_020)));
}

#[test]
fn a_lowered_rate_remembers_heavy_requests_for_longer() {
    let mut limiter = running(log());
    let departure = limiter.depart(at(200_000));
    let hint = Some(Duration::from_millis(1));
    limiter.answer(departure, at(200_000), Feedback::Throttled(hint));
    let next = interval_after(&mut limiter, 90, at(200_100));
    assert!(next > log().counted_window(), "{next:?}");
}

#[test]
fn a_new_quota_continues_the_limit_with_the_same_unit() {
    let mut limiter = running(of_requests_and_records());
    let _departure = limiter.depart_with(Cost::of(50), at(10_000));
    limiter.set_quota(log(), at(10_001));
    assert_eq!(limiter.counted(at(10_001)), 50);
}

#[test]
fn an_allowance_is_kept_by_a_change_that_keeps_its_limit() {
    let hourly = |limit| Quota::per_hour(limit).burst(1).unwrap();
    let mut limiter = running(hourly(5_000));
    let departure = limiter.depart(at(10_000));
    let answer = stated(50, 1_200);
    limiter.answer_with(departure, at(10_010), Feedback::Accepted, &answer);
    limiter.set_quota(
        hourly(5_000).max_transit(Duration::from_secs(2)),
        at(10_020),
    );
    assert!(limiter.limits[0].allowance_is_open());
    limiter.set_quota(hourly(4_000), at(10_030));
    assert!(!limiter.limits[0].allowance_is_open());
    // For a window after the change the pace decides at the reset, and no request probes it.
    let departure = limiter.depart(at(20_000));
    let answer = stated(1_000, 0);
    limiter.answer_with(departure, at(20_010), Feedback::Accepted, &answer);
    assert!(limiter.limits[0].allowance_is_open());
    assert_eq!(limiter.due(at(20_020)), Due::At(at(21_010)));
    assert_eq!(limiter.due(at(21_010)), Due::Now);
}

#[test]
fn a_heavy_request_asks_again_when_the_start_is_over() {
    let (size, refill) = (100, 100);
    let bucket = Model::TokenBucket { size, refill };
    let quota = Quota::per_second(100).model(bucket).unwrap();
    let mut limiter = running(quota);
    let _departure = limiter.depart(at(20));
    let over = at(100) + quota.counted_window();
    let until =
        |limiter: &mut Limiter, now| limiter.hold(Cost::of(100), now).and_then(|hold| hold.until);
    assert_eq!(until(&mut limiter, at(100)), Some(over));
    assert!(until(&mut limiter, over) > Some(over));
}

#[test]
fn an_allowance_excludes_the_load_that_was_unanswered_before_its_answer() {
    let mut limiter = running(Quota::per_hour(5_000));
    let _unanswered = limiter.depart(at(10_000));
    let departure = limiter.depart(at(10_010));
    let answer = stated(10, 1_200);
    limiter.answer_with(departure, at(10_020), Feedback::Accepted, &answer);
    assert_eq!(limiter.hold(Cost::of(9), at(12_000)), None);
    let hold = limiter.hold(Cost::of(10), at(12_000)).expect("9 are left");
    assert_eq!(hold.by, HoldCause::Allowance);
}

/// The end of any request may end a hold of the cap. One end wakes the waiters, and later ones do
/// not.
#[test]
fn the_next_end_wakes_waiters_that_the_cap_holds_back() {
    let mut limiter = running(log());
    let mut departed = Vec::new();
    let mut now = at(10_000);
    while limiter
        .hold(Cost::ONE, now)
        .is_none_or(|hold| hold.by != HoldCause::Cap)
    {
        match limiter.due(now) {
            Due::At(due) => now = due,
            _ => departed.push(limiter.depart(now)),
        }
    }
    assert!(limiter.abandon(departed[0], now));
    assert!(!limiter.abandon(departed[1], now));
    assert_ne!(limiter.due(now), Due::Now);
    assert!(limiter.answer_from_gateway(departed[2], now, None));
    assert!(!limiter.answer_from_gateway(departed[3], now, None));
}

#[test]
fn the_answer_to_a_probe_opens_the_next_window_for_the_waiters() {
    let mut limiter = running(Quota::per_hour(5_000).burst(1).unwrap());
    let departure = limiter.depart(at(10_000));
    let answer = stated(0, 10);
    assert!(limiter.answer_with(departure, at(10_010), Feedback::Accepted, &answer));
    assert_eq!(limiter.due(at(10_020)), Due::At(at(21_010)));
    let Due::At(probe) = limiter.due(at(21_010)) else {
        panic!("the probe waits for room")
    };
    assert_eq!(limiter.due(probe), Due::Now);
    let departure = limiter.depart(probe);
    assert_eq!(limiter.due(probe), Due::At(probe + Duration::from_secs(5)));
    let answer = stated(4_999, 3_600);
    let now = probe + Duration::from_millis(10);
    assert!(limiter.answer_with(departure, now, Feedback::Accepted, &answer));
    assert_eq!(limiter.due(now), Due::Now);
}

#[test]
fn a_cost_that_was_settled_higher_is_proven_by_its_answer() {
    let mut limiter = running(log());
    let departure = limiter.depart_with(Cost::of(10), at(10_000));
    let departure = limiter.settle(departure, Cost::of(40), at(10_010));
    assert_eq!(limiter.shared.path.unproven().cost, 40);
    limiter.answer(departure, at(10_020), Feedback::Accepted);
    assert_eq!(limiter.shared.path.unproven(), Load::default());
}

#[test]
fn a_limiter_that_has_started_ignores_unused_at_start_of_a_new_quota() {
    let unused = log().burst(50).unwrap().unused_at_start();
    let mut fresh = Limiter::new(log());
    fresh.set_quota(unused, at(10_000));
    assert_eq!(fresh.due(at(10_000)), Due::Now);
    let mut started = running(log());
    started.set_quota(unused, at(10_000));
    assert_ne!(started.due(at(10_000)), Due::Now);
}

#[test]
fn a_limiter_with_a_closed_gate_or_a_lowered_rate_is_not_as_new() {
    let mut limiter = running(log());
    limiter.penalize(at(20_000));
    assert_eq!(limiter.closed_until(), at(20_000));
    assert!(!limiter.is_as_new(at(19_999)) && limiter.is_as_new(at(20_000)));
    let departure = limiter.depart(at(30_000));
    let hint = Some(Duration::from_millis(1));
    limiter.answer(departure, at(30_000), Feedback::Throttled(hint));
    assert!(!limiter.is_as_new(at(35_000)), "the rate is lowered");
    assert!(limiter.is_as_new(at(100_000)));
}

#[test]
fn other_clients_can_use_up_a_limit_until_a_new_window_is_stated() {
    let mut limiter = running(log());
    let mut state = |remaining, reset, now| {
        let departure = limiter.depart(at(now));
        let stated_limit = StatedLimit {
            limit: Some(100),
            remaining,
            reset: Duration::from_secs(reset),
            unit: None,
        };
        let is_sooner =
            limiter.answer_with(departure, at(now), Feedback::Accepted, &[stated_limit]);
        (is_sooner, limiter.closed_until())
    };
    assert_eq!(state(50, 30, 10_000), (false, Moment::ORIGIN));
    assert_eq!(state(0, 30, 11_000), (false, at(41_000)));
    assert_eq!(state(50, 60, 12_000), (true, Moment::ORIGIN));
}

#[test]
fn a_throttled_response_waits_for_the_reset_if_it_lies_in_the_window_and_nothing_remains() {
    fn check(remaining: u64, reset: u64, closed: Duration) {
        let quota = Quota::per_minute(100);
        let mut limiter = running(quota);
        let departure = limiter.depart(at(10_000));
        let stated_limit = StatedLimit {
            limit: None,
            remaining,
            reset: Duration::from_secs(reset),
            unit: None,
        };
        let feedback = Feedback::Throttled(None);
        limiter.answer_with(departure, at(10_000), feedback, &[stated_limit]);
        assert_eq!(limiter.open_from().since(at(10_000)), closed, "{reset}");
    }
    let pause = Quota::per_minute(100).counted_window() + Duration::from_millis(100);
    check(0, 7, Duration::from_secs(8));
    check(1, 7, pause);
    check(0, 61, Duration::from_secs(62));
    check(0, 62, pause);
}

fn unanswered(limiter: &mut Limiter, now: u64) -> (u64, u64) {
    let unanswered = limiter.at(at(now)).0.unanswered();
    (unanswered.requests, unanswered.cost)
}

#[test]
fn an_unanswered_request_counts_for_the_transit_at_its_settled_cost() {
    let mut limiter = running(Quota::per_hour(5_000));
    let departure = limiter.depart_with(Cost::of(10), at(10_000));
    let lower = limiter.settle(departure, Cost::of(4), at(10_100));
    assert_eq!(unanswered(&mut limiter, 10_100), (1, 4));
    let higher = limiter.settle(lower, Cost::of(7), at(10_200));
    assert_eq!(unanswered(&mut limiter, 10_999), (1, 7));
    assert_eq!(unanswered(&mut limiter, 11_004), (0, 0));
    limiter.answer(higher, at(12_000), Feedback::Accepted);
    for nanos in 0..100_000 {
        let now = at(20_000) + Duration::from_nanos(nanos * 50_000);
        let _unanswered = limiter.depart(now);
    }
    let known = limiter
        .shared
        .unanswered
        .as_ref()
        .expect("the window is long");
    assert!(known.requests.len() <= 258 && known.cost.len() <= 258);
}

#[test]
fn after_a_change_of_the_transit_the_load_in_flight_counts_from_then_on() {
    for (transit, until) in [(1, 11_004), (5, 15_520)] {
        let mut limiter = running(Quota::per_hour(5_000));
        let _unanswered = limiter.depart(at(10_000));
        let quota = Quota::per_hour(4_000).max_transit(Duration::from_secs(transit));
        limiter.set_quota(quota, at(10_500));
        assert_eq!(unanswered(&mut limiter, until - 20), (1, 1), "{transit}");
        assert_eq!(unanswered(&mut limiter, until), (0, 0), "{transit}");
    }
}

#[test]
fn the_longest_of_several_holds_is_returned() {
    let mut limiter = running(Quota::per_second(10).model(Model::SlidingLog).unwrap());
    let mut now = at(10_000);
    for _ in 0..10 {
        if let Due::At(due) = limiter.due(now) {
            now = due;
        }
        let departure = limiter.depart(now);
        limiter.answer(departure, now, Feedback::Accepted);
    }
    // The pace alone allows a departure 100 ms after the tenth, 20 ms before the first slot is
    // freed.
    let until = Some(at(10_000) + Duration::from_micros(1_001_500));
    let by = HoldCause::Window;
    assert_eq!(limiter.hold(Cost::ONE, now), Some(Hold { by, until }));
}

#[test]
fn a_lower_assumed_jitter_wakes_the_waiters() {
    let mut limiter = running(Quota::per_second(100));
    for reply in 1..=5_000 {
        let now = at(reply * 100);
        let departure = limiter.depart(now);
        let is_sooner = limiter.answer(departure, now, Feedback::Accepted);
        assert_eq!(is_sooner, reply == 5_000, "{reply}");
    }
}

/// A step in the life of a limiter. An index chooses one of the requests in flight.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    /// A departure, now or when it is due.
    Depart(u32, bool),
    Answer(usize, Feedback, Option<StatedLimit>),
    Abandon(usize),
    Refund(usize),
    Settle(usize, u32),
}

fn quotas() -> impl Strategy<Value = Quota> {
    let second = Quota::per_second(100);
    let bucket = Model::TokenBucket {
        size: 40,
        refill: 80,
    };
    prop_oneof![
        Just(second),
        Just(second.burst(20).unwrap()),
        Just(log()),
        Just(log().counted_until_answered()),
        Just(log().unused_at_start()),
        Just(second.model(bucket).unwrap()),
        Just(Quota::new(600, Duration::from_secs(60)).unwrap()),
        Just(of_requests_and_records()),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let cost = || prop_oneof![4 => Just(1), 1 => 2_u32..120];
    let feedback = prop_oneof![
        8 => Just(Feedback::Accepted),
        1 => Just(Feedback::Failed),
        1 => Just(Feedback::Throttled(None)),
        1 => Just(Feedback::Throttled(Some(Duration::from_secs(1)))),
    ];
    let stated_limit = (0_u64..700, 0_u64..70).prop_map(|(remaining, reset)| StatedLimit {
        limit: Some(600),
        remaining,
        reset: Duration::from_secs(reset),
        unit: None,
    });
    let stated_limit = prop_oneof![3 => Just(None), 1 => stated_limit.prop_map(Some)];
    let step = prop_oneof![
        3 => (0_u64..50_000_000).prop_map(Step::Wait),
        1 => (0_u64..5_000_000_000).prop_map(Step::Wait),
        9 => (cost(), any::<bool>()).prop_map(|(cost, waits)| Step::Depart(cost, waits)),
        8 => (any::<usize>(), feedback, stated_limit).prop_map(|(index, feedback, stated_limit)| {
            Step::Answer(index, feedback, stated_limit)
        }),
        1 => any::<usize>().prop_map(Step::Abandon),
        1 => any::<usize>().prop_map(Step::Refund),
        1 => (any::<usize>(), cost()).prop_map(|(index, cost)| Step::Settle(index, cost)),
    ];
    prop::collection::vec(step, 1..300)
}

/// Departs with one call, and asserts that a question and a departure have the same effect on a
/// clone.
fn try_depart(limiter: &mut Limiter, cost: Cost, now: Moment) -> Result<Departure, Hold> {
    let mut other = limiter.clone();
    let expected = match other.hold(cost, now) {
        Some(hold) => Err(hold),
        None => Ok(other.depart_with(cost, now)),
    };
    let departed = limiter.try_depart(cost, now);
    assert_eq!(departed, expected);
    assert_eq!(format!("{limiter:?}"), format!("{other:?}"));
    departed
}

proptest! {
    #[test]
    fn one_call_does_the_same_as_a_question_and_a_departure(quota in quotas(), steps in steps()) {
        let (mut limiter, mut now, mut in_flight) = (Limiter::new(quota), at(0), Vec::new());
        for step in steps {
            let count = in_flight.len();
            match step {
                Step::Wait(nanos) => now = now + Duration::from_nanos(nanos),
                Step::Depart(cost, waits) => {
                    let mut departed = try_depart(&mut limiter, Cost::of(cost), now);
                    if let (Err(Hold { until: Some(until), .. }), true) = (departed, waits) {
                        now = until;
                        departed = try_depart(&mut limiter, Cost::of(cost), now);
                    }
                    in_flight.extend(departed);
                }
                _ if count == 0 => {}
                Step::Answer(index, feedback, stated_limit) => {
                    let departure = in_flight.remove(index % count);
                    limiter.answer_with(departure, now, feedback, stated_limit.as_slice());
                }
                Step::Abandon(index) => {
                    limiter.abandon(in_flight.remove(index % count), now);
                }
                Step::Refund(index) => limiter.refund(in_flight.remove(index % count)),
                Step::Settle(index, cost) => {
                    let departure = &mut in_flight[index % count];
                    *departure = limiter.settle(*departure, Cost::of(cost), now);
                }
            }
        }
    }
}
