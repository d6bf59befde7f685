use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};

use crate::files::Identity;

/// What records are read from. It is opened once: what the plan has seen is what is sent, whatever
/// becomes of the name.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A regular file; readers share it, and each has a place of its own in it.
    File(Arc<Mutex<File>>, Identity),
    /// A pipe or a device, which can be read once.
    Stream(Arc<File>),
    Stdin,
}

/// Reads a source from its beginning, where it has one.
#[derive(Debug)]
pub(super) struct Reader {
    source: Source,
    at: u64,
}

// === impl Source ===

impl Source {
    /// Opens a file. That takes as long as the other end of a named pipe does.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).context("cannot be opened; check the path")?;
        let metadata = file.metadata().context("cannot be opened")?;
        ensure!(!metadata.is_dir(), "is a directory; name a file in it");
        Ok(if metadata.is_file() {
            let identity = Identity::of(&file, path).context("cannot be opened")?;
            Self::File(Arc::new(Mutex::new(file)), identity)
        } else {
            Self::Stream(Arc::new(file))
        })
    }

    /// Returns what tells the file from others, unless it is a stream of a name.
    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::File(_, identity) => Some(identity.clone()),
            Self::Stream(_) => None,
            Self::Stdin => Identity::of_stream(io::stdin()),
        }
    }

    /// Tells whether the source can be read twice.
    pub(super) fn is_replayable(&self) -> bool {
        matches!(self, Self::File(..))
    }

    pub(super) fn reader(&self) -> Reader {
        Reader {
            source: self.clone(),
            at: 0,
        }
    }
}

// === impl Reader ===

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &self.source {
            Source::File(file, _) => {
                // One lock for both steps: another reader would move the place between them.
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(self.at))?;
                file.read(buffer)?
            }
            Source::Stream(file) => file.as_ref().read(buffer)?,
            Source::Stdin => io::stdin().read(buffer)?,
        };
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_again_from_its_beginning_whatever_has_its_name() {
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
    fn a_directory_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        let error = Source::open(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "is a directory; name a file in it");
    }
}
