//! Measures the layers beside their peers: `cargo run --release -p bench`.
//!
//! Every comparison is made in one process, by interleaved runs of which the median counts, so that what else the machine
//! does hits all alike. The figures of two runs of the program compare only by their ratios.
//!
//! The name of a table, or its beginning, prints that one alone. `connections` and `waiters` are printed only by name.

mod connections;
mod contestants;
mod floor;
mod inner;
mod measure;
mod peers;
mod tables;
mod waiters;

use std::process::ExitCode;

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    match tables::print(wanted.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("bench: {problem}");
            ExitCode::FAILURE
        }
    }
}
