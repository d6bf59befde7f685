//! Reads and maps records on a thread of its own, since reading blocks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use anyhow::{Error, Result, anyhow};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::display;
use crate::input::{Original, Rows};
use crate::mapping::{ImportId, Mapping, Record};
use crate::ranges::Cursor;
use crate::reject::Reject;

/// A record of the input.
#[derive(Debug)]
pub(crate) struct Item {
    /// The number of the record, counted from 1. Records that cannot be sent count too.
    pub(crate) number: u64,
    /// The record as it is in the input, if there is a rejects file.
    pub(crate) original: Option<Original>,
    /// The room of the original among the records that are read ahead.
    pub(crate) room: Option<OwnedSemaphorePermit>,
    /// The record, or why it cannot be sent.
    pub(crate) record: Result<Record, Reject>,
}

/// The most records that are read and not yet packed. Fewer would stop the thread at each record;
/// more would take more memory and gain nothing.
pub(crate) const READ_AHEAD: usize = 256;

/// The most kibibytes of originals that are read ahead. [`READ_AHEAD`] originals of a mebibyte
/// would fill the memory; the longest one must fit.
const ORIGINALS_AHEAD: usize = 4 * 1024;

/// Starts to read, without the records in `settled`: earlier runs have settled them. The thread
/// ends with the input, at the first error, which is the last item and begins with the name of the
/// input, or once the receiver is dropped.
pub(crate) fn spawn(
    input: String,
    mut rows: Rows,
    mapping: Mapping,
    import: ImportId,
    mut settled: Cursor,
    keeps_originals: bool,
) -> Receiver<Result<Item>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    let (runtime, room) = (Handle::current(), Arc::new(Semaphore::new(ORIGINALS_AHEAD)));
    let acquire = move |original: &Original| {
        // Those under a kibibyte are bounded by their number.
        let size = u32::try_from(original.size() / 1024).expect("a record has a few MiB at most");
        let acquired = runtime.block_on(Arc::clone(&room).acquire_many_owned(size));
        acquired.expect("the semaphore is never closed")
    };
    let read = move |sender: &Sender<Result<Item>>| {
        let mut number = 0;
        while let Some(row) = rows.next() {
            number += 1;
            let row = row?;
            if row.is_ok() && settled.contains(number) {
                continue;
            }
            let original = keeps_originals.then(|| rows.original());
            let item = Item {
                number,
                room: original.as_ref().map(&acquire),
                original,
                record: row.and_then(|row| mapping.record(&import, row)),
            };
            if sender.blocking_send(Ok(item)).is_err() {
                return Ok(());
            }
        }
        match settled.last().filter(|last| *last > number) {
            Some(last) => Err(too_short(number, last)),
            None => Ok(()),
        }
    };
    thread::spawn(move || run(&input, &sender, read));
    receiver
}

/// Sends items, and the error as the last one. A panic is an error too: the end of the channel
/// means the end of the input, and an import that has reached it counts as finished.
fn run(
    input: &str,
    sender: &Sender<Result<Item>>,
    read: impl FnOnce(&Sender<Result<Item>>) -> Result<()>,
) {
    let read = catch_unwind(AssertUnwindSafe(|| read(sender))).unwrap_or_else(|_| {
        Err(anyhow!(
            "a defect of cio-import has ended the reading of the input: please report the message \
             above; to send the rest, run the same command again, with a version without the defect"
        ))
    });
    if let Err(error) = read {
        // An error is ignored: the run has stopped already.
        let _ = sender.blocking_send(Err(error.context(input.to_owned())));
    }
}

/// Returns the error of an input that ends before a record which an earlier run has settled. The
/// records of a file were compared with the journal before; those of a stream are not known before
/// its end.
fn too_short(records: u64, last: u64) -> Error {
    let records = display::records(records);
    anyhow!(
        "the input has ended after {records}, but an earlier run has settled record {last}: it is \
         not the input of that run, or a part of it; run the same command with the same input"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_and_an_error_are_the_last_item() {
        type Read = fn(&Sender<Result<Item>>) -> Result<()>;
        let panics: Read = |_| panic!("a defect");
        let fails: Read = |_| Err(anyhow!("the disk fails"));
        for (read, expected) in [
            (
                panics,
                "a.csv: a defect of cio-import has ended the reading",
            ),
            (fails, "a.csv: the disk fails"),
        ] {
            let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
            run("a.csv", &sender, read);
            drop(sender);
            let error = receiver.blocking_recv().unwrap().unwrap_err();
            assert!(format!("{error:#}").starts_with(expected), "{error:#}");
            assert!(receiver.blocking_recv().is_none());
        }
    }
}
