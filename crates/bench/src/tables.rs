//! The tables, by name.

use std::io;

use tokio::runtime::Builder;

use crate::building::{building, building_from_a_struct};
use crate::layers::{budgeted_retry, concurrency, rate, retry, stack};
use crate::measure::{Case, Cost, compare};
use crate::{connections, instructions, many_waiters, queue, shared, spool};

/// The name of a table, and the function that makes its cases.
type Table = (&'static str, fn() -> Vec<Case>);

const TABLES: [Table; 7] = [
    ("concurrency", concurrency),
    ("rate", rate),
    ("retry", retry),
    ("retry with a budget", budgeted_retry),
    ("stack", stack),
    ("building an identify request", building),
    ("building it from a struct", building_from_a_struct),
];

/// It takes two minutes, so it is printed only by name.
const WAITERS: &str = "waiters";
/// It counts connections and measures no time, so it is printed only by name.
const CONNECTIONS: &str = "connections";
/// It takes a minute and has no peer, so it is printed only by name.
const QUEUE: &str = "queue";
/// Its time is simulated, so it measures no call.
const SHARED: &str = "shared";
/// It syncs the disk for half a minute, so it is printed only by name.
const SPOOL: &str = "spool";
/// It needs valgrind, so it is printed only by name.
const INSTRUCTIONS: &str = "instructions";

/// Prints the tables whose names begin with `wanted`; without it, all that measure a call.
///
/// # Errors
///
/// Fails if no table has this name, or if there is no runtime or no socket.
pub(crate) fn print(wanted: Option<&str>) -> io::Result<()> {
    match wanted {
        Some(WAITERS) => many_waiters::print(),
        Some(CONNECTIONS) => connections::print(),
        Some(QUEUE) => queue::print(),
        Some(SHARED) => {
            shared::print();
            Ok(())
        }
        Some(SPOOL) => spool::print(),
        Some(INSTRUCTIONS) => instructions::print(),
        _ => print_measured(wanted.unwrap_or_default()),
    }
}

fn print_measured(wanted: &str) -> io::Result<()> {
    let is_wanted = |name: &str| name.starts_with(wanted);
    if !TABLES.iter().any(|(name, _)| is_wanted(name)) {
        let names = TABLES.map(|(name, _)| name).join(", ");
        let problem = format!(
            "no table begins with {wanted:?}; name one of {names}, {WAITERS}, {CONNECTIONS}, \
             {INSTRUCTIONS}, {QUEUE}, {SHARED}, {SPOOL}, or none to print all that measure a call"
        );
        return Err(io::Error::other(problem));
    }
    let runtime = Builder::new_current_thread().enable_time().build()?;
    for (name, cases) in TABLES.iter().filter(|(name, _)| is_wanted(name)) {
        // Inside the runtime, since tower's `Buffer` spawns its worker when it is built.
        let cases = runtime.block_on(async { cases() });
        print_table(name, &compare(&runtime, cases));
    }
    Ok(())
}

fn print_table(name: &str, costs: &[Cost]) {
    let [bare, ours, ..] = costs else { return };
    println!("\n| {name}, ns a call | total | added | ours / it, total | ours / it, added |");
    println!("|---|--:|--:|--:|--:|");
    println!("| {} | {:.0} | | | |", bare.name, bare.nanos);
    for Cost { name, nanos } in &costs[1..] {
        let added = nanos - bare.nanos;
        let of_total = ours.nanos / nanos;
        let of_added = (ours.nanos - bare.nanos) / added;
        println!("| {name} | {nanos:.0} | {added:.0} | {of_total:.2} | {of_added:.2} |");
    }
}
