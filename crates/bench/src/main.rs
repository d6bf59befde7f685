//! Measures the layers beside their peers, and a request beside one built by hand:
//! `cargo run --release -p bench`.
//!
//! All cases of a table run in turn in one process, and the median counts, so other load on the
//! machine affects them alike. Compare two runs of the program by their ratios only.
//!
//! An argument selects the tables whose names begin with it. `connections`, `instructions`,
//! `queue`, `shared`, `spool` and `waiters` are printed only by name.
//!
//! `cargo test --test allocations -- --nocapture` counts the heap allocations.

mod building;
mod connections;
mod inner;
mod instructions;
mod layers;
mod many_waiters;
mod measure;
mod peers;
mod queue;
mod shared;
mod spool;
mod tables;
mod unlimited;

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
