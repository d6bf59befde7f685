//! The journal of an import: which records are settled. It lets a run that was stopped or that
//! crashed go on, and keeps a finished one from being sent again.
//!
//! A journal is a small text file. Records are counted from 1, in the order of the input:
//!
//! ```text
//! cio-import journal 2 {"base_url":"https://track.customer.io","site":"..",..} #1f09a3c2
//! run {"environment":7,"records":20093,"rejects":"rejects.csv"} #5a0c11d9
//! settled 1-499,501-1000 accepted=998 rejected=1 rejects=122:0e4af31c #b3a17f50
//! settled 500,1001-20093 accepted=19094 rejected=0 rejects=122:0e4af31c #90d2c6e1
//! complete {"records":20093,"accepted":20092,"rejected":1,..} #27be01fa
//! ```
//!
//! - The first line is written before the first request. It has the format, the destination, the
//!   mapping and the input: a run with another one is refused. The same line begins an import that
//!   is sent again (`--again`, `--new-ids`): the lines before it do not count any more.
//! - `run` is written at the start of each run, with the time, the records of the input if they
//!   were counted, and the name of the rejects file. It is also written at the end of a run that
//!   was stopped, with the time.
//! - `settled` is written a few times a second. It has the records that were accepted or rejected,
//!   how many of each, and the length and the checksum of the rejects file.
//! - `complete` is written once all records are accepted or rejected, with the report.
//!
//! # After a crash
//!
//! Each line is synced to disk before the next one is written, and a `settled` line after the rows
//! of the rejects file that it counts. So a crash damages the last line at most. Reading cuts that
//! line, and the rejects file is cut to the length in the last line that is left.
//!
//! The checksum at the end of a line covers the lines before it too: a line that was changed,
//! removed or moved is found, unless it is the last one.

mod format;
mod header;
#[expect(
    clippy::module_inception,
    reason = "the file of `Journal` has its name"
)]
mod journal;

pub(crate) use self::format::{RejectsMark, SettledRecords};
pub(crate) use self::header::{Begun, Header};
pub(crate) use self::journal::{Journal, LoadedJournal, Progress, State, is_in_use, read};
