//! The store on SQLite. No other file names the database.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::TransactionBehavior::Immediate;
use rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
use rusqlite::types::FromSql;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Params, Transaction, params};

use super::dead_letter::DeadOutcome;
use super::error::{Kind, SpoolError};
use super::settings::Spool;
use super::store::{
    Changes, Dead, DeadRow, Failure, ROW_OVERHEAD, Row, SettledRow, Store, Written,
};
use crate::operation::StoredOperation;
use crate::packer::Priority;
use crate::{Cause, Lane, Operation};

/// The version of the tables, as `PRAGMA user_version`.
pub(super) const VERSION: i64 = 1;

/// "CIOQ" in ASCII, as `PRAGMA application_id`: tells a spool from other databases.
const APPLICATION_ID: i64 = 0x4349_4f51;

/// The bytes of the reserve. The log of SQLite takes up to 1,000 pages of 4,096 bytes until its
/// content is moved into the database, which may grow by as many. With less, a full disk could keep
/// settled operations from being written.
const RESERVE: usize = 8 << 20;

/// Higher than any id: SQLite's integers have a sign.
const HIGHEST_ID: u64 = i64::MAX as u64;

/// The wait for an operator who writes with `sqlite3` at the same time.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE destination (
    base_url TEXT NOT NULL,
    site TEXT NOT NULL,
    next_id INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE operations (
    id INTEGER PRIMARY KEY,
    enqueued_at INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    other_lane INTEGER,
    may_replay INTEGER NOT NULL,
    goes_alone INTEGER NOT NULL,
    has_departed INTEGER NOT NULL DEFAULT 0,
    json TEXT NOT NULL
) STRICT;
CREATE TABLE dead (
    id INTEGER PRIMARY KEY,
    enqueued_at INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    other_lane INTEGER,
    may_replay INTEGER NOT NULL,
    goes_alone INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    json TEXT NOT NULL
) STRICT;
";

const INSERT: &str = "INSERT INTO operations \
     (id, enqueued_at, priority, lane, other_lane, may_replay, goes_alone, json) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const LOAD: &str = "SELECT id, enqueued_at, priority, lane, other_lane, may_replay, goes_alone, \
     json FROM operations WHERE id >= ?1 ORDER BY id LIMIT ?2";
const REMOVE: &str = "DELETE FROM operations WHERE id BETWEEN ?1 AND ?2";
const CANCEL: &str = "DELETE FROM operations WHERE id >= ?1 AND id < ?2 \
     RETURNING id, octet_length(json)";
const LANES: &str = "SELECT lane, other_lane FROM operations WHERE id = ?1";
const SCAN: &str = "SELECT id, lane, other_lane, has_departed FROM operations \
     WHERE id >= ?1 AND id < ?2 ORDER BY id";
const NEXT_ID: &str = "UPDATE destination SET next_id = ?1";
const DEPART: &str = "UPDATE operations SET has_departed = ?2 WHERE id = ?1";
const COPY_TO_DEAD: &str = "INSERT OR REPLACE INTO dead \
     (id, enqueued_at, priority, lane, other_lane, may_replay, goes_alone, json, outcome, reason) \
     SELECT id, enqueued_at, priority, lane, other_lane, may_replay, goes_alone, json, ?2, ?3 \
     FROM operations WHERE id = ?1 RETURNING octet_length(json)";
const DELETE_DEAD: &str = "DELETE FROM dead WHERE id = ?1";
const DELETE_OLDEST_DEAD: &str =
    "DELETE FROM dead WHERE id IN (SELECT id FROM dead ORDER BY id LIMIT ?1)";
const DEAD_LETTERS: &str = "SELECT id, enqueued_at, priority, lane, other_lane, may_replay, \
     goes_alone, json, outcome, reason FROM dead WHERE id > ?1 ORDER BY id LIMIT ?2";

/// The workspace that a spool belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) base_url: String,
    /// A hash of the site id, which is half of the credentials.
    pub(super) site: String,
}

