//! Dropped workers, handles and receipts, and the drain.

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use customerio::Outcome;
use customerio::client::{Limits, Quota};
use customerio::queue::{Queue, Receipt, Stats, Worker};
use tokio::time::{sleep, timeout};

use super::api::{Api, End, Reply, enqueue_for_each, op};
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
    enqueue_for_each(&queue, 0..1_200).await;
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

/// One operation in flight, one whose request waits for the rate limit, and three queued.
async fn a_busy_queue(api: &Api) -> (Queue, Worker, Vec<Receipt>) {
    let limits = Limits::documented().ingress(Quota::per_minute(1));
    let client = api.client_with(|client| client.limits(limits));
    let queue = Queue::builder(&client).batch(1).concurrency(2);
    let (queue, mut worker) = queue.build();
    let mut receipts = Vec::new();
    for number in 0..5 {
        let operation = op(&number.to_string(), number);
        receipts.push(queue.enqueue(operation).await.unwrap());
    }
    assert!(timeout(SECOND, &mut worker).await.is_err());
    let stats = queue.stats();
    assert_eq!((stats.requests, stats.size, api.requests()), (2, 3, 1));
    (queue, worker, receipts)
}

async fn words(receipts: Vec<Receipt>) -> String {
    let mut outcomes = Vec::new();
    for receipt in receipts {
        outcomes.push(timeout(SECOND, receipt).await.unwrap());
    }
    shown(&outcomes)
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline_though_the_worker_is_no_longer_polled() {
    let api = Api::new(|_| Reply::end(End::Hang));
    let (queue, worker, receipts) = a_busy_queue(&api).await;
    let started = now();
    let drained = timeout(SECOND * 20, queue.drain(SECOND * 5)).await.unwrap();
    assert_eq!(now() - started, SECOND * 5);
    assert_eq!((drained.unknown, drained.not_sent), (1, 4));
    assert_eq!(
        words(receipts).await,
        "unknown not_sent not_sent not_sent not_sent"
    );
    let stats = queue.stats();
    assert_eq!((stats.size, stats.requests, stats.bytes), (0, 0, 0));

    // The limit has room again, and the worker is polled again.
    sleep(SECOND * 600).await;
    timeout(SECOND, worker).await.unwrap();
    sleep(SECOND * 600).await;
    assert_eq!(api.requests(), 1);
    assert_eq!(queue.stats().unknown, 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_after_the_deadline_of_a_drain_changes_nothing() {
    let api = Api::new(|_| Reply::ok().after(SECOND * 10));
    let (queue, worker, receipts) = a_busy_queue(&api).await;
    let drained = timeout(SECOND * 20, queue.drain(SECOND)).await.unwrap();
    assert_eq!((drained.unknown, drained.not_sent), (1, 4));
    sleep(SECOND * 20).await;
    timeout(SECOND, worker).await.unwrap();
    assert!(words(receipts).await.starts_with("unknown"));
    let stats = queue.stats();
    assert_eq!((stats.accepted, stats.unknown, stats.not_sent), (0, 1, 4));
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_though_the_monitor_blocks() {
    let api = Api::new(|_| Reply::end(End::Hang));
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let block = move |_: &Stats| {
        // An error means that the test has ended.
        let _ = released.lock().unwrap().recv();
    };
    let queue = Queue::builder(&api.client()).linger(Duration::ZERO);
    let (queue, worker) = queue.monitor(SECOND / 5, block).build();
    // A runtime of its own: the timers of this one go on.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    let worker = thread::spawn(move || runtime.block_on(worker));
    let departed = queue.enqueue(op("a", 1)).await.unwrap();
    sleep(SECOND).await;
    let queued = queue.enqueue(op("b", 2)).await.unwrap();
    let drained = timeout(SECOND * 20, queue.drain(SECOND / 5)).await;
    drop(release);
    let drained = drained.unwrap();
    assert_eq!((drained.unknown, drained.not_sent), (1, 1));
    assert_eq!(words(vec![departed, queued]).await, "unknown not_sent");
    worker.join().unwrap();
    assert_eq!(api.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_departs_that_a_drain_in_another_thread_has_settled_as_not_sent() {
    let (mut departed, mut kept_back) = (0, 0);
    for round in 0..200 {
        let api = Api::new(|_| Reply::ok().after(Duration::ZERO));
        let queue = Queue::builder(&api.client()).batch(1).concurrency(4);
        let (queue, worker) = queue.linger(Duration::ZERO).build();
        let enqueue = |number: u64| queue.try_enqueue(op(&number.to_string(), number)).unwrap();
        let receipts: Vec<_> = (0..20).map(enqueue).collect();
        let worker = tokio::spawn(worker);
        // The worker is polled meanwhile: this thread does not wait.
        for _ in 0..round * 2_000 {
            std::hint::spin_loop();
        }
        queue.drain(Duration::ZERO).await;
        worker.await.unwrap();
        let sent = api.numbers().concat();
        departed += sent.len();
        for (number, receipt) in receipts.into_iter().enumerate() {
            let outcome = receipt.await;
            let is_sent = sent.contains(&(number as u64));
            assert!(
                outcome.may_have_been_applied() || !is_sent,
                "{number}: {outcome:?}"
            );
            kept_back += usize::from(!is_sent);
        }
    }
    println!("{departed} operations departed, {kept_back} did not");
}

#[tokio::test(start_paused = true)]
async fn a_drain_rejects_callers_that_wait_for_room() {
    let api = Api::new(|_| Reply::end(End::Hang));
    let queue = api.queue_with(|queue| queue.max_len(1));
    queue.enqueue(op("a", 1)).await.unwrap();
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
    queue.enqueue(op("a", 1)).await.unwrap();
    for _ in 0..100 {
        let waiting = queue.enqueue(op("a", 2));
        assert!(timeout(SECOND, waiting).await.is_err());
    }
    queue.resume();
    let receipt = timeout(SECOND, queue.enqueue(op("a", 3))).await.unwrap();
    assert!(receipt.unwrap().await.is_accepted());
    assert_eq!(api.numbers(), [[1], [3]]);
}
