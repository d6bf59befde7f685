//! `Client::send_watched` shows whether a request has departed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use customerio::client::{Limits, Quota};
use tokio::time::timeout;

use crate::scripted_service::{OK, Reply, ScriptedService, builder};
use crate::support::identify;

/// Sends requests with a limit of two per second, and polls the last one for `time`.
async fn check(before: usize, replies: Vec<Reply>, time: Duration, expected: bool) {
    let service = ScriptedService::new(replies);
    let limits = Limits::documented().ingress(Quota::per_second(2));
    let client = builder()
        .limits(limits)
        .build_with(service.clone())
        .unwrap();
    for _ in 0..before {
        client.send(identify("a")).await;
    }
    let has_left = Arc::new(AtomicBool::new(false));
    let last = client.send_watched(identify("b"), &has_left);
    assert!(timeout(time, last).await.is_err());
    assert_eq!(has_left.load(Relaxed), expected);
    assert_eq!(service.seen().len(), before + usize::from(expected));
}

#[tokio::test(start_paused = true)]
async fn a_queued_request_has_not_departed() {
    check(1, vec![OK, Reply::Hang], Duration::from_millis(100), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_has_departed() {
    check(0, vec![Reply::Hang], Duration::from_millis(100), true).await;
    check(1, vec![OK, Reply::Hang], Duration::from_secs(5), true).await;
}

/// Sends a request that gets `replies`. Checks after `time` whether it has departed, and the number
/// of attempts.
async fn check_attempts(replies: Vec<Reply>, time: u64, expected: (bool, usize)) {
    let service = ScriptedService::new(replies);
    let client = builder().build_with(service.clone()).unwrap();
    let has_left = Arc::new(AtomicBool::new(false));
    let sending = client.send_watched(identify("a"), &has_left);
    assert!(timeout(Duration::from_secs(time), sending).await.is_err());
    assert_eq!((has_left.load(Relaxed), service.seen().len()), expected);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_request_has_not_departed_until_its_next_attempt() {
    check_attempts(vec![Reply::Throttle(9), Reply::Hang], 5, (false, 1)).await;
    check_attempts(vec![Reply::Throttle(9), Reply::Hang], 15, (true, 2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_have_arrived_has_departed_whatever_follows() {
    let busy = || Reply::Answer(503, "");
    check_attempts(vec![busy(), Reply::Throttle(60)], 30, (true, 2)).await;
    check_attempts(vec![Reply::Reset, Reply::Throttle(60)], 30, (true, 2)).await;
}
