use std::path::{Path, PathBuf};

/// The default bound of the operations on disk: with 1,000 bytes each, a day of ten a second.
const MAX_BYTES: u64 = 1 << 30;

/// The least bound. Below it, a batch and the operations of the next one have no room.
const MIN_BYTES: u64 = 1_000_000;

/// The default number of dead letters: enough to see a defect, and few enough to look through.
const MAX_DEAD: usize = 100_000;

/// The settings of a spool: the file in which a queue keeps its operations until they are settled.
///
/// Give it to [`QueueBuilder::open`](crate::queue::QueueBuilder::open).
#[derive(Clone, Debug)]
#[must_use]
pub struct Spool {
    pub(super) path: PathBuf,
    pub(super) max_bytes: u64,
    pub(super) max_dead: usize,
}

impl Spool {
    /// Returns the settings of a spool in the file `path`, which is created if there is none.
    ///
    /// Its folder must exist and be on a local disk: the locks of network file systems are not
    /// reliable. Further files beside it begin with the same name. Copy and move them together
    /// with it.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            max_bytes: MAX_BYTES,
            max_dead: MAX_DEAD,
        }
    }

    /// Sets the bytes of the operations on disk, 1 GiB by default; at least 1,000,000. An operation
    /// counts with its JSON and 128 bytes.
    ///
    /// A full spool drops nothing: `enqueue` waits or returns an error, as
    /// [`when_full`](crate::queue::QueueBuilder::when_full) says. The file takes up to a third
    /// more. Dead letters are bounded apart.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes.max(MIN_BYTES);
        self
    }

    /// Sets the number of dead letters, 100,000 by default. A further one replaces the oldest.
    pub fn max_dead(mut self, letters: usize) -> Self {
        self.max_dead = letters;
        self
    }
}
