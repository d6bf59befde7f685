//! Turns rows into operations of the API, by the columns that the command line names.

mod columns;
mod events;
mod fields;
mod import_id;
mod person;
mod time;

pub(crate) use self::columns::{Kind, Mapping, Record};
pub(crate) use self::events::{EventColumns, Moment};
pub(crate) use self::import_id::{ImportId, hex};
pub(crate) use self::person::{Identifier, PersonColumn};
pub(crate) use self::time::TimeFormat;

#[cfg(test)]
mod tests;
