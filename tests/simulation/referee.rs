//! What must hold in every world.

use std::collections::HashMap;
use std::time::Duration;

use customerio::Outcome;
use tokio::time::Instant;

use crate::plan::Mark;
use crate::wire::Attempt;
use crate::world::World;

/// Nothing forbidden has happened, whatever the faults were.
pub(crate) fn safety(world: &World) {
    the_limit_held(world);
    nobody_left_during_a_hold(world);
    nothing_was_repeated_that_must_not_be(world);
    every_outcome_is_true(world);
    every_event_counts_once(world);
}

fn the_limit_held(world: &World) {
    let (books, seed) = (world.simulator.books(), world.seed);
    let limit = u64::from(world.quota.limit());
    assert!(
        books.busiest_window <= limit,
        "SEED={seed}: {} in a window of {limit}",
        books.busiest_window
    );
    assert!(
        books.throttled <= world.scripted,
        "SEED={seed}: {} refused by the limit",
        books.throttled
    );
}

fn nobody_left_during_a_hold(world: &World) {
    for (closed, opens) in world.wire.iter().filter_map(Attempt::hold) {
        let early = world
            .wire
            .iter()
            .find(|attempt| attempt.sent > closed && attempt.sent < opens);
        assert!(
            early.is_none(),
            "SEED={}: {early:?} left during a hold",
            world.seed
        );
    }
}

/// The attempts at each request, in their order.
fn attempts(world: &World) -> Vec<Vec<&Attempt>> {
    let mut attempts: HashMap<_, Vec<&Attempt>> = HashMap::new();
    for attempt in &world.wire {
        attempts.entry(&attempt.request).or_default().push(attempt);
    }
    attempts.into_values().collect()
}

fn nothing_was_repeated_that_must_not_be(world: &World) {
    for sent in attempts(world).iter().filter(|sent| !sent[0].may_replay) {
        let (_, earlier) = sent.split_last().expect("every entry has an attempt");
        let all_refused = earlier.iter().all(|attempt| attempt.was_refused());
        assert!(all_refused, "SEED={}: {sent:?}", world.seed);
    }
}

fn every_outcome_is_true(world: &World) {
    for (mark, outcome) in &world.settled {
        let known = match mark {
            Mark::Person(id) => world.simulator.person(id).is_some(),
            Mark::Event(id) => world.simulator.event(id).is_some(),
            Mark::Unrepeatable => continue,
        };
        let seed = world.seed;
        match outcome {
            Outcome::Accepted => assert!(
                known,
                "SEED={seed}: accepted and not in the books: {mark:?}"
            ),
            Outcome::Rejected(_) | Outcome::NotSent(_) => {
                assert!(
                    !known,
                    "SEED={seed}: {outcome:?}, and in the books: {mark:?}"
                );
            }
            Outcome::Unknown(_) => {}
        }
    }
}

/// An event is in the books once, however often its request was sent.
fn every_event_counts_once(world: &World) {
    let unrepeatable = |accepted: fn(&Outcome) -> bool| {
        let events = world
            .settled
            .iter()
            .filter(|(mark, _)| matches!(mark, Mark::Unrepeatable));
        events.filter(|(_, outcome)| accepted(outcome)).count() as u64
    };
    let known = world.settled.iter().filter(|(mark, _)| match mark {
        Mark::Event(id) => world.simulator.event(id).is_some(),
        Mark::Person(_) | Mark::Unrepeatable => false,
    });
    let events = world.simulator.books().events;
    let least = known.count() as u64 + unrepeatable(Outcome::is_accepted);
    assert!(
        events >= least,
        "SEED={}: {events} events, at least {least} expected",
        world.seed
    );
    if world.given_up.is_empty() {
        let most = world
            .settled
            .iter()
            .filter(|(mark, _)| matches!(mark, Mark::Event(_)))
            .count() as u64
            + unrepeatable(Outcome::may_have_been_applied);
        assert!(
            events <= most,
            "SEED={}: {events} events, at most {most} expected",
            world.seed
        );
    }
}

/// After the last fault everything is done in the time that the rate in force allows.
pub(crate) fn liveness(world: &World) {
    let calm = last_fault(world);
    let remaining = world
        .wire
        .iter()
        .filter(|attempt| attempt.sent >= calm)
        .count() as u32;
    let allowed = each(world).mul_f64(1.05) * (remaining + 1) + longest_pause(world);
    let needed = world.end - calm;
    assert!(
        needed <= allowed,
        "SEED={}: {remaining} in {needed:?}, {allowed:?} allowed",
        world.seed
    );
    nobody_lost_heart(world);
}

/// What may be sent again was sent four times before it was left at a failure.
fn nobody_lost_heart(world: &World) {
    for sent in attempts(world).iter().filter(|sent| sent[0].may_replay) {
        let (last, given_up) = (
            sent[sent.len() - 1],
            world.given_up.contains(&sent[0].request.2),
        );
        let counted = sent.iter().filter(|attempt| !attempt.was_refused()).count();
        assert!(
            !last.failed() || given_up || counted == 4,
            "SEED={}: {sent:?}",
            world.seed
        );
    }
}

fn last_fault(world: &World) -> Instant {
    let faults = world.wire.iter().filter(|attempt| attempt.failed());
    let start = world.wire.first().map_or(world.end, |first| first.sent);
    faults.filter_map(Attempt::ended).fold(start, Instant::max)
}

/// The time for one departure: what spacing, window and concurrency leave of the limit, at the lowest share in force.
fn each(world: &World) -> Duration {
    let held = world.wire.iter().filter_map(Attempt::hold).count() as i32;
    let share = if held == 0 {
        1.0
    } else {
        (0.8 * 0.7_f64.powi(held - 1)).max(0.05)
    };
    let window = (world.quota.counted_window() + world.round_trip) / world.quota.limit();
    let permits = world.round_trip / u32::try_from(world.concurrency).expect("a small number");
    world
        .quota
        .spacing()
        .div_f64(share)
        .max(window)
        .max(permits)
}

/// The longest hold, backoff, transit of what was given up, and round trip, one after the other.
fn longest_pause(world: &World) -> Duration {
    let holds = world
        .wire
        .iter()
        .filter_map(Attempt::hold)
        .map(|(from, to)| to - from);
    let hold = holds.max().unwrap_or_default().mul_f64(1.1);
    let (backoff, transit) = (Duration::from_secs(10), Duration::from_secs(1));
    hold + backoff + transit + world.quota.counted_window() + world.round_trip
}
