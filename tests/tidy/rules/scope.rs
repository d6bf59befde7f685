//! Which files a rule looks at.

/// Returns whether a path belongs to what a crate ships: its `src` without files of tests.
pub(crate) fn in_src(path: &str) -> bool {
    let mut inside = path.split('/').skip(2);
    path.starts_with("crates/")
        && inside.next() == Some("src")
        && !inside.any(|part| part == "tests" || part.ends_with("tests.rs"))
}

/// Returns whether a path belongs to a library: a source file that is neither a program nor of the program's crate.
pub(crate) fn in_library(path: &str) -> bool {
    let program = path.contains("/src/bin/")
        || path.ends_with("/src/main.rs")
        || path.starts_with("crates/bench/")
        || path.starts_with("crates/customerio-import/");
    in_src(path) && !program
}

pub(crate) fn anywhere(_: &str) -> bool {
    true
}

#[test]
fn a_path_says_what_a_file_is() {
    fn check(path: &str, src: bool, library: bool) {
        assert_eq!(in_src(path), src, "{path}");
        assert_eq!(in_library(path), library, "{path}");
    }
    check("crates/pacing/src/lib.rs", true, true);
    check("crates/pacing/src/retry/mod.rs", true, true);
    check("crates/pacing/src/retry/tests.rs", false, false);
    check("crates/pacing/src/retry/backoff_tests.rs", false, false);
    check("crates/pacing/tests/referee/main.rs", false, false);
    check("crates/customerio-sim/src/bin/cio-sim/main.rs", true, false);
    check("crates/customerio-import/src/plan.rs", true, false);
    check("crates/bench/src/tables.rs", true, false);
    check("examples/mock_test.rs", false, false);
}
