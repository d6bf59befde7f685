//! Dropped workers, handles and receipts, and the drain.

use std::time::Duration;

use customerio::Outcome;
use customerio::queue::Queue;
use tokio::time::{sleep, timeout};

use super::api::{Api, End, Reply, op};
use crate::scripted_service::now;
use crate::support::shown;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_dropped_worker_settles_what_is_queued_as_not_sent_and_what_departed_as_unknown() {
    let api = Api::new(|_| Reply::end(End::Hang));
    let (queue, worker) = Queue::builder(&api.client())
        .batch(1)
        .concurrency(1)
        .build();
    let worker = tokio::spawn(worker);
    let first = queue.enqueue(op("a", 1)).await.unwrap();
    let second = queue.enqueue(op("b", 2)).await.unwrap();
    sleep(SECOND).await;
    worker.abort();
    let outcomes = [first.await, second.await];
    assert_eq!(shown(&outcomes), "unknown not_sent");
    let is_stopped = |outcome: &Outcome| outcome.cause().unwrap().is_stopped();
    assert!(outcomes.iter().all(is_stopped));
    let rejected = queue.enqueue(op("a", 3)).await.unwrap_err();
    assert!(rejected.is_closed());
    queue.on_idle().await;
    queue.flush().await;
    assert_eq!(queue.drain(SECOND).await, Default::default());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_before_its_first_poll_settles_everything() {
    let api = Api::accepting();
    let (queue, worker) = Queue::new(&api.client());
    let receipt = queue.try_enqueue(op("a", 1)).unwrap();
    drop(worker);
    assert_eq!(shown(&[receipt.await]), "not_sent");
    assert!(queue.try_enqueue(op("a", 1)).unwrap_err().is_closed());
    assert_eq!(api.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_monitor_panics_settles_everything() {
    let api = Api::new(|_| Reply::end(End::Hang));
    let queue = api.queue_with(|queue| queue.monitor(SECOND, |_| panic!("a monitor")));
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    assert_eq!(shown(&[receipt.await]), "unknown");
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_sent_after_the_last_handle_is_dropped() {
    let api = Api::accepting();
    let (queue, worker) = Queue::builder(&api.client()).paused().build();
    let worker = tokio::spawn(worker);
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    drop(queue.clone());
    sleep(SECOND).await;
    assert_eq!(api.requests(), 0);
    drop(queue);
    assert!(receipt.await.is_accepted());
    timeout(SECOND, worker).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_task_of_a_receipt_loses_nothing() {
    let api = Api::accepting();
    let queue = api.queue();
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    let task = tokio::spawn(async move {
        let outcome = receipt.await;
        panic!("{outcome:?}");
    });
    let other = queue.enqueue(op("a", 2)).await.unwrap();
    assert!(task.await.unwrap_err().is_panic());
    assert!(other.await.is_accepted());
    assert!(queue.enqueue(op("a", 3)).await.unwrap().await.is_accepted());
    assert_eq!(queue.stats().accepted, 3);
}

#[tokio::test(start_paused = true)]
async fn a_drain_sends_what_is_queued_and_ends_the_worker() {
    let api = Api::accepting();
    let (queue, worker) = Queue::builder(&api.client()).linger(SECOND * 60).build();
    let worker = tokio::spawn(worker);
    for number in 0..1_200 {
        drop(
            queue
                .enqueue(op(&number.to_string(), number))
                .await
                .unwrap(),
        );
    }
    let started = now();
    let drained = queue.drain(SECOND * 20).await;
    assert!(drained.is_complete() && drained.accepted + queue.stats().accepted >= 1_200);
    assert!(now() - started < SECOND);
    worker.await.unwrap();
    assert!(queue.enqueue(op("a", 1)).await.unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_drain_settles_what_is_left_at_its_deadline() {
    let api = Api::new(|ops| match ops[0].number {
        1 => Reply::end(End::Hang),
        _ => Reply::ok(),
    });
    let queue = api.queue_with(|queue| queue.batch(1).concurrency(1));
    let first = queue.enqueue(op("a", 1)).await.unwrap();
    let second = queue.enqueue(op("a", 2)).await.unwrap();
    let started = now();
    let drained = queue.drain(SECOND * 5).await;
    assert!(now() - started < SECOND * 6);
    assert_eq!((drained.unknown, drained.not_sent), (1, 1));
    assert_eq!(shown(&[first.await, second.await]), "unknown not_sent");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline_though_the_worker_was_never_spawned() {
    let api = Api::accepting();
    let (queue, worker) = Queue::new(&api.client());
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    let drained = timeout(SECOND * 2, queue.drain(SECOND)).await.unwrap();
    assert_eq!(drained.not_sent, 1);
    assert_eq!(shown(&[receipt.await]), "not_sent");
    worker.await;
    assert_eq!(api.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_rejects_callers_that_wait_for_room() {
    let api = Api::new(|_| Reply::end(End::Hang));
    let queue = api.queue_with(|queue| queue.max_len(1));
    drop(queue.enqueue(op("a", 1)).await.unwrap());
    let other = queue.clone();
    let waiting = tokio::spawn(async move { other.enqueue(op("a", 2)).await });
    sleep(SECOND).await;
    let drained = queue.drain(SECOND).await;
    assert_eq!((drained.unknown, drained.not_sent), (1, 0));
    assert!(waiting.await.unwrap().unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_call_to_enqueue_that_is_dropped_gives_its_room_back() {
    let api = Api::accepting();
    let queue = api.queue_with(|queue| queue.paused().max_len(1));
    drop(queue.enqueue(op("a", 1)).await.unwrap());
    for _ in 0..100 {
        let waiting = queue.enqueue(op("a", 2));
        assert!(timeout(SECOND, waiting).await.is_err());
    }
    queue.resume();
    let receipt = timeout(SECOND, queue.enqueue(op("a", 3))).await.unwrap();
    assert!(receipt.unwrap().await.is_accepted());
    assert_eq!(api.numbers(), [[1], [3]]);
}
