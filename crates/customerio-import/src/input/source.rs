use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use super::changed::{InputChanged, Use};
use crate::files::Identity;

/// A source of decompressed bytes. It is read on a thread of its own.
pub(super) type Bytes = Box<dyn Read + Send>;

/// A file or stream from which records are read.
///
/// It is opened once, so the plan and the run read the same file, even if its name is given to
/// another one meanwhile.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A regular file. Readers share it; each keeps its own position.
    File(Arc<OpenFile>),
    /// A pipe or a device, which can be read only once.
    Stream(Arc<File>),
    Stdin,
}

/// A file as it was when it was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: Mutex<File>,
    identity: Identity,
    version: Version,
}

/// The length and the time of the last write. A program that writes to the file changes one of
/// them, unless it resets the time.
///
/// The time of the last change of the inode would show that too. It also changes if the file is
/// renamed or linked, or its name is given to another file, which a run must outlive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) length: u64,
    /// Not every system has it.
    pub(super) modified: Option<SystemTime>,
}

/// Reads a file from its beginning, and a stream from where it is.
#[derive(Debug)]
pub(super) struct Reader {
    source: Source,
    position: u64,
    used: Use,
}

// === impl Source ===

impl Source {
    /// Opens a file. For a named pipe this blocks until the other end is opened.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let advice = "cannot be opened; check the path and its permissions";
        let file = File::open(path).context(advice)?;
        let metadata = file.metadata().context(advice)?;
        ensure!(!metadata.is_dir(), "is a directory; name a file in it");
        Ok(if metadata.is_file() {
            Self::File(Arc::new(OpenFile {
                identity: Identity::of(&file, path).context(advice)?,
                version: Version::of(&metadata),
                file: Mutex::new(file),
            }))
        } else {
            Self::Stream(Arc::new(file))
        })
    }

    /// Returns the identity of the file; a named stream has none.
    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::File(file) => Some(file.identity.clone()),
            Self::Stream(_) => None,
            Self::Stdin => Identity::of_stream(io::stdin()),
        }
    }

    /// Returns whether the source can be read twice.
    pub(super) fn is_replayable(&self) -> bool {
        matches!(self, Self::File(..))
    }

    /// Returns a reader. It fails once another program has changed the file.
    pub(super) fn reader(&self, used: Use) -> Reader {
        Reader {
            source: self.clone(),
            position: 0,
            used,
        }
    }
}

// === impl OpenFile ===

impl OpenFile {
    fn read(&self, position: u64, buffer: &mut [u8], used: Use) -> io::Result<usize> {
        // One lock for both steps: between them, another reader would move the position.
        // The position is set at each read, so a poisoned lock does no harm.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(position))?;
        let count = file.read(buffer)?;
        // After the read, also after that of the end: so no byte of a changed file is used.
        let now = Version::of(&file.metadata()?);
        match now == self.version {
            true => Ok(count),
            false => Err(io::Error::other(InputChanged::version(
                self.version,
                now,
                used,
            ))),
        }
    }
}

// === impl Version ===

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

// === impl Reader ===

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.source {
            Source::File(file) => file.read(self.position, buffer, self.used)?,
            Source::Stream(file) => file.as_ref().read(buffer)?,
            Source::Stdin => io::stdin().read(buffer)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_again_from_its_beginning_even_if_its_name_is_given_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "the first content").unwrap();
        let source = Source::open(&path).unwrap();
        fs::write(folder.path().join("b.csv"), "another").unwrap();
        fs::rename(folder.path().join("b.csv"), &path).unwrap();

        let (mut one, mut other) = (source.reader(Use::Check), source.reader(Use::Check));
        let (mut head, mut text) = ([0; 4], String::new());
        one.read_exact(&mut head).unwrap();
        other.read_to_string(&mut text).unwrap();
        assert_eq!((&head, text.as_str()), (b"the ", "the first content"));
        text.clear();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first content");
    }

    #[test]
    fn a_file_that_was_changed_since_it_was_opened_is_not_read_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        for used in [Use::Check, Use::Send] {
            fs::write(&path, "id\n1\n").unwrap();
            let source = Source::open(&path).unwrap();
            let (mut at_start, mut at_end) = (source.reader(used), source.reader(used));
            at_end.read_exact(&mut [0; 5]).unwrap();
            let mut file = File::options().append(true).open(&path).unwrap();
            io::Write::write_all(&mut file, b"2\n").unwrap();
            for reader in [&mut at_start, &mut at_end] {
                let error = reader.read(&mut [0; 8]).unwrap_err().to_string();
                assert!(
                    error.contains("had 5 bytes when it was opened, and has 7 now"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn a_file_that_was_linked_and_renamed_is_read_on() {
        let folder = tempfile::tempdir().unwrap();
        let [path, link, moved] = ["a.csv", "b.csv", "c.csv"].map(|name| folder.path().join(name));
        fs::write(&path, "id\n1\n").unwrap();
        let source = Source::open(&path).unwrap();
        fs::hard_link(&path, link).unwrap();
        fs::rename(&path, moved).unwrap();
        let mut text = String::new();
        source.reader(Use::Send).read_to_string(&mut text).unwrap();
        assert_eq!(text, "id\n1\n");
    }

    #[test]
    fn a_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Source::open(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "is a directory; name a file in it");
    }
}
