//! The promises that must hold after every run.

use std::collections::HashMap;
use std::time::Duration;

use customerio::Outcome;
use tokio::time::Instant;

use crate::calls::Record;
use crate::case::Run;
use crate::wire::Attempt;

/// Whatever the faults were: the limit held, and nothing was lost or applied twice.
pub(crate) fn safety(run: &Run) {
    the_limit_held(run);
    nothing_departed_while_the_gate_was_closed(run);
    no_unreplayable_request_was_repeated(run);
    every_outcome_is_true(run);
    every_event_counts_once(run);
}

fn the_limit_held(run: &Run) {
    let (totals, seed) = (run.simulator.totals(), run.seed);
    let limit = u64::from(run.quota.limit());
    assert!(
        totals.busiest_window <= limit,
        "SEED={seed}: {} in a window of {limit}",
        totals.busiest_window
    );
    assert!(
        totals.throttled <= run.scripted_429s,
        "SEED={seed}: {} throttled by the limit",
        totals.throttled
    );
}

fn nothing_departed_while_the_gate_was_closed(run: &Run) {
    for (closed, opens) in run.wire.iter().filter_map(Attempt::gate) {
        let early = run
            .wire
            .iter()
            .find(|attempt| attempt.sent > closed && attempt.sent < opens);
        assert!(
            early.is_none(),
            "SEED={}: {early:?} departed while the gate was closed",
            run.seed
        );
    }
}

/// Returns the attempts at each request, in order.
fn attempts(run: &Run) -> Vec<Vec<&Attempt>> {
    let mut attempts: HashMap<_, Vec<&Attempt>> = HashMap::new();
    for attempt in &run.wire {
        attempts.entry(&attempt.request).or_default().push(attempt);
    }
    attempts.into_values().collect()
}

fn no_unreplayable_request_was_repeated(run: &Run) {
    for sent in attempts(run).iter().filter(|sent| !sent[0].may_replay) {
        let (_, earlier) = sent.split_last().expect("every entry has an attempt");
        let all_throttled = earlier.iter().all(|attempt| attempt.was_throttled());
        assert!(all_throttled, "SEED={}: {sent:?}", run.seed);
    }
}

fn every_outcome_is_true(run: &Run) {
    for (record, outcome) in &run.settled {
        let exists = match record {
            Record::Person(id) => run.simulator.person(id).is_some(),
            Record::Event(id) => run.simulator.event(id).is_some(),
            Record::EventWithoutId => continue,
        };
        let seed = run.seed;
        match outcome {
            Outcome::Accepted => {
                assert!(exists, "SEED={seed}: accepted without a record: {record:?}")
            }
            Outcome::Rejected(_) | Outcome::NotSent(_) => {
                assert!(
                    !exists,
                    "SEED={seed}: {outcome:?} with a record: {record:?}"
                );
            }
            Outcome::Unknown(_) => {}
        }
    }
}

/// An event is recorded once, however often its request was sent.
fn every_event_counts_once(run: &Run) {
    let without_id = |accepted: fn(&Outcome) -> bool| {
        let events = run
            .settled
            .iter()
            .filter(|(record, _)| matches!(record, Record::EventWithoutId));
        events.filter(|(_, outcome)| accepted(outcome)).count() as u64
    };
    let recorded = run.settled.iter().filter(|(record, _)| match record {
        Record::Event(id) => run.simulator.event(id).is_some(),
        Record::Person(_) | Record::EventWithoutId => false,
    });
    let events = run.simulator.totals().events;
    let least = recorded.count() as u64 + without_id(Outcome::is_accepted);
    assert!(
        events >= least,
        "SEED={}: {events} events, at least {least} expected",
        run.seed
    );
    if run.given_up.is_empty() {
        let most = run
            .settled
            .iter()
            .filter(|(record, _)| matches!(record, Record::Event(_)))
            .count() as u64
            + without_id(Outcome::may_have_been_applied);
        assert!(
            events <= most,
            "SEED={}: {events} events, at most {most} expected",
            run.seed
        );
    }
}

/// After the last fault, the remaining requests end in the time that the rate in force allows.
pub(crate) fn liveness(run: &Run) {
    let quiet_from = last_fault(run);
    let remaining = run
        .wire
        .iter()
        .filter(|attempt| attempt.sent >= quiet_from)
        .count() as u32;
    let allowed = interval(run).mul_f64(1.05) * (remaining + 1) + longest_pause(run);
    let needed = run.end - quiet_from;
    assert!(
        needed <= allowed,
        "SEED={}: {remaining} in {needed:?}, {allowed:?} allowed",
        run.seed
    );
    every_replayable_request_had_all_its_attempts(run);
}

/// A replayable request that failed had four attempts. Throttled attempts do not count.
fn every_replayable_request_had_all_its_attempts(run: &Run) {
    for sent in attempts(run).iter().filter(|sent| sent[0].may_replay) {
        let (last, given_up) = (
            sent[sent.len() - 1],
            run.given_up.contains(&sent[0].request.2),
        );
        let counted = sent
            .iter()
            .filter(|attempt| !attempt.was_throttled())
            .count();
        assert!(
            !last.failed() || given_up || counted == 4,
            "SEED={}: {sent:?}",
            run.seed
        );
    }
}

fn last_fault(run: &Run) -> Instant {
    let faults = run.wire.iter().filter(|attempt| attempt.failed());
    let start = run.wire.first().map_or(run.end, |first| first.sent);
    faults.filter_map(Attempt::ended).fold(start, Instant::max)
}

/// Returns the longest interval between departures: by spacing, window and concurrency, at the
/// lowest rate that recovery had.
fn interval(run: &Run) -> Duration {
    let closings = run.wire.iter().filter_map(Attempt::gate).count() as i32;
    // The first throttled response leaves 0.8 of the rate, and each further one 0.7 of the rest if
    // it soon follows. The floor is 0.05. The climb between them is ignored: it only shortens the
    // time.
    let share = if closings == 0 {
        1.0
    } else {
        (0.8 * 0.7_f64.powi(closings - 1)).max(0.05)
    };
    let window = (run.quota.counted_window() + run.round_trip) / run.quota.limit();
    let permits = run.round_trip / u32::try_from(run.concurrency).expect("a small number");
    run.quota.spacing().div_f64(share).max(window).max(permits)
}

/// Returns the longest possible pause: a closed gate, a backoff, the transit of an abandoned
/// request, a window and a round trip, one after the other.
fn longest_pause(run: &Run) -> Duration {
    let gates = run
        .wire
        .iter()
        .filter_map(Attempt::gate)
        .map(|(from, to)| to - from);
    let gate = gates.max().unwrap_or_default().mul_f64(1.1);
    let (backoff, transit) = (Duration::from_secs(10), Duration::from_secs(1));
    gate + backoff + transit + run.quota.counted_window() + run.round_trip
}
