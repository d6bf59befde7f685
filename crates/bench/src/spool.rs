//! The queue on a spool beside SQLite alone, with the same records in transactions of the same
//! size, on the same disk. The API accepts at once, so each operation is inserted and removed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use customerio::queue::{Queue, Spool};
use customerio::{Client, Operation};
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep_until};

use crate::measure::now;
use crate::queue::operation;

/// Callers that enqueue one operation after the other. With each of them waiting for the disk, a
/// transaction inserts at most as many operations.
const CALLERS: usize = 64;
const OPERATIONS: usize = 100_000;
/// Odd, so that the median is one of the runs.
const RUNS: usize = 9;

const PACED: u64 = 20_000;
const PACED_SECONDS: u64 = 5;

/// One run of a side.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Operations per second that are on disk.
    rate: f64,
    /// The processor time of all threads for an operation.
    processor: Duration,
    /// Operations of a transaction, as a mean.
    group: f64,
}

/// Prints how many operations a second are on disk, and how many at a fixed rate.
///
/// # Errors
///
/// Fails if there is no runtime, no folder for temporary files, or the disk fails.
pub(crate) fn print() -> io::Result<()> {
    let records: Vec<_> = (0..OPERATIONS)
        .map(|number| operation(number % 10_000))
        .collect();
    println!(
        "\n| {CALLERS} callers, {OPERATIONS} operations | operations/s | in a transaction | processor, us an operation |"
    );
    println!("|---|--:|--:|--:|");
    let (mut same, mut full) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let ours = queued(&records)?;
        let group = ours.group.round() as usize;
        let bare = inserted(&records, group).map_err(io::Error::other)?;
        let whole = inserted(&records, CALLERS).map_err(io::Error::other)?;
        let names = [
            "the queue on a spool",
            "SQLite",
            "SQLite, all callers in each",
        ];
        for (name, run) in names.into_iter().zip([ours, bare, whole]) {
            let processor = run.processor.as_secs_f64() * 1e6;
            println!(
                "| {name} | {:.0} | {:.1} | {processor:.2} |",
                run.rate, run.group
            );
        }
        same.push(ours.rate / bare.rate);
        full.push(ours.rate / whole.rate);
    }
    for (name, mut ratios) in [("SQLite", same), ("SQLite, all callers in each", full)] {
        ratios.sort_by(f64::total_cmp);
        let median = ratios[RUNS / 2];
        println!("| the queue / {name}, median | {median:.2} | | |");
    }
    let (rate, processor) = paced()?;
    println!("\n| {PACED} a second for {PACED_SECONDS} s | |\n|---|--:|");
    println!("| operations/s on disk | {rate:.0} |");
    println!(
        "| processor time, all threads, of one core | {:.0} % |",
        100.0 * processor
    );
    Ok(())
}

