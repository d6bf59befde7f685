//! Full and broken disks.

use tempfile::TempDir;

use super::super::sqlite::Sqlite;
use super::super::store::{Changes, Dead, Failure, Row, Store};
use super::faulty::{Fault, Plan};
use super::*;
use crate::packer::Priority;
use crate::queue::{DeadOutcome, HeldBy};
use crate::testing::{Reply, scripted};

fn paused(queue: QueueBuilder) -> QueueBuilder {
    queue.paused()
}

fn unpaused(queue: QueueBuilder) -> QueueBuilder {
    queue
}

#[tokio::test]
async fn a_failed_commit_ends_the_queue_and_keeps_each_acknowledged_operation() {
    for fault in [Fault::Lost, Fault::Written] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("queue.db");
        let (client, calls) = scripted([]);
        let plan = Plan::new([]);
        let (queue, worker) = open(&path, &plan, &client, paused);
        let first = queue.enqueue(op(1)).await.unwrap();
        plan.fail_next(fault);
        let error = queue.enqueue(op(2)).await.unwrap_err();
        let reason = error.spool_error().unwrap();
        assert!(!reason.is_disk_full(), "{reason}");
        assert_eq!(error.into_operation().json(), op(2).json());
        // The worker ends by itself, and a later call gets the reason.
        worker.await.unwrap();
        assert!(first.await.cause().unwrap().is_kept());
        let error = queue.enqueue(op(3)).await.unwrap_err();
        assert!(error.to_string().contains("disk I/O error"), "{error}");
        assert_eq!(calls.count(), 0);
        // The operation in doubt is on disk or not; the acknowledged one is.
        let expected = if fault == Fault::Written { 2 } else { 1 };
        assert_eq!(on_disk(&path), expected);
        let (queue, worker) = open(&path, &Plan::new([]), &client, unpaused);
        queue.on_idle().await;
        assert_eq!(queue.stats().accepted as i64, expected);
        queue.drain(MINUTE).await;
        worker.await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_commit_of_outcomes_ends_the_queue_and_sends_only_those_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let (client, _) = scripted([]);
    let plan = Plan::new([]);
    let (queue, worker) = open(&path, &plan, &client, paused);
    let receipt = queue.enqueue(op(1)).await.unwrap();
    plan.fail_next(Fault::Lost);
    queue.resume();
    assert!(receipt.await.is_accepted());
    worker.await.unwrap();
    assert_eq!(on_disk(&path), 1);
}

#[tokio::test]
async fn another_program_that_writes_delays_an_operation_and_loses_none() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let (client, _) = scripted([]);
    let plan = Plan::new([Fault::Busy; 5]);
    let (queue, _worker) = open(&path, &plan, &client, unpaused);
    assert!(queue.enqueue(op(1)).await.unwrap().await.is_accepted());
}

