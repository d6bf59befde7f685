//! Ten minutes without a server.

use std::time::Duration;

use customerio::queue::HeldBy;
use tokio::time::sleep;

use super::api::{Api, End, Reply, op};
use crate::scripted_service::now;

const SECOND: Duration = Duration::from_secs(1);
const OUTAGE: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn after_ten_minutes_of_outage_everything_is_delivered_without_a_burst() {
    let started = now();
    let mut times = Vec::new();
    // A server with a sliding log of 1,000 requests per second.
    let api = Api::new(move |_| {
        let at = now() - started;
        if at < OUTAGE {
            return Reply::end(End::Refused);
        }
        times.push(at);
        let recent = times.iter().rev().take_while(|time| at - **time < SECOND);
        match recent.count() > 1_000 {
            true => Reply::end(End::Throttle(1)),
            false => Reply::ok(),
        }
    });
    let queue = api.queue_with(|queue| queue.batch(1).concurrency(64).max_len(50_000));
    // A producer of 15 operations a second through the outage.
    let mut receipts = Vec::new();
    for number in 0..9_600_u64 {
        let id = (number % 2_000).to_string();
        receipts.push(queue.enqueue(op(&id, number)).await.unwrap());
        if number % 15 == 14 {
            sleep(SECOND).await;
        }
        if number == 5_000 {
            assert_eq!(queue.stats().held_by, HeldBy::Outage);
        }
    }
    for receipt in receipts {
        assert!(receipt.await.is_accepted());
    }
    let seen = api.seen();
    let probes = seen.iter().filter(|seen| seen.at < OUTAGE).count();
    let times: Vec<_> = seen
        .iter()
        .map(|seen| seen.at)
        .filter(|at| *at >= OUTAGE)
        .collect();
    // The list is in order of time, so a window ends where the next 100 ms begin.
    let within = |from: usize| {
        let end = times[from] + SECOND / 10;
        times.partition_point(|at| *at < end) - from
    };
    let burst = (0..times.len()).map(within).max();
    let last = *times.last().unwrap() - OUTAGE;
    println!(
        "{probes} probes in the outage; then {} requests, at most {} in 100 ms, all within {last:?}",
        times.len(),
        burst.unwrap(),
    );
    assert!(probes <= 64 * 2 + 2 * 30, "{probes}");
    assert_eq!(queue.stats().accepted, 9_600);
    assert!(burst.unwrap() <= 101, "{burst:?}");
    let (is_late, throttled) = (last > SECOND * 60, times.len() > 9_600);
    assert!(!is_late && !throttled, "{last:?}");
    for (id, numbers) in api.applied() {
        assert!(numbers.is_sorted(), "{id}: {numbers:?}");
    }
}
