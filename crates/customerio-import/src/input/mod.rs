//! Reads a file or a stream of records, CSV or JSON lines, row by row and in bounded memory.
//!
//! ```text
//! source ─► gzip ─► changed ─► content ─┬─► tokenizer ─► header, csv ─┬─► rows
//!                                       └─► number, object ─► json ───┘
//! ```

mod changed;
mod content;
mod csv;
mod dialect;
mod gzip;
mod header;
mod json;
mod line_count;
mod number;
mod object;
mod open;
mod original;
mod row;
mod rows;
mod source;
mod tokenizer;

pub(crate) use self::dialect::{Delimiter, Dialect};
pub(crate) use self::header::Header;
pub(crate) use self::number::{check_number, is_same_number};
pub(crate) use self::object::{parse_json, parses_as_json};
pub(crate) use self::open::{Format, Input};
pub(crate) use self::original::{Layout, Original, REJECTS_COLUMNS, push_cell, push_member};
pub(crate) use self::row::{BrokenInput, LineBreaks, Row};
pub(crate) use self::rows::Rows;
