//! Keeps the books: what arrived, what was taken, and who and what is known by now.

mod busiest;
mod ledger;
mod objects;
mod records;
mod reports;
#[cfg(test)]
mod tests;
mod totals;
mod trace;

pub(crate) use ledger::Ledger;
pub use objects::Object;
pub use records::{Dedupe, Event, Person};
pub use reports::{Delivery, Form};
pub use totals::Totals;
pub use trace::Arrival;
pub(crate) use trace::Trace;
