//! The order of each person's operations, whatever the server does.

use std::collections::HashMap;
use std::time::Duration;

use customerio::queue::Queue;
use customerio::{Operation, Outcome};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;

use super::api::{Api, End, Op, Reply, op};
use crate::support::person;

/// Operations in a debug test. `QUEUE_OPERATIONS` sets another number.
const OPERATIONS: u64 = 20_000;

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.replace('_', "").parse().unwrap())
}

/// Draws what happens to a request. One of 1,000 operations is rejected, and one of 20,000 makes
/// the server fail.
fn draw(rng: &mut StdRng, ops: &[Op]) -> Reply {
    let delay = Duration::from_millis(rng.random_range(5..80));
    let reply = match rng.random_range(0..100_u32) {
        0..4 => Reply::end(End::Reset),
        4..8 => Reply::end(End::Reset).applied_except(bad(ops)),
        8..10 => Reply::end(End::Refused),
        10..13 => Reply::of(503, ""),
        13..15 => Reply::of(500, ""),
        15..17 => Reply::of(500, "").applied_except(bad(ops)),
        17..18 => Reply::end(End::Throttle(1)),
        18..20 => Reply::of(413, "{}"),
        _ if ops.iter().any(|op| op.number % 20_000 == 19_999) => Reply::of(500, ""),
        20..60 if ops.len() == 1 && is_bad(&ops[0]) => Reply::of(400, "{}"),
        20..30 if ops.iter().any(is_bad) => Reply::of(400, "{}"),
        _ if ops.len() == 1 && is_bad(&ops[0]) => Reply::of(400, "{}"),
        _ => items(ops),
    };
    reply.after(delay)
}

fn is_bad(op: &Op) -> bool {
    op.number % 1_000 == 999
}

/// Returns the positions of the bad operations. The API applies none of them, also if its response
/// is lost.
fn bad(ops: &[Op]) -> Vec<usize> {
    let bad = ops.iter().enumerate().filter(|(_, op)| is_bad(op));
    bad.map(|(position, _)| position).collect()
}

