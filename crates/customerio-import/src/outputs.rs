//! Keeps the files that a run writes apart from the one that it reads, and from each other.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Refuses one file in two of the roles that `files` names.
pub(crate) fn check_apart(files: &[(&str, Option<&Path>)]) -> Result<()> {
    let mut seen: Vec<(&str, PathBuf)> = Vec::new();
    for (role, path) in files {
        let Some(path) = path.filter(|path| keeps_content(path)) else {
            continue;
        };
        let place = place(path);
        if let Some((other, _)) = seen.iter().find(|(_, taken)| *taken == place) {
            bail!(
                "{}: is both {other} and {role}; name another file for one of them",
                path.display()
            );
        }
        seen.push((role, place));
    }
    Ok(())
}

/// Tells whether writing to `path` could lose something, unlike to a terminal or `/dev/null`.
fn keeps_content(path: &Path) -> bool {
    path.is_file() || !path.exists()
}

/// Returns where a file lies, or would lie, by whatever name it is called.
fn place(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| place_of_new(path))
}

fn place_of_new(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: [&Path; 2], expected: bool) {
        let roles = [("a", Some(files[0])), ("none", None), ("b", Some(files[1]))];
        let found = check_apart(&roles).is_ok();
        assert_eq!(found, expected, "{files:?}");
    }

    #[test]
    fn one_file_has_one_role() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("old"), "x").unwrap();
        check([&file("old"), &file("new")], true);
        check([&file("new"), &file("newer")], true);
        check([&file("old"), &file("old")], false);
        check([&file("new"), &file("new")], false);
        check([&file("old"), &file("./old")], false);
        check([&file("new"), &file("./new")], false);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_the_file_that_it_points_to() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        check([&file, &link], false);
    }

    #[cfg(unix)]
    #[test]
    fn what_keeps_nothing_may_have_any_role() {
        let nowhere = Path::new("/dev/null");
        check([nowhere, nowhere], true);
    }
}
