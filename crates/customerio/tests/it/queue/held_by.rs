//! The reasons that `Stats::held_by` gives.

use std::time::Duration;

use customerio::queue::{HeldBy, Queue};
use tokio::time::{sleep, timeout};

use super::api::{Api, End, Reply, op};
use crate::scripted_service::now;

const SECOND: Duration = Duration::from_secs(1);

fn held_by(queue: &Queue) -> String {
    queue.stats().held_by.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_not_polled_is_the_reason_once_a_request_may_depart() {
    let never_spawned = |batch, linger, len| {
        let api = Api::accepting();
        let queue = Queue::builder(&api.client()).batch(batch).linger(linger);
        let (queue, worker) = queue.build();
        for number in 0..len {
            queue.try_enqueue(op(&number.to_string(), number)).unwrap();
        }
        (queue, worker)
    };
    for (batch, linger, len, passed, reason) in [
        (10, SECOND, 0, SECOND * 9, "nothing"),
        (10, SECOND, 5, SECOND / 2, "linger"),
        (10, SECOND, 5, SECOND * 9, "worker"),
        (10, SECOND * 60, 10, Duration::ZERO, "worker"),
        (10, Duration::ZERO, 1, Duration::ZERO, "worker"),
        (10, Duration::MAX, 5, SECOND * 9, "linger"),
    ] {
        let (queue, worker) = never_spawned(batch, linger, len);
        sleep(passed).await;
        let case = format!("{len} of {batch}, {linger:?} after {passed:?}");
        assert_eq!(held_by(&queue), reason, "{case}");
        drop(worker);
        assert_eq!(held_by(&queue), "nothing", "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_no_longer_polled_is_the_reason_beside_its_requests() {
    let api = Api::new(|_| Reply::end(End::Hang));
    let (queue, mut worker) = Queue::builder(&api.client()).batch(1).build();
    queue.enqueue(op("a", 1)).await.unwrap();
    assert!(timeout(SECOND, &mut worker).await.is_err());
    queue.enqueue(op("a", 2)).await.unwrap();
    assert_eq!(held_by(&queue), "order");
    queue.enqueue(op("b", 3)).await.unwrap();
    assert_eq!(held_by(&queue), "worker");
    assert!(timeout(SECOND, &mut worker).await.is_err());
    assert_eq!((held_by(&queue), api.requests()), ("order".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn the_few_requests_that_are_allowed_after_an_outage_are_the_reason() {
    let started = now();
    let api = Api::new(move |_| match now() - started < SECOND * 10 {
        true => Reply::end(End::Refused),
        false => Reply::ok().after(SECOND),
    });
    let queue = api.queue_with(|queue| queue.batch(1).concurrency(64));
    for number in 0..2_000 {
        let operation = op(&number.to_string(), number);
        queue.enqueue(operation).await.unwrap();
    }
    while queue.stats().accepted == 0 {
        sleep(SECOND / 10).await;
    }
    let mut most = 0;
    let mut lines = 0;
    while queue.stats().requests < 64 {
        let stats = queue.stats();
        assert_eq!(stats.held_by, HeldBy::Concurrency, "{stats}");
        most = most.max(stats.requests);
        lines += 1;
        sleep(SECOND / 10).await;
    }
    assert!(most < 64 && lines >= 10, "{most} requests in {lines} lines");
}
