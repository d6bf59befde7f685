//! The spool, on a real file and in real time.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use customerio::client::{Limits, Quota};
use customerio::queue::{
    DeadOutcome, Queue, QueueBuilder, Receipt, Spool, SpoolError, WhenFull, Worker,
};
use customerio::{Attributes, Client, Credentials, Operation, Outcome};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::api::{Api, End, Reply, op};
use crate::support::{person, shown};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A folder with the file of a spool.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("queue.db")
    }

    fn spool(&self) -> Spool {
        Spool::new(self.path())
    }

    fn open(&self, api: &Api) -> (Queue, JoinHandle<()>) {
        self.open_with(api, |queue| queue)
    }

    /// Opens a queue whose batches do not wait, and spawns its worker.
    fn open_with(
        &self,
        api: &Api,
        settings: impl FnOnce(QueueBuilder) -> QueueBuilder,
    ) -> (Queue, JoinHandle<()>) {
        let queue = Queue::builder(&client(api)).linger(Duration::ZERO);
        let (queue, worker) = settings(queue).open(&self.spool()).unwrap();
        (queue, tokio::spawn(worker))
    }

    /// Opens a queue, expecting an error.
    fn error(&self, client: &Client) -> SpoolError {
        match Queue::builder(client).open(&self.spool()) {
            Ok(_) => panic!("the spool was opened"),
            Err(error) => error,
        }
    }

    /// Returns the answer of a query, as an operator would ask.
    fn ask(&self, query: &str) -> i64 {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    fn operations(&self) -> i64 {
        self.ask("SELECT count(*) FROM operations")
    }
}

fn client(api: &Api) -> Client {
    api.client()
}

/// Ends a queue as a crash does: no outcome is awaited. Returns once the file is unlocked.
async fn stop(queue: Queue, worker: JoinHandle<()>) {
    drop(worker_of(worker).await);
    timeout(MINUTE, queue.drain(SECOND)).await.unwrap();
}

async fn worker_of(worker: JoinHandle<()>) -> Result<(), tokio::task::JoinError> {
    worker.abort();
    worker.await
}

async fn outcomes(receipts: Vec<Receipt>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for receipt in receipts {
        outcomes.push(timeout(MINUTE, receipt).await.unwrap());
    }
    outcomes
}

#[tokio::test]
async fn an_operation_is_on_disk_when_enqueue_returns_and_gone_when_it_is_settled() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open_with(&api, QueueBuilder::paused);
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    assert_eq!(disk.operations(), 1);
    assert_eq!(api.requests(), 0);
    queue.resume();
    assert_eq!(shown(&outcomes(vec![receipt]).await), "accepted");
    let drained = queue.drain(MINUTE).await;
    assert!(drained.is_complete());
    worker.await.unwrap();
    assert_eq!(disk.operations(), 0);
}

#[tokio::test]
async fn the_next_queue_sends_in_order_what_the_last_one_left() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open_with(&api, QueueBuilder::paused);
    let mut receipts = Vec::new();
    for number in 1..=300 {
        receipts.push(queue.enqueue(op("a", number)).await.unwrap());
    }
    drop(worker_of(worker).await);
    let ended = outcomes(receipts).await;
    assert!(
        ended
            .iter()
            .all(|outcome| outcome.cause().unwrap().is_kept())
    );
    assert_eq!(queue.stats().kept, 300);
    let line = queue.stats().to_string();
    assert!(line.ends_with("0 expired); 300 kept"), "{line}");
    let rejected = queue.enqueue(op("a", 301)).await.unwrap_err();
    assert!(rejected.is_closed(), "{rejected}");
    queue.drain(SECOND).await;

    let (queue, worker) = disk.open(&api);
    queue.enqueue(op("a", 301)).await.unwrap();
    queue.on_idle().await;
    let numbers: Vec<_> = (1..=301).collect();
    assert_eq!(api.applied()["a"], numbers);
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
}

#[tokio::test]
async fn a_drain_keeps_what_its_deadline_leaves() {
    let (disk, api) = (Disk::new(), Api::new(|_| Reply::end(End::Refused)));
    let (queue, _worker) = disk.open(&api);
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    let drained = queue.drain(Duration::from_millis(100)).await;
    assert_eq!((drained.kept, drained.is_complete()), (1, false));
    let outcome = receipt.await;
    assert!(outcome.cause().unwrap().is_kept(), "{outcome:?}");
    assert_eq!(disk.operations(), 1);
}

