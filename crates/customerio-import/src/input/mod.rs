//! Reads a file, or a stream, of records: CSV or JSON lines, row by row, in bounded memory.

mod csv;
mod json;
mod open;
mod rows;

pub(crate) use self::open::{Format, Input};
pub(crate) use self::rows::{Row, Rows};
