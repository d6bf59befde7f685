use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::time::sleep;

use super::format::{
    Line, LineError, MAGIC, MAX_LINE, MAX_RANGES, RejectsMark, RunLine, SettledRecords, VERSION,
};
use super::header::{Begun, Header};
use crate::files::{Role, Roles, is_at, sync_folder};
use crate::ranges::Ranges;
use crate::report::Report;
use crate::{clock, crash, display};

/// How long a run waits for the lock of its journal.
///
/// `status` and `verify` hold it for some microseconds, to see whether a run does. With a shorter
/// time, a run that starts meanwhile on a busy machine would fail; with a longer one, the message
/// that another run has it comes late.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// The time between two attempts to lock.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// A journal on disk, locked until it is dropped. Dropping removes it if it is empty.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    header: Header,
    progress: Progress,
    /// The number of the workspace, if the API has named it.
    environment: Option<u64>,
    /// The end of the last whole line. Bytes after it are a part of a line.
    length: u64,
    checksum: u32,
    /// Whether the header is not written yet.
    is_new: bool,
    is_empty: bool,
    /// Whether a line could not be written. It is unknown what is on disk then.
    has_failed: bool,
}

/// Whether the import is finished, by its journal.
#[derive(Debug)]
pub(crate) enum LoadedJournal {
    /// Call [`Journal::begin`], send, then call [`Journal::complete`].
    Unfinished(Box<Journal>),
    /// All records are accepted or rejected; this is the report.
    Finished(Report),
}

/// The records that earlier runs have settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) settled: Ranges,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    /// The number of records in the input, if it was counted.
    pub(crate) records: Option<u64>,
    /// The greatest settled number, and the line of the journal that has it.
    last: Option<(u64, u64)>,
    /// The last mark of each rejects file, by its name.
    pub(crate) rejects: HashMap<String, RejectsMark>,
}

/// The content of a journal.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// None in an empty file, and after a crash in the middle of the first line.
    pub(crate) header: Option<Header>,
    pub(crate) progress: Progress,
    /// The report of a finished import.
    pub(crate) report: Option<Report>,
    /// The time of the first request, in seconds since 1970, if each run has written its own.
    pub(crate) started: Option<i64>,
    /// The time after the last request, if the last run has written it.
    pub(crate) ended: Option<i64>,
    has_runs: bool,
    /// The number of the workspace, if the API has named it to one of the runs.
    environment: Option<u64>,
    /// The name of the rejects file of the last run.
    rejects: Option<String>,
    /// The end of the last whole line.
    length: u64,
    checksum: u32,
}

/// Reads a journal.
///
/// # Errors
///
/// Fails if the file is no journal, or one of another format, if it is damaged before its last
/// line, or if a line says what cannot be true.
pub(crate) fn read(file: &File) -> Result<State> {
    let cannot_be_read =
        "the journal cannot be read; name another file with --journal, or add --no-journal";
    // A run may append meanwhile: without the bound, the rest of a line could come after its
    // beginning was taken for the end of the file.
    let length = file.metadata().context(cannot_be_read)?.len();
    let mut source = BufReader::new(file).take(length);
    let mut state = State::default();
    let (mut bytes, mut number, mut damaged) = (Vec::new(), 0, None);
    loop {
        bytes.clear();
        let length = (&mut source)
            .take(MAX_LINE)
            .read_until(b'\n', &mut bytes)
            .context(cannot_be_read)?;
        if length == 0 {
            return Ok(state);
        }
        // A crash damages the last line only.
        if let Some(line) = damaged {
            bail!(
                "line {line} of the journal is damaged; restore the file, or remove it to send all \
                 records again"
            );
        }
        number += 1;
        if number == 1 {
            check_magic(&bytes)?;
        }
        match state.add_line(&bytes, number) {
            Ok(()) => state.length += length as u64,
            Err(LineError::Damaged) => damaged = Some(number),
            // Also the last one: a crash does not leave a line with the right checksum.
            Err(LineError::Invalid(why)) => bail!(
                "line {number} of the journal is damaged: {why}; restore the file, or remove it to \
                 send all records again"
            ),
        }
    }
}

/// Fails unless the first line is that of a journal of this format, or a part of one: another file
/// must not be overwritten.
fn check_magic(line: &[u8]) -> Result<()> {
    let expected = format!("{MAGIC}{VERSION} ");
    let is_part = expected.as_bytes().starts_with(line);
    if is_part || line.starts_with(expected.as_bytes()) {
        return Ok(());
    }
    // Format 1 was JSON.
    let is_old = line.starts_with(b"{\"version\":1,");
    ensure!(
        !is_old && !line.starts_with(MAGIC.as_bytes()),
        "this journal was written by another version of cio-import; use that version, or remove \
         the file to send all records again"
    );
    Err(anyhow!(
        "this file is not an import journal, or it is damaged; name another with --journal"
    ))
}