#[tokio::test]
async fn a_drain_without_its_worker_keeps_everything_and_unlocks_the_file() {
    let (disk, api) = (Disk::new(), Api::new(|_| Reply::end(End::Hang)));
    let limits = Limits::documented().ingress(Quota::per_minute(1));
    let limited = api.client_with(|client| client.limits(limits));
    let queue = Queue::builder(&limited).batch(1).concurrency(2);
    let (queue, mut worker) = queue.open(&disk.spool()).unwrap();
    let merge = Operation::merge(&person("b"), &person("c")).unwrap();
    let mut receipts = Vec::new();
    for operation in [op("a", 1), merge, op("a", 2), op("d", 3)] {
        receipts.push(queue.enqueue(operation).await.unwrap());
    }
    let recorded = "SELECT count(*) FROM operations WHERE has_departed";
    while api.requests() == 0 || disk.ask(recorded) == 0 {
        assert!(timeout(SECOND / 50, &mut worker).await.is_err());
    }
    let drained = timeout(MINUTE, queue.drain(SECOND / 10)).await.unwrap();
    assert_eq!(drained.kept, 4);
    assert_eq!(
        shown(&outcomes(receipts).await),
        "unknown not_sent not_sent not_sent"
    );
    assert_eq!((disk.operations(), disk.ask(recorded)), (4, 0));

    let next = Api::accepting();
    let (queue, next_worker) = disk.open(&next);
    timeout(MINUTE, queue.on_idle()).await.unwrap();
    let merges = next.seen().into_iter().flat_map(|seen| seen.ops);
    assert_eq!(merges.filter(|op| op.is_merge).count(), 1);
    assert_eq!(next.applied()["a"], [1, 2]);
    timeout(MINUTE, worker).await.unwrap();
    assert_eq!(api.requests(), 1);
    stop(queue, next_worker).await;
}

#[tokio::test]
async fn try_enqueue_says_when_the_operation_is_on_disk() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, _worker) = disk.open_with(&api, QueueBuilder::paused);
    let mut receipt = queue.try_enqueue(op("a", 1)).unwrap();
    receipt.durable().await.unwrap();
    assert_eq!(disk.operations(), 1);
    receipt.durable().await.unwrap();
}

#[tokio::test]
async fn a_second_queue_on_a_spool_is_an_error_until_the_first_has_ended() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open(&api);
    let error = disk.error(&client(&api));
    assert!(error.is_in_use(), "{error}");
    // The failed attempt does not harm the first one.
    assert!(queue.enqueue(op("a", 1)).await.unwrap().await.is_accepted());
    queue.drain(MINUTE).await;
    worker.await.unwrap();
    let (queue, worker) = disk.open(&api);
    stop(queue, worker).await;
}

#[tokio::test]
async fn another_destination_is_an_error_that_names_what_differs() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open(&api);
    stop(queue, worker).await;
    let check = |client: &Client, part: &str| {
        let error = disk.error(client);
        assert!(error.is_other_destination(), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains("other-site"), "{error}");
    };
    let credentials = Credentials::new("other-site", "key").unwrap();
    check(
        &api.client_with(|client| client.credentials(credentials)),
        "the site id",
    );
    let elsewhere =
        |client: customerio::client::ClientBuilder| client.base_url("http://localhost:9");
    check(&api.client_with(elsewhere), "the base URL");
}

#[tokio::test]
async fn a_file_that_is_no_spool_is_an_error_and_stays_as_it_is() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let text = "id,name\n1,somebody\n".repeat(1_000);
    fs::write(disk.path(), &text).unwrap();
    let error = disk.error(&client(&api));
    assert!(error.is_damaged(), "{error}");
    assert_eq!(fs::read_to_string(disk.path()).unwrap(), text);

    let disk = Disk::new();
    let connection = rusqlite::Connection::open(disk.path()).unwrap();
    connection
        .execute_batch("CREATE TABLE theirs (id)")
        .unwrap();
    drop(connection);
    let before = fs::read(disk.path()).unwrap();
    let error = disk.error(&client(&api));
    assert!(error.is_damaged(), "{error}");
    assert_eq!(fs::read(disk.path()).unwrap(), before);
}

/// Leaves operations in a spool, of many pages.
async fn filled(api: &Api) -> Disk {
    let disk = Disk::new();
    let (queue, worker) = disk.open_with(api, QueueBuilder::paused);
    let receipts = (0..500).map(|number| queue.try_enqueue(op("a", number)).unwrap());
    for mut receipt in receipts.collect::<Vec<_>>() {
        receipt.durable().await.unwrap();
    }
    stop(queue, worker).await;
    disk
}