#[tokio::test]
async fn a_full_disk_rejects_new_operations_and_settles_the_others() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let (client, calls) = scripted([Reply::rejected("no such type"), Reply::accepted()]);
    let plan = Plan::new([]);
    let (queue, worker) = open(&path, &plan, &client, |queue| queue.paused().batch(1));
    let receipts = [
        queue.enqueue(op(1)).await.unwrap(),
        queue.enqueue(op(2)).await.unwrap(),
    ];
    plan.set_full(true, false);
    for _ in 0..2 {
        let error = queue.enqueue(op(3)).await.unwrap_err();
        assert!(error.spool_error().unwrap().is_disk_full(), "{error}");
    }
    queue.resume();
    for receipt in receipts {
        receipt.await;
    }
    until(|| on_disk(&path) == 0).await;
    assert_eq!(calls.count(), 2);
    assert_eq!(queue.stats().dead_letters, 1);
    // There is room again.
    plan.set_full(false, false);
    let receipt = loop {
        match queue.enqueue(op(3)).await {
            Ok(receipt) => break receipt,
            // The writer looks once a second.
            Err(error) => assert!(error.spool_error().unwrap().is_disk_full()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(receipt.await.is_accepted());
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
}

#[tokio::test]
async fn no_request_departs_while_outcomes_cannot_be_written() {
    const LEN: u64 = 5_000;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let (client, calls) = scripted([]);
    let plan = Plan::new([]);
    let (queue, worker) = open(&path, &plan, &client, |queue| queue.paused().batch(1));
    let mut last = None;
    for number in 0..LEN {
        last = Some(queue.try_enqueue(op(number)).unwrap());
    }
    last.unwrap().durable().await.unwrap();
    plan.set_full(true, true);
    queue.resume();
    until(|| queue.stats().held_by == HeldBy::DiskFull).await;
    until(|| queue.stats().pending == 0).await;
    let sent = calls.count();
    assert!((sent as u64) < LEN, "{sent}");
    let error = queue.enqueue(op(LEN)).await.unwrap_err();
    assert!(error.spool_error().unwrap().is_disk_full());
    assert_eq!((calls.count(), on_disk(&path) as u64), (sent, LEN));
    plan.set_full(false, false);
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
    assert_eq!((calls.count() as u64, on_disk(&path)), (LEN, 0));
}

#[tokio::test]
async fn a_request_that_waits_for_the_server_is_held_while_outcomes_cannot_be_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let wait = Duration::from_secs(2);
    let (client, calls) = scripted([Reply::accepted(), Reply::throttled(2)]);
    let plan = Plan::new([]);
    let (queue, worker) = open(&path, &plan, &client, |queue| queue.paused().batch(1));
    for number in 1..=2 {
        drop(queue.enqueue(op(number)).await.unwrap());
    }
    plan.set_full(true, true);
    queue.resume();
    until(|| queue.stats().held_by == HeldBy::DiskFull).await;
    until(|| queue.stats().pending == 0).await;
    let sent = calls.count();
    tokio::time::sleep(wait * 2).await;
    assert_eq!((calls.count(), queue.stats().size), (sent, 1));
    plan.set_full(false, false);
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
    assert_eq!(on_disk(&path), 0);
}

fn row(id: u64) -> Row {
    Row {
        id,
        priority: Priority::Normal,
        enqueued_at: 0,
        operation: op(id),
    }
}

#[test]
fn the_database_settles_operations_in_the_reserve_when_it_has_no_page_left() {
    let folder = TempDir::new().unwrap();
    let spool = Spool::new(folder.path().join("queue.db"));
    let (mut store, _) = Sqlite::open(&spool, &destination()).unwrap();
    store.limit_pages(20);
    let mut stored = 0;
    let full = loop {
        let inserted = (stored + 1..=stored + 10).map(row).collect();
        let changes = Changes {
            inserted,
            ..Changes::default()
        };
        match store.commit(&changes) {
            Ok(_) => stored += 10,
            Err(failure) => break failure,
        }
    };
    assert!(matches!(full, Failure::DiskFull(_)), "{full:?}");
    assert!(stored >= 50, "{stored}");
    assert_eq!(store.load(0, 10_000).unwrap().len() as u64, stored);
    // All of them are settled, half of them as dead letters, with a few pages of the reserve.
    store.limit_pages(24);
    for id in 1..=stored {
        let mut changes = Changes::default();
        match id % 2 {
            0 => changes.removed.push(id),
            _ => changes.dead.push(Dead {
                id,
                outcome: DeadOutcome::Rejected,
                reason: "rejected".into(),
            }),
        }
        store.commit(&changes).unwrap();
    }
    assert_eq!(store.load(0, 10).unwrap().len(), 0);
    assert_eq!(store.dead(), stored / 2);
    drop(store);
    let (_, found) = Sqlite::open(&spool, &destination()).unwrap();
    // The ids of removed operations are not used again.
    assert_eq!(found.next_id, stored + 1);
}
