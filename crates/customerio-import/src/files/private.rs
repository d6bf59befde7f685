use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::role::Role;
use super::shown::shown;
use super::system::{fault, restrict, sync};

/// Says by its name whether a file may become an output, before there is reason to create it.
pub(super) fn check(path: &Path, role: Role) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => fault(&metadata, role).map_or(Ok(()), |fault| Err(anyhow!(fault))),
        Err(_) => {
            ensure!(
                folder(path).is_dir(),
                "its directory does not exist; make it, or name another file with {}",
                role.flag()
            );
            Ok(())
        }
    }
}

/// Opens a file for reading and writing and leaves its content, or creates it. Whether it may be an
/// output is seen from what was opened: its name may lead elsewhere a moment later.
pub(super) fn open(path: &Path, role: Role) -> Result<File> {
    let file = match options().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => options().open(path),
        created => {
            if created.is_ok() {
                sync_new(path, role)?;
            }
            created
        }
    };
    let file = match file {
        Ok(file) => file,
        Err(error) => {
            check(path, role)?;
            return Err(error).with_context(|| cannot_be_opened(role));
        }
    };
    match fault(&file.metadata()?, role) {
        Some(fault) => bail!(fault),
        None => Ok(file),
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    restrict(&mut options);
    options
}

fn cannot_be_opened(role: Role) -> String {
    let or = match role {
        Role::Journal => ", or add --no-journal",
        _ => "",
    };
    format!(
        "cannot be opened; name another file with {}{or}",
        role.flag()
    )
}

/// Empties a file that an earlier run has filled.
pub(crate) fn empty(file: &File, path: &Path) -> Result<()> {
    file.set_len(0)
        .with_context(|| format!("{}: cannot be emptied", shown(path)))
}

fn sync_new(path: &Path, role: Role) -> Result<()> {
    sync_folder(path)
        .inspect_err(|_| {
            // Nothing was written to it; one that cannot be removed is empty.
            let _ = fs::remove_file(path);
        })
        .with_context(|| {
            let flag = role.flag();
            format!("its directory cannot be opened to bring it to the disk; name another file with {flag}")
        })
}

/// Brings the name of a file to the disk: a crash must not take back that it was created, or
/// removed.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    sync(folder(path))
}

pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