#[tokio::test]
async fn a_file_that_was_cut_or_overwritten_is_an_error_and_nothing_is_sent() {
    let api = Api::accepting();
    let disk = filled(&api).await;
    let whole = fs::read(disk.path()).unwrap();
    assert!(whole.len() > 40_000, "{}", whole.len());
    let overwritten = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at..at + 600].fill(0xA5);
        bytes
    };
    let damaged = [
        whole[..whole.len() - 4_096].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        whole[..5_000].to_vec(),
        overwritten(0),
        overwritten(4_096),
        overwritten(whole.len() / 2 / 4_096 * 4_096),
    ];
    for bytes in damaged {
        fs::write(disk.path(), &bytes).unwrap();
        let error = disk.error(&client(&api));
        assert!(error.is_damaged(), "{error}");
        assert_eq!(fs::read(disk.path()).unwrap(), bytes);
    }
    assert_eq!(api.requests(), 0);
    // The operator puts the file back.
    fs::write(disk.path(), &whole).unwrap();
    let (queue, worker) = disk.open(&api);
    queue.on_idle().await;
    assert_eq!(api.applied()["a"].len(), 500);
    stop(queue, worker).await;
}

/// With the commands of the docs.
#[cfg(unix)]
#[tokio::test]
async fn the_rows_of_a_damaged_file_that_can_be_read_become_a_spool_again() {
    use std::process::Command;

    if let Err(error) = Command::new("sqlite3").arg("--version").output() {
        println!("skipped: no sqlite3: {error}");
        return;
    }
    let api = Api::accepting();
    let disk = filled(&api).await;
    let mut bytes = fs::read(disk.path()).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 600].fill(0xA5);
    fs::write(disk.path(), &bytes).unwrap();
    let error = disk.error(&client(&api)).to_string();
    assert!(error.contains("docs for how to recover"), "{error}");
    let docs = include_str!("../../../src/queue/mod.rs");
    let commands: Vec<_> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("//! $ "))
        .skip_while(|command| !command.contains("damaged/"))
        .collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    let mut shell = Command::new("sh");
    shell.args(["-ec", &commands.join("\n")]);
    let done = shell.current_dir(disk.0.path()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let left = disk.operations();
    assert!((400..500).contains(&left), "{left}");
    let (queue, worker) = disk.open(&api);
    queue.on_idle().await;
    let applied = api.applied()["a"].clone();
    assert_eq!(applied.len() as i64, left);
    assert!(applied.is_sorted());
    stop(queue, worker).await;
}

#[tokio::test]
async fn another_version_of_the_tables_is_an_error_and_nothing_is_changed() {
    let api = Api::accepting();
    let disk = filled(&api).await;
    for version in [0, 2] {
        let connection = rusqlite::Connection::open(disk.path()).unwrap();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
        drop(connection);
        let error = disk.error(&client(&api));
        assert!(error.is_other_version(), "{error}");
        assert!(
            error.to_string().contains(&format!("version {version},")),
            "{error}"
        );
    }
    assert_eq!(disk.operations(), 500);
}