// === impl State ===

impl State {
    /// Adds a line, whose number is counted from 1.
    fn add_line(&mut self, bytes: &[u8], number: u64) -> Result<(), LineError> {
        let text = str::from_utf8(bytes).ok();
        let text = text.and_then(|text| text.strip_suffix('\n'));
        let (line, checksum) = Line::decode(text.ok_or(LineError::Damaged)?, self.checksum)?;
        let is_after_header = self.header.is_some() && self.report.is_none();
        match line {
            // The first line, or the import is sent again: the lines before do not count any more.
            Line::Header(header) => {
                *self = Self {
                    environment: header.environment,
                    header: Some(header),
                    length: self.length,
                    ..Self::default()
                };
            }
            _ if !is_after_header => {
                return invalid("it comes before the first line, or after the end of the import");
            }
            Line::Run(run) => self.add_run(run)?,
            Line::Settled(settled) => self.add_settled(&settled, number)?,
            Line::Complete(report) => self.add_report(report)?,
        }
        self.checksum = checksum;
        Ok(())
    }

    fn add_run(&mut self, run: RunLine) -> Result<(), LineError> {
        let parsed = |time: &String| clock::parse_rfc3339(time);
        if run.ended_at.is_some() {
            self.ended = run.ended_at.as_ref().and_then(parsed);
            return Ok(());
        }
        let started = run.started_at.as_ref().and_then(parsed);
        self.started = match self.has_runs {
            // The clock may have been set back between two runs.
            true => self.started.zip(started).map(|(one, other)| one.min(other)),
            false => started,
        };
        self.ended = None;
        self.has_runs = true;
        self.progress.records = run.records.or(self.progress.records);
        self.environment = self.environment.or(run.environment);
        self.rejects = run.rejects;
        self.progress.check_last()
    }

    fn add_settled(&mut self, settled: &SettledRecords, number: u64) -> Result<(), LineError> {
        let progress = &mut self.progress;
        if !progress.settled.insert_all(&settled.records) {
            return invalid("a record in it is settled already");
        }
        if progress.settled.count() > MAX_RANGES {
            return invalid("there are more ranges of settled records than a run leaves");
        }
        let last = settled
            .records
            .iter()
            .last()
            .map(|(_, last)| (last, number));
        progress.last = progress.last.max(last);
        progress.check_last()?;
        // Nothing is settled after the end of a run.
        self.ended = None;
        progress.accepted += settled.accepted;
        progress.rejected += settled.rejected;
        if let (Some(name), Some(mark)) = (&self.rejects, settled.rejects) {
            progress.rejects.insert(name.clone(), mark);
        }
        Ok(())
    }

    /// Adds the report of a finished import. With other counts than those of the lines before it,
    /// records would count as sent that were not.
    fn add_report(&mut self, report: Report) -> Result<(), LineError> {
        let progress = &self.progress;
        let found = (report.records, report.accepted, report.rejected);
        let expected = (progress.settled.len(), progress.accepted, progress.rejected);
        if found != expected || !report.is_settled() {
            return invalid("its counts are not those of the settled records");
        }
        self.ended = report.ended();
        self.report = Some(report);
        Ok(())
    }
}

fn invalid(why: &str) -> Result<(), LineError> {
    Err(LineError::Invalid(why.to_owned()))
}

// === impl Progress ===

impl Progress {
    /// Fails if a record is settled that the input does not have, as far as its records were
    /// counted.
    fn check_last(&self) -> Result<(), LineError> {
        match (self.last, self.records) {
            (Some((last, _)), Some(records)) if last > records => {
                Err(LineError::Invalid(beyond(last, records)))
            }
            _ => Ok(()),
        }
    }
}

fn beyond(last: u64, records: u64) -> String {
    let records = display::records(records);
    format!("record {last} is settled, but the input has {records}")
}

// === impl Journal ===

