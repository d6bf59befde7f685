//! Reads a file, or a stream, of records: CSV or JSON lines, row by row, in bounded memory.

mod bytes;
mod csv;
mod json;
mod open;
mod row;
mod rows;

pub(crate) use self::open::{Format, Input};
pub(crate) use self::row::Row;
pub(crate) use self::rows::Rows;