#[tokio::test]
async fn rejected_operations_are_dead_letters_that_can_be_put_back_or_deleted() {
    let disk = Disk::new();
    let bad = |_: &_| Reply::of(400, r#"{"errors":[{"detail":"no such type"}]}"#);
    let api = Api::new(bad);
    let (queue, worker) = disk.open(&api);
    let mut receipts = Vec::new();
    for number in 1..=3 {
        receipts.push(queue.enqueue(op("a", number)).await.unwrap());
    }
    assert!(
        outcomes(receipts)
            .await
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Rejected(_)))
    );
    let letters = loop {
        let letters = queue.dead_letters(0, 10).await.unwrap();
        if letters.len() == 3 {
            break letters;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let stats = queue.stats();
    assert_eq!(stats.dead_letters, 3);
    let line = stats.to_string();
    assert!(line.ends_with("0 expired); 3 dead letters"), "{line}");
    let first = &letters[0];
    assert_eq!(
        (first.outcome, first.operation.json()),
        (DeadOutcome::Rejected, op("a", 1).json())
    );
    assert!(first.reason.contains("no such type"), "{}", first.reason);
    assert!(!format!("{first:?}").contains("no such type"));
    let next = queue.dead_letters(first.id, 1).await.unwrap();
    assert_eq!(next[0].id, letters[1].id);
    assert_eq!(queue.delete_dead([letters[2].id, 999]).await.unwrap(), 1);
    stop(queue, worker).await;

    // The next release of the program has no such defect.
    let api = Api::accepting();
    let (queue, worker) = disk.open(&api);
    let ids = letters.iter().map(|letter| letter.id);
    assert_eq!(queue.put_back(ids).await.unwrap(), 2);
    queue.on_idle().await;
    assert_eq!(api.applied()["a"], [1, 2]);
    assert_eq!(queue.dead_letters(0, 10).await.unwrap().len(), 0);
    queue.drain(MINUTE).await;
    worker.await.unwrap();
    assert_eq!(disk.operations(), 0);
}

#[tokio::test]
async fn the_oldest_dead_letters_make_room_for_new_ones() {
    let (disk, api) = (Disk::new(), Api::new(|_| Reply::of(400, "{}")));
    let queue = Queue::builder(&client(&api)).linger(Duration::ZERO);
    let (queue, worker) = queue.open(&disk.spool().max_dead(2)).unwrap();
    let worker = tokio::spawn(worker);
    for number in 1..=5 {
        queue.enqueue(op("a", number)).await.unwrap().await;
    }
    queue.drain(MINUTE).await;
    worker.await.unwrap();
    assert_eq!(disk.ask("SELECT sum(id) FROM dead"), 4 + 5);
}

#[tokio::test]
async fn operations_for_which_memory_has_no_room_wait_on_disk_in_their_order() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let settings = |queue: QueueBuilder| queue.max_len(10).batch(4).paused();
    let (queue, worker) = disk.open_with(&api, settings);
    let mut receipts = Vec::new();
    for number in 0..1_000 {
        let id = ["a", "b", "c"][number as usize % 3];
        receipts.push(queue.enqueue(op(id, number)).await.unwrap());
    }
    let stats = queue.stats();
    assert_eq!((stats.size, stats.backlog), (1_000, 990));
    queue.resume();
    timeout(MINUTE, queue.flush()).await.unwrap();
    let ended = outcomes(receipts).await;
    assert!(ended.iter().all(Outcome::is_accepted));
    for (id, first) in [("a", 0), ("b", 1), ("c", 2)] {
        let numbers: Vec<_> = (first..1_000).step_by(3).collect();
        assert_eq!(api.applied()[id], numbers);
    }
    assert_eq!(queue.stats().backlog, 0);
    queue.drain(MINUTE).await;
    worker.await.unwrap();
    assert_eq!(disk.operations(), 0);
}

#[tokio::test]
async fn a_drain_sends_the_operations_that_are_only_on_disk() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let settings = |queue: QueueBuilder| queue.max_len(10).batch(4).paused();
    let (queue, worker) = disk.open_with(&api, settings);
    for number in 0..100 {
        queue.enqueue(op("a", number)).await.unwrap();
    }
    let drained = timeout(MINUTE, queue.drain(MINUTE)).await.unwrap();
    assert_eq!((drained.accepted, drained.is_complete()), (100, true));
    worker.await.unwrap();
    assert_eq!(disk.operations(), 0);
}

#[tokio::test]
async fn the_worker_ends_after_the_last_handle_although_an_operation_was_not_on_disk_yet() {
    for _ in 0..20 {
        let (disk, api) = (Disk::new(), Api::accepting());
        let (queue, worker) = disk.open(&api);
        let receipt = queue.try_enqueue(op("a", 1)).unwrap();
        drop(queue);
        assert!(timeout(MINUTE, receipt).await.unwrap().is_accepted());
        timeout(MINUTE, worker).await.unwrap().unwrap();
        assert_eq!(disk.operations(), 0);
    }
}

#[tokio::test]
async fn the_end_settles_the_receipts_of_operations_that_are_only_on_disk_as_kept() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open_with(&api, |queue| queue.max_len(10).paused());
    let mut receipts = Vec::new();
    for number in 0..100 {
        receipts.push(queue.enqueue(op("a", number)).await.unwrap());
    }
    drop(worker_of(worker).await);
    for outcome in outcomes(receipts).await {
        assert!(!outcome.may_have_been_applied() && outcome.cause().unwrap().is_kept());
    }
    timeout(MINUTE, queue.on_idle()).await.unwrap();
    timeout(MINUTE, queue.drain(SECOND)).await.unwrap();
    assert_eq!(queue.stats().kept, 100);
    assert_eq!(disk.operations(), 100);
}

