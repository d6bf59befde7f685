//! The cost of an operation in the queue in memory, from 1,000 to 1,000,000 queued operations. The
//! API accepts at once and no limit applies, so what is measured is the queue, the packing, and one
//! request for 500 operations: the time on the processor of the one thread that does it all.
//!
//! Beside it are two bare queues of the same operations, each with a channel for its outcome, that
//! send the same requests: a `VecDeque`, and one list for each person. They show what more
//! operations cost in any queue, since the caches of the processor hold fewer of them, and what the
//! order of each person costs.

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::process::Command;
use std::time::Duration;
use std::{env, fs, io};

use customerio::queue::{Queue, QueueBuilder};
use customerio::{Attributes, Batch, Client, Operation, Outcome, Person, Request};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::many_waiters::processor_time;

pub(crate) const QUEUED: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Operations of a row in all, over as many runs as that takes. The kernel counts the time in steps
/// of milliseconds, so fewer would show nothing.
const OPERATIONS: usize = 1_000_000;

/// Operations of a row at least, while instructions are counted. Each takes a hundred times as
/// long.
const COUNTED: usize = 100_000;

/// Operations of one person, in all.
const OF_EACH: usize = 10;

/// Operations of one request.
const BATCH: usize = 500;

/// The queues, in the order of their columns.
const NAMES: [&str; 3] = ["the queue", "a list for each person", "a `VecDeque`"];

/// Settings of glibc's allocator that keep the memory of one run for the next. Otherwise each run
/// of many operations would be charged with the kernel's work for new memory, and each of few not.
const KEEP_MEMORY: [(&str, &str); 2] = [
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "1099511627776"),
];

/// The processor time of some operations, and the memory that they took while they were queued.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    enqueue: Duration,
    send: Duration,
    /// New memory of the process in bytes, as far as the kernel had to give it.
    memory: usize,
}

impl Run {
    /// Adds up runs of a number of operations.
    fn total(queued: usize, run: fn(usize) -> io::Result<Self>) -> io::Result<Self> {
        let mut total = Self::default();
        for _ in 0..OPERATIONS / queued {
            let run = run(queued)?;
            total.enqueue += run.enqueue;
            total.send += run.send;
        }
        Ok(total)
    }

    fn nanos(self) -> [f64; 3] {
        let times = [self.enqueue, self.send, self.enqueue + self.send];
        times.map(|time| time.as_nanos() as f64 / OPERATIONS as f64)
    }
}

/// Prints the cost of an operation: to enqueue it, to send it and settle its receipt, and both.
///
/// # Errors
///
/// Fails if there is no runtime, no `/proc` that tells the time on the processor, or if the program
/// cannot run itself.
pub(crate) fn print() -> io::Result<()> {
    let (setting, _) = KEEP_MEMORY[0];
    if env::var_os(setting).is_none() {
        let mut program = Command::new(env::current_exe()?);
        program.arg("queue").envs(KEEP_MEMORY);
        return match program.status()?.success() {
            true => Ok(()),
            false => Err(io::Error::other("the program failed when it ran itself")),
        };
    }
    // The first runs get the memory for all others.
    let memory = run(OPERATIONS)?.memory / OPERATIONS;
    run_by_person(OPERATIONS)?;
    run_bare(OPERATIONS)?;
    println!(
        "\n| queued | enqueue, ns | send and settle, ns | both | by person | bare | operations/s |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    let mut costs = Vec::new();
    for queued in QUEUED {
        let [enqueue, send, ours] = Run::total(queued, run)?.nanos();
        let [_, _, by_person] = Run::total(queued, run_by_person)?.nanos();
        let [_, _, bare] = Run::total(queued, run_bare)?.nanos();
        let rate = 1e9 / ours;
        println!(
            "| {queued} | {enqueue:.0} | {send:.0} | {ours:.0} | {by_person:.0} | {bare:.0} | {rate:.0} |"
        );
        costs.push([ours, by_person, bare]);
    }
    println!("\nWith 1,000,000 queued instead of 1,000, an operation costs");
    let (few, many) = (costs[0], costs[costs.len() - 1]);
    for (name, (few, many)) in NAMES.into_iter().zip(few.into_iter().zip(many)) {
        let (more, times) = (many - few, many / few);
        println!("- in {name}, {more:.0} ns more: {times:.1} times as much");
    }
    println!("A queued operation takes {memory} bytes beside its JSON, with its receipt.");
    Ok(())
}

/// Returns the number of operations of a row whose instructions are counted.
pub(crate) fn operations_counted(queued: usize) -> usize {
    COUNTED.div_ceil(queued) * queued
}

/// Makes, enqueues and sends the operations of such a row, with `queued` of them at once.
///
/// # Errors
///
/// Fails if there is no runtime, or no `/proc`.
pub(crate) fn enqueue_and_send(queued: usize) -> io::Result<()> {
    let runs = operations_counted(queued) / queued;
    (0..runs).try_for_each(|_| run(queued).map(drop))
}

/// Makes the operations of such a row.
pub(crate) fn make(queued: usize) {
    let runs = operations_counted(queued) / queued;
    (0..runs).for_each(|_| drop(operations(queued)));
}

fn operations(queued: usize) -> Vec<Operation> {
    let people = (queued / OF_EACH).max(1);
    let numbers = 0..queued;
    numbers.map(|number| operation(number % people)).collect()
}

/// Enqueues operations while the queue is paused, then sends them.
fn run(queued: usize) -> io::Result<Run> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let operations = operations(queued);
    runtime.block_on(async {
        let (queue, worker) = unbounded(&Client::disabled()).paused().build();
        let worker = tokio::spawn(worker);
        let mut receipts = Vec::with_capacity(queued);
        let (memory, started) = (resident()?, processor_time()?);
        for operation in operations {
            receipts.push(queue.enqueue(operation).await.map_err(io::Error::other)?);
        }
        let enqueued = processor_time()?;
        let memory = resident()?.saturating_sub(memory);
        let resumed = processor_time()?;
        queue.resume();
        for receipt in receipts {
            assert!(receipt.await.is_accepted());
        }
        let sent = processor_time()?;
        drop(queue);
        worker.await?;
        Ok(Run {
            enqueue: enqueued - started,
            send: sent - resumed,
            memory,
        })
    })
}

