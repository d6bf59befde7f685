use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The identity of a file, by its path. Two hard links to one file have two identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity(PathBuf);

// === impl Identity ===

impl Identity {
    pub(crate) fn of(_file: &File, path: &Path) -> io::Result<Self> {
        Self::at(path)
    }

    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::canonicalize(path).map(Self)
    }

    /// Returns nothing: the file behind a standard stream is unknown here.
    pub(crate) fn of_stream<S>(_stream: S) -> Option<Self> {
        None
    }
}

pub(super) fn restrict(_options: &mut OpenOptions) {}

/// Returns the message if a file cannot be an output. `flag` names another file for it.
pub(super) fn unusable(metadata: &Metadata, flag: &str) -> Option<String> {
    if metadata.is_symlink() {
        Some(format!(
            "is a symbolic link; name the file itself with {flag}"
        ))
    } else if !metadata.is_file() {
        Some(format!(
            "is not a regular file; name a regular file with {flag}"
        ))
    } else {
        None
    }
}

/// Does nothing: the permissions of the directory apply.
pub(super) fn make_private(_file: &File) -> io::Result<bool> {
    Ok(true)
}

/// Does nothing: directories cannot be synced here.
pub(super) fn sync(_folder: &Path) -> io::Result<()> {
    Ok(())
}
