//! Counts the instructions that a call adds, and those of an operation in the queue. Unlike its
//! time, they depend neither on other load nor on the caches.
//!
//! The program runs itself under callgrind, once with few calls and once with more. The difference
//! belongs to the calls, without the start and the end of the process.

use std::convert::Infallible;
use std::env;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::io;
use std::process::{Command, Output};
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::runtime::Builder;
use tower::limit::ConcurrencyLimit;
use tower::retry::Retry;
use tower::{Layer, Service, ServiceExt};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::inner::{Body, request};
use crate::peers::{self, PERMITS, RATE, Retries};
use crate::queue::{self, QUEUED};

/// The first argument of the program when it runs under callgrind.
pub(crate) const CALLS_OF: &str = "calls-of";
/// The rows of the queue: operations that are made, enqueued and sent, and those that are only
/// made.
const SENT: &str = "sent operations";
const MADE: &str = "made operations";
/// Enough for the first calls, which allocate and fill caches, to be over.
const FEW: u32 = 2_000;
/// The instructions of a process start vary by more than those of ten calls, but by less than those
/// of thousands.
const MANY: u32 = 12_000;

/// A service that is always ready, answers at once and costs nothing to clone.
#[derive(Clone, Copy)]
struct Plain;

impl Service<Request<Body>> for Plain {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

/// The rows of each table: ours first, then the peers.
const TABLES: [(&str, &[&str]); 4] = [
    ("rate", &["our rate", "tower-resilience's rate"]),
    (
        "concurrency",
        &[
            "our concurrency",
            "tower's concurrency",
            "tower-resilience's bulkhead",
        ],
    ),
    (
        "retry without a budget",
        &["our retry", "tower's retry", "tower-resilience's retry"],
    ),
    (
        "retry, rate and concurrency",
        &["our stack", "tower-resilience's stack"],
    ),
];

/// Prints the instructions that a call adds, ours beside each peer's, and those of an operation in
/// a queue of each length.
///
/// # Errors
///
/// Fails if the program cannot run itself, or if callgrind's output names no number.
pub(crate) fn print() -> io::Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: skipped, valgrind is not installed");
        return Ok(());
    }
    let bare = per_call("bare")?;
    for (table, rows) in TABLES {
        println!("\n| {table} | instructions added | ours / it |");
        println!("|---|--:|--:|");
        let mut ours = None;
        for row in rows {
            let added = per_call(row)? - bare;
            let ours = *ours.get_or_insert(added);
            println!("| {row} | {added:.0} | {:.2} |", ours / added);
        }
    }
    print_queue()
}

fn print_queue() -> io::Result<()> {
    println!(
        "\n| queued operations | instructions of one | ratio to {} queued |",
        QUEUED[0]
    );
    println!("|--:|--:|--:|");
    let mut fewest = None;
    for queued in QUEUED {
        let operations = queue::operations_counted(queued) as f64;
        let queued = queued as u32;
        let each = (collected(SENT, queued)? - collected(MADE, queued)?) / operations;
        let fewest = *fewest.get_or_insert(each);
        println!("| {queued} | {each:.0} | {:.2} |", each / fewest);
    }
    Ok(())
}

fn per_call(row: &str) -> io::Result<f64> {
    let calls = f64::from(MANY - FEW);
    Ok((collected(row, MANY)? - collected(row, FEW)?) / calls)
}

/// Returns the number of instructions of a process that makes `calls` calls, or queues as many
/// operations.
fn collected(row: &str, calls: u32) -> io::Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([CALLS_OF, row, &calls.to_string()])
        .output()?;
    number(&output).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("callgrind counted nothing for {row}: {said}"))
    })
}

fn number(output: &Output) -> Option<f64> {
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("Collected :"));
    line?.split_whitespace().last()?.parse().ok()
}

/// Makes `calls` calls and prints nothing, while callgrind counts.
///
/// # Errors
///
/// Fails if there is no row of this name, or no runtime.
pub(crate) fn call(row: &str, calls: u32) -> io::Result<()> {
    // A queue has a runtime of its own.
    match row {
        SENT => return queue::enqueue_and_send(calls as usize),
        MADE => {
            queue::make(calls as usize);
            return Ok(());
        }
        _ => {}
    }
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let rate = RateLimitLayer::new(Quota::per_second(RATE));
    let concurrency = ConcurrencyLayer::new(PERMITS);
    let retry = RetryLayer::new(RetryPolicy::default().without_budget());
    let bulkhead = peers::resilience_bulkhead();
    let resilient = peers::resilience_rate();
    runtime.block_on(async {
        match row {
            "bare" => drive(Plain, calls).await,
            "our rate" => drive(rate.layer(Plain), calls).await,
            "tower-resilience's rate" => drive(resilient.layer(Plain), calls).await,
            "our concurrency" => drive(concurrency.layer(Plain), calls).await,
            "tower's concurrency" => drive(ConcurrencyLimit::new(Plain, PERMITS), calls).await,
            "tower-resilience's bulkhead" => drive(bulkhead.layer(Plain), calls).await,
            "our retry" => drive(retry.layer(Plain), calls).await,
            "tower's retry" => drive(Retry::new(Retries::three(), Plain), calls).await,
            "tower-resilience's retry" => {
                drive(peers::resilience_retry().layer(Plain), calls).await;
            }
            "our stack" => {
                let bounded = concurrency.layer(Plain);
                drive(retry.layer(rate.layer(bounded)), calls).await;
            }
            "tower-resilience's stack" => {
                let limited = resilient.layer(bulkhead.layer(Plain));
                drive(peers::resilience_retry().layer(limited), calls).await;
            }
            _ => return Err(io::Error::other(format!("there is no row {row}"))),
        }
        Ok(())
    })
}

async fn drive<S>(mut service: S, calls: u32)
where
    S: Service<Request<Body>, Error: std::fmt::Debug>,
{
    let request = request();
    for _ in 0..calls {
        let ready = service.ready().await.expect("it does not fail");
        let response = ready.call(request.clone()).await;
        drop(black_box(response.expect("it does not fail")));
    }
}