#[tokio::test]
async fn an_operation_on_disk_behind_an_unknown_one_is_a_dead_letter() {
    let (disk, api) = (Disk::new(), Api::replies([Reply::end(End::Reset)]));
    let settings = |queue: QueueBuilder| queue.max_len(2).concurrency(1).paused();
    let (queue, worker) = disk.open_with(&api, settings);
    let merge = Operation::merge(&person("a"), &person("b")).unwrap();
    let mut receipts = vec![queue.enqueue(merge).await.unwrap()];
    for (id, number) in [("c", 1), ("b", 2), ("d", 3)] {
        receipts.push(queue.enqueue(op(id, number)).await.unwrap());
    }
    assert_eq!(queue.stats().backlog, 2);
    queue.resume();
    let ended = outcomes(receipts).await;
    assert_eq!(shown(&ended), "unknown accepted not_sent accepted");
    assert!(ended[2].cause().unwrap().is_withheld());
    let letters = queue.dead_letters(0, 10).await.unwrap();
    let found: Vec<_> = letters.iter().map(|letter| letter.outcome).collect();
    assert_eq!(found, [DeadOutcome::Unknown, DeadOutcome::NotSent]);
    queue.drain(MINUTE).await;
    worker.await.unwrap();
    assert_eq!(disk.operations(), 0);
}

#[tokio::test]
async fn operations_that_are_only_on_disk_wait_for_the_disk() {
    let (disk, api) = (Disk::new(), Api::new(|_| Reply::end(End::Hang)));
    let (queue, worker) = disk.open_with(&api, |queue| queue.max_len(1));
    for number in 0..3 {
        queue.enqueue(op("a", number)).await.unwrap();
    }
    while api.requests() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stats = queue.stats();
    assert_eq!((stats.size, stats.backlog, stats.pending), (2, 2, 1));
    assert_eq!(stats.held_by.to_string(), "disk");
    let line = stats.to_string();
    assert!(line.ends_with("0 expired); 2 only on disk"), "{line}");
    stop(queue, worker).await;
}

/// A waker that asks for the state of a queue, as an executor of its own might.
struct AsksQueue(Queue);

impl Wake for AsksQueue {
    fn wake(self: Arc<Self>) {
        drop(self.0.stats());
    }
}

#[test]
fn the_end_of_the_queue_wakes_callers_that_wait_for_room_without_a_lock() {
    let (ended, is_ended) = mpsc::channel();
    // A defect blocks this thread for ever.
    thread::spawn(move || {
        let (disk, api) = (Disk::new(), Api::accepting());
        let spool = disk.spool().max_bytes(1_000_000);
        let (queue, worker) = Queue::builder(&client(&api)).open(&spool).unwrap();
        let mut attributes = Attributes::new();
        attributes.insert("text", "x".repeat(900)).unwrap();
        let operation = Operation::identify(&person("a"), &attributes).unwrap();
        while queue.try_enqueue(operation.clone()).is_ok() {}
        let waker = Waker::from(Arc::new(AsksQueue(queue.clone())));
        let mut context = Context::from_waker(&waker);
        let mut waiting = Box::pin(queue.enqueue(operation));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop(worker);
        let answer = waiting.as_mut().poll(&mut context);
        ended.send(matches!(answer, Poll::Ready(Err(error)) if error.is_closed()))
    });
    let is_closed = is_ended.recv_timeout(MINUTE / 4).unwrap();
    assert!(is_closed);
}

#[tokio::test]
async fn a_flush_waits_for_operations_that_are_not_on_disk_yet() {
    let api = Api::new(|_| Reply::ok().after(Duration::ZERO));
    let disk = Disk::new();
    let (queue, worker) = disk.open(&api);
    for number in 0..300 {
        let receipt = queue.try_enqueue(op("a", number)).unwrap();
        timeout(MINUTE, queue.flush()).await.unwrap();
        let outcome = timeout(Duration::ZERO, receipt).await;
        assert!(outcome.expect("it was flushed").is_accepted());
    }
    stop(queue, worker).await;
}

#[tokio::test]
async fn a_clear_cancels_nothing_that_is_enqueued_later() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open_with(&api, QueueBuilder::paused);
    for round in 0..50 {
        let early = queue.try_enqueue(op("a", 2 * round)).unwrap();
        queue.clear();
        let late = queue.enqueue(op("a", 2 * round + 1)).await.unwrap();
        let outcome = timeout(MINUTE, early).await.unwrap();
        assert!(outcome.cause().unwrap().is_canceled(), "{outcome:?}");
        queue.resume();
        assert!(timeout(MINUTE, late).await.unwrap().is_accepted());
        queue.pause();
    }
    stop(queue, worker).await;
}

