//! Makes the outcomes of records durable, in groups: first the rows of the rejects file, then a
//! line of the journal.
//!
//! # Order after a crash
//!
//! A record is settled in the journal only with all records that were settled before it: a group
//! has every record since the last one. The packer sends a record only once the earlier ones of its
//! person are settled, and none behind an unknown one. So if the journal has a record, it has the
//! earlier ones of that person too, and the next run sends the rest in the order of the input.

use std::mem;
use std::time::Duration;

use anyhow::Result;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use crate::crash;
use crate::input::{Layout, Original};
use crate::journal::{Journal, Progress, SettledRecords};
use crate::problems::{Problem, rejects_failed};
use crate::ranges::Ranges;
use crate::rejects::{RejectsFile, push_row};

/// The least time between two groups.
///
/// A crash repeats the records of this time, besides those in flight. A shorter time takes more
/// syncs of the disk, of which a slow one does about ten a second.
const INTERVAL: Duration = Duration::from_millis(200);

/// The most bytes of rows that wait for the disk. Reading stops meanwhile.
const MAX_ROWS: usize = 4 << 20;

/// The most bytes of rows that are kept for the end of the run, of records that are unknown or were
/// not sent. Further ones are named by their numbers only.
const MAX_LAST_ROWS: usize = 4 << 20;

/// The most ranges of settled records. They bound the memory of a run, to about 16 MB. Records in
/// flight make some thousands of gaps; the rest are records behind an unknown one of their person.
const MAX_RANGES: usize = 500_000;

/// The settled records of an import, and the files that record them.
#[derive(Debug)]
pub(crate) struct Settlements {
    writer: Writer,
    /// How rows are written, if there is a rejects file.
    layout: Option<Layout>,
    /// All settled records, also those of earlier runs.
    settled: Ranges,
    /// Whether the API has accepted a record, in this run or an earlier one. Until then nothing is
    /// written to the journal: an API that rejects everything may be the wrong one.
    has_success: bool,
    pending: SettledRecords,
    pending_rows: Vec<u8>,
    /// Rows for the end of the run.
    last_rows: Vec<u8>,
    left_out: u64,
    next_start: Instant,
}

/// The files that record what is settled. A run may have none of them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) journal: Option<Box<Journal>>,
    pub(crate) rejects: Option<RejectsFile>,
}

/// Where the files are.
#[derive(Debug)]
enum Writer {
    Idle(Files),
    /// On a thread that writes a group.
    Writing(JoinHandle<(Files, Result<()>)>),
    /// A group could not be written. Nothing is written after that: it is unknown what is on disk.
    /// The files stay open, since the lock of the journal lasts until the run has ended.
    Failed(Files),
}

/// The end of a run.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The journal. Dropping it releases its lock.
    pub(crate) journal: Option<Box<Journal>>,
    /// Whether all settled records are in the journal.
    pub(crate) is_written: bool,
    pub(crate) settled: Ranges,
    /// The number of unknown or unsent records for which the rejects file has no row.
    pub(crate) left_out: u64,
    /// Why the files could not be written.
    pub(crate) error: Option<anyhow::Error>,
}

// === impl Settlements ===

impl Settlements {
    /// Continues after the records that earlier runs have settled.
    pub(crate) fn new(
        files: Files,
        layout: Option<Layout>,
        progress: Progress,
        now: Instant,
    ) -> Self {
        Self {
            writer: Writer::Idle(files),
            layout,
            settled: progress.settled,
            has_success: progress.accepted > 0,
            pending: SettledRecords::default(),
            pending_rows: Vec::new(),
            last_rows: Vec::new(),
            left_out: 0,
            next_start: now + INTERVAL,
        }
    }

    /// Settles a record that the API has accepted.
    pub(crate) fn accept(&mut self, number: u64) {
        self.has_success = true;
        self.pending.accepted += 1;
        self.settle(number);
    }

    /// Settles a rejected record.
    pub(crate) fn reject(&mut self, number: u64, problem: &Problem, original: Option<&Original>) {
        self.pending.rejected += 1;
        self.settle(number);
        if let Some(layout) = &self.layout {
            push_row(&mut self.pending_rows, layout, problem, original);
        }
    }

