use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::role::Role;

const OWNER_ONLY: u32 = 0o600;

/// Tells files apart, whatever they are called.
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

    /// Returns the identity of what a path leads to.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::new(&std::fs::metadata(path)?))
    }

    /// Returns the identity of what a standard stream leads to; a closed one leads nowhere.
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

/// Follows no link, waits for nothing at the other end, and lets others read nothing.
pub(super) fn restrict(options: &mut OpenOptions) {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    options
        .mode(OWNER_ONLY)
        .custom_flags(flags.bits().cast_signed());
}

/// Says why a file cannot be an output in this role, by what it is and whose it is.
pub(super) fn fault(metadata: &Metadata, role: Role) -> Option<String> {
    fault_for(metadata, role, geteuid().as_raw())
}

fn fault_for(metadata: &Metadata, role: Role, user: u32) -> Option<String> {
    let (kind, flag) = (metadata.file_type(), role.flag());
    let what = if kind.is_file() {
        return (metadata.uid() != user)
            .then(|| format!("belongs to another user; name a file of yours with {flag}"));
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

/// Takes from everybody else what they may do with a file. Returns whether its file system does so.
pub(super) fn make_private(file: &File) -> io::Result<bool> {
    let is_private = || Ok(file.metadata()?.permissions().mode() & 0o7777 == OWNER_ONLY);
    if !is_private()? {
        file.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
    }
    is_private()
}

/// Brings the names in a directory to the disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems have no such operation, and nothing to bring.
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
        assert_eq!(fault_for(&metadata, Role::Report, user), None);
        assert_eq!(fault(&metadata, Role::Report), None);
        assert_eq!(
            fault_for(&metadata, Role::Report, other).unwrap(),
            "belongs to another user; name a file of yours with --report"
        );
    }
}
