//! A published crate says which Rust it needs, and needs no newer one through a dependency.

use serde_json::Value;

use crate::repository::{Repository, text};

/// Returns the packages that are published.
pub(crate) fn published(packages: &[Value]) -> impl Iterator<Item = &Value> {
    let is_private = |package: &&Value| package["publish"].as_array().is_some_and(Vec::is_empty);
    packages.iter().filter(move |package| !is_private(package))
}

/// Finds READMEs that do not state the version of Rust that their crate needs.
pub(crate) fn unstated_rust_versions(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for package in published(&repository.packages) {
        let line = format!("Needs Rust {} or later", text(package, "rust_version"));
        let readme = text(package, "manifest_path").replace("Cargo.toml", "README.md");
        if !repository.text(&readme).contains(&line) {
            findings.push(format!("{readme}: add the line `{line}.`"));
        }
    }
    findings
}

/// Finds packages in what `cargo tree` printed for a crate that need a newer Rust than the crate.
/// `packages` are those of the whole lock file.
pub(crate) fn newer_rust(package: &Value, tree: &str, packages: &[Value]) -> Vec<String> {
    let (name, ours) = (text(package, "name"), minor(package));
    assert!(tree.starts_with(name), "not a tree of {name}: {tree}");
    let in_tree = |package: &&Value| {
        let line = format!("{} v{}", text(package, "name"), text(package, "version"));
        tree.lines()
            .any(|found| found == line || found.starts_with(&format!("{line} ")))
    };
    let newer = packages.iter().filter(|package| minor(package) > ours);
    let newer = newer.filter(in_tree).map(|package| text(package, "name"));
    newer
        .map(|newer| {
            format!("{name} needs 1.{ours}, and {newer} a newer one; take an older {newer}")
        })
        .collect()
}

/// Returns 89 for a package that needs Rust 1.89, and 0 for one that does not say.
fn minor(package: &Value) -> u32 {
    let version = text(package, "rust_version").split('.').nth(1);
    version.map_or(0, |minor| minor.parse().expect("cargo checks the version"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_readme_without_the_version_of_rust_is_found() {
        let package = |publish| {
            let manifest = "crates/a/Cargo.toml";
            json!({ "rust_version": "1.89", "manifest_path": manifest, "publish": publish })
        };
        let check = |readme: &str, publish: Value, findings: usize| {
            let repository = Repository::of(&[("crates/a/README.md", readme)], &[package(publish)]);
            assert_eq!(
                unstated_rust_versions(&repository).len(),
                findings,
                "{readme}"
            );
        };
        check("Needs Rust 1.89 or later.", Value::Null, 0);
        check("Needs Rust 1.90 or later.", Value::Null, 1);
        check("", Value::Null, 1);
        check("", json!([]), 0);
    }

    #[test]
    fn a_dependency_that_needs_a_newer_rust_is_found() {
        let package = |name: &str, rust: &str| json!({ "name": name, "version": "1.0.0", "rust_version": rust });
        let ours = package("a", "1.89");
        let newer = [package("b", "1.90.1"), package("c", "1.99")];
        let check = |tree: &str, findings: usize| {
            assert_eq!(newer_rust(&ours, tree, &newer).len(), findings, "{tree}");
        };
        check("a v1.0.0 (/path)\nb v1.0.0\nb v1.0.0 (*)\n", 1);
        check("a v1.0.0\nb v1.0.1\nbc v1.0.0\n", 0);
        check("a v1.0.0\nc v1.0.0 (proc-macro)\n", 1);
        assert!(newer_rust(&ours, "a v1.0.0\nb v1.0.0\n", &[package("b", "1.89")]).is_empty());
    }
}
