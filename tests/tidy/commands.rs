//! Commands, versions and code in Markdown are those of the repository.

use serde_json::Value;

use crate::repository::{Repository, targets, text};

/// Finds packages, programs, tests and examples that a `cargo` command names and that do not exist.
pub(crate) fn unknown_names(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for (place, line) in repository.lines(".md") {
        for (at, _) in line.match_indices("cargo ") {
            let unknown = unknown_in(&repository.packages, &line[at..]);
            findings.extend(
                unknown
                    .iter()
                    .map(|name| format!("{place}: cargo knows no {name}")),
            );
        }
    }
    findings
}

/// Returns the unknown names in the command at the start of a line.
fn unknown_in(packages: &[Value], line: &str) -> Vec<String> {
    let command = line.split(['`', '|', '#']).next().unwrap_or_default();
    let command = command.split(" -- ").next().unwrap_or_default();
    let words: Vec<_> = command.split_whitespace().collect();
    let options: Vec<_> = words.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let package = options.iter().find(|(option, _)| *option == "-p");
    let in_package = |of: &&Value| package.is_none_or(|(_, name)| text(of, "name") == *name);
    let exists = |(option, name): (&str, &str)| {
        let mut packages = packages.iter().filter(in_package);
        let kind = option.trim_start_matches('-');
        match option {
            "-p" => packages.next().is_some(),
            "--bin" | "--example" | "--test" => packages
                .flat_map(targets)
                .any(|target| (target.0, target.1) == (kind, name)),
            _ => true,
        }
    };
    let unknown = options.iter().filter(|option| !exists(**option));
    let named = unknown.map(|(option, name)| format!("`{option} {name}`"));
    named.collect()
}

/// Finds versions of Rust that are not the `rust-version` of the workspace.
pub(crate) fn other_rust_versions(repository: &Repository) -> Vec<String> {
    let ours = text(&repository.packages[0], "rust_version");
    let is_ours = |rest: &str| {
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next();
        minor.is_some_and(|minor| format!("1.{minor}") == ours)
    };
    let lines = repository.lines(".md");
    lines
        .filter(|(_, line)| !line.split("Rust 1.").skip(1).all(is_ours))
        .map(|(place, _)| format!("{place}: Cargo.toml says Rust {ours}"))
        .collect()
}

/// Finds the first line of a README's first block of Rust that the example has not there.
pub(crate) fn changed_stack(repository: &Repository, readme: &str, example: &str) -> Vec<String> {
    let mut compiled = repository.text(example).lines().map(str::trim);
    let mut shown = repository.text(readme).lines();
    if !shown.any(|line| line == "```rust") {
        return vec![format!(
            "{readme}: add a block of Rust with the stack of {example}"
        )];
    }
    let block = shown.take_while(|line| *line != "```").map(str::trim);
    let mut block = block.filter(|line| !line.is_empty());
    let changed = block.find(|line| !compiled.any(|compiled| compiled == *line));
    let finding = |line| format!("{readme}: `{line}` is not in {example}, in this order");
    changed.map(finding).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_that_cargo_does_not_know_is_found() {
        fn check(text: &str, findings: usize) {
            let target = |kind, name| json!({ "kind": [kind], "name": name });
            let targets = [target("bin", "cio"), target("test", "it")];
            let a = json!({ "name": "a", "targets": targets });
            let b = json!({ "name": "b", "targets": [target("example", "get")] });
            let repository = Repository::of(&[("README.md", text)], &[a, b]);
            assert_eq!(unknown_names(&repository).len(), findings, "{text}");
        }
        check("cargo run --bin cio -- --bin x", 0);
        check("cargo run --release --bin oic", 1);
        check(
            "`cargo test -p a --test it` or `cargo run --example get`",
            0,
        );
        check(
            "`cargo test -p b --test it` or `cargo run --example cio`",
            2,
        );
        check("| `cargo test -p c` |", 1);
        check("cargo test", 0);
    }

    #[test]
    fn another_version_of_rust_is_found() {
        let text = "Rust 1.89 or later\nRust 1.8\nRust 1.90.0\nRust";
        let package = json!({ "rust_version": "1.89" });
        let repository = Repository::of(&[("README.md", text)], &[package]);
        assert_eq!(other_rust_versions(&repository).len(), 2);
    }

    #[test]
    fn a_stack_that_does_not_compile_is_found() {
        fn check(readme: &str, findings: usize) {
            let example = ("a.rs", "fn main() {\n    a();\n    b();\n}\n");
            let repository = Repository::of(&[("README.md", readme), example], &[]);
            let found = changed_stack(&repository, "README.md", "a.rs");
            assert_eq!(found.len(), findings, "{readme}");
        }
        check("text\n```rust\na();\n\nb();\n```\ntext", 0);
        check("```rust\nb();\na();\n```", 1);
        check("```rust\na(1);\n```", 1);
        check("```console\na();\n```", 1);
    }
}
