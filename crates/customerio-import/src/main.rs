//! Sends files of people and events to Customer.io: politely, repeatably, with progress.
//!
//! ```text
//! args ─► settings ─► scan ─► plan ─► confirm ─► pipeline ─► report
//!                       └── input ─► mapping ──────┘
//! ```

#![warn(clippy::unwrap_used)]

mod args;
mod clock;
mod confirm;
mod console;
mod counted;
mod destination;
mod doubt;
mod ending;
mod exit;
mod files;
mod input;
mod interrupt;
mod journal;
mod mapping;
mod notes;
mod pace;
mod pipeline;
mod plan;
mod problems;
mod reader;
mod rehearse;
mod reject;
mod report;
mod run;
mod scan;
mod settings;
mod signals;

use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use crate::args::Args;
use crate::exit::Exit;
use crate::signals::Signals;

fn main() -> ExitCode {
    let exit = run().unwrap_or_else(|error| {
        console::complain(&format!("cio-import: {error:#}"));
        Exit::Unusable
    });
    exit.into()
}

fn run() -> Result<Exit> {
    let runtime = Runtime::new().context("the system gives no threads")?;
    // Before anything else: a signal that comes earlier ends the process without a word.
    let signals = {
        let _inside = runtime.enter();
        Signals::new().context("signals cannot be received")?
    };
    let exit = runtime.block_on(run::run(Args::read(), signals));
    // A host's name that is still being looked up is not waited for.
    runtime.shutdown_background();
    exit
}
