use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// Only the owner can read and write: the files contain people's data.
const OWNER_ONLY: u32 = 0o600;

/// The identity of a file, the same under all of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    number: u64,
}

// === impl Identity ===

impl Identity {
    pub(crate) fn of(file: &File, _path: &Path) -> io::Result<Self> {
        Ok(Self::new(&file.metadata()?))
    }

    /// Returns the identity of the file at a path, after links.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::new(&std::fs::metadata(path)?))
    }

    /// Returns the identity of the file behind a standard stream, if it is open.
    pub(crate) fn of_stream(stream: impl AsFd) -> Option<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned().ok()?);
        Some(Self::new(&file.metadata().ok()?))
    }

    fn new(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
        }
    }
}

/// Sets options that follow no link, do not block on a FIFO, and let only the owner read.
pub(super) fn restrict(options: &mut OpenOptions) {
    // Without NOFOLLOW a link could lead to the input, without NONBLOCK a FIFO would block, and
    // without NOCTTY a terminal could become the controlling one.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    options
        .mode(OWNER_ONLY)
        .custom_flags(flags.bits().cast_signed());
}

/// Returns the message if a file cannot be an output. `flag` names another file for it.
pub(super) fn unusable(metadata: &Metadata, flag: &str) -> Option<String> {
    unusable_by(metadata, flag, geteuid().as_raw())
}

fn unusable_by(metadata: &Metadata, flag: &str, user: u32) -> Option<String> {
    let kind = metadata.file_type();
    let what = if kind.is_file() {
        return (metadata.uid() != user)
            .then(|| format!("belongs to another user; name a file of your own with {flag}"));
    } else if kind.is_symlink() {
        return Some(format!(
            "is a symbolic link; name the file itself with {flag}"
        ));
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Some(format!("is {what}; name a regular file with {flag}"))
}

/// Sets the mode to [`OWNER_ONLY`]. Returns whether the file system has kept it.
pub(super) fn make_private(file: &File) -> io::Result<bool> {
    let is_private = || Ok(file.metadata()?.permissions().mode() & 0o7777 == OWNER_ONLY);
    if !is_private()? {
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    }
    is_private()
}

/// Syncs a directory to disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems do not sync directories, and need not.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let metadata = file.metadata().unwrap();
        let (user, other) = (metadata.uid(), metadata.uid() + 1);
        assert_eq!(unusable_by(&metadata, "--report", user), None);
        assert_eq!(unusable(&metadata, "--report"), None);
        assert_eq!(
            unusable_by(&metadata, "--report", other).unwrap(),
            "belongs to another user; name a file of your own with --report"
        );
    }
}