#[tokio::test]
async fn a_dead_letter_is_put_back_once_and_its_id_is_never_used_again() {
    let (disk, api) = (Disk::new(), Api::new(|_| Reply::of(400, "{}")));
    let (queue, worker) = disk.open(&api);
    queue.enqueue(op("a", 1)).await.unwrap().await;
    timeout(MINUTE, queue.drain(MINUTE)).await.unwrap();
    worker.await.unwrap();

    let api = Api::accepting();
    let (queue, worker) = disk.open_with(&api, QueueBuilder::paused);
    let id = queue.dead_letters(0, 1).await.unwrap()[0].id;
    let (twice, again) = tokio::join!(queue.put_back([id, id]), queue.put_back([id]));
    assert_eq!(twice.unwrap() + again.unwrap(), 1);
    assert_eq!(queue.put_back([id]).await.unwrap(), 0);
    queue.resume();
    queue.drain(MINUTE).await;
    worker.await.unwrap();
    assert_eq!(api.requests(), 1);

    let api = Api::new(|_| Reply::of(400, "{}"));
    let (queue, worker) = disk.open(&api);
    queue.enqueue(op("a", 2)).await.unwrap().await;
    queue.drain(MINUTE).await;
    worker.await.unwrap();
    assert_eq!(disk.ask("SELECT max(id) FROM dead"), id as i64 + 2);
}

#[tokio::test]
async fn operations_on_disk_are_canceled_alone_and_together() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open_with(&api, |queue| queue.max_len(2).paused());
    let mut receipts = Vec::new();
    for number in 0..10 {
        receipts.push(queue.enqueue(op("a", number)).await.unwrap());
    }
    receipts[0].cancel();
    receipts[7].cancel();
    let is_canceled = |outcome: Outcome| outcome.cause().unwrap().is_canceled();
    assert!(is_canceled(
        timeout(MINUTE, receipts.remove(7)).await.unwrap()
    ));
    assert!(is_canceled(
        timeout(MINUTE, receipts.remove(0)).await.unwrap()
    ));
    queue.clear();
    for outcome in outcomes(receipts).await {
        assert!(is_canceled(outcome));
    }
    assert_eq!(queue.stats().canceled, 10);
    let last = queue.enqueue(op("a", 10)).await.unwrap();
    queue.resume();
    assert!(timeout(MINUTE, last).await.unwrap().is_accepted());
    assert_eq!(api.applied()["a"], [10]);
    assert!(
        timeout(MINUTE, queue.drain(MINUTE))
            .await
            .unwrap()
            .is_complete()
    );
    worker.await.unwrap();
    assert_eq!(disk.operations(), 0);
}

#[tokio::test]
async fn a_full_spool_rejects_or_waits_and_drops_nothing() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let spool = disk.spool().max_bytes(0);
    let open = |when_full| -> (Queue, Worker) {
        let queue = Queue::builder(&client(&api)).paused().when_full(when_full);
        queue.open(&spool).unwrap()
    };
    let mut number = 0;
    for when_full in [WhenFull::Reject, WhenFull::DropOldest] {
        let (queue, worker) = open(when_full);
        let worker = tokio::spawn(worker);
        let full = loop {
            match queue.enqueue(big(number)).await {
                Ok(_) => number += 1,
                Err(error) => break error,
            }
        };
        assert!(full.is_full(), "{full}");
        assert_eq!(full.into_operation().json(), big(number).json());
        stop(queue, worker).await;
    }
    // 1,000,000 bytes in operations of 20,000: the second queue found no room.
    assert!((45..50).contains(&number), "{number}");
    let (queue, worker) = open(WhenFull::Wait);
    tokio::spawn(worker);
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.enqueue(big(number)).await.unwrap().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    queue.resume();
    assert!(
        timeout(MINUTE, waiting)
            .await
            .unwrap()
            .unwrap()
            .is_accepted()
    );
    let numbers: Vec<_> = (0..=number).collect();
    assert_eq!(api.applied()["a"], numbers);
}

#[tokio::test]
async fn the_largest_bounds_send_what_the_last_queue_left() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open_with(&api, QueueBuilder::paused);
    queue.enqueue(op("a", 1)).await.unwrap();
    stop(queue, worker).await;
    let spool = disk.spool().max_bytes(u64::MAX).max_dead(usize::MAX);
    let queue = Queue::builder(&client(&api)).max_len(usize::MAX);
    let (queue, worker) = queue.max_bytes(usize::MAX).open(&spool).unwrap();
    let worker = tokio::spawn(worker);
    // An operation that is enqueued before would acquire the room that the first one releases.
    while disk.operations() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let receipt = queue.enqueue(op("a", 2)).await.unwrap();
    assert_eq!(shown(&outcomes(vec![receipt]).await), "accepted");
    assert!(queue.drain(MINUTE).await.is_complete());
    worker.await.unwrap();
    assert_eq!(disk.operations(), 0);
}

