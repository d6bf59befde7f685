//! The throughput of the queue in memory, from 1,000 to 1,000,000 queued operations. The API
//! accepts at once and no limit applies, so what is measured is the queue, the packing, and one
//! request for 500 operations: the time on the processor of the one thread that does it all.

use std::io;
use std::time::Duration;

use customerio::queue::{Queue, QueueBuilder};
use customerio::{Attributes, Client, Operation, Person};
use tokio::runtime::Builder;

use crate::many_waiters::processor_time;

const QUEUED: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Operations of a row in all, over as many runs as that takes. The kernel counts the time in steps
/// of milliseconds, so fewer would show nothing.
const OPERATIONS: usize = 1_000_000;

/// Operations of one person, in all.
const OF_EACH: usize = 10;

/// Prints the cost of an operation: to enqueue it, to send it and settle its receipt, and both.
///
/// # Errors
///
/// Fails if there is no runtime, or no `/proc` that tells the time on the processor.
pub(crate) fn print() -> io::Result<()> {
    println!(
        "\n| queued | enqueue, ns | send and settle, ns | operations/s of processor time |\n|--:|--:|--:|--:|"
    );
    for queued in QUEUED {
        let (mut enqueue, mut send) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..OPERATIONS / queued {
            let (enqueued, sent) = run(queued)?;
            enqueue += enqueued;
            send += sent;
        }
        let each = |time: Duration| time.as_nanos() as f64 / OPERATIONS as f64;
        println!(
            "| {queued} | {:.0} | {:.0} | {:.0} |",
            each(enqueue),
            each(send),
            OPERATIONS as f64 / (enqueue + send).as_secs_f64()
        );
    }
    Ok(())
}

/// Enqueues operations while the queue is paused, then sends them.
fn run(queued: usize) -> io::Result<(Duration, Duration)> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let people = (queued / OF_EACH).max(1);
    let operations: Vec<_> = (0..queued)
        .map(|number| operation(number % people))
        .collect();
    runtime.block_on(async {
        let (queue, worker) = unbounded(&Client::disabled()).paused().build();
        let worker = tokio::spawn(worker);
        let mut receipts = Vec::with_capacity(queued);
        let started = processor_time()?;
        for operation in operations {
            receipts.push(queue.enqueue(operation).await.map_err(io::Error::other)?);
        }
        let enqueued = processor_time()?;
        queue.resume();
        for receipt in receipts {
            assert!(receipt.await.is_accepted());
        }
        let sent = processor_time()?;
        drop(queue);
        worker.await?;
        Ok((enqueued - started, sent - enqueued))
    })
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
