//! The maps are complete, and each file that they name exists.

use std::path::Path;

use crate::repository::{ROOT, Repository, targets, text};

const MAPS: &[&str] = &[
    ".github/CONTRIBUTING.md",
    "crates/ARCHITECTURE.md",
    "crates/README.md",
    "examples/README.md",
    "tests/README.md",
];

/// Finds crates, test programs and examples to which the table of their folder has no link.
pub(crate) fn left_out(repository: &Repository) -> Vec<String> {
    let mut wanted = Vec::new();
    for package in &repository.packages {
        let manifest = text(package, "manifest_path");
        if let Some(inside) = manifest.strip_prefix("crates/") {
            wanted.push(("crates/README.md", inside.trim_end_matches("/Cargo.toml")));
        }
        for (kind, name, path) in targets(package) {
            let program = path.trim_end_matches(".rs").trim_end_matches("/main");
            match kind {
                "test" => wanted.push(("tests/README.md", program)),
                "example" if path.starts_with("examples/") => {
                    wanted.push(("examples/README.md", name));
                }
                _ => {}
            }
        }
    }
    wanted.retain(|(map, name)| !repository.text(map).contains(&format!("[`{name}`](")));
    let findings = wanted.iter();
    findings
        .map(|(map, name)| format!("{map}: add a row that links to `{name}`"))
        .collect()
}

/// Finds files and folders that do not exist: ends of links, and names in the code of a map.
pub(crate) fn missing_files(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for (place, line) in repository.lines(".md") {
        let folder = Path::new(ROOT).join(&place).with_file_name("");
        let links = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next());
        let dead = links.filter(|link| !link.contains(':') && !folder.join(link).exists());
        let is_map = MAPS.iter().any(|map| place.starts_with(map));
        let names = line.split('`').skip(1).step_by(2);
        let names = names.filter(|name| is_map && is_file_name(name));
        let missing = dead.chain(names.filter(|name| !is_end_of_a_path(repository, name)));
        findings.extend(missing.map(|name| format!("{place}: {name} does not exist")));
    }
    findings
}

fn is_file_name(code: &str) -> bool {
    let is_path = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    let ends = ["/", ".md", ".rs", ".toml"];
    code.chars().all(is_path) && ends.iter().any(|end| code.ends_with(end))
}

fn is_end_of_a_path(repository: &Repository, name: &str) -> bool {
    let inside = format!("/{}/", name.trim_matches('/'));
    let mut files = repository.files.iter();
    files.any(|(path, _)| format!("/{path}/").contains(&inside))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_map_that_leaves_something_out_is_found() {
        let maps = [
            ("crates/README.md", "[`b`](b)"),
            ("tests/README.md", "[`tests/wire`](wire.rs)"),
        ];
        let root = json!({ "targets": [
            { "kind": ["example"], "name": "get", "src_path": "examples/get.rs" },
            { "kind": ["test"], "name": "wire", "src_path": "tests/wire.rs" },
        ] });
        let a = json!({ "manifest_path": "crates/a/Cargo.toml", "targets": [
            { "kind": ["test"], "name": "it", "src_path": "crates/a/tests/it/main.rs" },
        ] });
        let found = left_out(&Repository::of(&maps, &[root, a])).join("\n");
        for left_out in ["`get`", "`a`", "`crates/a/tests/it`"] {
            assert!(found.contains(left_out), "{left_out}: {found}");
        }
        assert_eq!(found.lines().count(), 3, "{found}");
    }

    #[test]
    fn a_file_that_does_not_exist_is_found() {
        fn check(text: &str, findings: usize) {
            let files = [("crates/README.md", text), ("crates/a/src/b/c.rs", "")];
            let found = missing_files(&Repository::of(&files, &[]));
            assert_eq!(found.len(), findings, "{text}: {found:?}");
        }
        check("`c.rs`, `b/c.rs`, `src/b/`, `a`, `a::b`", 0);
        check("`d.rs` and `b/` and `e/`", 2);
        check("d.rs, `<name>/d.rs`, `cargo run d.rs`", 0);
        check("[a](pacing/), [b](README.md#x), [c](../crates)", 0);
        check("[a](https://a.b/c), [b](#b)", 0);
        check("[a](pacing/src) and [b](pacing/sr)", 1);
    }
}
