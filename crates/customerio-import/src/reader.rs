//! Reads ahead on a thread of its own, where blocking is fine, and no further than a few records.

use std::thread;

use anyhow::Result;
use tokio::sync::mpsc::{self, Receiver};

use crate::input::Rows;
use crate::mapping::{ImportId, Mapping, Record};
use crate::reject::Reject;

/// One record, or why it cannot be sent; the outer error ends the reading.
pub(crate) type Item = Result<Result<Record, Reject>>;

/// Records that are read and wait for the pipeline.
pub(crate) const READ_AHEAD: usize = 256;

/// Starts reading. The thread ends with the input, at the first error, or when the receiver is dropped.
pub(crate) fn spawn(rows: Rows, mapping: Mapping, import: ImportId) -> Receiver<Item> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    thread::spawn(move || {
        for row in rows {
            let item = row.map(|row| row.and_then(|row| mapping.record(&import, row)));
            let is_last = item.is_err();
            if sender.blocking_send(item).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}