/// The operations in the spool when it was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) len: u64,
    pub(super) bytes: u64,
    /// Higher than each id in the file.
    pub(super) next_id: u64,
}

/// A store in a file, locked until it is dropped.
pub(super) struct Sqlite {
    connection: Connection,
    path: PathBuf,
    max_dead: u64,
    dead: u64,
    /// Closing the file releases the lock, so this comes after the connection.
    _lock: File,
}

impl Sqlite {
    /// Locks, opens and checks a spool, and creates it if there is none.
    pub(super) fn open(
        spool: &Spool,
        destination: &Destination,
    ) -> Result<(Self, Found), SpoolError> {
        create(&spool.path).map_err(|error| file_error(&spool.path, "create", error))?;
        // Two names of one file need one lock.
        let path = fs::canonicalize(&spool.path)
            .map_err(|error| file_error(&spool.path, "find", error))?;
        // Before it is locked: that creates a file beside it.
        let found = fs::metadata(&path);
        if !found
            .map_err(|error| file_error(&path, "find", error))?
            .is_file()
        {
            return Err(SpoolError::new(&path, Kind::NotASpool));
        }
        let lock = lock(&path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags);
        let mut store = Self {
            connection: connection.map_err(|error| failed(&path, &error))?,
            max_dead: spool.max_dead as u64,
            dead: 0,
            _lock: lock,
            path,
        };
        let found = store.prepare(destination).map_err(|error| match error {
            Problem::Sqlite(error) => failed(&store.path, &error),
            Problem::Spool(kind) => SpoolError::new(&store.path, kind),
        })?;
        let synced = sync_folder(&store.path);
        synced.map_err(|error| file_error(&store.path, "sync the folder of", error))?;
        Ok((store, found))
    }