/// Measures the queue: operations are acknowledged as on disk.
fn queued(records: &[Operation]) -> io::Result<Run> {
    let folder = TempDir::new()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let mut of_callers = vec![Vec::new(); CALLERS];
    for (number, record) in records.iter().enumerate() {
        of_callers[number % CALLERS].push(record.clone());
    }
    runtime.block_on(async {
        let (queue, worker) = open(folder.path())?;
        let worker = tokio::spawn(worker);
        let (started, processor) = (now(), process_time()?);
        let before = transactions(folder.path())?;
        let callers = of_callers.into_iter().map(|records| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for record in records {
                    queue.enqueue(record).await.expect("the disk has room");
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await?;
        }
        let elapsed = now() - started;
        let processor = process_time()? - processor;
        let transactions = transactions(folder.path())? - before;
        let drained = queue.drain(Duration::from_secs(60)).await;
        assert!(drained.is_complete(), "{drained:?}");
        worker.await?;
        Ok(Run {
            rate: OPERATIONS as f64 / elapsed.as_secs_f64(),
            processor: processor / OPERATIONS as u32,
            group: OPERATIONS as f64 / f64::from(transactions),
        })
    })
}

/// Returns the number of transactions, from the index of SQLite's log: "iChange" in the
/// documentation of its format.
fn transactions(folder: &Path) -> io::Result<u32> {
    let index = fs::read(folder.join("queue.db-shm"))?;
    let counter = index.get(8..12).and_then(|bytes| bytes.try_into().ok());
    let counter = counter.ok_or_else(|| io::Error::other("the index of the log is too short"))?;
    Ok(u32::from_ne_bytes(counter))
}

fn open(folder: &Path) -> io::Result<(Queue, customerio::queue::Worker)> {
    let spool = Spool::new(folder.join("queue.db"));
    let queue = Queue::builder(&Client::disabled()).open(&spool);
    queue.map_err(io::Error::other)
}

/// Measures SQLite alone, with the settings, the table and the rows of a spool. Each transaction
/// inserts a group and removes the one before.
fn inserted(records: &[Operation], group: usize) -> rusqlite::Result<Run> {
    let folder = TempDir::new().expect("there is a folder for temporary files");
    let mut connection = Connection::open(folder.path().join("bare.db"))?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "CREATE TABLE operations (id INTEGER PRIMARY KEY, enqueued_at INTEGER NOT NULL, \
         priority INTEGER NOT NULL, lane INTEGER NOT NULL, other_lane INTEGER, \
         may_replay INTEGER NOT NULL, goes_alone INTEGER NOT NULL, \
         has_departed INTEGER NOT NULL DEFAULT 0, json TEXT NOT NULL) STRICT;",
    )?;
    let (started, processor) = (now(), process_time().expect("/proc shows it"));
    let mut id = 0_i64;
    for records in records.chunks(group) {
        let transaction = connection.transaction()?;
        let first = id;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO operations (id, enqueued_at, priority, lane, other_lane, \
                 may_replay, goes_alone, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for record in records {
                // Of the size of a time in milliseconds, and of a hash.
                let (time, lane) = (1_i64 << 40, i64::MAX - id);
                let json = str::from_utf8(record.json()).expect("JSON is UTF-8");
                let other: Option<i64> = None;
                insert.execute(params![id, time, 1, lane, other, true, false, json])?;
                id += 1;
            }
            let remove = "DELETE FROM operations WHERE id < ?1";
            transaction.prepare_cached(remove)?.execute([first])?;
        }
        transaction.commit()?;
    }
    let processor = process_time().expect("/proc shows it") - processor;
    Ok(Run {
        rate: OPERATIONS as f64 / (now() - started).as_secs_f64(),
        processor: processor / OPERATIONS as u32,
        group: group as f64,
    })
}

/// Enqueues at a fixed rate. Returns the operations per second that are on disk, and the processor
/// time of all threads in seconds of one core per second.
fn paced() -> io::Result<(f64, f64)> {
    let folder = TempDir::new()?;
    let runtime = Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let (queue, worker) = open(folder.path())?;
        let worker = tokio::spawn(worker);
        let (started, processor) = (now(), process_time()?);
        let mut receipts = Vec::new();
        for tick in 0..PACED_SECONDS * 1_000 {
            let due = started + Duration::from_millis(tick);
            sleep_until(Instant::from_std(due)).await;
            for number in 0..PACED / 1_000 {
                let number = (tick * PACED / 1_000 + number) as usize;
                let receipt = queue.try_enqueue(operation(number % 10_000));
                receipts.push(receipt.map_err(io::Error::other)?);
            }
        }
        // Operations are written in their order. Asking each receipt would take a part of the time.
        if let Some(last) = receipts.last_mut() {
            last.durable().await.map_err(io::Error::other)?;
        }
        let elapsed = (now() - started).as_secs_f64();
        let processor = (process_time()? - processor).as_secs_f64();
        let mut written = 0;
        for mut receipt in receipts {
            receipt.durable().await.map_err(io::Error::other)?;
            written += 1;
        }
        drop(queue);
        worker.await?;
        Ok((f64::from(written) / elapsed, processor / elapsed))
    })
}

/// Returns the processor time of all threads of this process, also of those that have ended, in
/// steps of 10 ms.
fn process_time() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may have spaces. Behind it, the fields 12 and 13 are the ticks in
    // user mode and in the kernel, of which Linux shows 100 a second.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Option<u64> = ticks.map(|ticks| ticks.parse::<u64>().ok()).sum();
    let ticks = ticks.ok_or_else(|| io::Error::other("/proc shows no processor time"))?;
    Ok(Duration::from_millis(10 * ticks))
}
