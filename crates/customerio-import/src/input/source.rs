use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

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
    File(Arc<Mutex<File>>, Identity),
    /// A pipe or a device, which can be read only once.
    Stream(Arc<File>),
    Stdin,
}

/// Reads a file from its beginning, and a stream from where it is.
#[derive(Debug)]
pub(super) struct Reader {
    source: Source,
    position: u64,
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
            let identity = Identity::of(&file, path).context(advice)?;
            Self::File(Arc::new(Mutex::new(file)), identity)
        } else {
            Self::Stream(Arc::new(file))
        })
    }

    /// Returns the identity of the file; a named stream has none.
    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::File(_, identity) => Some(identity.clone()),
            Self::Stream(_) => None,
            Self::Stdin => Identity::of_stream(io::stdin()),
        }
    }

    /// Returns whether the source can be read twice.
    pub(super) fn is_replayable(&self) -> bool {
        matches!(self, Self::File(..))
    }

    pub(super) fn reader(&self) -> Reader {
        Reader {
            source: self.clone(),
            position: 0,
        }
    }
}

// === impl Reader ===

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.source {
            Source::File(file, _) => {
                // One lock for both steps: between them, another reader would move the position.
                // The position is set at each read, so a poisoned lock does no harm.
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(self.position))?;
                file.read(buffer)?
            }
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

        let (mut one, mut other) = (source.reader(), source.reader());
        let (mut head, mut text) = ([0; 4], String::new());
        one.read_exact(&mut head).unwrap();
        other.read_to_string(&mut text).unwrap();
        assert_eq!((&head, text.as_str()), (b"the ", "the first content"));
        text.clear();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first content");
    }

    #[test]
    fn a_directory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Source::open(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "is a directory; name a file in it");
    }
}
