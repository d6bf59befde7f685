use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{error, fmt, io};

/// The error of a spool: it cannot be opened, or the disk failed.
///
/// Cloning is cheap. `Display` names the file and the next step, and no operation.
#[derive(Clone)]
pub struct SpoolError(Arc<Inner>);

struct Inner {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// The file system refused an action.
    File(&'static str, io::Error),
    InUse,
    NotASpool,
    /// The version of the file's tables.
    Version(i64),
    /// The part of the destination that differs.
    Destination(&'static str),
    NoCredentials,
    Damaged(String),
    /// A value that no version of this crate writes, in a row of a table.
    WrongRow {
        table: &'static str,
        id: i64,
        column: String,
    },
    DiskFull,
    /// The queue has ended.
    Closed,
    /// The database failed in a way that leaves open what is on disk.
    Failed(String),
}

impl SpoolError {
    pub(super) fn new(path: &Path, kind: Kind) -> Self {
        Self(Arc::new(Inner {
            path: path.to_owned(),
            kind,
        }))
    }

    /// Returns whether another process, or another queue of this one, uses the spool.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self.0.kind, Kind::InUse)
    }

    /// Returns whether the spool belongs to another workspace or server than the client.
    #[must_use]
    pub fn is_other_destination(&self) -> bool {
        matches!(self.0.kind, Kind::Destination(_))
    }

    /// Returns whether the tables of the spool are of an older or a newer version of this crate.
    #[must_use]
    pub fn is_other_version(&self) -> bool {
        matches!(self.0.kind, Kind::Version(_))
    }

    /// Returns whether the file is no spool, or is damaged, or one of its rows has a wrong value.
    /// It was not changed.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::NotASpool | Kind::Damaged(_) | Kind::WrongRow { .. }
        )
    }

    /// Returns whether the disk is full. The operation was not enqueued.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self.0.kind, Kind::DiskFull)
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.path.display();
        match &self.0.kind {
            Kind::File(action, error) => write!(
                f,
                "cannot {action} the spool {path}: {error}; check the folder and its permissions"
            ),
            Kind::InUse => write!(
                f,
                "the spool {path} is in use by another process or queue; \
                 stop it, or give each its own file"
            ),
            Kind::NotASpool => write!(
                f,
                "{path} is not a spool; give another path, or move the file away"
            ),
            Kind::Version(found) => write!(
                f,
                "the spool {path} has tables of version {found}, and this program reads version \
                 {}; drain it with the program that wrote it",
                super::sqlite::VERSION
            ),
            Kind::Destination(part) => write!(
                f,
                "the spool {path} belongs to another destination: {part} differs; \
                 correct it, or give another path"
            ),
            Kind::NoCredentials => write!(
                f,
                "the spool {path} needs a client with credentials for the Track API"
            ),
            Kind::Damaged(message) => write!(
                f,
                "the spool {path} is damaged: {message}; move its files away, \
                 and see the docs for how to recover the operations in it"
            ),
            Kind::WrongRow { table, id, column } => write!(
                f,
                "the spool {path} has a wrong value of `{column}` in row {id} of the table \
                 `{table}`; correct or delete the row with `sqlite3`"
            ),
            Kind::DiskFull => write!(
                f,
                "the disk of the spool {path} is full; make room, then enqueue again"
            ),
            Kind::Closed => write!(f, "the queue on the spool {path} has ended; open it again"),
            Kind::Failed(message) => write!(
                f,
                "the spool {path} failed: {message}; check the disk, then start the program again"
            ),
        }
    }
}

impl fmt::Debug for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolError")
            .field("path", &self.0.path)
            .field("kind", &self.0.kind)
            .finish()
    }
}

impl error::Error for SpoolError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.0.kind {
            Kind::File(_, error) => Some(error),
            _ => None,
        }
    }
}
