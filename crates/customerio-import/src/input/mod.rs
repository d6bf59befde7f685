//! Reads a file, or a stream, of records: CSV or JSON lines, row by row, in bounded memory.

mod broken;
mod bytes;
mod content;
mod csv;
mod delimiter;
mod gzip;
mod header;
mod inside_line;
mod json;
mod line_count;
mod machine;
mod number;
mod object;
mod open;
mod record;
mod row;
mod rows;
mod source;
mod tokenizer;

pub(crate) use self::broken::Broken;
pub(crate) use self::delimiter::Delimiter;
pub(crate) use self::header::Header;
pub(crate) use self::open::{Format, Input};
pub(crate) use self::row::Row;
pub(crate) use self::rows::{Dialect, LineBreaks, Rows};
