//! Asks Customer.io for what it accepted and did not apply.
//!
//! ```text
//! settings ─► started ─► failures ─► file ─► sample ─► result
//! ```
//!
//! The API answers 200 before it applies a record, and drops some: an update whose identifiers
//! contradict each other, for example. The activity log of the workspace then has a failed or
//! skipped activity. `started` finds the time of the first request in the journal. `failures` reads
//! the log from then on, and `file` finds the failures in the file of the import. `sample` reads
//! people back. `result` says what was found, and what cannot be known.

mod failures;
mod file;
mod result;
mod sample;
mod settings;
mod started;
mod verification;

pub(crate) use self::verification::verify;