    fn prepare(&mut self, destination: &Destination) -> Result<Found, Problem> {
        let connection = &mut self.connection;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // Closing a file that is refused must not write the log of its last program into it.
        connection.set_db_config(SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
        // Before the first write: a file of another program must not be changed.
        let (id, version): (i64, i64) = (pragma("application_id")?, pragma("user_version")?);
        let pages: i64 = pragma("page_count")?;
        if pages > 0 && id != APPLICATION_ID {
            return Err(Problem::Spool(Kind::NotASpool));
        }
        if pages > 0 && version != VERSION {
            return Err(Problem::Spool(Kind::Version(version)));
        }
        // `FULL` syncs the log with each commit. With less, acknowledged operations could be lost
        // with the power.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        if pages == 0 {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.execute(
                "INSERT INTO destination (base_url, site) VALUES (?1, ?2)",
                params![destination.base_url, destination.site],
            )?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        // A write-ahead log lets an operator read while the queue writes. It comes after the
        // tables: after a crash in between, the file would be no spool.
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        self.check(destination)?;
        self.resolve_departed()?;
        self.dead = self.number("SELECT count(*) FROM dead", [])?;
        if self.dead > self.max_dead {
            // A later deletion would count them.
            let excess = (self.dead - self.max_dead) as i64;
            self.connection.execute(DELETE_OLDEST_DEAD, [excess])?;
            self.dead = self.max_dead;
        }
        let (len, bytes) = self.measured()?;
        // An id is never used twice: an operator may have noted it. An operator may also have
        // inserted rows.
        let next_id = "SELECT max((SELECT max(next_id) FROM destination), \
                       coalesce((SELECT max(id) FROM operations), 0) + 1, \
                       coalesce((SELECT max(id) FROM dead), 0) + 1)";
        let next_id = self.number(next_id, [])?;
        let connection = &self.connection;
        connection.set_db_config(SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(Found {
            len,
            bytes,
            next_id,
        })
    }

    /// Checks that the file is whole and belongs to the destination.
    fn check(&self, destination: &Destination) -> Result<(), Problem> {
        let check = "PRAGMA quick_check(1)";
        let found: String = self.connection.query_row(check, [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Problem::Spool(Kind::Damaged(found)));
        }
        let query = "SELECT base_url, site FROM destination";
        let found = self.connection.query_row(query, [], |row| {
            Ok(Destination {
                base_url: row.get(0)?,
                site: row.get(1)?,
            })
        })?;
        let differs = match () {
            () if found.base_url != destination.base_url => "the base URL",
            () if found.site != destination.site => "the site id",
            () => return Ok(()),
        };
        Err(Problem::Spool(Kind::Destination(differs)))
    }

    /// Moves the operations that must not be sent twice, and were in flight when the last program
    /// ended, to the dead letters, and those that waited behind them.
    fn resolve_departed(&mut self) -> Result<(), Problem> {
        let departed = "SELECT count(*) FROM operations WHERE has_departed = 1";
        if self.number(departed, [])? == 0 {
            return Ok(());
        }
        let transaction = Transaction::new(&mut self.connection, Immediate)?;
        withhold(&transaction, HashSet::new(), &(0..HIGHEST_ID))?;
        transaction.commit()?;
        Ok(())
    }

    fn number(&self, query: &str, params: impl Params) -> rusqlite::Result<u64> {
        let number: i64 = self.connection.query_row(query, params, |row| row.get(0))?;
        Ok(number as u64)
    }

    /// Returns the number and the bytes of the operations.
    fn measured(&self) -> rusqlite::Result<(u64, u64)> {
        let query = "SELECT count(*), coalesce(sum(octet_length(json)), 0) FROM operations";
        let sums = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let (len, bytes) = self.connection.query_row(query, [], sums)?;
        let (len, bytes) = (len as u64, bytes as u64);
        Ok((len, bytes + len * ROW_OVERHEAD as u64))
    }

    fn written(&mut self, changes: &Changes) -> rusqlite::Result<(Written, u64)> {
        let mut dead = self.dead;
        let mut written = Written::default();
        // A transaction that reads first could not wait for an operator who writes.
        let transaction = Transaction::new(&mut self.connection, Immediate)?;
        // Removals come first: on a full disk the others use the pages that they free.
        for (first, last) in ranges(&changes.removed) {
            run(&transaction, REMOVE, [first as i64, last as i64])?;
        }
        for ids in &changes.canceled {
            written.canceled.extend(cancel(&transaction, ids)?);
        }
        for id in &changes.deleted_dead {
            dead = dead.saturating_sub(run(&transaction, DELETE_DEAD, [*id as i64])? as u64);
        }
        // Before the letters are moved, which have the lanes.
        let lanes = unknown_lanes(&transaction, changes)?;
        if !lanes.is_empty() {
            written.withheld = withhold(&transaction, lanes, &changes.backlog)?;
            dead += written.withheld.len() as u64;
        }
        for letter in &changes.dead {
            dead += u64::from(move_to_dead(&transaction, letter)?.is_some());
        }
        if dead > self.max_dead {
            let excess = (dead - self.max_dead) as i64;
            dead = dead.saturating_sub(run(&transaction, DELETE_OLDEST_DEAD, [excess])? as u64);
        }
        insert(&transaction, &changes.inserted)?;
        if let Some(last) = changes.inserted.last() {
            run(&transaction, NEXT_ID, [last.id as i64 + 1])?;
        }
        for (id, departs) in &changes.departures {
            run(&transaction, DEPART, params![*id as i64, departs])?;
        }
        transaction.commit()?;
        Ok((written, dead))
    }

    /// Lets the database grow to a number of pages only, as a full disk does.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        let set = |value: &rusqlite::Row<'_>| value.get::<_, u32>(0).map(drop);
        let updated = self
            .connection
            .pragma_update_and_check(None, "max_page_count", pages, set);
        updated.unwrap();
    }

    /// Returns how often the backlog was read for operations behind unknown ones.
    #[cfg(test)]
    pub(super) fn scans(&self) -> i32 {
        let scan = self.connection.prepare_cached(SCAN).unwrap();
        scan.get_status(rusqlite::StatementStatus::Run)
    }

