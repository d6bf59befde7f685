//! The order of each person's operations, whatever the server does.

use std::collections::HashMap;
use std::time::Duration;

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
        4..8 => Reply::end(End::Reset).applied(),
        8..10 => Reply::end(End::Refused),
        10..13 => Reply::of(503, ""),
        13..15 => Reply::of(500, ""),
        15..17 => Reply::of(500, "").applied(),
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

/// A 207 that rejects the bad operations, or a 200.
fn items(ops: &[Op]) -> Reply {
    let bad = ops.iter().enumerate().filter(|(_, op)| is_bad(op));
    let errors: Vec<_> = bad
        .map(|(position, _)| format!(r#"{{"batch_index":{position},"message":"bad"}}"#))
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
            sleep(Duration::from_millis(rng.random_range(0..200))).await;
        }
    }
    let mut outcomes = HashMap::<_, u64>::new();
    let mut accepted = HashMap::<_, Vec<u64>>::new();
    for (id, number, is_merge, receipt) in receipts {
        let outcome = receipt.await;
        let word = match &outcome {
            Outcome::Accepted => "accepted",
            Outcome::Rejected(_) => "rejected",
            Outcome::Unknown(_) => "unknown",
            Outcome::NotSent(cause) => {
                assert!(cause.is_withheld(), "{cause:?}");
                "not sent"
            }
        };
        *outcomes.entry(word).or_default() += 1;
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
    for (id, numbers) in &accepted {
        let books = &applied[id];
        assert!(books.is_sorted(), "{id}: {books:?}");
        let is_in_books = |number: &&u64| books.binary_search(number).is_ok();
        let found = numbers.iter().filter(is_in_books).count();
        assert_eq!(found, numbers.len(), "{id}: {numbers:?} in {books:?}");
    }
}

fn merge(rng: &mut StdRng, id: &str, people: u64) -> Operation {
    let other = format!("other{}", rng.random_range(0..people));
    Operation::merge(&person(id), &person(&other)).unwrap()
}