impl Journal {
    /// Opens, locks and reads a journal. `header` is that of this run; its `begun` says whether the
    /// run is to start over. Dropping the future changes no journal.
    ///
    /// An unfinished import that was begun by `--again` or `--new-ids` goes on with the same flag,
    /// so that the same command goes on after a crash.
    ///
    /// # Errors
    ///
    /// Fails if the journal belongs to another import, is damaged, or is in use by another process.
    pub(crate) async fn load(
        roles: &mut Roles,
        path: &Path,
        header: Header,
    ) -> Result<LoadedJournal> {
        let mut journal = Self {
            file: open(roles, path).await?,
            path: path.to_owned(),
            header,
            progress: Progress::default(),
            environment: None,
            length: 0,
            checksum: 0,
            is_new: true,
            is_empty: false,
            has_failed: false,
        };
        let state = read(&journal.file).with_context(|| display::path(path))?;
        let size = journal.file.metadata().map(|metadata| metadata.len());
        journal.is_empty = size.is_ok_and(|size| size == 0);
        let Some(found) = state.header else {
            return Ok(LoadedJournal::Unfinished(Box::new(journal)));
        };
        if let Some(part) = found.difference(&journal.header) {
            bail!(
                "{}: this journal belongs to another run: {part} differs; name another file with \
                 --journal",
                display::path(path)
            );
        }
        journal.environment = state.environment;
        // Also if the import is sent again: the older lines stay until the new ones are on disk.
        (journal.length, journal.checksum) = (state.length, state.checksum);
        let asked = journal.header.begun;
        match state.report {
            Some(report) if asked == Begun::First => return Ok(LoadedJournal::Finished(report)),
            None if asked == Begun::First || asked == found.begun => {
                journal.header = found;
                journal.progress = state.progress;
                journal.is_new = false;
            }
            // The ids of the run before, also if it made new ones.
            _ if asked == Begun::Again => journal.header.salt = found.salt,
            _ => {}
        }
        Ok(LoadedJournal::Unfinished(Box::new(journal)))
    }

    /// Takes the records that earlier runs have settled. It can be called once: there may be many,
    /// and one copy is enough.
    pub(crate) fn take_progress(&mut self) -> Progress {
        mem::take(&mut self.progress)
    }

    /// Returns the text that makes the event ids differ from those of other runs, if there is one.
    pub(crate) fn salt(&self) -> Option<&str> {
        self.header.salt.as_deref()
    }

    /// Compares the settled records with the number of records in the input.
    ///
    /// # Errors
    ///
    /// Fails if a record is settled that the input does not have.
    pub(crate) fn check_records(&self, progress: &Progress, records: u64) -> Result<()> {
        match progress.last {
            Some((last, line)) if last > records => bail!(
                "{}: line {line} of the journal is damaged: {}; restore the file, or remove it to \
                 send all records again",
                display::path(&self.path),
                beyond(last, records)
            ),
            _ => Ok(()),
        }
    }

    /// Compares the workspace with that of earlier runs. None if the API does not name it.
    ///
    /// # Errors
    ///
    /// Fails if an earlier run has sent to another workspace.
    pub(crate) fn check_environment(&mut self, environment: Option<u64>) -> Result<()> {
        let is_other = |known: u64| environment.is_some_and(|found| found != known);
        ensure!(
            !self.environment.is_some_and(is_other),
            "{}: this journal belongs to another run: the workspace differs; name another file \
             with --journal",
            display::path(&self.path)
        );
        self.environment = self.environment.or(environment);
        Ok(())
    }

    /// Writes the start of a run after the lines of earlier runs, and syncs it to disk. `now` is in
    /// seconds since 1970.
    pub(crate) fn begin(
        &mut self,
        records: Option<u64>,
        rejects: Option<String>,
        now: i64,
    ) -> Result<()> {
        // Removes a line that a crash has cut off.
        self.cut()?;
        let run = Line::Run(RunLine {
            environment: self.environment,
            records,
            rejects,
            started_at: Some(clock::rfc3339(now)),
            ended_at: None,
        });
        if !self.is_new {
            return self.append(&[run]);
        }
        // If the disk is full, dropping removes a new file with the part of the header. The header
        // of an import that is sent again comes after the lines of the earlier one: in their place,
        // a crash would leave no journal, and the plain command would send everything once more.
        self.is_empty = self.length == 0;
        self.header.environment = self.environment;
        self.append(&[Line::Header(self.header.clone()), run])?;
        self.is_new = false;
        self.is_empty = false;
        Ok(())
    }

    /// Writes that records are settled, and syncs it to disk.
    ///
    /// # Errors
    ///
    /// Fails if the line cannot be written or synced. The journal must not be written to again: it
    /// is unknown what is on disk.
    pub(crate) fn settle(&mut self, settled: SettledRecords) -> Result<()> {
        self.append(&[Line::Settled(settled)])
    }

    /// Writes when a run has ended whose import is not finished, and syncs it to disk. Does nothing
    /// if a line could not be written. `report` is that of the run.
    pub(crate) fn end(mut self, report: &Report) -> Result<()> {
        if self.has_failed {
            return Ok(());
        }
        self.append(&[Line::Run(RunLine {
            ended_at: report.ended_at.clone(),
            ..RunLine::default()
        })])
    }

