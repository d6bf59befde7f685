//! The house rules that a machine can see.
//!
//! Each rule is a function from what it reads to what it found, in [`rules`], beside small tests
//! that show it failing. A test here holds the repository to it. A word that must not occur is a
//! row of a table: [`rules::bans::BANS`] for code, [`rules::mentions::MENTIONS`] for any text.

mod finding;
mod lexer;
mod repository;
mod rules;
mod source;

use std::process::Command;

use finding::{Finding, assert_none};
use repository::Repository;
use rules::{arrows, bans, comments, links, mentions, papers, sizes};
use source::Source;

fn in_each_source(rule: impl Fn(&Source) -> Vec<Finding>) -> Vec<Finding> {
    let sources = Repository::ours().sources();
    sources.flat_map(|source| rule(&source)).collect()
}

fn in_each_paper(rule: impl Fn(&str, &str) -> Vec<Finding>) -> Vec<Finding> {
    let papers = Repository::ours().papers.iter();
    papers
        .flat_map(|paper| rule(&paper.path, &paper.text))
        .collect()
}

fn in_each_manifest(rule: impl Fn(&str, &str, &str) -> Vec<Finding>) -> Vec<Finding> {
    let repository = Repository::ours();
    let manifests = repository.crates().map(|name| {
        let path = format!("crates/{name}/Cargo.toml");
        rule(name, &path, repository.text(&path))
    });
    manifests.flatten().collect()
}

#[test]
fn a_module_opens_with_its_promise_and_its_names() {
    assert_none(in_each_source(sizes::fronts));
}

#[test]
fn functions_are_short() {
    assert_none(in_each_source(sizes::functions));
}

#[test]
fn docs_are_shorter_than_the_code() {
    let sources: Vec<_> = Repository::ours().sources().collect();
    assert_none(sizes::docs(sources.iter()));
}

#[test]
fn comments_say_why() {
    assert_none(in_each_source(comments::narrating));
    assert_none(in_each_source(comments::put_off));
    assert_none(in_each_source(comments::bold_bullets));
    assert_none(in_each_source(comments::selling));
}

#[test]
fn papers_are_written_as_comments_are() {
    assert_none(in_each_paper(comments::markdown));
}

#[test]
fn banned_words_do_not_occur() {
    let all = |source: &Source| {
        bans::BANS
            .iter()
            .flat_map(|ban| bans::banned(ban, source))
            .collect()
    };
    assert_none(in_each_source(all));
    assert_none(in_each_source(bans::getters));
}

#[test]
fn every_exception_is_needed() {
    let repository = Repository::ours();
    assert_none(
        bans::BANS
            .iter()
            .flat_map(|ban| bans::stale(ban, repository)),
    );
}

#[test]
fn a_file_mentions_only_what_it_may_know() {
    assert_none(in_each_paper(|path, text| {
        let found = mentions::MENTIONS.iter();
        found
            .flat_map(|mention| mentions::mentions(mention, path, text))
            .collect()
    }));
}

#[test]
fn the_top_level_holds_only_what_was_agreed() {
    assert_none(papers::top_level(Repository::ours()));
}

#[test]
fn the_maps_leave_nothing_out() {
    assert_none(papers::maps(Repository::ours()));
}

#[test]
fn published_crates_carry_their_papers() {
    assert_none(papers::published(Repository::ours()));
}

#[test]
fn links_lead_somewhere() {
    assert_none(links::links(Repository::ours()));
}

#[test]
fn the_stack_in_a_readme_is_the_one_that_compiles() {
    let repository = Repository::ours();
    let example = repository.text("examples/hyper_client.rs");
    for path in ["README.md", "crates/tower-pace/README.md"] {
        assert_none(papers::stack(path, repository.text(path), example));
    }
}

#[test]
fn dependencies_go_one_way() {
    assert_none(in_each_manifest(arrows::arrows));
}

#[test]
fn versions_and_lints_are_written_once() {
    assert_none(in_each_manifest(|_, path, manifest| {
        arrows::inheritance(path, manifest)
    }));
}

#[test]
fn customerio_without_features_has_no_runtime_and_no_client() {
    let arguments = "tree -p customerio -e normal --prefix none --locked --offline";
    let output = Command::new(env!("CARGO"))
        .args(arguments.split(' '))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs the tests");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && tree.contains("serde_json"),
        "cargo tree prints the tree"
    );
    assert_none(arrows::runtimes("crates/customerio", &tree));
}