    /// Returns the value of a setting of the connection.
    #[cfg(test)]
    pub(super) fn setting(&self, name: &str) -> String {
        let value = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        match self
            .connection
            .pragma_query_value(None, name, value)
            .unwrap()
        {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(super) fn reserve(&self) -> PathBuf {
        beside(&self.path, "-reserve")
    }

    fn read_failure(&self, problem: Problem) -> Failure {
        match problem {
            Problem::Sqlite(error) => Failure::Failed(failed(&self.path, &error)),
            Problem::Spool(kind) => Failure::WrongRow(SpoolError::new(&self.path, kind)),
        }
    }

    fn failure(&self, error: &rusqlite::Error) -> Failure {
        let code = error.sqlite_error();
        let is_full = code.is_some_and(|code| {
            // The index of the log has no room.
            let has_no_index = code.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
            code.code == ErrorCode::DiskFull || has_no_index
        });
        if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) {
            return Failure::Busy(failed(&self.path, error));
        }
        // After a failed sync, the next one may succeed though the data is lost. Only errors that
        // come before it leave the database as it was.
        match is_full && self.connection.is_autocommit() {
            true => Failure::DiskFull(SpoolError::new(&self.path, Kind::DiskFull)),
            false => Failure::Failed(failed(&self.path, error)),
        }
    }
}

impl Store for Sqlite {
    fn commit(&mut self, changes: &Changes) -> Result<Written, Failure> {
        let (written, dead) = self
            .written(changes)
            .map_err(|error| self.failure(&error))?;
        self.dead = dead;
        Ok(written)
    }

    fn load(
        &mut self,
        from: u64,
        limit: usize,
        fits: &mut dyn FnMut(&Row) -> bool,
    ) -> Result<Vec<Row>, Failure> {
        let mut load = || {
            let mut statement = self.connection.prepare_cached(LOAD)?;
            let mut rows = statement.query([from as i64, limit as i64])?;
            let mut loaded = Vec::new();
            while let Some(row) = rows.next()? {
                let found = read(row).map_err(|column| wrong_row("operations", row, column))?;
                if !fits(&found) {
                    break;
                }
                loaded.push(found);
            }
            Ok(loaded)
        };
        load().map_err(|problem| self.read_failure(problem))
    }

    fn dead_letters(&mut self, after: u64, limit: usize) -> Result<Vec<DeadRow>, Failure> {
        let load = || {
            let mut statement = self.connection.prepare_cached(DEAD_LETTERS)?;
            let mut rows = statement.query([after as i64, limit as i64])?;
            let mut letters = Vec::new();
            while let Some(row) = rows.next()? {
                letters.push(read_dead(row).map_err(|column| wrong_row("dead", row, column))?);
            }
            Ok(letters)
        };
        load().map_err(|problem| self.read_failure(problem))
    }

    fn dead(&self) -> u64 {
        self.dead
    }

    fn release_reserve(&mut self) {
        // An error means that there is none, which the next commit shows.
        drop(fs::remove_file(self.reserve()));
        // Without it, the log would grow on: its content can move into the database now.
        let checkpoint = "PRAGMA wal_checkpoint(RESTART)";
        drop(self.connection.query_row(checkpoint, [], |_| Ok(())));
    }

    fn refill_reserve(&mut self) -> Result<(), SpoolError> {
        let path = self.reserve();
        let is_there = fs::metadata(&path).is_ok_and(|found| found.len() == RESERVE as u64);
        let fill = || {
            let mut file = private().create(true).truncate(true).open(&path)?;
            file.write_all(&vec![0; RESERVE])?;
            file.sync_all()
        };
        let Err(error) = (if is_there { Ok(()) } else { fill() }) else {
            return Ok(());
        };
        // An incomplete one would be in the way of settled operations.
        drop(fs::remove_file(&path));
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::DiskFull,
            _ => Kind::File("reserve room for", error),
        };
        Err(SpoolError::new(&self.path, kind))
    }
}

