//! Serves a simulated Customer.io on a local port until Ctrl-C, then prints its books.

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
        // Whoever read our output has gone; nothing is wrong with the run.
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
    // In this order: whoever has read the URL may interrupt at once.
    tokio::try_join!(tokio::signal::ctrl_c(), async { say(&server.url()) })?;
    server.shutdown().await;
    say(&books(&simulator)?)
}

fn books(simulator: &Simulator) -> io::Result<String> {
    Ok(serde_json::to_string(&simulator.books())?)
}

/// Prints a line and flushes it, for whoever waits for it behind a pipe.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one look at the calendar; from here on the simulator's clock counts"
)]
fn real_time() -> SystemTime {
    SystemTime::now()
}
