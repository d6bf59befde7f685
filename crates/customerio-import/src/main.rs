//! Sends files of people and events to Customer.io: politely, repeatably, with progress.
//!
//! ```text
//! args ─► settings ─► scan ─► plan ─► confirm ─► pipeline ─► report
//!                       └── input ─► mapping ──────┘
//! ```

mod args;
mod clock;
mod confirm;
mod console;
mod counted;
mod destination;
mod doubt;
mod ending;
mod exit;
mod input;
mod interrupt;
mod journal;
mod mapping;
mod notes;
mod outputs;
mod pace;
mod pipeline;
mod plan;
mod private;
mod problems;
mod reader;
mod rehearse;
mod reject;
mod report;
mod run;
mod scan;
mod settings;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::args::Args;
use crate::exit::Exit;
use crate::settings::Settings;

fn main() -> ExitCode {
    let exit = run(Args::parse()).unwrap_or_else(|error| {
        console::complain(&format!("cio-import: {error:#}"));
        Exit::Unusable
    });
    exit.into()
}

fn run(args: Args) -> Result<Exit> {
    run::run(Settings::new(args)?)
}
