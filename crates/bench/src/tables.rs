use std::io;

use tokio::runtime::Builder;

use crate::contestants::{concurrency, rate, retry, stack};
use crate::measure::{Contestant, Cost, compare};
use crate::waiters;

/// A comparison, by the name that prints it alone.
type Table = (&'static str, fn() -> Vec<Contestant>);

const TABLES: [Table; 4] = [
    ("concurrency", concurrency),
    ("rate", rate),
    ("retry", retry),
    ("stack", stack),
];

/// Takes two minutes, so it is printed only when it is named.
const WAITERS: &str = "waiters";

/// Prints the table of that name, or all.
///
/// # Errors
///
/// Fails if there is no table of that name, or no runtime to be had.
pub(crate) fn print(wanted: Option<&str>) -> io::Result<()> {
    if wanted == Some(WAITERS) {
        return waiters::print();
    }
    let is_wanted = |name| wanted.is_none_or(|wanted| wanted == name);
    if !TABLES.iter().any(|(name, _)| is_wanted(*name)) {
        let names = TABLES.map(|(name, _)| name).join(", ");
        let problem =
            format!("there is no such table; name one of {names}, {WAITERS}, or none for all");
        return Err(io::Error::other(problem));
    }
    let runtime = Builder::new_current_thread().enable_time().build()?;
    for (name, contestants) in TABLES.iter().filter(|(name, _)| is_wanted(*name)) {
        // Inside the runtime, since a buffer spawns its worker when it is made.
        let contestants = runtime.block_on(async { contestants() });
        print_table(name, &compare(&runtime, contestants));
    }
    Ok(())
}

fn print_table(name: &str, costs: &[Cost]) {
    let [bare, ours, ..] = costs else { return };
    println!("\n| {name}, ns a call | total | added | ours / it |\n|---|--:|--:|--:|");
    println!("| {} | {:.0} | | |", bare.name, bare.nanos);
    for Cost { name, nanos } in &costs[1..] {
        let added = nanos - bare.nanos;
        let ratio = (ours.nanos - bare.nanos) / added;
        println!("| {name} | {nanos:.0} | {added:.0} | {ratio:.2} |");
    }
}
