//! Which of our crates may depend on which, and what must not be in their trees.

use serde_json::Value;

use crate::repository::{Repository, list, text};
use When::{Always, BehindAFeature, InTests};

/// When a crate may depend on another one.
#[derive(Debug)]
enum When {
    Always,
    BehindAFeature,
    InTests,
}

/// The arrows of `crates/README.md`. A crate without a row depends on none of ours.
const ARROWS: &[(&str, When, &str)] = &[
    ("tower-pace", Always, "pacing"),
    ("tower-pace-redis", Always, "pacing"),
    ("tower-pace-redis", Always, "tower-pace"),
    ("customerio", BehindAFeature, "tower-pace"),
    ("customerio", InTests, "customerio-sim"),
    ("customerio-import", Always, "customerio"),
    ("customerio-import", Always, "customerio-sim"),
    ("bench", Always, "customerio"),
    ("bench", Always, "pacing"),
    ("bench", Always, "tower-pace"),
    ("outbox", Always, "customerio"),
    ("outbox", Always, "customerio-sim"),
    ("recipes", Always, "tower-pace"),
    ("recipes", Always, "tower-pace-redis"),
    ("customerio-import", Always, "tower-pace-redis"),
    ("fuzz", Always, "customerio"),
    ("fuzz", Always, "pacing"),
];

/// Async runtimes, and the crates that need one.
#[rustfmt::skip]
const RUNTIMES: &[&str] = &[
    "async-std", "futures-executor", "hyper", "hyper-util", "smol", "tokio", "tower", "tower-pace",
];

/// The package at the root, which depends on every crate.
const ROOT: &str = "workspace-root";

/// Finds dependencies between our crates that are not in [`ARROWS`].
pub(crate) fn arrows(repository: &Repository) -> Vec<String> {
    let packages = &repository.packages;
    let is_ours = |name: &str| packages.iter().any(|package| text(package, "name") == name);
    let mut findings = Vec::new();
    for package in packages {
        for dependency in list(package, "dependencies") {
            let (from, to) = (text(package, "name"), text(dependency, "name"));
            if from != ROOT && is_ours(to) && !is_allowed(from, dependency) {
                findings.push(format!("{from} must not depend on {to}; see {}", file!()));
            }
        }
    }
    findings
}

fn is_allowed(from: &str, dependency: &Value) -> bool {
    let in_tests = dependency["kind"] == "dev";
    let holds = |when: &When| match when {
        Always => true,
        BehindAFeature => in_tests || dependency["optional"] == true,
        InTests => in_tests,
    };
    let to = text(dependency, "name");
    let mut arrows = ARROWS.iter();
    arrows.any(|(tail, when, head)| *tail == from && *head == to && holds(when))
}

/// Finds runtimes in what `cargo tree` printed for a crate.
pub(crate) fn runtimes(name: &str, tree: &str) -> Vec<String> {
    assert!(tree.starts_with(name), "not a tree of {name}: {tree}");
    let found = tree.lines().filter_map(|line| line.split(' ').next());
    found
        .filter(|found| RUNTIMES.contains(found))
        .map(|found| format!("{name} depends on {found}; put it behind a feature"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_arrow_that_is_not_drawn_is_found() {
        fn check(from: &str, to: &str, kind: Option<&str>, optional: bool, findings: usize) {
            let dependency = json!({ "name": to, "kind": kind, "optional": optional });
            let from = json!({ "name": from, "dependencies": [dependency, { "name": "http" }] });
            let repository = Repository::of(&[], &[from, json!({ "name": to })]);
            assert_eq!(arrows(&repository).len(), findings, "{repository:?}");
        }
        check("tower-pace", "pacing", None, false, 0);
        check("pacing", "tower-pace", None, false, 1);
        check("pacing", "tower-pace", Some("dev"), false, 1);
        check("customerio", "tower-pace", None, true, 0);
        check("customerio", "tower-pace", None, false, 1);
        check("customerio", "customerio-sim", Some("dev"), false, 0);
        check("customerio", "customerio-sim", None, true, 1);
        check("newcomer", "pacing", None, false, 1);
        check(ROOT, "pacing", None, false, 0);
    }

    #[test]
    fn a_runtime_in_a_tree_is_found() {
        assert_eq!(runtimes("a", "a v1\nhttp v1\ntokio-test v1\n").len(), 0);
        assert_eq!(runtimes("a", "a v1\nhyper v1\ntokio v1.54.1\n").len(), 2);
    }
}
