use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::private::{check, folder, open};
use super::role::Role;
use super::shown::shown;
use super::system::{Identity, make_private};

/// Which file has which role. No file has two, by whatever names it is called.
#[derive(Clone, Debug)]
pub(crate) struct Roles(Vec<(Role, Identity)>);

// === impl Roles ===

impl Roles {
    /// Begins with the input, unless it is one that keeps nothing, and with where the standard
    /// streams lead.
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

    /// Refuses outputs by what their names say now, so that the user need not wait for it. What is
    /// opened later is looked at once more.
    pub(crate) fn check(&self, outputs: &[(Role, Option<&Path>)]) -> Result<()> {
        let mut seen: Vec<(Role, PathBuf)> = Vec::new();
        let mut roles = self.clone();
        for (role, path) in outputs {
            let Some(path) = path else { continue };
            let checked = check(path, *role).and_then(|()| {
                if let Ok(identity) = Identity::at(path) {
                    return roles.take(*role, identity);
                }
                let place = place_of_new(path);
                if let Some((other, _)) = seen.iter().find(|(_, taken)| *taken == place) {
                    bail!(both(*other, *role));
                }
                seen.push((*role, place));
                Ok(())
            });
            checked.with_context(|| shown(path))?;
        }
        Ok(())
    }

    /// Opens an output for reading and writing, or creates it, and leaves its content.
    ///
    /// # Errors
    ///
    /// Fails where it is no regular file of the user, has another role, or cannot be kept from
    /// others.
    pub(crate) fn open(&mut self, role: Role, path: &Path) -> Result<File> {
        self.try_open(role, path).with_context(|| shown(path))
    }

    fn try_open(&mut self, role: Role, path: &Path) -> Result<File> {
        let file = open(path, role)?;
        self.take(role, Identity::of(&file, path)?)?;
        let is_private =
            make_private(&file).context("others may read it, and that cannot be changed")?;
        ensure!(
            is_private,
            "others may read it, as its file system knows no modes; name another file with {}",
            role.flag()
        );
        Ok(file)
    }

    fn take(&mut self, role: Role, identity: Identity) -> Result<()> {
        if let Some((other, _)) = self.0.iter().find(|(_, taken)| *taken == identity) {
            bail!(both(*other, role));
        }
        self.0.push((role, identity));
        Ok(())
    }
}

fn both(one: Role, other: Role) -> String {
    format!("is both {one} and {other}; name another file for one of them")
}

/// Returns where a file would lie, by whatever name it is called.
fn place_of_new(path: &Path) -> PathBuf {
    match (fs::canonicalize(folder(path)), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
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
        assert_eq!(second.is_ok(), expected, "by what was opened: {files:?}");
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
    fn a_hard_link_is_the_file_that_it_names() {
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
    fn what_takes_the_place_of_a_name_that_was_checked_is_seen() {
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
