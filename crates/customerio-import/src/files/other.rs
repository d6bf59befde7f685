use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::role::Role;

/// Tells files apart by where they lie: two names of one file by hard links are two files here.
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

    /// Knows nothing of where a standard stream leads.
    pub(crate) fn of_stream<S>(_stream: S) -> Option<Self> {
        None
    }
}

pub(super) fn restrict(_options: &mut OpenOptions) {}

/// Says why a file cannot be an output in this role, by what it is.
pub(super) fn fault(metadata: &Metadata, role: Role) -> Option<String> {
    let flag = role.flag();
    if metadata.is_symlink() {
        Some(format!(
            "is a symbolic link; name the file itself with {flag}"
        ))
    } else if !metadata.is_file() {
        Some(format!("is no file; name a regular file with {flag}"))
    } else {
        None
    }
}

/// Leaves it to the directory who may read its files.
pub(super) fn make_private(_file: &File) -> io::Result<bool> {
    Ok(true)
}

/// Leaves it to the system when names come to the disk.
pub(super) fn sync(_folder: &Path) -> io::Result<()> {
    Ok(())
}
