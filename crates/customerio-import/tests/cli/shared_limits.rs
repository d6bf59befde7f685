//! Several imports at once share the limits of a workspace through a Redis server.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use customerio_sim::{Limit, Model, Simulator};

use crate::fixture::{API_KEY, Fixture, SITE_ID, bare, ended};
use crate::redis::Redis;

/// Returns the command that imports one part of a file.
fn import(fixture: &Fixture, part: &Path, redis: &str) -> Command {
    let mut command = bare("people --id-column id --yes --limit 100/1s --batch-items 10");
    command
        .args(["--base-url", &fixture.url(), "--shared-limit", redis])
        .arg(part)
        .env("CUSTOMERIO_SITE_ID", SITE_ID)
        .env("CUSTOMERIO_TRACK_API_KEY", API_KEY);
    command
}

/// The README shows the same commands.
#[test]
fn three_imports_of_parts_of_a_file_keep_one_limit() {
    let Some(redis) = Redis::start() else {
        println!("skipped: redis-server is not installed");
        return;
    };
    let limit = Limit::new(100, Duration::from_secs(1)).unwrap();
    let limit = limit.model(Model::SlidingCounter);
    let fixture = Fixture::with(Simulator::builder().limit(limit));
    let imports = [0, 1, 2].map(|part| {
        let mut people = String::from("id,email\n");
        for row in 0..600 {
            writeln!(people, "p{part}-{row},p{part}-{row}@example.com").unwrap();
        }
        let file = fixture.file(&format!("part-{part}.csv"), people);
        import(&fixture, &file, &redis.url()).spawn().unwrap()
    });
    for import in imports {
        let run = ended(import.wait_with_output().unwrap());
        run.check(0, "");
        assert!(
            run.stdout
                .contains("limits shared through redis://127.0.0.1"),
            "{}",
            run.stdout
        );
    }
    let totals = fixture.simulator.totals();
    // 180 requests with records, and one of each import that asks for the workspace.
    assert_eq!((totals.requests, totals.throttled), (183, 0));
    assert_eq!(totals.people, 1_800);
}

#[test]
fn a_shared_limit_that_cannot_be_reached_ends_the_run_before_the_first_request() {
    let fixture = Fixture::new();
    let file = fixture.file("people.csv", "id\n1\n");
    // Nothing listens on the port of discarded data.
    let run = ended(
        import(&fixture, &file, "redis://127.0.0.1:9")
            .output()
            .unwrap(),
    );
    run.check(1, "the shared limit cannot be used; nothing was sent");
    assert_eq!(fixture.simulator.totals().requests, 0);
}

#[test]
fn a_password_of_a_shared_limit_is_for_the_environment() {
    let fixture = Fixture::new();
    let file = fixture.file("people.csv", "id\n1\n");
    let url = "redis://:hidden-word@127.0.0.1:9";
    let run = ended(import(&fixture, &file, url).output().unwrap());
    run.check(1, "set CUSTOMERIO_SHARED_LIMIT in place of the option");
    assert!(!run.stderr.contains("hidden-word"), "{}", run.stderr);
}