/// A 207 that rejects the bad operations, or a 200.
fn items(ops: &[Op]) -> Reply {
    let errors: Vec<_> = bad(ops)
        .iter()
        .map(|position| format!(r#"{{"batch_index":{position},"message":"bad"}}"#))
        .collect();
    match errors.is_empty() {
        true => Reply::ok(),
        false => Reply::of(207, &format!(r#"{{"errors":[{}]}}"#, errors.join(","))),
    }
}

/// Runs `QUEUE_OPERATIONS` operations over a hundredth as many people. For 1,000,000 in release:
///
/// `QUEUE_OPERATIONS=1_000_000 cargo test --release -p customerio --all-features --test it
/// queue::order -- --nocapture`
#[tokio::test(start_paused = true)]
async fn each_persons_operations_are_applied_in_order_and_settled_once() {
    let operations = setting("QUEUE_OPERATIONS", OPERATIONS);
    let seed = setting("QUEUE_SEED", 1);
    let people = (operations / 100).max(1);
    let mut faults = StdRng::seed_from_u64(seed);
    let api = Api::new(move |ops| draw(&mut faults, ops)).without_log();
    let queue = api.queue_with(|queue| queue.batch(50).max_bytes(64 << 20));
    let mut rng = StdRng::seed_from_u64(seed + 1);
    let mut receipts = Vec::new();
    for number in 0..operations {
        // Some people have many more operations than others.
        let id = (rng.random_range(0..people) * rng.random_range(0..people) / people).to_string();
        let operation = match rng.random_range(0..2_000) {
            0 => merge(&mut rng, &id, people),
            _ => op(&id, number),
        };
        let is_merge = operation.goes_alone();
        let receipt = queue.enqueue(operation).await.unwrap();
        receipts.push((id, number, is_merge, receipt));
        if rng.random_bool(0.001) {
            rest(&mut rng, &queue).await;
        }
    }
    let mut outcomes = HashMap::<_, u64>::new();
    let mut accepted = HashMap::<_, Vec<u64>>::new();
    for (id, number, is_merge, receipt) in receipts {
        let outcome = receipt.await;
        *outcomes.entry(word(&outcome)).or_default() += 1;
        if outcome.is_accepted() && !is_merge {
            accepted.entry(id).or_default().push(number);
        }
    }
    println!("{} requests: {outcomes:?}", api.requests());
    assert_eq!(outcomes.values().sum::<u64>(), operations);
    let stats = queue.stats();
    let counts = [
        stats.accepted,
        stats.rejected,
        stats.unknown,
        stats.not_sent,
    ];
    assert_eq!(counts.iter().sum::<u64>(), operations);
    assert!(stats.accepted * 100 > operations * 95, "{counts:?}");
    let applied = api.applied();
    for (id, applied) in &applied {
        let accepted = accepted.get(id).map_or(&[][..], Vec::as_slice);
        if let Err(why) = check_order(applied, accepted) {
            panic!("person {id}: {why}; accepted {accepted:?}, applied {applied:?}");
        }
    }
    let is_applied = |id: &&String| applied.contains_key(*id);
    assert_eq!(accepted.keys().filter(is_applied).count(), accepted.len());
}

/// Checks one person's applied operations, copies too, in the order in which the API applied them.
///
/// A request without a response is sent again, so an older operation may be applied again after a
/// newer one, and undo it for a moment. The newer one must then follow again. Each operation sets
/// values, so the last application of each decides the final state. It is the state of an
/// application in order if
///
/// - each accepted operation is applied,
/// - operations are applied for the first time in their order, and
/// - no older operation is applied after the last application of an accepted one.
///
/// The last rule does not hold for an operation that ended unknown: its caller knows that it may
/// have no effect.
fn check_order(applied: &[u64], accepted: &[u64]) -> Result<(), String> {
    let mut last = HashMap::new();
    let mut newest = None;
    for (position, number) in applied.iter().enumerate() {
        if last.insert(*number, position).is_none() {
            if newest > Some(*number) {
                return Err(format!("{number} is applied first after {newest:?}"));
            }
            newest = Some(*number);
        }
    }
    // From the end: the oldest operation that is applied after each position.
    let mut oldest_after = vec![u64::MAX; applied.len() + 1];
    for position in (0..applied.len()).rev() {
        oldest_after[position] = oldest_after[position + 1].min(applied[position]);
    }
    for number in accepted {
        let Some(position) = last.get(number) else {
            return Err(format!("{number} was not applied"));
        };
        let older = oldest_after[position + 1];
        if older < *number {
            return Err(format!("{older} is applied after the end of {number}"));
        }
    }
    Ok(())
}

#[test]
fn an_older_operation_may_be_applied_again_only_if_the_newer_ones_follow_again() {
    for (applied, accepted, is_right) in [
        (&[1, 2, 3][..], &[1, 2, 3][..], true),
        (&[1, 2, 3], &[1, 2, 3, 4], false),
        (&[1, 3, 2], &[1, 2, 3], false),
        // A request was sent twice.
        (&[1, 2, 1, 2, 3], &[1, 2, 3], true),
        (&[1, 2, 1, 2, 2, 3], &[1, 2, 3], true),
        // Its copy comes behind the next one.
        (&[1, 2, 3, 1, 2], &[1, 2, 3], false),
        (&[1, 2, 3, 1, 2, 3], &[1, 2, 3], true),
        // The second half was not sent again: right only if it ended unknown.
        (&[1, 2, 1], &[1, 2], false),
        (&[1, 2, 1], &[1], true),
        (&[1, 2, 1, 3], &[1, 3], true),
        (&[1, 2, 1, 3, 2], &[1, 3], false),
    ] {
        let checked = check_order(applied, accepted);
        assert_eq!(checked.is_ok(), is_right, "{applied:?}: {checked:?}");
    }
}

/// Enqueues nothing for a moment, and sometimes pauses the queue.
async fn rest(rng: &mut StdRng, queue: &Queue) {
    let is_paused = rng.random_bool(0.2);
    if is_paused {
        queue.pause();
    }
    sleep(Duration::from_millis(rng.random_range(0..200))).await;
    if is_paused {
        queue.resume();
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Rejected(_) => "rejected",
        Outcome::Unknown(_) => "unknown",
        Outcome::NotSent(cause) => {
            assert!(cause.is_withheld(), "{cause:?}");
            "not sent"
        }
    }
}

fn merge(rng: &mut StdRng, id: &str, people: u64) -> Operation {
    let other = format!("other{}", rng.random_range(0..people));
    Operation::merge(&person(id), &person(&other)).unwrap()
}
