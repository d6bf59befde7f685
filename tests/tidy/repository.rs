//! The files that git tracks.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::{fs, str};

use crate::source::Source;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A tracked file that is text.
#[derive(Debug)]
pub(crate) struct Paper {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Everything that a rule can look at.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) papers: Vec<Paper>,
}

static REPOSITORY: LazyLock<Repository> = LazyLock::new(Repository::read);

impl Repository {
    /// Returns the repository that these tests belong to.
    pub(crate) fn ours() -> &'static Self {
        &REPOSITORY
    }

    /// Reads the tracked files; one that was deleted and not yet committed so is left out.
    fn read() -> Self {
        let papers = tracked_paths()
            .into_iter()
            .filter_map(|path| {
                let bytes = fs::read(Path::new(ROOT).join(&path)).ok()?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Some(Paper { path, text })
            })
            .collect();
        Self { papers }
    }

    /// Returns a repository of the given files, for the tests of the rules.
    pub(crate) fn of(papers: &[(&str, &str)]) -> Self {
        let paper = |&(path, text): &(&str, &str)| Paper {
            path: path.into(),
            text: text.into(),
        };
        Self {
            papers: papers.iter().map(paper).collect(),
        }
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.papers.iter().map(|paper| &*paper.path)
    }

    /// Returns the text of a file; empty if there is none.
    pub(crate) fn text(&self, path: &str) -> &str {
        let paper = self.papers.iter().find(|paper| paper.path == path);
        paper.map_or("", |paper| &paper.text)
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = Source> {
        self.papers
            .iter()
            .filter(|paper| paper.path.ends_with(".rs"))
            .map(|paper| Source::new(&paper.path, &paper.text))
    }

    /// Returns the names of the crates, which are the names of their folders.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &str> {
        self.paths()
            .filter_map(|path| path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"))
            .filter(|name| !name.contains('/'))
    }
}

fn tracked_paths() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(ROOT)
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "the tests run in a git checkout");
    output
        .stdout
        .split(|byte| *byte == 0)
        .filter_map(|path| str::from_utf8(path).ok())
        .filter(|path| !path.is_empty())
        .map(String::from)
        .collect()
}
