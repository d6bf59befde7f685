//! Which of our crates may know which, and where versions are written.

use crate::finding::Finding;

/// What a crate may depend on, of our crates.
#[derive(Debug)]
struct Arrows {
    from: &'static str,
    to: &'static [&'static str],
    /// Only behind a feature.
    to_optional: &'static [&'static str],
    /// In tests and examples, beside the above.
    to_in_tests: &'static [&'static str],
}

const ARROWS: &[Arrows] = &[
    Arrows {
        from: "bench",
        to: &["customerio", "tower-pace"],
        to_optional: &[],
        to_in_tests: &[],
    },
    Arrows {
        from: "fuzz",
        to: &["customerio", "pacing"],
        to_optional: &[],
        to_in_tests: &[],
    },
    Arrows {
        from: "pacing",
        to: &[],
        to_optional: &[],
        to_in_tests: &[],
    },
    Arrows {
        from: "tower-pace",
        to: &["pacing"],
        to_optional: &[],
        to_in_tests: &[],
    },
    Arrows {
        from: "customerio",
        to: &[],
        to_optional: &["tower-pace"],
        to_in_tests: &["customerio-sim"],
    },
    Arrows {
        from: "customerio-sim",
        to: &[],
        to_optional: &[],
        to_in_tests: &[],
    },
    Arrows {
        from: "customerio-import",
        to: &["customerio", "customerio-sim"],
        to_optional: &[],
        to_in_tests: &[],
    },
];

/// What only a feature may bring: runtimes, and the clients and layers that need one.
const RUNTIMES: &[&str] = &[
    "async-std",
    "futures-executor",
    "hyper",
    "hyper-util",
    "smol",
    "tokio",
    "tower",
    "tower-layer",
    "tower-pace",
    "tower-service",
];

/// A line of a manifest that names a dependency.
#[derive(Debug, PartialEq, Eq)]
struct Dependency<'a> {
    name: &'a str,
    line: usize,
    in_tests: bool,
    optional: bool,
    inherited: bool,
}

/// Finds dependencies on our own crates that the map does not draw.
pub(crate) fn arrows(krate: &str, path: &str, manifest: &str) -> Vec<Finding> {
    let Some(allowed) = ARROWS.iter().find(|arrows| arrows.from == krate) else {
        let what = "is a crate without arrows; draw them in tests/tidy/rules/arrows.rs";
        return vec![Finding::of(path, what)];
    };
    dependencies(manifest)
        .into_iter()
        .filter(|dependency| ARROWS.iter().any(|arrows| arrows.from == dependency.name))
        .filter(|dependency| !allowed.allow(dependency))
        .map(|Dependency { name, line, .. }| {
            let what =
                format!("`{krate}` does not know `{name}`; take what is needed as an argument");
            Finding::at(path, line, what)
        })
        .collect()
}

impl Arrows {
    fn allow(&self, dependency: &Dependency<'_>) -> bool {
        let name = &dependency.name;
        let behind_feature = dependency.optional || dependency.in_tests;
        self.to.contains(name)
            || (behind_feature && self.to_optional.contains(name))
            || (dependency.in_tests && self.to_in_tests.contains(name))
    }
}

/// Finds versions and lints of a crate's own: both are the workspace's, if it is not one itself.
pub(crate) fn inheritance(path: &str, manifest: &str) -> Vec<Finding> {
    if manifest.lines().any(|line| line == "[workspace]") {
        return Vec::new();
    }
    let own_lints = !manifest.contains("[lints]\nworkspace = true");
    let lints = own_lints.then(|| {
        let what = "does not inherit the lints; add `[lints]` with `workspace = true`";
        Finding::of(path, what)
    });
    let dependencies = dependencies(manifest).into_iter();
    let versions = dependencies.filter(|dependency| !dependency.inherited).map(
        |Dependency { name, line, .. }| {
            let what =
                format!("`{name}` has a version of its own; move it to [workspace.dependencies]");
            Finding::at(path, line, what)
        },
    );
    lints.into_iter().chain(versions).collect()
}

