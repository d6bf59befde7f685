use std::io;

use tokio::runtime::Builder;

use crate::building::{building, building_from_a_struct};
use crate::contestants::{budgeted_retry, concurrency, rate, retry, stack};
use crate::measure::{Contestant, Cost, compare};
use crate::waiters;
use crate::{connections, instructions, queue};

/// A comparison, by its name.
type Table = (&'static str, fn() -> Vec<Contestant>);

const TABLES: [Table; 7] = [
    ("concurrency", concurrency),
    ("rate", rate),
    ("retry", retry),
    ("retry with a budget", budgeted_retry),
    ("stack", stack),
    ("building an identify request", building),
    ("building it from a struct", building_from_a_struct),
];

/// Takes two minutes, so it is printed only when it is named.
const WAITERS: &str = "waiters";
/// Counts and does not measure, so it is printed only when it is named.
const CONNECTIONS: &str = "connections";
/// Takes a minute and has no peer, so it is printed only when it is named.
const QUEUE: &str = "queue";
/// Needs valgrind, so it is printed only when it is named.
const INSTRUCTIONS: &str = "instructions";

/// Prints the tables whose names begin with `wanted`, or all.
///
/// # Errors
///
/// Fails if there is no table of such a name, or no runtime or socket to be had.
pub(crate) fn print(wanted: Option<&str>) -> io::Result<()> {
    match wanted {
        Some(WAITERS) => waiters::print(),
        Some(CONNECTIONS) => connections::print(),
        Some(QUEUE) => queue::print(),
        Some(INSTRUCTIONS) => instructions::print(),
        _ => print_measured(wanted.unwrap_or_default()),
    }
}

fn print_measured(wanted: &str) -> io::Result<()> {
    let is_wanted = |name: &str| name.starts_with(wanted);
    if !TABLES.iter().any(|(name, _)| is_wanted(name)) {
        let names = TABLES.map(|(name, _)| name).join(", ");
        let problem = format!(
            "there is no such table; name one of {names}, {WAITERS}, {CONNECTIONS}, {INSTRUCTIONS}, {QUEUE}, or none for all that measure a call"
        );
        return Err(io::Error::other(problem));
    }
    let runtime = Builder::new_current_thread().enable_time().build()?;
    for (name, contestants) in TABLES.iter().filter(|(name, _)| is_wanted(name)) {
        // Inside the runtime, since a buffer spawns its worker when it is made.
        let contestants = runtime.block_on(async { contestants() });
        print_table(name, &compare(&runtime, contestants));
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
