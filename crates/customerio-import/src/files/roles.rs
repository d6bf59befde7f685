//! The role of each file, and how an output is opened.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::system::{Identity, make_private, restrict, sync, unusable};
use crate::display;

/// The role of a file in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Failures,
    Input,
    Journal,
    Rejects,
    Report,
    StandardError,
    StandardOutput,
}

/// The files of a run with their roles. A file has one role, even under several names.
#[derive(Clone, Debug)]
pub(crate) struct Roles(Vec<(Role, Identity)>);

// === impl Role ===

impl Role {
    /// Returns the flag that names another file for this role.
    fn flag(self) -> &'static str {
        match self {
            Self::Failures => "--failures",
            Self::Journal => "--journal",
            Self::Rejects => "--rejects",
            Self::Report => "--report",
            Self::Input | Self::StandardError | Self::StandardOutput => "a redirection",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failures => "the failures file",
            Self::Input => "the input",
            Self::Journal => "the journal",
            Self::Rejects => "the rejects file",
            Self::Report => "the report",
            Self::StandardError => "the standard error",
            Self::StandardOutput => "the standard output",
        })
    }
}

// === impl Roles ===

impl Roles {
    /// Returns the roles of the input, if it has an identity, and of the standard streams.
    pub(crate) fn new(input: Option<Identity>) -> Self {
        let streams = [
            (Role::StandardOutput, Identity::of_stream(io::stdout())),
            (Role::StandardError, Identity::of_stream(io::stderr())),
        ];
        let all = [(Role::Input, input)].into_iter().chain(streams);
        Self(
            all.filter_map(|(role, identity)| identity.map(|identity| (role, identity)))
                .collect(),
        )
    }

    /// Checks outputs by their names, so that the user learns of an error before the file is read.
    /// [`Roles::open`] checks the open files again.
    pub(crate) fn check(&self, outputs: &[(Role, Option<&Path>)]) -> Result<()> {
        let mut new: Vec<(Role, PathBuf)> = Vec::new();
        let mut roles = self.clone();
        for (role, path) in outputs {
            let Some(path) = path else { continue };
            let checked = check(path, *role).and_then(|()| {
                if let Ok(identity) = Identity::at(path) {
                    return roles.add(*role, identity);
                }
                // The file does not exist yet: only its path can be compared.
                let canonical = canonical_of_new(path);
                if let Some((other, _)) = new.iter().find(|(_, path)| *path == canonical) {
                    bail!(has_two_roles(*other, *role));
                }
                new.push((*role, canonical));
                Ok(())
            });
            checked.with_context(|| display::path(path))?;
        }
        Ok(())
    }

    /// Opens an output for reading and writing, or creates it. Its content stays.
    ///
    /// # Errors
    ///
    /// Fails if it is not a regular file of the user, if it has another role, and if others can
    /// read it and that cannot be changed.
    pub(crate) fn open(&mut self, role: Role, path: &Path) -> Result<File> {
        self.try_open(role, path)
            .with_context(|| display::path(path))
    }

    fn try_open(&mut self, role: Role, path: &Path) -> Result<File> {
        let file = open(path, role)?;
        self.add(role, Identity::of(&file, path)?)?;
        let is_private =
            make_private(&file).context("others can read it, and its mode cannot be changed")?;
        ensure!(
            is_private,
            "others can read it, because its file system has no modes; name another file with {}",
            role.flag()
        );
        Ok(file)
    }

    /// Adds a file that is only read.
    pub(crate) fn read(&mut self, role: Role, identity: Identity) {
        self.0.push((role, identity));
    }

    fn add(&mut self, role: Role, identity: Identity) -> Result<()> {
        if let Some((other, _)) = self.0.iter().find(|(_, known)| *known == identity) {
            bail!(has_two_roles(*other, role));
        }
        self.0.push((role, identity));
        Ok(())
    }
}

fn has_two_roles(one: Role, other: Role) -> String {
    format!("is both {one} and {other}; name another file for one of them")
}

