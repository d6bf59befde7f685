//! The rules of the house that neither the compiler nor clippy checks: which crate may depend on
//! which, and that the maps and the READMEs are true.
//!
//! A rule is a function from the repository to its findings, one line each, beside a test that
//! shows it failing. The tests here apply the rules to this repository.

mod arrows;
mod commands;
mod examples;
mod lines;
mod maps;
mod published;
mod repository;

use repository::Repository;

/// Fails with one line for each finding.
#[track_caller]
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn dependencies_go_one_way() {
    assert_none(&arrows::arrows(Repository::ours()));
}

#[test]
fn pacing_and_customerio_have_no_runtime() {
    for (name, features) in [
        ("pacing", "--all-features"),
        ("customerio", "--features webhooks"),
    ] {
        assert_none(&arrows::runtimes(name, &repository::tree(name, features)));
    }
}

#[test]
fn maps_leave_nothing_out() {
    assert_none(&maps::left_out(Repository::ours()));
}

#[test]
fn named_files_exist() {
    assert_none(&maps::missing_files(Repository::ours()));
}

#[test]
fn commands_name_what_exists() {
    assert_none(&commands::unknown_names(Repository::ours()));
}

#[test]
fn the_version_of_rust_is_the_manifests() {
    assert_none(&commands::other_rust_versions(Repository::ours()));
}

#[test]
fn readmes_state_the_version_of_rust() {
    assert_none(&published::unstated_rust_versions(Repository::ours()));
}

#[test]
fn dependencies_need_no_newer_rust() {
    let packages = repository::locked_packages();
    for package in published::published(&Repository::ours().packages) {
        let tree = repository::tree(repository::text(package, "name"), "--all-features");
        assert_none(&published::newer_rust(package, &tree, &packages));
    }
}

#[test]
fn the_stack_in_a_readme_is_the_one_that_compiles() {
    let repository = Repository::ours();
    for readme in ["README.md", "crates/tower-pace/README.md"] {
        assert_none(&commands::changed_stack(
            repository,
            readme,
            "examples/hyper_client.rs",
        ));
    }
}

#[test]
fn examples_run_against_the_simulator() {
    let repository = Repository::ours();
    assert_none(&examples::own_servers(repository));
    assert_none(&examples::lines_that_do_not_run(repository));
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    assert_none(&lines::workplaces(Repository::ours()));
}

#[test]
fn source_lines_end_at_column_100() {
    assert_none(&lines::long_lines(Repository::ours()));
}
