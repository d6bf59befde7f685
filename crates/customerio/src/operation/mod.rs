//! Operations of version 2 as values: checked, and serialized once.

mod body;
mod deliveries;
mod objects;
mod people;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use deliveries::check_delivery_id;
pub use value::{Lane, Operation};