/// Returns the canonical path of a file that does not exist yet.
fn canonical_of_new(path: &Path) -> PathBuf {
    match (fs::canonicalize(folder(path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Checks by its name whether a file may become an output. Creates nothing.
fn check(path: &Path, role: Role) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => {
            unusable(&metadata, role.flag()).map_or(Ok(()), |reason| Err(anyhow!(reason)))
        }
        Err(_) => {
            ensure!(
                folder(path).is_dir(),
                "its directory does not exist; create it, or name another file with {}",
                role.flag()
            );
            Ok(())
        }
    }
}

/// Opens a file for reading and writing, or creates it. Its content stays.
fn open(path: &Path, role: Role) -> Result<File> {
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
    // The open file is checked, not its name: the name may have been given to another file.
    match unusable(&file.metadata()?, role.flag()) {
        Some(reason) => bail!(reason),
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
    let flag = role.flag();
    format!("cannot be opened; name another file with {flag}{or}")
}

/// Removes the content of a file that an earlier run has written.
pub(crate) fn truncate(file: &File, path: &Path) -> Result<()> {
    file.set_len(0).with_context(|| {
        let path = display::path(path);
        format!("{path}: the content of an earlier run cannot be removed; name another file")
    })
}

fn sync_new(path: &Path, role: Role) -> Result<()> {
    sync_folder(path)
        .inspect_err(|_| {
            // An error is ignored: the file is empty.
            let _ = fs::remove_file(path);
        })
        .with_context(|| {
            let flag = role.flag();
            format!("its directory cannot be synced to disk; name another file with {flag}")
        })
}

/// Returns whether the path still leads to the open file: it may have been removed, and another one
/// created.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    match (Identity::of(file, path), Identity::at(path)) {
        (Ok(file), Ok(found)) => file == found,
        _ => false,
    }
}

/// Syncs the directory of a file, so that a crash does not undo its creation or removal.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    sync(folder(path))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_two(files: [&Path; 2], expected: bool) {
        let roles = [
            (Role::Journal, Some(files[0])),
            (Role::Report, None),
            (Role::Rejects, Some(files[1])),
        ];
        let found = Roles::new(None).check(&roles);
        assert_eq!(found.is_ok(), expected, "by name: {files:?}");

        let mut opened = Roles::new(None);
        opened.open(Role::Journal, files[0]).unwrap();
        let second = opened.open(Role::Rejects, files[1]);
        assert_eq!(second.is_ok(), expected, "by the open files: {files:?}");
    }

    #[test]
    fn one_file_has_one_role() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("old"), "x").unwrap();
        check_two([&file("new"), &file("./new")], false);
        check_two([&file("newer"), &file("newer")], false);
        check_two([&file("old"), &file("newest")], true);
        check_two([&file("one"), &file("two")], true);
        check_two([&file("old"), &file("old")], false);
        check_two([&file("old"), &file("./old")], false);
        assert_eq!(fs::read(file("old")).unwrap(), b"x");
    }

    #[cfg(unix)]
    #[test]
    fn a_hard_link_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "x").unwrap();
        fs::hard_link(&file, &link).unwrap();
        check_two([&file, &link], false);
        let input = Identity::of(&File::open(&file).unwrap(), &file).unwrap();
        let error = Roles::new(Some(input))
            .open(Role::Report, &link)
            .unwrap_err();
        assert!(format!("{error:#}").contains("is both the input and the report"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_replaces_a_checked_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, target) = (folder.path().join("file"), folder.path().join("target"));
        let mut roles = Roles::new(None);
        roles.check(&[(Role::Report, Some(&file))]).unwrap();
        std::os::unix::fs::symlink(&target, &file).unwrap();
        let error = roles.open(Role::Report, &file).unwrap_err();
        assert!(format!("{error:#}").contains("is a symbolic link"));
        assert!(!target.exists());
    }
}