/// Does the same with a queue that only keeps the order, and settles in it.
fn run_bare(queued: usize) -> io::Result<Run> {
    let mut queue = VecDeque::new();
    consume(queued, move |step| match step {
        Step::Push(operation, sender) => {
            queue.push_back((operation, sender));
            Vec::new()
        }
        Step::Pop => queue.drain(..BATCH.min(queue.len())).collect(),
    })
}

/// Does the same with a queue for each person: the operations of one are sent together.
fn run_by_person(queued: usize) -> io::Result<Run> {
    let mut people: HashMap<_, Vec<_>> = HashMap::new();
    let mut ready = VecDeque::new();
    consume(queued, move |step| match step {
        Step::Push(operation, sender) => {
            let lane = operation.lane();
            let queue = people.entry(lane).or_insert_with(|| {
                ready.push_back(lane);
                Vec::new()
            });
            queue.push((operation, sender));
            Vec::new()
        }
        Step::Pop => {
            let next = ready.drain(..(BATCH / OF_EACH).min(ready.len()));
            let queues = next.filter_map(|lane| people.remove(&lane));
            queues.flatten().collect()
        }
    })
}

/// What a bare queue is asked for: to add an operation, or to return the next ones.
enum Step {
    Push(Operation, oneshot::Sender<Outcome>),
    Pop,
}

type Popped = Vec<(Operation, oneshot::Sender<Outcome>)>;

fn consume(queued: usize, mut queue: impl FnMut(Step) -> Popped) -> io::Result<Run> {
    let runtime = Builder::new_current_thread().build()?;
    let operations = operations(queued);
    let mut receipts = Vec::with_capacity(queued);
    let started = processor_time()?;
    for operation in operations {
        let (sender, receipt) = oneshot::channel();
        queue(Step::Push(operation, sender));
        receipts.push(receipt);
    }
    let enqueued = processor_time()?;
    loop {
        let popped = queue(Step::Pop);
        if popped.is_empty() {
            break;
        }
        let mut batch = Batch::with_capacity(BATCH);
        let mut senders = Vec::with_capacity(BATCH);
        for (operation, sender) in popped {
            batch.push(operation).map_err(io::Error::other)?;
            senders.push(sender);
        }
        black_box(Request::from(batch).body());
        for sender in senders {
            sender.send(Outcome::Accepted).expect("it is awaited");
        }
    }
    runtime.block_on(async {
        for receipt in receipts {
            assert!(receipt.await.is_ok_and(|outcome| outcome.is_accepted()));
        }
    });
    Ok(Run {
        enqueue: enqueued - started,
        send: processor_time()? - enqueued,
        memory: 0,
    })
}

/// Returns the bytes of memory that the process has from the kernel.
fn resident() -> io::Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    let kib = kib.ok_or_else(|| io::Error::other("/proc/self/status shows no memory"))?;
    Ok(kib << 10)
}

fn unbounded(client: &Client) -> QueueBuilder {
    Queue::builder(client)
        .max_len(usize::MAX)
        .max_bytes(usize::MAX)
}

pub(crate) fn operation(person: usize) -> Operation {
    let mut attributes = Attributes::new();
    attributes.insert("plan", "pro").expect("it is valid");
    attributes
        .insert("note", "x".repeat(200))
        .expect("it is valid");
    let person = Person::id(&format!("person-{person}")).expect("it is valid");
    Operation::identify(&person, &attributes).expect("it is valid")
}
