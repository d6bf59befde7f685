//! Measures the layers beside their peers, and a request beside one built by hand: `cargo run --release -p bench`.
//!
//! Every comparison is made in one process, by interleaved runs of which the median counts, so that what else the machine
//! does hits all alike. The figures of two runs of the program compare only by their ratios.
//!
//! What a call asks of the heap is counted elsewhere: `cargo test --test allocations -- --nocapture`.
//!
//! The name of a table, or its beginning, prints that one alone. `connections`, `instructions`,
//! `queue` and `waiters` are printed only by name.

mod building;
mod connections;
mod contestants;
mod floor;
mod inner;
mod instructions;
mod measure;
mod peers;
mod queue;
mod tables;
mod waiters;

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<()> {
    match arguments {
        [mode, row, calls] if mode == instructions::CALLS_OF => {
            let calls = calls.parse().map_err(io::Error::other)?;
            instructions::call(row, calls)
        }
        arguments => tables::print(arguments.first().map(String::as_str)),
    }
}
