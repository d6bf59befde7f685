//! A test for each row of the table "For users of p-queue".

use std::sync::{Arc, Mutex};
use std::time::Duration;

use customerio::Operation;
use customerio::client::{Limits, Quota};
use customerio::queue::{HeldBy, Priority, Queue, WhenFull};
use tokio::time::{sleep, timeout};

use super::api::{Api, End, Reply, enqueue_for_each, op};
use crate::scripted_service::now;
use crate::support::person;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn add_returns_a_receipt_that_may_be_awaited_or_dropped() {
    let api = Api::accepting();
    let queue = api.queue();
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    queue.enqueue(op("b", 2)).await.unwrap();
    assert!(receipt.await.is_accepted());
    queue.on_idle().await;
    assert_eq!(api.numbers(), [[1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn size_counts_what_waits_and_pending_what_is_in_requests() {
    let api = Api::new(|_| Reply::ok().after(SECOND));
    let queue = api.queue_with(|queue| queue.batch(2).concurrency(2));
    enqueue_for_each(&queue, 0..7).await;
    assert_eq!((queue.stats().size, queue.stats().pending), (7, 0));
    sleep(SECOND / 2).await;
    let stats = queue.stats();
    assert_eq!((stats.size, stats.pending, stats.requests), (3, 4, 2));
    queue.on_idle().await;
    assert_eq!((queue.stats().size, queue.stats().pending), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_sends_nothing_until_it_is_resumed() {
    let api = Api::accepting();
    let queue = api.queue_with(|queue| queue.paused());
    queue.enqueue(op("a", 1)).await.unwrap();
    sleep(SECOND).await;
    assert_eq!((api.requests(), queue.stats().held_by), (0, HeldBy::Paused));
    queue.resume();
    queue.on_idle().await;
    queue.pause();
    queue.enqueue(op("a", 2)).await.unwrap();
    sleep(SECOND).await;
    assert_eq!(api.requests(), 1);
    queue.resume();
    queue.on_idle().await;
    assert_eq!(api.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_the_requests_that_wait_for_the_server_and_sends_them_first_later() {
    let mut first = true;
    let api = Api::new(move |ops| match ops[0].person.as_str() {
        "slow" => Reply::ok().after(SECOND * 10),
        _ if std::mem::take(&mut first) => Reply::end(End::Throttle(60)),
        _ => Reply::ok(),
    });
    let queue = api.queue_with(|queue| queue.batch(1).concurrency(4));
    let slow = queue.enqueue(op("slow", 0)).await.unwrap();
    let mut receipts = Vec::new();
    for number in 1..10 {
        let operation = op(&number.to_string(), number);
        receipts.push(queue.enqueue(operation).await.unwrap());
    }
    sleep(SECOND).await;
    // The first three others have departed, and one of them was throttled.
    let departed = api.requests();
    assert_eq!((departed, queue.stats().requests), (4, 4));
    queue.pause();
    assert!(slow.await.is_accepted(), "it was in flight");
    sleep(SECOND * 600).await;
    assert_eq!(api.requests(), departed);
    let stats = queue.stats();
    assert_eq!(
        (stats.size, stats.requests, stats.held_by),
        (7, 0, HeldBy::Paused)
    );

    queue.resume();
    for receipt in receipts {
        assert!(receipt.await.is_accepted());
    }
    let mut next = api.numbers()[departed..departed + 3].concat();
    next.sort();
    assert_eq!(next, [1, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_the_requests_that_wait_for_the_rate_limit() {
    let api = Api::accepting();
    let limits = Limits::documented().ingress(Quota::per_minute(6));
    let client = api.client_with(|client| client.limits(limits));
    let (queue, worker) = Queue::builder(&client).batch(1).build();
    tokio::spawn(worker);
    enqueue_for_each(&queue, 0..10).await;
    sleep(SECOND).await;
    let departed = api.requests();
    queue.pause();
    sleep(SECOND * 600).await;
    assert_eq!((api.requests(), queue.stats().pending), (departed, 0));
    // Each request of the pause is sent once, also if the queue is resumed at once.
    queue.resume();
    queue.pause();
    queue.resume();
    queue.on_idle().await;
    let mut numbers = api.numbers().concat();
    numbers.sort();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn on_idle_waits_until_each_operation_has_its_outcome() {
    let api = Api::new(|_| Reply::ok().after(SECOND * 3));
    let queue = api.queue();
    queue.on_idle().await;
    queue.enqueue(op("a", 1)).await.unwrap();
    let started = now();
    queue.on_idle().await;
    assert!(now() - started >= SECOND * 3);
    assert_eq!(queue.stats().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn on_size_less_than_waits_until_fewer_wait() {
    let api = Api::new(|_| Reply::ok().after(SECOND));
    let queue = api.queue_with(|queue| queue.batch(1).concurrency(1));
    for number in 0..5 {
        queue.enqueue(op("a", number)).await.unwrap();
    }
    queue.on_size_less_than(3).await;
    assert_eq!(queue.stats().size, 2);
    queue.on_size_less_than(0).await;
    assert_eq!((queue.stats().size, queue.stats().pending), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_higher_priority_goes_first_and_never_changes_the_order_of_a_person() {
    let api = Api::accepting();
    let queue = api.queue_with(|queue| queue.batch(1).concurrency(1).paused());
    let (low, high) = (
        queue.with_priority(Priority::Low),
        queue.with_priority(Priority::High),
    );
    for (queue, id, number) in [
        (&low, "a", 1),
        (&queue, "b", 2),
        (&high, "c", 3),
        (&low, "d", 4),
        // The later operation raises its person, with the earlier one.
        (&high, "d", 5),
    ] {
        queue.enqueue(op(id, number)).await.unwrap();
    }
    queue.resume();
    queue.on_idle().await;
    assert_eq!(api.numbers().concat(), [3, 4, 5, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_than_the_concurrency_are_in_flight() {
    let api = Api::new(|_| Reply::ok().after(SECOND));
    let queue = api.queue_with(|queue| queue.batch(1).concurrency(3));
    enqueue_for_each(&queue, 0..20).await;
    sleep(SECOND / 2).await;
    assert_eq!(queue.stats().held_by, HeldBy::Concurrency);
    queue.on_idle().await;
    assert_eq!(api.most_in_flight(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_interval_cap_is_the_limit_of_the_client() {
    let api = Api::accepting();
    let limits = Limits::documented().ingress(Quota::per_second(10));
    let client = api.client_with(|client| client.limits(limits));
    let (queue, worker) = Queue::builder(&client).batch(1).build();
    tokio::spawn(worker);
    enqueue_for_each(&queue, 0..50).await;
    sleep(SECOND).await;
    assert_eq!(queue.stats().held_by, HeldBy::RateLimit);
    queue.on_idle().await;
    let times: Vec<_> = api.seen().iter().map(|seen| seen.at).collect();
    for window in times.windows(11) {
        assert!(window[10] - window[0] >= SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn a_canceled_operation_that_has_not_departed_is_not_sent() {
    let api = Api::accepting();
    let queue = api.queue_with(|queue| queue.paused());
    let first = queue.enqueue(op("a", 1)).await.unwrap();
    let second = queue.enqueue(op("a", 2)).await.unwrap();
    first.cancel();
    first.cancel();
    let outcome = first.await;
    assert!(outcome.cause().unwrap().is_canceled() && !outcome.may_have_been_applied());
    queue.resume();
    assert!(second.await.is_accepted());
    assert_eq!(api.numbers(), [[2]]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_behind_a_canceled_one_departs_at_once() {
    let api = Api::new(|ops| match ops.iter().any(|op| op.person == "slow") {
        true => Reply::ok().after(SECOND * 10),
        false => Reply::ok(),
    });
    let queue = api.queue();
    let slow = queue.enqueue(op("slow", 1)).await.unwrap();
    sleep(SECOND).await;
    // The merge waits for the slow person, and the next operation waits for the merge.
    let merge = Operation::merge(&person("a"), &person("slow")).unwrap();
    let merge = queue.enqueue(merge).await.unwrap();
    let behind = queue.enqueue(op("a", 2)).await.unwrap();
    sleep(SECOND).await;
    let started = now();
    merge.cancel();
    assert!(behind.await.is_accepted());
    assert!(now() - started < SECOND);
    assert!(slow.await.is_accepted());
}

#[tokio::test(start_paused = true)]
async fn an_operation_whose_request_waits_for_the_server_can_be_canceled() {
    let api = Api::replies([Reply::end(End::Throttle(600))]);
    let queue = api.queue();
    let first = queue.enqueue(op("a", 1)).await.unwrap();
    let second = queue.enqueue(op("b", 2)).await.unwrap();
    sleep(SECOND).await;
    assert!(queue.stats().is_throttled);
    first.cancel();
    let outcome = timeout(SECOND, first).await.unwrap();
    assert!(outcome.cause().unwrap().is_canceled());
    assert!(second.await.is_accepted());
    assert_eq!(api.numbers(), [vec![1, 2], vec![2]]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_in_flight_is_awaited_though_canceled() {
    let api = Api::new(|_| Reply::ok().after(SECOND));
    let queue = api.queue();
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    sleep(SECOND / 2).await;
    receipt.cancel();
    assert!(receipt.await.is_accepted());
}

#[tokio::test(start_paused = true)]
async fn clear_settles_each_receipt_as_not_sent() {
    let api = Api::new(|_| Reply::ok().after(SECOND));
    let queue = api.queue_with(|queue| queue.batch(1).concurrency(1));
    let mut receipts = Vec::new();
    for number in 0..4 {
        receipts.push(queue.enqueue(op("a", number)).await.unwrap());
    }
    sleep(SECOND / 2).await;
    queue.clear();
    let mut outcomes = Vec::new();
    for receipt in receipts {
        outcomes.push(receipt.await);
    }
    assert!(outcomes[0].is_accepted(), "it was in flight");
    let is_canceled = |outcome: &customerio::Outcome| outcome.cause().unwrap().is_canceled();
    assert!(outcomes[1..].iter().all(is_canceled));
    assert_eq!((queue.stats().canceled, queue.stats().not_sent), (3, 3));
    // The queue goes on.
    assert!(queue.enqueue(op("a", 9)).await.unwrap().await.is_accepted());
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_sees_that_the_server_throttles_and_that_it_is_over() {
    let api = Api::replies([Reply::end(End::Throttle(5))]);
    let queue = api.queue();
    let mut watcher = queue.subscribe();
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let watching = tokio::spawn(async move {
        while let Some(stats) = watcher.changed().await {
            seen.lock()
                .unwrap()
                .push((stats.is_throttled, stats.accepted));
        }
    });
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    sleep(SECOND).await;
    assert_eq!(queue.stats().held_by, HeldBy::Throttled);
    assert!(receipt.await.is_accepted());
    drop(queue);
    watching.await.unwrap();
    assert_eq!(log.lock().unwrap().last(), Some(&(false, 1)));
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_too_old_is_not_sent() {
    let api = Api::accepting();
    let queue = api.queue_with(|queue| queue.paused().max_age(SECOND * 10));
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    sleep(SECOND * 5).await;
    let later = queue.enqueue(op("a", 2)).await.unwrap();
    assert_eq!(queue.stats().oldest, Some(SECOND * 5));
    let started = now();
    assert!(receipt.await.cause().unwrap().is_expired());
    assert!(now() - started <= SECOND * 6);
    queue.resume();
    assert!(later.await.is_accepted());
    assert_eq!((queue.stats().expired, queue.stats().not_sent), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_operation_whose_request_waits_for_the_server_becomes_too_old() {
    let api = Api::replies([Reply::end(End::Throttle(3_000))]);
    let queue = api.queue_with(|queue| queue.max_age(SECOND * 60));
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    let outcome = timeout(SECOND * 62, receipt).await.unwrap();
    assert!(outcome.cause().unwrap().is_expired());
    assert_eq!(api.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_departs_when_it_is_full_or_after_the_linger() {
    let api = Api::accepting();
    let queue = api.queue_with(|queue| queue.batch(3).linger(SECOND));
    enqueue_for_each(&queue, 0..4).await;
    queue.on_idle().await;
    let seen = api.seen();
    assert_eq!((seen[0].ops.len(), seen[1].ops.len()), (3, 1));
    assert!(seen[0].at < SECOND / 10, "{:?}", seen[0].at);
    assert!(seen[1].at >= SECOND && seen[1].at < SECOND + SECOND / 10);
}

#[tokio::test(start_paused = true)]
async fn flush_sends_at_once_and_waits_for_what_was_enqueued_before() {
    let api = Api::new(|ops| match ops[0].person.as_str() {
        "slow" => Reply::ok().after(SECOND * 100),
        _ => Reply::ok(),
    });
    let queue = api.queue_with(|queue| queue.linger(SECOND * 60));
    queue.flush().await;
    queue.enqueue(op("a", 1)).await.unwrap();
    let started = now();
    let (other, flushing) = (queue.clone(), queue.clone());
    let flush = tokio::spawn(async move { flushing.flush().await });
    sleep(MOMENT).await;
    other.enqueue(op("slow", 2)).await.unwrap();
    flush.await.unwrap();
    assert!(now() - started < SECOND);
    assert_eq!(queue.stats().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_rejects_or_waits_or_drops_the_oldest() {
    let api = Api::accepting();
    let paused = |reaction| api.queue_with(|queue| queue.paused().max_len(2).when_full(reaction));

    let queue = paused(WhenFull::Reject);
    let _receipts = [1, 2].map(|number| queue.try_enqueue(op("a", number)).unwrap());
    let rejected = queue.enqueue(op("a", 3)).await.unwrap_err();
    assert!(rejected.is_full() && !rejected.is_closed());
    assert_eq!(rejected.into_operation().json(), op("a", 3).json());

    let queue = paused(WhenFull::Wait);
    let first = queue.try_enqueue(op("a", 1)).unwrap();
    queue.try_enqueue(op("a", 2)).unwrap();
    assert!(queue.try_enqueue(op("a", 3)).unwrap_err().is_full());
    let waiting = queue.enqueue(op("a", 3));
    assert!(timeout(SECOND, waiting).await.is_err());
    first.cancel();
    let waiting = timeout(SECOND, queue.enqueue(op("a", 3))).await;
    drop(waiting.unwrap().unwrap());

    let queue = paused(WhenFull::DropOldest);
    let first = queue.enqueue(op("a", 1)).await.unwrap();
    for number in 2..6 {
        queue.enqueue(op("b", number)).await.unwrap();
    }
    assert!(first.await.cause().unwrap().is_dropped());
    let before = api.requests();
    queue.resume();
    queue.on_idle().await;
    assert_eq!(api.numbers()[before..].concat(), [4, 5]);
    assert_eq!(queue.stats().dropped, 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_queued_operations_before_older_ones_that_may_have_arrived() {
    let held = async |max_len| {
        let api = Api::new(|_| Reply::end(End::Reset).applied());
        let queue = Queue::builder(&api.client()).max_len(max_len);
        let (queue, worker) = queue.when_full(WhenFull::DropOldest).build();
        tokio::spawn(worker);
        let receipt = queue.enqueue(op("a", 1)).await.unwrap();
        sleep(SECOND * 5).await;
        assert_eq!(queue.stats().held_by, HeldBy::Outage);
        queue.pause();
        sleep(SECOND).await;
        (queue, receipt)
    };
    let (queue, _older) = held(2).await;
    let newer = queue.enqueue(op("a", 2)).await.unwrap();
    queue.enqueue(op("a", 3)).await.unwrap();
    let outcome = newer.await;
    assert!(outcome.cause().unwrap().is_dropped() && !outcome.may_have_been_applied());
    assert_eq!((queue.stats().dropped, queue.stats().unknown), (1, 0));

    let (queue, older) = held(1).await;
    queue.enqueue(op("a", 2)).await.unwrap();
    let outcome = older.await;
    assert!(outcome.cause().unwrap().is_dropped() && outcome.is_unknown());
    assert_eq!((queue.stats().dropped, queue.stats().unknown), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_bytes_are_bounded_too() {
    let api = Api::accepting();
    let queue = api.queue_with(|queue| queue.paused().max_bytes(1_000_000));
    let mut attributes = customerio::Attributes::new();
    for field in 0..30 {
        attributes
            .insert(format!("f{field}"), "x".repeat(1_000))
            .unwrap();
    }
    let large = Operation::identify(&person("a"), &attributes).unwrap();
    let mut enqueued = 0;
    while let Ok(receipt) = queue.try_enqueue(large.clone()) {
        drop(receipt);
        enqueued += 1;
    }
    assert_eq!(enqueued, 750_000 / (large.size() + 768));
    queue.resume();
    queue.on_idle().await;
    assert_eq!(queue.stats().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_has_any_period() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    for (period, calls) in [(DAY * 2, 2), (Duration::MAX, 0)] {
        let api = Api::accepting();
        let times = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&times);
        let count = move |_: &_| *counted.lock().unwrap() += 1;
        let queue = api.queue_with(|queue| queue.monitor(period, count));
        sleep(DAY * 5).await;
        assert!(queue.enqueue(op("a", 1)).await.unwrap().await.is_accepted());
        assert_eq!(*times.lock().unwrap(), calls, "{period:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_monitor_gets_the_state_in_each_period() {
    let api = Api::accepting();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let queue = api.queue_with(|queue| {
        queue.monitor(SECOND * 10, move |stats| {
            log.lock().unwrap().push(stats.to_string())
        })
    });
    queue.enqueue(op("a", 1)).await.unwrap();
    sleep(SECOND * 35).await;
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        "0 queued, 0 pending in 0 requests, 0 bytes, oldest 0.0 s, 0/s, held by nothing; \
         1 accepted, 0 rejected, 0 unknown, 0 not sent (0 canceled, 0 dropped, 0 expired)"
    );
}
