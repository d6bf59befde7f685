//! The maps are complete, what is published has its papers, and what a README shows compiles.

use crate::finding::Finding;
use crate::repository::Repository;

const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
];
const TOP_FOLDERS: &[&str] = &["crates", "examples", "tests"];
const PAPERS: &[&str] = &["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// Finds files at the top level beside the agreed ones.
pub(crate) fn top_level(repository: &Repository) -> Vec<Finding> {
    let agreed = |path: &str| match path.split_once('/') {
        Some((folder, _)) => TOP_FOLDERS.contains(&folder) || folder.starts_with('.'),
        None => TOP_LEVEL.contains(&path) || path.starts_with('.'),
    };
    let paths = repository.paths().filter(|path| !agreed(path));
    paths
        .map(|path| Finding::of(path, "lies at the top level; move it into a room"))
        .collect()
}

/// Finds crates, examples and test programs that the table of their folder leaves out.
pub(crate) fn maps(repository: &Repository) -> Vec<Finding> {
    let crates = repository.crates().map(|name| ("crates/README.md", name));
    let examples = repository
        .paths()
        .filter_map(|path| Some(("examples/README.md", example(path)?)));
    let tests = repository
        .paths()
        .filter_map(|path| Some(("tests/README.md", test_program(path)?)));
    crates
        .chain(examples)
        .chain(tests)
        .filter(|(map, name)| !repository.text(map).contains(&format!("[`{name}`](")))
        .map(|(map, name)| {
            Finding::of(
                map,
                format!("leaves out `{name}`; add a row that links to it"),
            )
        })
        .collect()
}

/// Finds published crates without a README, a changelog or a license.
pub(crate) fn published(repository: &Repository) -> Vec<Finding> {
    let is_published = |name: &&str| {
        let manifest = repository.text(&format!("crates/{name}/Cargo.toml"));
        !manifest.contains("publish = false")
    };
    let wanted = repository.crates().filter(is_published).flat_map(|name| {
        let papers = PAPERS.iter();
        papers.map(move |paper| format!("crates/{name}/{paper}"))
    });
    wanted
        .filter(|path| repository.text(path).is_empty())
        .map(|path| Finding::of(&path, "is missing; a published crate carries it"))
        .collect()
}

/// Finds the first line of Rust in a README that the example does not compile, in the same order.
pub(crate) fn stack(path: &str, readme: &str, example: &str) -> Vec<Finding> {
    let mut compiled = example.lines().map(str::trim);
    let mut shown = readme.lines().zip(1..);
    if !shown.any(|(line, _)| line == "```rust") {
        return vec![Finding::of(path, "shows no stack; add a block of Rust")];
    }
    shown
        .take_while(|(line, _)| *line != "```")
        .map(|(line, number)| (line.trim(), number))
        .filter(|(line, _)| !line.is_empty())
        .find(|(line, _)| !compiled.any(|compiled| compiled == *line))
        .map(|(line, number)| {
            let what =
                format!("shows `{line}`, which the example has not there; show what it compiles");
            Finding::at(path, number, what)
        })
        .into_iter()
        .collect()
}

/// Returns the name of the example whose main file this is.
fn example(path: &str) -> Option<&str> {
    program(path.strip_prefix("examples/")?)
}

/// Returns the path of the test program whose main file this is, without `.rs` or `/main.rs`.
fn test_program(path: &str) -> Option<&str> {
    let inside = match path.strip_prefix("crates/") {
        Some(inside) => inside.split_once('/')?.1,
        None => path,
    };
    program(inside.strip_prefix("tests/")?)?;
    stem(path)
}

/// Returns the name of the program whose main file this is, in a folder of examples or tests.
fn program(inside: &str) -> Option<&str> {
    stem(inside).filter(|name| !name.contains('/'))
}

fn stem(path: &str) -> Option<&str> {
    path.strip_suffix("/main.rs")
        .or_else(|| path.strip_suffix(".rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&Repository) -> Vec<Finding>, files: &[(&str, &str)], findings: &[&str]) {
        let found = rule(&Repository::of(files));
        assert_eq!(found.len(), findings.len(), "{found:?}");
        for (finding, expected) in found.iter().zip(findings) {
            assert!(finding.to_string().contains(expected), "{finding}");
        }
    }

    #[test]
    fn the_top_level_holds_only_what_was_agreed() {
        check(
            top_level,
            &[("README.md", ""), (".ci/run", ""), ("tests/a.rs", "")],
            &[],
        );
        check(
            top_level,
            &[("notes.md", ""), ("src/lib.rs", "")],
            &["notes.md", "src/lib.rs"],
        );
    }

    #[test]
    fn a_map_leaves_nothing_out() {
        let files = [
            ("crates/README.md", "[`a`](a/)"),
            ("crates/a/Cargo.toml", ""),
            ("crates/b/Cargo.toml", ""),
            ("crates/a/tests/it/main.rs", ""),
            ("crates/a/tests/it/helper.rs", ""),
            ("examples/get.rs", ""),
            ("examples/post/main.rs", ""),
            ("examples/post/body.rs", ""),
            ("tests/README.md", "[`tests/wire`](wire.rs)"),
            ("tests/wire.rs", ""),
            ("tests/tidy/main.rs", ""),
        ];
        let left_out = [
            "`b`",
            "`get`",
            "`post`",
            "`crates/a/tests/it`",
            "`tests/tidy`",
        ];
        check(maps, &files, &left_out);
    }

    #[test]
    fn a_published_crate_carries_its_papers() {
        let private = ("crates/bench/Cargo.toml", "publish = false");
        let papers: Vec<_> = PAPERS
            .iter()
            .map(|paper| format!("crates/a/{paper}"))
            .collect();
        let mut files = vec![private, ("crates/a/Cargo.toml", "")];
        files.extend(papers.iter().map(|path| (&**path, "text")));
        check(published, &files, &[]);
        files.pop();
        check(published, &files, &["crates/a/README.md"]);
    }

    #[test]
    fn the_stack_is_the_one_that_compiles() {
        fn check(readme: &str, findings: &[Option<usize>]) {
            let found = stack("README.md", readme, "fn main() {\n    a();\n    b();\n}\n");
            let lines: Vec<_> = found.iter().map(Finding::line).collect();
            assert_eq!(lines, findings, "{readme}");
        }
        check("text\n```rust\na();\n\nb();\n```\ntext", &[]);
        check("```rust\nb();\na();\n```", &[Some(3)]);
        check("```rust\na(1);\n```", &[Some(2)]);
        check("```console\na();\n```", &[None]);
    }
}
