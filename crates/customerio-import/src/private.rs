//! Files that hold people's data.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates or empties a file that only its owner may read.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    options().truncate(true).open(path)
}

/// Opens a file for reading and writing and leaves its content; one that it creates, only its owner may read.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    options().read(true).open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_owner_may_read_what_is_created() {
        let folder = tempfile::tempdir().unwrap();
        for (name, open_as) in [("a", create as fn(&Path) -> io::Result<File>), ("b", open)] {
            let file = open_as(&folder.path().join(name)).unwrap();
            assert_eq!(
                file.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{name}"
            );
        }
    }
}