    fn settle(&mut self, number: u64) {
        let is_new = self.settled.insert(number) && self.pending.records.insert(number);
        assert!(is_new, "no record is settled twice");
    }

    /// Adds a record that is unknown or was not sent to the end of the rejects file. The next run
    /// takes it up.
    pub(crate) fn leave(&mut self, problem: &Problem, original: Option<&Original>) {
        let Some(layout) = &self.layout else { return };
        if self.last_rows.len() >= MAX_LAST_ROWS {
            self.left_out += 1;
            return;
        }
        push_row(&mut self.last_rows, layout, problem, original);
    }

    /// Returns whether so many records are left between settled ones that memory would grow.
    pub(crate) fn has_too_many_gaps(&self) -> bool {
        self.settled.count() > MAX_RANGES
    }

    /// Returns whether reading has to wait for the disk.
    pub(crate) fn is_full(&self) -> bool {
        self.pending_rows.len() >= MAX_ROWS
    }

    pub(crate) fn is_writing(&self) -> bool {
        matches!(self.writer, Writer::Writing(_))
    }

    /// Returns when the next group is to be written, if there is one.
    pub(crate) fn next_start(&self) -> Option<Instant> {
        let Writer::Idle(files) = &self.writer else {
            return None;
        };
        let has_records =
            self.has_success && files.journal.is_some() && !self.pending.records.is_empty();
        (has_records || !self.pending_rows.is_empty()).then_some(self.next_start)
    }

    /// Starts to write the pending records, if that is due.
    pub(crate) fn start_if_due(&mut self, now: Instant) {
        if self.next_start().is_some_and(|start| start <= now) {
            self.next_start = now + INTERVAL;
            self.start(self.has_success);
        }
    }

    fn start(&mut self, is_journaled: bool) {
        match mem::replace(&mut self.writer, Writer::Failed(Files::default())) {
            Writer::Idle(mut files) => {
                let rows = mem::take(&mut self.pending_rows);
                let records = is_journaled.then(|| mem::take(&mut self.pending));
                self.writer = Writer::Writing(spawn_blocking(move || {
                    let written = files.write(&rows, records);
                    (files, written)
                }));
            }
            writer => self.writer = writer,
        }
    }

    /// Waits until the group that is being written is on disk. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be written. Nothing is written any more then.
    pub(crate) async fn written(&mut self) -> Result<()> {
        let Writer::Writing(task) = &mut self.writer else {
            return Ok(());
        };
        let (files, written) = match task.await {
            Ok(done) => done,
            // The thread has panicked.
            Err(error) => (Files::default(), Err(error.into())),
        };
        self.writer = match written {
            Ok(()) => Writer::Idle(files),
            Err(_) => Writer::Failed(files),
        };
        written
    }

    /// Writes all pending records, then the rows for the end of the run. `has_sent` is whether
    /// requests were sent.
    pub(crate) async fn finish(mut self, has_sent: bool) -> Finished {
        let mut written = self.written().await;
        if written.is_ok() {
            self.start(self.has_success || !has_sent);
            written = self.written().await;
        }
        let (mut files, is_written) = match self.writer {
            Writer::Idle(files) => (files, true),
            Writer::Failed(files) => (files, false),
            Writer::Writing(_) => unreachable!("it was awaited"),
        };
        if let (Some(rejects), true) = (&mut files.rejects, is_written) {
            let appended = rejects.append_uncounted(&self.last_rows);
            written = appended.map_err(rejects_failed);
        }
        Finished {
            journal: files.journal,
            // An API that accepts nothing leaves all records pending.
            is_written: is_written && self.pending.records.is_empty(),
            settled: self.settled,
            left_out: self.left_out,
            error: written.err(),
        }
    }
}

// === impl Files ===

impl Files {
    fn write(&mut self, rows: &[u8], records: Option<SettledRecords>) -> Result<()> {
        crash::point("a group");
        if let Some(rejects) = &mut self.rejects {
            rejects.append(rows).map_err(rejects_failed)?;
        }
        let records = records.filter(|records| !records.records.is_empty());
        let (Some(journal), Some(mut records)) = (&mut self.journal, records) else {
            return Ok(());
        };
        records.rejects = self.rejects.as_ref().map(RejectsFile::mark);
        journal.settle(records)
    }
}
