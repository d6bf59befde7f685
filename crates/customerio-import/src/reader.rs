//! Reads and maps records on a thread of its own, since reading blocks.

use std::thread;

use anyhow::Result;
use tokio::sync::mpsc::{self, Receiver};

use crate::input::Rows;
use crate::mapping::{ImportId, Mapping, Record};
use crate::reject::Reject;

/// A record, or why it cannot be sent. The outer error ends the reading.
pub(crate) type Item = Result<Result<Record, Reject>>;

/// The most records that are read and not yet packed. Fewer would stop the thread at each record;
/// more would take more memory and gain nothing.
pub(crate) const READ_AHEAD: usize = 256;

/// Starts to read. The thread ends with the input, at the first error, or once the receiver is
/// dropped.
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
