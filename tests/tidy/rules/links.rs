//! Links lead somewhere.

use crate::finding::Finding;
use crate::repository::{Paper, Repository};

/// Finds links to files that are not there, in Markdown.
pub(crate) fn links(repository: &Repository) -> Vec<Finding> {
    let papers = repository.papers.iter();
    papers
        .filter(|paper| paper.path.ends_with(".md"))
        .flat_map(|paper| dead_links(paper, repository))
        .collect()
}

fn dead_links(paper: &Paper, repository: &Repository) -> Vec<Finding> {
    let lines = paper.text.lines().zip(1..);
    let links = lines.flat_map(|(line, number)| targets(line).map(move |target| (target, number)));
    links
        .filter(|(target, _)| !exists(repository, &resolve(&paper.path, target)))
        .map(|(target, number)| {
            let what = format!("links to `{target}`, which is not there; mend it");
            Finding::at(&paper.path, number, what)
        })
        .collect()
}

fn targets(line: &str) -> impl Iterator<Item = &str> {
    let links = line.split("](").skip(1);
    links
        .filter_map(|link| link.split([')', '#', ' ']).next())
        .filter(|target| !target.is_empty() && !target.contains(':'))
}

fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(repository: &Repository, path: &str) -> bool {
    repository.paths().any(|tracked| {
        let inside = tracked.strip_prefix(path);
        inside.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with('/'))
    })
}

#[test]
fn a_link_leads_somewhere() {
    fn check(text: &str, lines: &[usize]) {
        let files = [("crates/README.md", text), ("crates/a/src/lib.rs", "")];
        let found = links(&Repository::of(&files));
        let found: Vec<_> = found.iter().filter_map(Finding::line).collect();
        assert_eq!(found, lines, "{text}");
    }
    check("[a](a/), [b](a/src/lib.rs#x), [c](../crates)", &[]);
    check("[a](https://a.b/c), [b](#b)", &[]);
    check("x\n[a](b.md)", &[2]);
    check("[a](a/src) and [b](a/sr)", &[1]);
}
