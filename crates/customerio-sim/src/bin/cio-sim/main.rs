//! Serves a simulated Customer.io on a local port until Ctrl-C, then prints its totals.

#![warn(clippy::unwrap_used)]

mod args;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use customerio_sim::{Server, Simulator};

use crate::args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has closed the pipe, as `head` does. The run has not failed.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cio-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> io::Result<()> {
    let listen = args.listen;
    let simulator = args.simulator(real_time())?;
    let server = Server::bind(listen, simulator.clone())
        .await
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen on {listen}: {error}; choose another --listen"),
            )
        })?;
    let deliveries = simulator.clone();
    let deliveries = tokio::spawn(async move { deliveries.deliver_webhooks().await });
    // The handler of Ctrl-C must exist before the URL is printed: a reader of the URL may interrupt
    // at once.
    tokio::try_join!(tokio::signal::ctrl_c(), async { print_line(&server.url()) })?;
    deliveries.abort();
    server.shutdown().await;
    print_line(&totals(&simulator)?)
}

fn totals(simulator: &Simulator) -> io::Result<String> {
    Ok(serde_json::to_string(&simulator.totals())?)
}

/// Prints a line and flushes it: behind a pipe, standard output is buffered.
fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only reading of the real time; it becomes the start of the simulator's clock"
)]
fn real_time() -> SystemTime {
    SystemTime::now()
}