/// Finds async runtimes, and what needs one, in what `cargo tree --prefix none` printed.
pub(crate) fn runtimes(path: &str, tree: &str) -> Vec<Finding> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names
        .filter(|name| RUNTIMES.contains(name))
        .map(|name| {
            Finding::of(
                path,
                format!("`{name}` is in its default tree; put it behind a feature"),
            )
        })
        .collect()
}

fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut section = "";
    let mut found = Vec::new();
    for (line, number) in manifest.lines().zip(1..) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if section.ends_with("dependencies") && !section.starts_with("workspace") {
            found.extend(dependency(section, line, number));
        }
    }
    found
}

fn dependency<'a>(section: &str, line: &'a str, number: usize) -> Option<Dependency<'a>> {
    let end = line.find(['.', ' ', '='])?;
    let name = &line[..end];
    name.starts_with(char::is_alphabetic).then(|| Dependency {
        name,
        line: number,
        in_tests: section.ends_with("dev-dependencies"),
        optional: line.contains("optional = true"),
        inherited: line.contains("workspace = true"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[Finding], lines: &[Option<usize>]) {
        let found_lines: Vec<_> = found.iter().map(Finding::line).collect();
        assert_eq!(found_lines, lines, "{found:?}");
    }

    #[test]
    fn arrows_go_one_way() {
        let arrow = |krate, manifest| arrows(krate, "Cargo.toml", manifest);
        let plain = "[dependencies]\nhttp.workspace = true\npacing.workspace = true";
        check(&arrow("tower-pace", plain), &[]);
        check(&arrow("customerio-sim", plain), &[Some(3)]);
        check(
            &arrow("pacing", "[dev-dependencies]\ntower-pace.workspace = true"),
            &[Some(2)],
        );
        check(
            &arrow(
                "pacing",
                "[target.'cfg(unix)'.dependencies]\ncustomerio = {}",
            ),
            &[Some(2)],
        );
        check(
            &arrow(
                "customerio",
                "[dependencies]\ntower-pace = { workspace = true, optional = true }",
            ),
            &[],
        );
        check(
            &arrow("customerio", "[dependencies]\ntower-pace.workspace = true"),
            &[Some(2)],
        );
        check(
            &arrow(
                "customerio",
                "[dependencies]\ncustomerio-sim.workspace = true",
            ),
            &[Some(2)],
        );
        check(
            &arrow(
                "customerio",
                "[dev-dependencies]\ncustomerio-sim.workspace = true",
            ),
            &[],
        );
        check(&arrow("customerio", "[features]\npacing = []"), &[]);
        check(&arrow("newcomer", ""), &[None]);
    }

    #[test]
    fn versions_and_lints_are_the_workspaces() {
        let lints = "[lints]\nworkspace = true\n";
        let inheritance = |manifest: &str| inheritance("Cargo.toml", manifest);
        check(
            &inheritance(&format!("{lints}[dependencies]\nhttp.workspace = true")),
            &[],
        );
        check(
            &inheritance(&format!("{lints}[dependencies]\nhttp = \"1\"")),
            &[Some(4)],
        );
        check(
            &inheritance(&format!("{lints}[workspace.dependencies]\nhttp = \"1\"")),
            &[],
        );
        check(&inheritance("[dependencies]\n"), &[None]);
        check(
            &inheritance("[workspace]\n[dependencies]\nhttp = \"1\""),
            &[],
        );
    }

    #[test]
    fn a_runtime_is_found_in_a_tree() {
        check(&runtimes("a", "a v1\nhttp v1\ntokio v1.54.1"), &[None]);
        check(&runtimes("a", "a v1\nhyper v1\ntower v1"), &[None, None]);
        check(&runtimes("a", "a v1\nhttp v1\ntokio-test v1"), &[]);
    }
}
