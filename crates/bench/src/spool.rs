//! The queue on a spool beside SQLite alone, with the same records in transactions of the same
//! size, on the same disk. The API accepts at once, so each operation is inserted and removed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use customerio::Client;
use customerio::queue::{Queue, Spool};
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep_until};

use crate::measure::now;
use crate::queue::operation;

/// Callers that enqueue one operation after the other. With each of them waiting for the disk, a
/// transaction inserts at most as many operations.
const CALLERS: usize = 64;
const OPERATIONS: usize = 200_000;
/// Odd, so that the median is one of the runs.
const RUNS: usize = 3;

const PACED: u64 = 20_000;
const PACED_SECONDS: u64 = 5;

/// Prints how many operations a second are on disk, and how many at a fixed rate.
///
/// # Errors
///
/// Fails if there is no runtime, no folder for temporary files, or the disk fails.
pub(crate) fn print() -> io::Result<()> {
    println!("\n| {CALLERS} callers, {OPERATIONS} operations | operations/s |\n|---|--:|");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(queued()?);
        bare.push(inserted(CALLERS).map_err(io::Error::other)?);
    }
    let [ours, bare] = [ours, bare].map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[RUNS / 2]
    });
    println!("| the queue on a spool | {ours:.0} |");
    println!("| SQLite, {CALLERS} inserts and {CALLERS} removals a transaction | {bare:.0} |");
    println!("| the queue / SQLite | {:.2} |", ours / bare);
    let (rate, processor) = paced()?;
    println!("\n| {PACED} a second for {PACED_SECONDS} s | |\n|---|--:|");
    println!("| operations/s on disk | {rate:.0} |");
    println!(
        "| processor time, all threads, of one core | {:.0} % |",
        100.0 * processor
    );
    Ok(())
}

/// Returns the operations per second that are acknowledged as on disk.
fn queued() -> io::Result<f64> {
    let folder = TempDir::new()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let (queue, worker) = open(folder.path())?;
        let worker = tokio::spawn(worker);
        let started = now();
        let callers = (0..CALLERS).map(|caller| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for number in (caller..OPERATIONS).step_by(CALLERS) {
                    let receipt = queue.enqueue(operation(number % 10_000)).await;
                    drop(receipt.expect("the disk has room"));
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await?;
        }
        let elapsed = now() - started;
        let drained = queue.drain(Duration::from_secs(60)).await;
        assert!(drained.is_complete(), "{drained:?}");
        worker.await?;
        Ok(OPERATIONS as f64 / elapsed.as_secs_f64())
    })
}

fn open(folder: &Path) -> io::Result<(Queue, customerio::queue::Worker)> {
    let spool = Spool::new(folder.join("queue.db"));
    let queue = Queue::builder(&Client::disabled()).open(&spool);
    queue.map_err(io::Error::other)
}

/// Returns the operations per second of SQLite with the same settings. Each transaction inserts a
/// group and removes the one before.
fn inserted(group: usize) -> rusqlite::Result<f64> {
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
    let records: Vec<_> = (0..OPERATIONS)
        .map(|number| operation(number % 10_000))
        .collect();
    let started = now();
    let mut id = 0_i64;
    for records in records.chunks(group) {
        let transaction = connection.transaction()?;
        let first = id;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO operations (id, enqueued_at, priority, lane, other_lane, \
                 may_replay, goes_alone, json) VALUES (?1, 0, 1, ?2, NULL, 1, 0, ?3)",
            )?;
            for record in records {
                let json = str::from_utf8(record.json()).expect("JSON is UTF-8");
                insert.execute(params![id, id, json])?;
                id += 1;
            }
            let remove = "DELETE FROM operations WHERE id < ?1";
            transaction.prepare_cached(remove)?.execute([first])?;
        }
        transaction.commit()?;
    }
    Ok(OPERATIONS as f64 / (now() - started).as_secs_f64())
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
        let mut written = 0;
        for mut receipt in receipts {
            receipt.durable().await.map_err(io::Error::other)?;
            written += 1;
        }
        let elapsed = (now() - started).as_secs_f64();
        let processor = (process_time()? - processor).as_secs_f64();
        drop(queue);
        worker.await?;
        Ok((f64::from(written) / elapsed, processor / elapsed))
    })
}

/// Returns the processor time of all threads of this process.
fn process_time() -> io::Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let spent = text
            .split(' ')
            .next()
            .and_then(|nanos| nanos.parse::<u64>().ok());
        nanos += spent.ok_or_else(|| io::Error::other("schedstat shows no processor time"))?;
    }
    Ok(Duration::from_nanos(nanos))
}