fn big(number: u64) -> Operation {
    let mut attributes = Attributes::new();
    attributes.insert("n", number).unwrap();
    for name in 0..25 {
        attributes
            .insert(format!("a{name}"), "x".repeat(800))
            .unwrap();
    }
    Operation::identify(&person("a"), &attributes).unwrap()
}

#[tokio::test]
async fn what_must_not_be_sent_twice_is_a_dead_letter_if_the_program_ends_in_the_middle() {
    let (disk, api) = (Disk::new(), Api::new(|_| Reply::end(End::Hang)));
    let (queue, worker) = disk.open(&api);
    let merge = Operation::merge(&person("a"), &person("b")).unwrap();
    let merge = queue.enqueue(merge).await.unwrap();
    let behind = queue.enqueue(op("b", 2)).await.unwrap();
    queue.enqueue(op("c", 3)).await.unwrap();
    while api.requests() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(worker_of(worker).await);
    let outcome = merge.await;
    assert!(
        outcome.is_unknown() && outcome.cause().unwrap().is_kept(),
        "{outcome:?}"
    );
    assert!(behind.await.cause().unwrap().is_kept());
    queue.drain(SECOND).await;

    let api = Api::accepting();
    let (queue, worker) = disk.open(&api);
    queue.on_idle().await;
    assert_eq!(api.numbers(), [[3]]);
    let letters = queue.dead_letters(0, 10).await.unwrap();
    let found: Vec<_> = letters.iter().map(|letter| letter.outcome).collect();
    assert_eq!(found, [DeadOutcome::Unknown, DeadOutcome::NotSent]);
    // The operator has looked, and puts both back.
    queue
        .put_back(letters.iter().map(|letter| letter.id))
        .await
        .unwrap();
    queue.on_idle().await;
    assert_eq!(api.requests(), 3);
    stop(queue, worker).await;
}

#[tokio::test]
async fn what_must_not_be_sent_twice_is_sent_by_the_next_queue_if_it_did_not_depart() {
    let (disk, api) = (Disk::new(), Api::new(|_| Reply::end(End::Throttle(1))));
    let (queue, worker) = disk.open(&api);
    let merge = Operation::merge(&person("a"), &person("b")).unwrap();
    queue.enqueue(merge).await.unwrap();
    while queue.stats().pending > 0 || api.requests() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop(queue, worker).await;
    let api = Api::accepting();
    let (queue, worker) = disk.open(&api);
    queue.on_idle().await;
    assert_eq!((api.requests(), queue.stats().accepted), (1, 1));
    stop(queue, worker).await;
}