    /// Writes that the import is finished, and syncs it to disk.
    pub(crate) fn complete(mut self, report: &Report) -> Result<()> {
        crash::point("finished");
        self.append(&[Line::Complete(report.clone())])?;
        crash::point("completed");
        Ok(())
    }

    fn cut(&self) -> Result<()> {
        self.file
            .set_len(self.length)
            .with_context(|| self.not_written())
    }

    /// Appends lines with one write and one sync.
    fn append(&mut self, lines: &[Line]) -> Result<()> {
        let (mut text, mut checksum) = (String::new(), self.checksum);
        for line in lines {
            let (encoded, next) = line.encode(checksum);
            text += &encoded;
            checksum = next;
        }
        let written = self.write(text.as_bytes());
        if written.is_err() {
            self.has_failed = true;
            // A full disk holds a part of the text, which the next run cuts. An error is ignored:
            // the reason of the first one is reported.
            let _ = self.cut();
        }
        written.with_context(|| self.not_written())?;
        self.checksum = checksum;
        self.length += text.len() as u64;
        Ok(())
    }

    fn write(&self, text: &[u8]) -> std::io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.length))?;
        if crash::is_due("half a line") {
            file.write_all(&text[..text.len() / 2])?;
            crash::now();
        }
        file.write_all(text)?;
        crash::point("a line that is not synced");
        file.sync_data()?;
        crash::point("a line");
        Ok(())
    }

    fn not_written(&self) -> String {
        let path = display::path(&self.path);
        format!(
            "{path}: the journal cannot be written; free some disk space, then run the same \
             command again"
        )
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The lock lasts until the file is closed, after this.
        if self.is_empty && is_at(&self.file, &self.path) {
            // An error is ignored: an empty journal does no harm.
            let _ = fs::remove_file(&self.path).map(|()| sync_folder(&self.path));
        }
    }
}

/// Whether a journal could be locked.
enum Lock {
    Held,
    /// Another process has locked it.
    Busy,
    /// The path leads to another file by now, or to none.
    Replaced,
}

/// Opens a journal, or creates it, and locks it until it is closed. Waits up to [`LOCK_WAIT`] for a
/// program that reads it. Dropping the future leaves a new journal empty.
async fn open(roles: &mut Roles, path: &Path) -> Result<File> {
    let until = clock::now() + LOCK_WAIT;
    loop {
        // A copy, since a file that was replaced has no role.
        let mut opened = roles.clone();
        let file = opened.open(Role::Journal, path)?;
        match lock(&file, path)? {
            Lock::Held => {
                *roles = opened;
                return Ok(file);
            }
            Lock::Busy | Lock::Replaced if clock::now() < until => {}
            Lock::Busy | Lock::Replaced => bail!(
                "{}: another import is using this journal; wait until it ends",
                display::path(path)
            ),
        }
        drop(file);
        sleep(LOCK_RETRY).await;
    }
}

fn lock(file: &File, path: &Path) -> Result<Lock> {
    match file.try_lock() {
        // The process that had the lock may have removed the file, as it does with an empty one.
        // A lock on such a file keeps no other run from creating a new one.
        Ok(()) if !is_at(file, path) => Ok(Lock::Replaced),
        Ok(()) => Ok(Lock::Held),
        Err(TryLockError::WouldBlock) => Ok(Lock::Busy),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| {
            let path = display::path(path);
            format!("{path}: the journal cannot be locked; add --no-journal")
        }),
    }
}