/// An error while a spool is opened.
enum Problem {
    Sqlite(rusqlite::Error),
    Spool(Kind),
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn failed(path: &Path, error: &rusqlite::Error) -> SpoolError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Kind::NotASpool,
        Some(ErrorCode::DatabaseCorrupt) => Kind::Damaged(error.to_string()),
        Some(ErrorCode::DiskFull) => Kind::DiskFull,
        Some(_) => Kind::Failed(error.to_string()),
        // A value of another type than the column has.
        None => Kind::Damaged(error.to_string()),
    };
    SpoolError::new(path, kind)
}

fn file_error(path: &Path, action: &'static str, error: io::Error) -> SpoolError {
    SpoolError::new(path, Kind::File(action, error))
}

/// Returns options that create a file which only its owner can read: it holds personal data.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates the file if there is none. SQLite gives its further files the same mode.
///
/// An existing file is not opened: closing it would release the locks of another connection of this
/// process.
fn create(path: &Path) -> io::Result<()> {
    match private().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => make_private(path),
        created => created.map(drop),
    }
}

/// Lets only the owner read an empty file, which becomes a spool. A spool keeps its mode.
fn make_private(path: &Path) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if found.is_file() && found.len() == 0 {
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(())
}

/// Locks the spool, in a file of its own: SQLite's locks would keep an operator from reading.
fn lock(path: &Path) -> Result<File, SpoolError> {
    let open = private().create(true).open(beside(path, "-lock"));
    let file = open.map_err(|error| file_error(path, "lock", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::new(path, Kind::InUse)),
        Err(TryLockError::Error(error)) => Err(file_error(path, "lock", error)),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Syncs the folder, so that a new file is found after a loss of power.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn run(transaction: &Transaction<'_>, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
    transaction.prepare_cached(sql)?.execute(params)
}

/// Cancels the operations with an id in a range.
fn cancel(transaction: &Transaction<'_>, ids: &Range<u64>) -> rusqlite::Result<Vec<SettledRow>> {
    let mut statement = transaction.prepare_cached(CANCEL)?;
    let settled = |row: &rusqlite::Row<'_>| {
        let (id, size): (i64, i64) = (row.get(0)?, row.get(1)?);
        let bytes = size as u64 + ROW_OVERHEAD as u64;
        Ok(SettledRow {
            id: id as u64,
            bytes,
        })
    };
    let ids = [ids.start as i64, ids.end as i64];
    statement.query_map(ids, settled)?.collect()
}

/// Returns the lanes of the operations that ended unknown, if there is a backlog.
fn unknown_lanes(
    transaction: &Transaction<'_>,
    changes: &Changes,
) -> rusqlite::Result<HashSet<i64>> {
    let mut lanes = HashSet::new();
    if changes.backlog.is_empty() {
        return Ok(lanes);
    }
    let mut statement = transaction.prepare_cached(LANES)?;
    let is_unknown = |letter: &&Dead| letter.outcome == DeadOutcome::Unknown;
    for letter in changes.dead.iter().filter(is_unknown) {
        let found = statement.query_row([letter.id as i64], |row| Ok((row.get(0)?, row.get(1)?)));
        let found: Option<(i64, Option<i64>)> = found.optional()?;
        if let Some((lane, other_lane)) = found {
            lanes.insert(lane);
            lanes.extend(other_lane);
        }
    }
    Ok(lanes)
}

/// Moves the operations on some lanes to the dead letters, within a range of ids. Those that have
/// departed are moved as unknown ones, with the operations behind them.
///
/// It reads the range once for all lanes: with a long backlog, that takes seconds, in which no
/// operation is written.
fn withhold(
    transaction: &Transaction<'_>,
    mut lanes: HashSet<i64>,
    ids: &Range<u64>,
) -> rusqlite::Result<Vec<SettledRow>> {
    let mut found = Vec::new();
    let mut statement = transaction.prepare_cached(SCAN)?;
    let mut rows = statement.query([ids.start as i64, ids.end as i64])?;
    while let Some(row) = rows.next()? {
        let id = row.get::<_, i64>(0)? as u64;
        let (lane, other_lane): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
        if row.get(3)? {
            lanes.insert(lane);
            lanes.extend(other_lane);
            found.push((id, DeadOutcome::Unknown));
        } else if lanes.contains(&lane) || other_lane.is_some_and(|lane| lanes.contains(&lane)) {
            found.push((id, DeadOutcome::NotSent));
        }
    }
    let mut moved = Vec::new();
    for (id, outcome) in found {
        let reason = match outcome {
            DeadOutcome::Unknown => "the program ended while the request was in flight".into(),
            _ => Cause::follows_unknown().to_string(),
        };
        let letter = Dead {
            id,
            outcome,
            reason,
        };
        moved.extend(move_to_dead(transaction, &letter)?);
    }
    Ok(moved)
}

/// Moves an operation to the dead letters, if it is there.
fn move_to_dead(
    transaction: &Transaction<'_>,
    letter: &Dead,
) -> rusqlite::Result<Option<SettledRow>> {
    let id = letter.id as i64;
    let parameters = params![id, letter.outcome.name(), letter.reason];
    let mut copy = transaction.prepare_cached(COPY_TO_DEAD)?;
    let size = copy.query_row(parameters, |row| row.get::<_, i64>(0));
    let Some(size) = size.optional()? else {
        return Ok(None);
    };
    run(transaction, REMOVE, [id, id])?;
    let bytes = size as u64 + ROW_OVERHEAD as u64;
    Ok(Some(SettledRow {
        id: letter.id,
        bytes,
    }))
}

fn insert(transaction: &Transaction<'_>, rows: &[Row]) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = transaction.prepare_cached(INSERT)?;
    for row in rows {
        let operation = &row.operation;
        statement.execute(params![
            row.id as i64,
            row.enqueued_at as i64,
            row.priority as i64,
            operation.lane().to_stored(),
            operation.other_lane().map(Lane::to_stored),
            operation.may_replay(),
            operation.goes_alone(),
            str::from_utf8(operation.json()).expect("JSON is UTF-8"),
        ])?;
    }
    Ok(())
}

/// Reads an operation. The error is the column with a value that no version of this crate writes.
fn read(row: &rusqlite::Row<'_>) -> Result<Row, usize> {
    let json: String = value(row, 7)?;
    let other_lane: Option<_> = value(row, 4)?;
    let stored = StoredOperation {
        lane: Lane::from_stored(value(row, 3)?),
        other_lane: other_lane.map(Lane::from_stored),
        may_replay: value(row, 5)?,
        goes_alone: value(row, 6)?,
        json: Bytes::from(json),
    };
    // In a batch, it would close its second lane for good.
    if stored.other_lane.is_some() && !stored.goes_alone {
        return Err(6);
    }
    let priority = match value(row, 2)? {
        0 => Priority::Low,
        1 => Priority::Normal,
        2 => Priority::High,
        _ => return Err(2),
    };
    Ok(Row {
        id: value::<i64>(row, 0)? as u64,
        enqueued_at: value::<i64>(row, 1)? as u64,
        priority,
        operation: Operation::from_stored(stored).ok_or(7_usize)?,
    })
}

fn read_dead(row: &rusqlite::Row<'_>) -> Result<DeadRow, usize> {
    let outcome: String = value(row, 8)?;
    Ok(DeadRow {
        row: read(row)?,
        outcome: DeadOutcome::from_name(&outcome).ok_or(8_usize)?,
        reason: value(row, 9)?,
    })
}

fn value<T: FromSql>(row: &rusqlite::Row<'_>, column: usize) -> Result<T, usize> {
    row.get(column).map_err(|_| column)
}

/// Names a row with a wrong value: only an operator can have written it.
fn wrong_row(table: &'static str, row: &rusqlite::Row<'_>, column: usize) -> Problem {
    let name = row.as_ref().column_name(column).unwrap_or_default();
    Problem::Spool(Kind::WrongRow {
        table,
        id: row.get(0).unwrap_or_default(),
        column: name.to_owned(),
    })
}

/// Returns the ids as ranges of neighbors, each with its first and last one.
fn ranges(ids: &[u64]) -> Vec<(u64, u64)> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for id in ids {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => ranges.push((id, id)),
        }
    }
    ranges
}
