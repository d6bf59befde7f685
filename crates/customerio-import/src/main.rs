//! `cio-import` sends files of people and events to Customer.io, within its rate limits.
//!
//! The way of a record:
//!
//! ```text
//! args ─► settings ─► scan ─► plan ─► confirm ─► send ─► finish
//!            │         ▲                          ▲
//!            └─ input ─┴───── reader ─► mapping ──┘
//! ```
//!
//! [`run()`] calls these in order. `input` reads rows, `mapping` makes operations of them. `scan`
//! reads a file once for the `plan`: it counts the columns, groups the records that cannot be sent
//! by their `reasons`, and finds `repeats` and other `warnings`. `confirm` asks. `send` sends the
//! records. `settlements` writes their outcomes to the `rejects` file and the `journal`, and
//! `console` shows the `progress`. `finish` prints the summary and writes the `report`. `status`
//! shows a journal. `verify` asks later for what was not applied. `manual` prints completions and
//! manual pages.

mod args;
mod clock;
mod confirm;
mod console;
mod crash;
mod destination;
mod display;
mod files;
mod finish;
mod input;
mod interrupt;
mod journal;
mod manual;
mod mapping;
mod options;
mod plan;
mod problems;
mod progress;
mod ranges;
mod reader;
mod reasons;
mod reject;
mod rejects;
mod repeats;
mod report;
mod run;
mod scan;
mod send;
mod settings;
mod settlements;
mod shared_limit;
mod signals;
mod status;
mod suspect_id;
mod verify;
mod warnings;

use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;

use crate::args::{Args, Command};
use crate::report::Exit;
use crate::signals::Signals;

fn main() -> ExitCode {
    let exit = run().unwrap_or_else(|error| {
        console::print_error(&format!("cio-import: {error:#}"));
        Exit::Unusable
    });
    exit.into()
}

fn run() -> Result<Exit> {
    let args = Args::read();
    match &args.command {
        Command::Completions(args) => return manual::print_completions(args.shell),
        Command::Man(args) => return manual::print_page(args.command.as_deref()),
        _ => {}
    }
    let runtime = Runtime::new().context("threads cannot be started; check the system's limits")?;
    // A signal that comes earlier ends the process without a message.
    let signals = {
        let _inside = runtime.enter();
        Signals::new().context("signals cannot be received; check the system's limits")?
    };
    let exit = runtime.block_on(async {
        match args.command {
            Command::Verify(args) => verify::verify(*args, signals).await,
            _ => run::run(args, signals).await,
        }
    });
    // Does not wait for a name lookup that is still running.
    runtime.shutdown_background();
    exit
}