/// Returns whether a run is using the journal. A run that starts in the same moment waits for the
/// lock, which is released at once.
pub(crate) fn is_in_use(file: &File) -> Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => {
            file.unlock().context("the journal cannot be unlocked")?;
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        // A file system without locks.
        Err(TryLockError::Error(_)) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::sync::mpsc;
    use std::{slice, thread};

    use tokio::runtime::Builder;

    use super::*;
    use crate::report::{Totals, Traffic};

    const NOW: i64 = 1_767_225_600;

    fn header() -> Header {
        Header {
            base_url: "https://track.customer.io".into(),
            site: "5173".into(),
            environment: None,
            kind: "people".into(),
            mapping: "id".into(),
            content: Some("c0ffee".into()),
            import_id: "abc".into(),
            salt: None,
            begun: Begun::First,
        }
    }

    fn again() -> Header {
        Header {
            begun: Begun::Again,
            ..header()
        }
    }

    fn new_ids(salt: &str) -> Header {
        Header {
            begun: Begun::NewIds,
            salt: Some(salt.into()),
            ..header()
        }
    }

    fn settled(records: &str) -> SettledRecords {
        let records: Ranges = records.parse().unwrap();
        SettledRecords {
            accepted: records.len() - 1,
            rejected: 1,
            records,
            rejects: None,
        }
    }

    /// Returns the report of an import with 4 records.
    fn report() -> Report {
        report_of(3, 1)
    }

    fn report_of(accepted: u64, rejected: u64) -> Report {
        let totals = Totals {
            accepted,
            rejected,
            ..Totals::default()
        };
        let time = Duration::from_millis(1234);
        Report::new(accepted + rejected, totals, Traffic::default(), time)
    }

    fn state(path: &Path) -> State {
        read(&File::open(path).unwrap()).unwrap()
    }

    /// Finishes an import after the records that are settled. Returns its report.
    fn complete(path: &Path, journal: Box<Journal>) -> Report {
        let progress = state(path).progress;
        let report = report_of(progress.accepted, progress.rejected);
        journal.complete(&report).unwrap();
        report
    }

    fn load(path: &Path, header: Header) -> Result<LoadedJournal> {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(Journal::load(&mut Roles::new(None), path, header))
    }

    #[track_caller]
    fn unfinished(path: &Path, header: Header) -> Box<Journal> {
        match load(path, header).unwrap() {
            LoadedJournal::Unfinished(journal) => journal,
            LoadedJournal::Finished(_) => panic!("the import is finished"),
        }
    }

    fn begin(path: &Path, header: Header) -> Box<Journal> {
        let mut journal = unfinished(path, header);
        journal.begin(None, None, NOW).unwrap();
        journal
    }

    #[track_caller]
    fn check_settled(path: &Path, expected: &str) {
        let mut journal = unfinished(path, header());
        assert_eq!(journal.take_progress().settled.to_string(), expected);
    }

    fn error(path: &Path, header: Header) -> String {
        format!("{:#}", load(path, header).unwrap_err())
    }

    fn with_path(test: impl FnOnce(&Path)) {
        let folder = tempfile::tempdir().unwrap();
        test(&folder.path().join("people.csv.cio-journal"));
    }

    #[test]
    fn a_run_goes_on_where_the_last_one_has_stopped() {
        with_path(|path| {
            let mut journal = begin(path, header());
            journal.settle(settled("1-2,5")).unwrap();
            journal.settle(settled("3")).unwrap();
            drop(journal);
            let mut journal = begin(path, header());
            let progress = journal.take_progress();
            assert_eq!(progress.settled.to_string(), "1-3,5");
            assert_eq!((progress.accepted, progress.rejected), (2, 2));
            journal.settle(settled("4")).unwrap();
            let report = complete(path, journal);
            let loaded = load(path, header()).unwrap();
            assert!(matches!(loaded, LoadedJournal::Finished(found) if found == report));
        });
    }

    #[test]
    fn an_import_that_is_sent_again_goes_on_with_the_same_flag_only() {
        with_path(|path| {
            begin(path, header()).settle(settled("1")).unwrap();
            let mut journal = begin(path, again());
            assert!(journal.take_progress().settled.is_empty());
            journal.settle(settled("2")).unwrap();
            drop(journal);
            check_settled(path, "2");
            let mut journal = unfinished(path, again());
            assert_eq!(journal.take_progress().settled.to_string(), "2");
            complete(path, journal);
            let mut journal = unfinished(path, again());
            assert!(
                journal.take_progress().settled.is_empty(),
                "it was finished"
            );
        });
    }

    #[test]
    fn new_ids_stay_until_other_ones_are_asked_for() {
        with_path(|path| {
            begin(path, new_ids("one")).settle(settled("1")).unwrap();
            for header in [header(), new_ids("two"), again()] {
                let journal = unfinished(path, header);
                assert_eq!(journal.salt(), Some("one"));
            }
            complete(path, begin(path, new_ids("two")));
            assert_eq!(unfinished(path, again()).salt(), Some("one"));
            assert_eq!(unfinished(path, new_ids("three")).salt(), Some("three"));
        });
    }

    #[test]
    fn a_run_that_did_not_begin_leaves_the_journal_unchanged() {
        with_path(|path| {
            drop(unfinished(path, header()));
            assert!(!path.exists());
            complete(path, begin(path, header()));
            drop(unfinished(path, again()));
            let loaded = load(path, header()).unwrap();
            assert!(matches!(loaded, LoadedJournal::Finished(_)));
        });
    }

    #[test]
    fn an_import_that_is_sent_again_keeps_the_lines_of_the_earlier_one() {
        with_path(|path| {
            begin(path, header()).settle(settled("1-2")).unwrap();
            let report = complete(path, begin(path, header()));
            let earlier = fs::read(path).unwrap();
            begin(path, new_ids("one")).settle(settled("3")).unwrap();
            let whole = fs::read(path).unwrap();
            assert!(whole.starts_with(&earlier));
            let added = &whole[earlier.len()..];
            let header_end = added.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            // A crash at any byte leaves the earlier import, or the new one.
            for length in 0..=added.len() {
                fs::write(path, &whole[..earlier.len() + length]).unwrap();
                let loaded = load(path, header()).unwrap();
                match loaded {
                    LoadedJournal::Finished(found) => {
                        assert!(length < header_end, "{length}");
                        assert_eq!(found, report);
                    }
                    LoadedJournal::Unfinished(mut journal) => {
                        assert!(length >= header_end, "{length}");
                        assert_eq!(journal.salt(), Some("one"));
                        let is_whole = length == added.len();
                        let settled = journal.take_progress().settled.to_string();
                        assert_eq!(settled, if is_whole { "3" } else { "" });
                    }
                }
            }
        });
    }

    /// Returns a journal with two settled lines.
    fn written(path: &Path) -> Vec<u8> {
        let mut journal = begin(path, header());
        journal.settle(settled("1-2")).unwrap();
        journal.settle(settled("3")).unwrap();
        drop(journal);
        fs::read(path).unwrap()
    }

    #[test]
    fn a_line_that_a_crash_has_cut_off_is_removed() {
        with_path(|path| {
            let whole = written(path);
            let breaks: Vec<_> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
            for length in 0..whole.len() {
                fs::write(path, &whole[..length]).unwrap();
                let expected = match length {
                    _ if length > breaks[2] => "1-2",
                    _ => "",
                };
                check_settled(path, expected);
                begin(path, header()).settle(settled("7")).unwrap();
                let expected = format!("{expected},7");
                check_settled(path, expected.trim_start_matches(','));
            }
        });
    }

    #[test]
    fn a_damaged_last_line_is_removed() {
        with_path(|path| {
            let mut whole = written(path);
            let last = whole.len() - 1;
            for damage in [&b"x\n"[..], b"\0\0", b"\xff\xff\n"] {
                whole.truncate(last);
                whole.extend_from_slice(damage);
                fs::write(path, &whole).unwrap();
                check_settled(path, "1-2");
            }
        });
    }

    #[test]
    fn damage_before_the_last_line_is_an_error_that_names_the_line() {
        with_path(|path| {
            let whole = String::from_utf8(written(path)).unwrap();
            let lines: Vec<_> = whole.split_inclusive('\n').collect();
            let check = |lines: &[&str], line: u32| {
                fs::write(path, lines.concat()).unwrap();
                let expected = format!(": line {line} of the journal is damaged");
                let error = error(path, header());
                assert!(error.contains(&expected), "{error}");
                assert_eq!(fs::read_to_string(path).unwrap(), lines.concat());
            };
            let changed = lines[2].replace("1-2", "1-3");
            check(&[lines[0], lines[1], &changed, lines[3]], 3);
            check(&[lines[0], lines[2], lines[3]], 2);
            check(&[lines[0], lines[1], lines[2], lines[2], lines[3]], 4);
            check(&[lines[0], lines[1], "\n", lines[2]], 3);
            let header = lines[0].replace("people", "events");
            check(&[&header, lines[1]], 1);
        });
    }

    /// Checks that a journal with these lines after its header is refused, also if the last of them
    /// says what cannot be true.
    #[track_caller]
    fn check_invalid(records: Option<u64>, lines: &[Line], expected: &str) {
        with_path(|path| {
            let mut journal = unfinished(path, header());
            journal.begin(records, None, NOW).unwrap();
            for line in lines {
                journal.append(slice::from_ref(line)).unwrap();
            }
            drop(journal);
            let before = fs::read(path).unwrap();
            let error = error(path, header());
            assert!(error.contains(expected), "{error}");
            assert_eq!(fs::read(path).unwrap(), before);
        });
    }

    #[test]
    fn a_record_that_is_settled_twice_is_damage() {
        let lines = ["1-2", "2", "3"].map(|records| Line::Settled(settled(records)));
        let expected = "line 4 of the journal is damaged: a record in it is settled already";
        check_invalid(None, &lines, expected);
        check_invalid(None, &lines[..2], expected);
    }

    #[test]
    fn a_settled_record_that_the_input_does_not_have_is_damage() {
        let lines = ["1-2,4", "3,5"].map(|records| Line::Settled(settled(records)));
        let expected = "line 4 of the journal is damaged: record 5 is settled, but the input has 4 \
                        records; restore the file";
        check_invalid(Some(4), &lines, expected);
        let fewer = Line::Run(RunLine {
            records: Some(3),
            ..RunLine::default()
        });
        let expected = "line 4 of the journal is damaged: record 4 is settled, but the input has 3";
        check_invalid(None, &[lines[0].clone(), fewer], expected);
        with_path(|path| {
            let mut journal = begin(path, header());
            journal.settle(settled("1-2,9")).unwrap();
            journal.settle(settled("3-5")).unwrap();
            drop(journal);
            let mut journal = unfinished(path, header());
            let progress = journal.take_progress();
            assert!(journal.check_records(&progress, 9).is_ok());
            let error = journal.check_records(&progress, 8).unwrap_err().to_string();
            let expected =
                "line 3 of the journal is damaged: record 9 is settled, but the input has 8";
            assert!(error.contains(expected), "{error}");
        });
    }

    #[test]
    fn a_finished_import_with_other_counts_is_damage() {
        let settled = Line::Settled(settled("1-4"));
        let not_sent = Report {
            not_sent: 1,
            ..report()
        };
        for (lines, expected) in [
            (vec![Line::Complete(report())], "line 3"),
            (vec![settled.clone(), Line::Complete(not_sent)], "line 4"),
            (
                vec![
                    settled.clone(),
                    Line::Complete(Report {
                        records: 5,
                        ..report()
                    }),
                ],
                "line 4",
            ),
            (
                vec![settled.clone(), Line::Complete(report()), settled],
                "line 5",
            ),
        ] {
            check_invalid(
                None,
                &lines,
                &format!("{expected} of the journal is damaged: it"),
            );
        }
    }

    #[test]
    fn a_journal_of_another_run_is_refused_with_the_part_that_differs() {
        type Change = fn(&mut Header);
        let changes: [(Change, &str); 6] = [
            (|header| header.base_url.push('x'), "the base URL"),
            (|header| header.site.push('x'), "the site id"),
            (|header| header.kind.push('x'), "the kind of records"),
            (|header| header.mapping.push('x'), "the mapping of columns"),
            (|header| header.content = None, "the content of the file"),
            (|header| header.import_id.push('x'), "the import id"),
        ];
        with_path(|path| {
            written(path);
            for (change, part) in changes {
                for mut header in [header(), again(), new_ids("one")] {
                    change(&mut header);
                    let error = error(path, header);
                    let expected = format!("another run: {part} differs");
                    assert!(error.contains(&expected), "{error}");
                }
            }
        });
    }

    #[test]
    fn a_journal_of_another_workspace_is_refused_if_the_api_names_it() {
        with_path(|path| {
            written(path);
            let mut journal = unfinished(path, header());
            journal.check_environment(Some(7)).unwrap();
            journal.begin(None, None, NOW).unwrap();
            drop(journal);
            for header in [header(), again()] {
                let mut journal = unfinished(path, header);
                assert!(journal.check_environment(None).is_ok());
                assert!(journal.check_environment(Some(7)).is_ok());
                let error = journal.check_environment(Some(8)).unwrap_err();
                let expected = "the workspace differs";
                assert!(error.to_string().contains(expected), "{error}");
            }
        });
    }

    #[test]
    fn a_file_that_is_not_a_journal_is_left_unchanged() {
        with_path(|path| {
            for content in ["id,name\n1,Ada\n", "{}", "{}\n", "cio-imports", "\n"] {
                fs::write(path, content).unwrap();
                let error = error(path, header());
                assert!(error.contains("not an import journal"), "{error}");
                assert_eq!(fs::read_to_string(path).unwrap(), content);
            }
            for content in [
                "{\"version\":1,\"base_url\":\"x\"}\n",
                "cio-import journal 3 {}\n",
            ] {
                fs::write(path, content).unwrap();
                let error = error(path, header());
                assert!(error.contains("another version of cio-import"), "{error}");
                assert_eq!(fs::read_to_string(path).unwrap(), content);
            }
        });
    }

    #[test]
    fn two_imports_cannot_share_a_journal() {
        with_path(|path| {
            let first = unfinished(path, header());
            let error = error(path, header());
            let expected = "another import is using this journal";
            assert!(error.contains(expected), "{error}");
            drop(first);
            assert!(load(path, header()).is_ok());
        });
    }

    #[test]
    fn the_end_is_known_if_the_last_run_has_written_it() {
        let times = |path: &Path| (state(path).started, state(path).ended);
        let begin = |path: &Path, now| {
            let mut journal = unfinished(path, header());
            journal.begin(None, None, now).unwrap();
            journal
        };
        let report = |ended| report().between(NOW, ended - 1);
        with_path(|path| {
            let mut journal = begin(path, NOW);
            journal.settle(settled("1-2")).unwrap();
            drop(journal);
            assert_eq!(times(path), (Some(NOW), None), "it has crashed");
            begin(path, NOW + 60).end(&report(NOW + 70)).unwrap();
            assert_eq!(times(path), (Some(NOW), Some(NOW + 70)));
            // The clock was set back.
            drop(begin(path, NOW - 3600));
            assert_eq!(times(path), (Some(NOW - 3600), None));
            let mut journal = begin(path, NOW + 80);
            let settled = SettledRecords {
                records: "3-4".parse().unwrap(),
                accepted: 2,
                ..SettledRecords::default()
            };
            journal.settle(settled).unwrap();
            journal.complete(&report(NOW + 90)).unwrap();
            assert_eq!(times(path), (Some(NOW - 3600), Some(NOW + 90)));
            // Sent again: the failures of the earlier import are not asked for.
            let mut journal = unfinished(path, again());
            journal.begin(None, None, NOW + 100).unwrap();
            assert_eq!(times(path), (Some(NOW + 100), None));
        });
    }

    #[test]
    fn a_journal_that_cannot_be_written_gets_no_end() {
        with_path(|path| {
            let mut journal = begin(path, header());
            journal.file = File::open(path).unwrap();
            assert!(journal.settle(settled("1-2")).is_err());
            let before = fs::read(path).unwrap();
            journal.end(&report()).unwrap();
            assert_eq!(fs::read(path).unwrap(), before);
        });
    }

    #[test]
    fn a_run_waits_for_a_program_that_reads_its_journal() {
        with_path(|path| {
            written(path);
            let reader = File::open(path).unwrap();
            reader.lock_shared().unwrap();
            thread::scope(|scope| {
                let starting = scope.spawn(|| load(path, header()).map(drop));
                let (_open, never) = mpsc::channel::<()>();
                assert!(never.recv_timeout(LOCK_WAIT / 4).is_err());
                assert!(!starting.is_finished());
                drop(reader);
                starting.join().unwrap().unwrap();
            });
            let file = File::open(path).unwrap();
            assert!(!is_in_use(&file).unwrap());
            let journal = unfinished(path, header());
            assert!(is_in_use(&file).unwrap());
            drop(journal);
            assert!(!is_in_use(&file).unwrap());
        });
    }

    #[test]
    fn a_journal_that_was_removed_while_it_was_waited_for_is_created_again() {
        with_path(|path| {
            // As before the first request: dropping it removes the empty file.
            let first = unfinished(path, header());
            let waiting = Roles::new(None).open(Role::Journal, path).unwrap();
            drop(first);
            assert!(matches!(lock(&waiting, path).unwrap(), Lock::Replaced));
            let other = unfinished(path, header());
            assert!(matches!(lock(&waiting, path).unwrap(), Lock::Replaced));
            let error = error(path, header());
            assert!(error.contains("another import is using"), "{error}");
            // A journal that is no longer at its path removes no other one.
            let second = path.with_extension("moved");
            fs::rename(path, &second).unwrap();
            fs::write(path, "another").unwrap();
            drop(other);
            assert_eq!(fs::read(path).unwrap(), b"another");
        });
    }

    #[test]
    fn of_many_runs_that_start_and_end_at_once_one_at_a_time_has_the_journal() {
        with_path(|path| {
            let holders = AtomicUsize::new(0);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..60 {
                            // It may be busy for longer than a run waits.
                            let Ok(loaded) = load(path, header()) else {
                                continue;
                            };
                            assert_eq!(holders.fetch_add(1, Relaxed), 0);
                            thread::yield_now();
                            assert!(path.exists());
                            holders.fetch_sub(1, Relaxed);
                            drop(loaded);
                        }
                    });
                }
            });
        });
    }

    #[test]
    fn each_rejects_file_has_a_mark() {
        with_path(|path| {
            let mark = |length| RejectsMark {
                length,
                checksum: 1,
            };
            for (name, lengths) in [("a", 1..3), ("b", 5..6)] {
                let mut journal = unfinished(path, header());
                journal.begin(None, Some(name.to_owned()), NOW).unwrap();
                for length in lengths {
                    let rejects = Some(mark(length));
                    let settled = SettledRecords {
                        rejects,
                        ..settled(&length.to_string())
                    };
                    journal.settle(settled).unwrap();
                }
            }
            let mut journal = unfinished(path, header());
            let expected = [("a", 2), ("b", 5)].map(|(name, length)| (name.into(), mark(length)));
            assert_eq!(journal.take_progress().rejects, HashMap::from(expected));
        });
    }
}