#[tokio::test]
async fn what_must_not_be_sent_twice_is_kept_as_not_sent_while_the_limit_holds_it() {
    // The first request closes the gate for a minute.
    let (disk, api) = (Disk::new(), Api::replies([Reply::end(End::Throttle(60))]));
    let (queue, _worker) = disk.open_with(&api, |queue| queue.batch(1));
    queue.enqueue(op("c", 1)).await.unwrap();
    while !queue.stats().is_throttled {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let merge = Operation::merge(&person("a"), &person("b")).unwrap();
    let receipt = queue.enqueue(merge).await.unwrap();
    while disk.ask("SELECT sum(has_departed) FROM operations") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    queue.drain(Duration::from_millis(100)).await;
    let outcome = receipt.await;
    assert!(!outcome.may_have_been_applied() && outcome.cause().unwrap().is_kept());

    let api = Api::accepting();
    let (queue, worker) = disk.open(&api);
    queue.on_idle().await;
    assert_eq!((api.requests(), queue.stats().accepted), (2, 2));
    stop(queue, worker).await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files_of_a_spool() {
    use std::os::unix::fs::PermissionsExt;

    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open_with(&api, QueueBuilder::paused);
    queue.enqueue(op("a", 1)).await.unwrap();
    let mut files = 0;
    for file in fs::read_dir(disk.0.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.path());
        files += 1;
    }
    assert_eq!(
        files, 5,
        "the database, its log, the log's index, the lock and the reserve"
    );
    stop(queue, worker).await;
}

#[cfg(unix)]
#[tokio::test]
async fn an_empty_file_becomes_a_spool_that_only_the_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;

    let (disk, api) = (Disk::new(), Api::accepting());
    fs::write(disk.path(), "").unwrap();
    fs::set_permissions(disk.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let (queue, worker) = disk.open(&api);
    queue.enqueue(op("a", 1)).await.unwrap();
    for file in fs::read_dir(disk.0.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    stop(queue, worker).await;
}

#[tokio::test]
async fn a_folder_is_no_spool_and_stays_alone() {
    let (disk, api) = (Disk::new(), Api::accepting());
    fs::create_dir(disk.path()).unwrap();
    let error = disk.error(&client(&api));
    assert!(error.is_damaged(), "{error}");
    assert!(error.to_string().contains("give another path"), "{error}");
    assert_eq!(fs::read_dir(disk.0.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_dead_letter_with_a_wrong_value_is_named_and_the_queue_goes_on() {
    let (disk, api) = (Disk::new(), Api::new(|_| Reply::of(400, "{}")));
    let (queue, worker) = disk.open_with(&api, |queue| queue.batch(1));
    for number in 1..=2 {
        drop(queue.enqueue(op("a", number)).await.unwrap().await);
    }
    while disk.ask("SELECT count(*) FROM dead") < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let operator = rusqlite::Connection::open(disk.path()).unwrap();
    let change = |sql: &str| assert_eq!(operator.execute(sql, []).unwrap(), 1);
    for (wrong, right, column) in [
        ("outcome = 'done'", "outcome = 'rejected'", "`outcome`"),
        ("priority = 3", "priority = 1", "`priority`"),
        ("reason = CAST(x'ff' AS TEXT)", "reason = ''", "`reason`"),
    ] {
        change(&format!("UPDATE dead SET {wrong} WHERE id = 2"));
        let letters = queue.dead_letters(0, 10).await.map(drop);
        for error in [letters, queue.put_back([1, 2]).await.map(drop)] {
            let error = error.unwrap_err();
            assert!(error.is_damaged());
            let text = error.to_string();
            for part in [column, "row 2", "`dead`", "delete the row"] {
                assert!(text.contains(part), "{text}");
            }
        }
        assert_eq!(queue.dead_letters(0, 1).await.unwrap().len(), 1);
        change(&format!("UPDATE dead SET {right} WHERE id = 2"));
    }
    assert_eq!(queue.put_back([1, 2]).await.unwrap(), 2);
    queue.drain(MINUTE).await;
    worker.await.unwrap();
}

#[tokio::test]
async fn an_operation_with_a_wrong_value_ends_the_queue_with_an_error_that_names_it() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open_with(&api, QueueBuilder::paused);
    for number in 1..=3 {
        queue.enqueue(op("a", number)).await.unwrap();
    }
    stop(queue, worker).await;
    let operator = rusqlite::Connection::open(disk.path()).unwrap();
    let wrong = "UPDATE operations SET json = 'null' WHERE id = 2";
    operator.execute(wrong, []).unwrap();
    let (queue, worker) = disk.open(&api);
    timeout(MINUTE, worker).await.unwrap().unwrap();
    let error = queue.enqueue(op("a", 4)).await.unwrap_err();
    let text = error.spool_error().unwrap().to_string();
    assert!(
        text.contains("`json` in row 2 of the table `operations`"),
        "{text}"
    );
    assert_eq!((disk.operations(), api.requests()), (3, 0));
}

#[tokio::test]
async fn an_operator_can_read_while_the_queue_writes() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = disk.open_with(&api, QueueBuilder::paused);
    queue.enqueue(op("a", 1)).await.unwrap();
    let connection = rusqlite::Connection::open(disk.path()).unwrap();
    let person = "SELECT json ->> '$.identifiers.id' FROM operations";
    let read = || {
        connection
            .query_row(person, [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    connection.execute_batch("BEGIN").unwrap();
    assert_eq!(read(), "a");
    queue.enqueue(op("b", 2)).await.unwrap();
    queue.resume();
    queue.drain(MINUTE).await;
    worker.await.unwrap();
    assert_eq!(read(), "a");
}

#[tokio::test]
async fn a_queue_that_is_never_spawned_keeps_its_operations() {
    let (disk, api) = (Disk::new(), Api::accepting());
    let (queue, worker) = Queue::builder(&client(&api)).open(&disk.spool()).unwrap();
    let receipt = queue.enqueue(op("a", 1)).await.unwrap();
    drop(worker);
    assert!(receipt.await.cause().unwrap().is_kept());
    timeout(MINUTE, queue.drain(SECOND)).await.unwrap();
    assert_eq!(disk.operations(), 1);
}
