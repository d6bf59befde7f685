//! The files that git tracks, and the packages as cargo describes them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/");

/// The input of a rule.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    /// Path, from the root, and text.
    pub(crate) files: Vec<(String, String)>,
    /// What `cargo metadata` prints for each package.
    pub(crate) packages: Vec<Value>,
}

static OURS: LazyLock<Repository> = LazyLock::new(|| {
    let paths = output(Command::new("git").args(["ls-files", "-z"]));
    // A file that was deleted and not yet committed is left out.
    let read = |path: &str| Some((path.into(), fs::read(Path::new(ROOT).join(path)).ok()?));
    let files = paths.split_terminator('\0').filter_map(read);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Repository {
        files: files.map(|(path, bytes)| (path, text(bytes))).collect(),
        packages: [
            "Cargo.toml",
            "crates/fuzz/Cargo.toml",
            "examples/outbox/Cargo.toml",
        ]
        .map(metadata)
        .concat(),
    }
});

impl Repository {
    /// Returns the repository that these tests belong to.
    pub(crate) fn ours() -> &'static Self {
        &OURS
    }

    /// Returns a repository for the test of a rule.
    pub(crate) fn of(files: &[(&str, &str)], packages: &[Value]) -> Self {
        let files = files.iter().map(|&(path, text)| (path.into(), text.into()));
        Self {
            files: files.collect(),
            packages: packages.to_vec(),
        }
    }

    /// Returns the text of a file, or nothing if there is none.
    pub(crate) fn text(&self, path: &str) -> &str {
        let file = self.files.iter().find(|file| file.0 == path);
        file.map_or("", |(_, text)| text)
    }

    /// Returns `path:number` and text of each line, of the files with the given end.
    pub(crate) fn lines(&self, end: &str) -> impl Iterator<Item = (String, &str)> {
        let files = self.files.iter().filter(move |file| file.0.ends_with(end));
        files.flat_map(|(path, text)| {
            let lines = text.lines().zip(1..);
            lines.map(move |(line, number)| (format!("{path}:{number}"), line))
        })
    }
}

/// Returns the tree of normal dependencies of a package, one package a line.
pub(crate) fn tree(package: &str, features: &str) -> String {
    cargo(&format!(
        "tree -e normal --prefix none --locked -p {package} {features}"
    ))
}

/// Returns the packages of the whole lock file, as far as Linux needs them.
pub(crate) fn locked_packages() -> Vec<Value> {
    packages("--locked --filter-platform x86_64-unknown-linux-gnu")
}

fn metadata(manifest: &str) -> Vec<Value> {
    packages(&format!("--no-deps --manifest-path {manifest}"))
}

fn packages(options: &str) -> Vec<Value> {
    let json = cargo(&format!("metadata --format-version 1 {options}"));
    let metadata: Value = serde_json::from_str(&json).expect("cargo prints JSON");
    list(&metadata, "packages").cloned().collect()
}

fn cargo(arguments: &str) -> String {
    let arguments = arguments.split_whitespace();
    output(Command::new(env!("CARGO")).args(arguments).arg("--offline"))
}

fn output(command: &mut Command) -> String {
    let output = command
        .current_dir(ROOT)
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("paths and names are UTF-8")
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// Returns the text under a key, without the path of the root.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    let text = value[key].as_str().unwrap_or_default();
    text.strip_prefix(ROOT).unwrap_or(text)
}

/// Returns the kind (`bin`, `test`, `example`), the name and the main file of each target.
pub(crate) fn targets(package: &Value) -> impl Iterator<Item = (&str, &str, &str)> {
    list(package, "targets").map(|target| {
        let kind = target["kind"][0].as_str().unwrap_or_default();
        (kind, text(target, "name"), text(target, "src_path"))
    })
}
