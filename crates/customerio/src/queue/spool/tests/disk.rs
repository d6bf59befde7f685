//! Full and broken disks.

use tempfile::TempDir;

use super::super::sqlite::Sqlite;
use super::super::store::{Changes, Dead, Failure, Row, Store};
use super::faulty::{Fault, Plan};
use super::*;
use crate::Outcome;
use crate::packer::Priority;
use crate::queue::clock;
use crate::queue::{DeadOutcome, HeldBy, Receipt};
use crate::testing::{Reply, scripted};

fn paused(queue: QueueBuilder) -> QueueBuilder {
    queue.paused()
}

fn unpaused(queue: QueueBuilder) -> QueueBuilder {
    queue
}

async fn enqueue_once_there_is_room(queue: &Queue, number: u64) -> Receipt {
    let started = clock::now();
    loop {
        match queue.enqueue(op(number)).await {
            Ok(receipt) => return receipt,
            // The writer looks once a second.
            Err(error) => assert!(error.spool_error().unwrap().is_disk_full()),
        }
        assert!(clock::now() - started < MINUTE, "the disk stays full");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
        assert!(error.may_be_kept());
        assert_eq!(error.into_operation().json(), op(2).json());
        // The worker ends by itself, and a later call gets the reason.
        worker.await.unwrap();
        assert!(first.await.cause().unwrap().is_kept());
        let error = queue.enqueue(op(3)).await.unwrap_err();
        assert!(error.to_string().contains("disk I/O error"), "{error}");
        // This one was never handed to the disk.
        assert!(error.spool_error().is_some() && !error.may_be_kept());
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
async fn a_receipt_says_again_that_its_operation_was_not_written() {
    for (fault, is_written) in [(Some(Fault::Written), true), (None, false)] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("queue.db");
        let (client, _) = scripted([]);
        let plan = Plan::new(fault);
        plan.set_full(fault.is_none(), false);
        let (queue, _worker) = open(&path, &plan, &client, paused);
        let mut receipt = queue.try_enqueue(op(1)).unwrap();
        for _ in 0..2 {
            let error = receipt.durable().await.unwrap_err();
            assert_eq!(error.may_be_kept(), is_written);
            assert!(error.spool_error().is_some());
            assert_eq!(error.into_operation().json(), op(1).json());
        }
        // Not sent, but the next queue would send the one on disk.
        let outcome = receipt.await;
        assert!(matches!(outcome, Outcome::NotSent(_)), "{outcome:?}");
        let cause = outcome.cause().unwrap();
        assert!(!cause.is_kept());
        assert_eq!(cause.may_be_kept(), is_written, "{cause}");
        assert_eq!(on_disk(&path), i64::from(is_written));
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
    let receipt = enqueue_once_there_is_room(&queue, 3).await;
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
async fn operations_behind_an_unknown_one_stay_on_disk_until_its_outcome_is_there() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let (client, calls) = scripted([Reply::lost()]);
    let plan = Plan::new([]);
    let (queue, worker) = open(&path, &plan, &client, |queue| queue.paused().max_len(1));
    let (a, b) = (Person::id("a").unwrap(), Person::id("b").unwrap());
    let merge = queue
        .enqueue(Operation::merge(&b, &a).unwrap())
        .await
        .unwrap();
    let behind = queue.enqueue(op(2)).await.unwrap();
    assert_eq!(queue.stats().backlog, 1);
    // The outcome of the merge is not written for a while, and memory has room again.
    plan.fill_at_departure();
    queue.resume();
    assert!(merge.await.is_unknown());
    until(|| queue.stats().held_by == HeldBy::DiskFull).await;
    plan.set_full(false, false);
    assert!(
        behind
            .await
            .cause()
            .unwrap()
            .to_string()
            .contains("unknown")
    );
    assert_eq!(calls.count(), 1);
    // What is enqueued later is sent.
    assert!(queue.enqueue(op(3)).await.unwrap().await.is_accepted());
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
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
        queue.enqueue(op(number)).await.unwrap();
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

/// The path of a spool on a file system of its own, for the test below in a process of its own.
#[cfg(target_os = "linux")]
const FILE_SYSTEM: &str = "CUSTOMERIO_SPOOL_FULL_DISK";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_system_without_a_free_byte_settles_operations_in_the_reserve() {
    use std::process::Command;

    if let Some(folder) = std::env::var_os(FILE_SYSTEM) {
        return fill_and_settle(Path::new(&folder)).await;
    }
    let folder = TempDir::new().unwrap();
    // A mount that no other process sees, and that ends with this one.
    let mounted = |command: &str| {
        let mount = format!("mount -t tmpfs -o size=16m tmpfs \"$0\" && {command}");
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount", "sh", "-c", &mount]);
        unshare.arg(folder.path());
        unshare
    };
    let probe = mounted("true").output();
    let is_permitted = |probe: &std::process::Output| probe.status.success();
    if !probe.as_ref().is_ok_and(is_permitted) {
        println!("skipped: no file system can be mounted here: {probe:?}");
        return;
    }
    let name = "queue::spool::tests::disk::\
        a_file_system_without_a_free_byte_settles_operations_in_the_reserve";
    let tested = mounted("exec \"$1\" \"$2\" --exact --nocapture")
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(FILE_SYSTEM, folder.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&tested.stdout);
    let errors = String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success(), "{output}\n{errors}");
    assert!(output.contains("1 passed"), "{output}");
}

#[cfg(target_os = "linux")]
async fn fill_and_settle(folder: &Path) {
    use std::fs::{self, File};
    use std::io::Write;

    const LEN: u64 = 100;
    let path = folder.join("queue.db");
    let (client, calls) = scripted([]);
    let (queue, worker) = open(&path, &Plan::new([]), &client, |queue| {
        queue.paused().batch(1)
    });
    // Too few for the log to be used from its start again: each commit needs room.
    for number in 0..LEN {
        queue.enqueue(op(number)).await.unwrap();
    }
    let others = folder.join("others");
    let mut file = File::create(&others).unwrap();
    for size in [4_096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    drop(file);
    let reserve = folder.join("queue.db-reserve");
    assert!(reserve.exists());
    queue.resume();
    until(|| on_disk(&path) == 0).await;
    assert_eq!(calls.count() as u64, LEN);
    assert!(!reserve.exists(), "the outcomes took no room");
    let error = queue.enqueue(op(LEN)).await.unwrap_err();
    assert!(error.spool_error().unwrap().is_disk_full(), "{error}");
    fs::remove_file(others).unwrap();
    let receipt = enqueue_once_there_is_room(&queue, LEN).await;
    assert!(receipt.await.is_accepted());
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
}

/// A kill does not show this: the system writes what a process has written, also after its end.
#[test]
fn each_commit_is_synced_to_the_disk_in_a_new_file_and_in_an_old_one() {
    let folder = TempDir::new().unwrap();
    let spool = Spool::new(folder.path().join("queue.db"));
    for _ in 0..2 {
        let (store, _) = Sqlite::open(&spool, &destination()).unwrap();
        assert_eq!(store.setting("journal_mode"), "wal");
        // `FULL`.
        assert_eq!(store.setting("synchronous"), "2");
        assert_eq!(store.setting("fullfsync"), "1");
        assert_eq!(store.setting("checkpoint_fullfsync"), "1");
    }
}

#[tokio::test]
async fn a_long_spool_is_loaded_within_the_bound_of_the_memory() {
    const LEN: u64 = 600;
    const MEMORY: usize = 1_000_000;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("queue.db");
    let (client, calls) = scripted([]);
    let plan = Plan::new([]);
    let settings = |queue: QueueBuilder| queue.paused().batch(10).max_bytes(MEMORY);
    let (queue, worker) = open(&path, &plan, &client, settings);
    let big = "x".repeat(900);
    for number in 0..LEN {
        let mut attributes = Attributes::new();
        for name in 0..20 {
            attributes.insert(format!("a{name}"), big.as_str()).unwrap();
        }
        attributes.insert("n", number).unwrap();
        let person = Person::id("a").unwrap();
        let operation = Operation::identify(&person, &attributes).unwrap();
        queue.enqueue(operation).await.unwrap();
    }
    queue.resume();
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
    assert!(calls.count() as u64 >= LEN / 10);
    // Five eighths of the memory are for operations, and one was read that had no room.
    let most = MEMORY as u64 / 8 * 5 + 32_000;
    let read = plan.most_read();
    assert!((100_000..most).contains(&read), "{read}");
}

/// Operations on a hundred people, three times. The 50th is on two of them, and so is the 159th.
fn crowd(store: &mut Sqlite) {
    let person = |number: u64| Person::id(&format!("p{number}")).unwrap();
    let operation = |id: u64| match id {
        50 => Operation::merge(&person(50), &person(90)).unwrap(),
        159 => Operation::merge(&person(59), &person(9)).unwrap(),
        _ => Operation::identify(&person(id % 100), &Attributes::new()).unwrap(),
    };
    let row = |id| Row {
        operation: operation(id),
        ..row(id)
    };
    let inserted = Changes {
        inserted: (1..=300).map(row).collect(),
        ..Changes::default()
    };
    store.commit(&inserted).unwrap();
}

/// Returns whether an operation of the crowd waits behind the first 50.
fn is_behind(id: &u64) -> bool {
    *id > 50 && (matches!(id % 100, 1..=50 | 90) || *id == 159)
}

fn ids_on_disk(store: &mut Sqlite) -> Vec<u64> {
    let rows = store.load(0, 1_000, &mut |_| true).unwrap();
    rows.iter().map(|row| row.id).collect()
}

fn dead_letters(store: &mut Sqlite) -> Vec<(u64, DeadOutcome)> {
    let letters = store.dead_letters(0, 1_000).unwrap();
    let shown = letters.iter().map(|letter| (letter.row.id, letter.outcome));
    shown.collect()
}

/// Returns the dead letters of the crowd if its first 50 are unknown.
fn expected_letters(withheld: &[u64]) -> Vec<(u64, DeadOutcome)> {
    let unknown = (1..=50).map(|id| (id, DeadOutcome::Unknown));
    let behind = withheld.iter().map(|id| (*id, DeadOutcome::NotSent));
    unknown.chain(behind).collect()
}

#[test]
fn the_backlog_is_read_once_for_all_operations_that_ended_unknown() {
    let folder = TempDir::new().unwrap();
    let spool = Spool::new(folder.path().join("queue.db"));
    let (mut store, _) = Sqlite::open(&spool, &destination()).unwrap();
    crowd(&mut store);
    let before = store.scans();
    let unknown = |id| Dead {
        id,
        outcome: DeadOutcome::Unknown,
        reason: "timeout".into(),
    };
    let changes = Changes {
        dead: (1..=50).map(unknown).collect(),
        backlog: 101..301,
        ..Changes::default()
    };
    let written = store.commit(&changes).unwrap();
    assert_eq!(store.scans() - before, 1);
    let withheld: Vec<_> = written.withheld.iter().map(|row| row.id).collect();
    assert_eq!(withheld, (101..301).filter(is_behind).collect::<Vec<_>>());
    assert_eq!(store.dead(), 50 + withheld.len() as u64);
    assert_eq!(dead_letters(&mut store), expected_letters(&withheld));
    // Those before the backlog are in memory, which withholds its own.
    let is_left = |id: &u64| *id < 101 || !is_behind(id);
    let left: Vec<_> = (51..301).filter(is_left).collect();
    assert_eq!(ids_on_disk(&mut store), left);
}

#[test]
fn a_spool_is_read_once_for_all_operations_that_were_in_flight() {
    let folder = TempDir::new().unwrap();
    let spool = Spool::new(folder.path().join("queue.db"));
    let (mut store, _) = Sqlite::open(&spool, &destination()).unwrap();
    crowd(&mut store);
    let departed = Changes {
        departures: (1..=50).map(|id| (id, true)).collect(),
        ..Changes::default()
    };
    store.commit(&departed).unwrap();
    drop(store);
    let (mut store, found) = Sqlite::open(&spool, &destination()).unwrap();
    assert_eq!(store.scans(), 1);
    let (withheld, left): (Vec<_>, Vec<_>) = (51..301).partition(is_behind);
    assert_eq!(dead_letters(&mut store), expected_letters(&withheld));
    assert_eq!(found.len, left.len() as u64);
    assert_eq!(ids_on_disk(&mut store), left);
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
    assert_eq!(
        store.load(0, 10_000, &mut |_| true).unwrap().len() as u64,
        stored
    );
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
    assert_eq!(store.load(0, 10, &mut |_| true).unwrap().len(), 0);
    assert_eq!(store.dead(), stored / 2);
    drop(store);
    let (_, found) = Sqlite::open(&spool, &destination()).unwrap();
    // The ids of removed operations are not used again.
    assert_eq!(found.next_id, stored + 1);
}
