//! The examples in the docs of `customerio` run against the simulator.

use std::collections::HashSet;

use crate::repository::Repository;

/// Code that stands for a server, or keeps an example from running.
const STAND_INS: [&str; 4] = [
    "service_fn(",
    "testing::recorded(",
    "testing::scripted(",
    "```no_run",
];

/// Finds examples in the docs that bring a server of their own, or do not run. Those of `testing`
/// are left out: the replies that a test gives are their subject.
pub(crate) fn own_servers(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for (place, line) in docs(repository) {
        let found = STAND_INS.iter().filter(|word| line.contains(*word));
        findings.extend(found.map(|word| {
            format!(
                "{place}: has `{word}`; run the example with crates/customerio/docs/simulator.rs"
            )
        }));
    }
    findings
}

/// Returns `path:number` and text of each line of the docs of `customerio`.
fn docs(repository: &Repository) -> impl Iterator<Item = (String, &str)> {
    let guides = repository.lines(".md").filter(|(place, _)| {
        place.starts_with("crates/customerio/docs/")
            || place.starts_with("crates/customerio/README.md")
    });
    guides.chain(comments(repository))
}

fn comments(repository: &Repository) -> impl Iterator<Item = (String, &str)> {
    let source = repository.lines(".rs").filter(|(place, line)| {
        let line = line.trim_start();
        place.starts_with("crates/customerio/src/")
            && !place.starts_with("crates/customerio/src/testing/")
            && (line.starts_with("//!") || line.starts_with("///") || line.contains("doc = \"```"))
    });
    source.map(|(place, line)| (place, line.trim_start()))
}

/// Finds lines of Rust in the README that no example in the source has. Those run; the README's
/// only compile, since their hidden lines would be seen on other pages than those of rustdoc.
pub(crate) fn lines_that_do_not_run(repository: &Repository) -> Vec<String> {
    let run = comments(repository).filter_map(|(_, line)| line.get(3..));
    let run: HashSet<_> = run.map(str::trim).collect();
    let mut is_rust = false;
    let readme = "crates/customerio/README.md";
    let mut findings = Vec::new();
    for (line, number) in repository.text(readme).lines().zip(1..) {
        let is_fence = line.starts_with("```");
        is_rust = if is_fence {
            line.starts_with("```rust")
        } else {
            is_rust
        };
        let is_shown = is_rust && !is_fence && !line.is_empty() && !line.starts_with("# ");
        if is_shown && !run.contains(line.trim()) {
            findings.push(format!(
                "{readme}:{number}: `{line}` is in no example of the source, which would run it"
            ));
        }
    }
    findings
}

#[test]
fn an_example_with_a_server_of_its_own_is_found() {
    fn check(path: &str, line: &str, findings: usize) {
        let repository = Repository::of(&[(path, line)], &[]);
        assert_eq!(own_servers(&repository).len(), findings, "{path}: {line}");
    }
    let line = "    /// # let api = tower::service_fn(|_| async {";
    check("crates/customerio/src/client/app.rs", line, 1);
    check(
        "crates/customerio/src/client/app.rs",
        "let api = service_fn(f);",
        0,
    );
    check("crates/customerio/src/testing/mod.rs", line, 0);
    check("crates/tower-pace/src/lib.rs", line, 0);
    let scripted = "let (client, _) = testing::scripted([]);";
    check("crates/customerio/docs/recipe.md", scripted, 1);
    check("crates/customerio/CHANGELOG.md", scripted, 0);
    check("crates/customerio/src/lib.rs", "//! ```no_run", 1);
    let attribute = "#![cfg_attr(feature = \"client\", doc = \"```no_run\")]";
    check("crates/customerio/src/lib.rs", attribute, 1);
}

#[test]
fn a_line_of_the_readme_that_does_not_run_is_found() {
    fn check(readme: &str, findings: usize) {
        let source = (
            "crates/customerio/src/lib.rs",
            "//! a();\n    ///     b();\nc();\n",
        );
        let readme = ("crates/customerio/README.md", readme);
        let repository = Repository::of(&[readme, source], &[]);
        assert_eq!(
            lines_that_do_not_run(&repository).len(),
            findings,
            "{readme:?}"
        );
    }
    check(
        "text\n```rust,no_run\n# hidden();\na();\nb();\n\n```\ntext",
        0,
    );
    check("```rust\nc();\n```", 1);
    check("```toml\nc();\n```", 0);
}
