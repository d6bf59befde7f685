//! `verify` against the activity log of the simulator, which drops some records with a 200.

use std::net::TcpListener;
use std::time::SystemTime;

use customerio_sim::{Builder, Simulator};
use serde_json::{Value, json};

use crate::fixture::{Fixture, Run, bare, finish};

const APP_KEY: &str = "app-5eed0ddba11";

/// A simulator whose dates are those of the journal.
fn builder() -> Builder {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test reads the real clock too"
    )]
    let now = SystemTime::now();
    Simulator::builder().epoch(now).app_api_key(APP_KEY)
}

fn fixture() -> Fixture {
    Fixture::with(builder())
}

/// Runs `verify` in the folder of the fixture, with the key.
fn verify(fixture: &Fixture, line: &str) -> Run {
    let mut command = bare(&format!("verify {line}"));
    command.current_dir(fixture.folder.path());
    command.env("CUSTOMERIO_APP_API_KEY", APP_KEY);
    let run = finish(command, b"");
    for output in [&run.stdout, &run.stderr] {
        assert!(!output.contains(APP_KEY), "{output}");
    }
    run
}

/// Imports a file of people.
fn import(fixture: &Fixture, name: &str, content: &str) {
    let file = fixture.file(name, content);
    let line = format!("people {} --id-column id", file.display());
    fixture.run(&line).check(0, "");
}

/// Suppresses people, so that later updates of them are dropped with a 200.
fn suppress(fixture: &Fixture, ids: &str) {
    let file = fixture.file("suppress.csv", format!("id\n{ids}"));
    let line = format!("suppress {} --id-column id", file.display());
    fixture.run(&line).check(0, "");
}

#[track_caller]
fn has(run: &Run, texts: &[&str]) {
    for text in texts {
        assert!(run.stdout.contains(text), "{text}: {}", run.stdout);
    }
}

#[test]
fn an_import_that_was_applied_has_no_failure() {
    let fixture = fixture();
    import(&fixture, "a.csv", "id,plan\nada,pro\nbob,free\n");
    let run = verify(&fixture, "a.csv --id-column id --sample 10 --lag 0s --wait");
    run.check(0, "");
    let lines: Vec<_> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("a.csv: sent from 2"), "{}", run.stdout);
    assert!(lines[0].contains("Z (the journal) to 2"), "{}", run.stdout);
    assert!(lines[1].starts_with("activity log at 2"), "{}", run.stdout);
    let rest = [
        "sample: 2 of 2 records read back: equal 2, different 0, missing 0",
        "not known:",
        "  whether the App API key is of the workspace to which the records were sent: no response \
         names it",
        "  whether each failure is in the log within 0 s (--lag) and stays for 30 d \
         (--retention): Customer.io documents neither",
        "  whether failed events are in the log at the time of their arrival: if they are at their \
         own time, add --since with the time of the earliest event",
        "  whether the people outside of the sample are as in the file",
        "result: no failure of people in the file was found",
    ];
    assert_eq!(lines[2..], rest);
}

#[test]
fn records_that_a_200_has_dropped_are_found_by_their_lines() {
    let fixture = fixture();
    suppress(&fixture, "bob\nzed\n");
    import(
        &fixture,
        "a.csv",
        "id,plan\nada,pro\nbob,free\ncid,pro\nbob,pro\nzed,x\n",
    );
    let run = verify(
        &fixture,
        "a.csv --id-column id --lag 0s --wait --failures failures",
    );
    run.check(3, "");
    has(
        &run,
        &[
            ": 3 failures, 3 of people in the file, 0 of others, 0 of unknown people\n",
            "  3 failed_attribute_change: 3 in the file, the first on line 3\n",
            "result: not everything was applied",
        ],
    );
    for word in ["bob", "zed"] {
        assert!(!run.stdout.contains(word), "{}", run.stdout);
    }
    let path = fixture.folder.path().join("failures");
    let failures = std::fs::read_to_string(&path).unwrap();
    let failures: Vec<Value> = failures
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |id: &str| {
        failures
            .iter()
            .filter(|failure| failure["id"] == id)
            .count()
    };
    assert_eq!((failures.len(), of("bob"), of("zed")), (3, 2, 1));
    assert!(failures.iter().all(|failure| failure["line"].is_u64()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn failures_of_other_programs_are_told_apart_by_the_column() {
    let fixture = fixture();
    suppress(&fixture, "zoe\n");
    import(&fixture, "a.csv", "id,plan\nada,pro\n");
    import(&fixture, "b.csv", "id,plan\nzoe,pro\n");
    let run = verify(&fixture, "a.csv --id-column id --lag 0s --wait");
    run.check(0, "");
    has(&run, &[": 1 failure, 0 of people in the file, 1 of others"]);
    // Without the column they could be of the file.
    let run = verify(&fixture, "a.csv --lag 0s --wait");
    run.check(3, "");
    has(&run, &["which failures are about the file"]);
}

#[test]
fn skipped_updates_and_older_failures() {
    let fixture = fixture();
    let file = fixture.file("a.csv", "id,plan\nada,pro\n");
    let line = format!("people {} --id-column id --update-only", file.display());
    fixture.run(&line).check(0, "");
    let run = verify(&fixture, "a.csv --id-column id --lag 0s --wait");
    run.check(3, "");
    has(&run, &["  1 skipped_update: 1 in the file, on line 2\n"]);
    // The run began later, so its failure is older than that.
    let later = "--since 2200-01-01T00:00:00Z --until 2200-01-01T00:00:01Z";
    let run = verify(&fixture, &format!("a.csv --id-column id {later}"));
    run.check(5, "");
    has(
        &run,
        &[
            ": 0 failures, ",
            "result: none yet; the log is complete at 2200-01-01T00:05:01Z",
        ],
    );
}

#[test]
fn a_log_that_may_be_incomplete_has_no_result_until_it_is_complete() {
    let fixture = fixture();
    import(&fixture, "a.csv", "id\nada\n");
    let run = verify(&fixture, "a.csv --id-column id");
    run.check(5, "");
    has(&run, &["result: none yet; the log is complete at 2"]);
    let run = verify(&fixture, "a.csv --id-column id --lag 2s --wait");
    run.check(0, "waiting until 2");
}

#[test]
fn a_log_that_no_longer_reaches_back_has_no_result() {
    let fixture = fixture();
    import(&fixture, "a.csv", "id\nada\n");
    let run = verify(
        &fixture,
        "a.csv --id-column id --lag 0s --wait --since 2020-01-01T00:00:00Z",
    );
    run.check(5, "");
    has(
        &run,
        &[
            "sent from 2020-01-01T00:00:00Z (--since)",
            "may no longer reach back",
        ],
    );
}

#[test]
fn people_of_the_sample_are_compared_with_the_file() {
    let fixture = fixture();
    let rows: String = (0..20)
        .map(|n| format!("p{n},{n}.50,true,NULL\n"))
        .collect();
    let content = format!("id,score,vip,note\n{rows}");
    let file = fixture.file("a.csv", &content);
    let values = "--type score=float --type vip=bool --null NULL --map score=points";
    let line = format!("people {} --id-column id {values}", file.display());
    fixture.run(&line).check(0, "");
    let line = format!("a.csv --id-column id --sample 12 --lag 0s --wait {values}");
    verify(&fixture, &line).check(0, "");
    // Another program changes one person and deletes another.
    import(&fixture, "b.csv", "id,points\np3,99\n");
    let deleted = fixture.file("c.csv", "id\np4\n");
    let delete = format!("delete {} --id-column id", deleted.display());
    fixture.run(&delete).check(0, "");
    let line = line.replace("--sample 12", "--sample 20");
    let run = verify(&fixture, &line);
    run.check(3, "");
    has(
        &run,
        &[
            "sample: 20 of 20 records read back: equal 18, different 1, missing 1; the \
             first such record is on line 5\n",
            "  attributes that differ: \"points\" (1 person)\n",
        ],
    );
    let json = verify(&fixture, &format!("{line} --json")).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let expected = json!({
        "records": 20, "people": 20, "as_expected": 18, "different": 1, "missing": 1,
        "existing": 0, "attributes": {"points": 1}, "first_line": 5,
    });
    assert_eq!(json["sample"], expected);
    assert_eq!(json["conclusion"], "failures");
}

#[test]
fn the_kind_of_the_journal_says_whether_people_exist() {
    let fixture = fixture();
    import(&fixture, "people.csv", "id\nada\nbob\n");
    let file = fixture.file("a.csv", "id,name\nada,x\n");
    let line = format!("delete {} --id-column id", file.display());
    fixture.run(&line).check(0, "");
    let run = verify(&fixture, "a.csv --id-column id --sample 5 --lag 0s --wait");
    run.check(0, "");
    has(
        &run,
        &["sample: 1 of 1 record read back: gone 1, existing 0"],
    );
    fixture.file("b.csv", "id\nbob\n");
    let since = "--since 2026-01-01T00:00:00Z --retention 100000h --lag 0s --wait";
    let line = format!(
        "b.csv --id-column id --sample 5 {since} --base-url {}",
        fixture.url()
    );
    // Without its end, the run may go on, and the log may lack its last failures.
    let run = verify(&fixture, &format!("{line} --kind delete"));
    run.check(5, "");
    has(&run, &["when the run ended", "add --until"]);
    let line = format!("{line} --until 2026-01-01T00:00:01Z");
    let run = verify(&fixture, &format!("{line} --kind delete"));
    run.check(3, "");
    has(&run, &["gone 0, existing 1"]);
    verify(&fixture, &format!("{line} --kind events")).check(0, "");
    verify(&fixture, &format!("{line} --kind merges")).check(1, "a record of merges does not say");
}

#[test]
fn a_file_that_has_changed_since_it_was_sent_is_refused() {
    let fixture = fixture();
    suppress(&fixture, "bob\n");
    let content = "id,plan\nada,pro\nbob,free\n";
    import(&fixture, "a.csv", content);
    let requests = fixture.simulator.totals().requests;
    let line = "a.csv --id-column id --sample 5 --lag 0s --wait";
    // Another order, another value, and one more row.
    for changed in [
        "id,plan\nbob,free\nada,pro\n",
        "id,plan\nada,top\nbob,free\n",
        "id,plan\nada,pro\nbob,free\ncid,x\n",
    ] {
        fixture.file("a.csv", changed);
        let run = verify(&fixture, line);
        run.check(1, "a.csv: the file has changed since it was sent");
        assert_eq!(run.stdout, "");
    }
    assert_eq!(fixture.simulator.totals().requests, requests);
    // Without the column, the file is not read.
    let run = verify(&fixture, "a.csv --lag 0s --wait");
    run.check(3, "");
    fixture.file("a.csv", content);
    let run = verify(&fixture, line);
    run.check(3, "");
    has(&run, &["1 in the file, on line 3"]);
    // A report has no digest.
    let url = fixture.url();
    let report = format!("{line} --kind people --report report.json --base-url {url}");
    let run = verify(&fixture, &report);
    run.check(3, "");
    has(&run, &["whether the file is as it was sent"]);
}

#[test]
fn the_end_of_a_stopped_run_is_that_of_the_journal_and_that_of_a_killed_one_is_unknown() {
    let rejects = customerio_sim::Script::new([
        customerio_sim::Step::pass(),
        customerio_sim::Step::pass(),
        401.into(),
    ]);
    let fixture = Fixture::with(builder().script(rejects));
    let file = fixture.file("a.csv", "id\nada\nbob\n");
    let line = format!(
        "people {} --id-column id --mode single --concurrency 1",
        file.display()
    );
    fixture.run(&line).check(4, "");
    let journal = fixture.folder.path().join("a.csv.cio-journal");
    let until = || {
        let run = verify(&fixture, "a.csv --id-column id --lag 0s --wait --json");
        let json: Value = serde_json::from_str(&run.stdout).unwrap();
        (run.code, json["until"].clone(), json["conclusion"].clone())
    };
    let ended = until();
    assert_eq!(
        ended,
        (
            0,
            fixture.report()["ended_at"].clone(),
            "no_failures".into()
        )
    );
    // A copy, or a restored backup.
    let file = std::fs::File::options().write(true).open(&journal).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(until(), ended);
    // A run that is killed leaves no such line.
    let whole = std::fs::read_to_string(&journal).unwrap();
    let end = whole.rfind("\nrun ").unwrap() + 1;
    assert!(whole[end..].contains("ended_at"), "{whole}");
    std::fs::write(&journal, &whole[..end]).unwrap();
    assert_eq!(until(), (5, Value::Null, "unknown".into()));
    let run = verify(&fixture, "a.csv --id-column id --lag 0s --wait");
    has(&run, &[" to an unknown time\n", "add --until TIME"]);
}

#[test]
fn the_beginning_of_the_run_comes_from_the_journal_the_report_or_the_flag() {
    let fixture = fixture();
    let file = fixture.file("a.csv", "id\nada\n");
    let line = format!("people {} --id-column id --no-journal", file.display());
    fixture.run(&line).check(0, "");
    let run = verify(&fixture, "a.csv --lag 0s --wait");
    run.check(
        1,
        "a.csv.cio-journal: there is no journal, so the beginning of the run is unknown",
    );
    let url = fixture.url();
    let run = verify(
        &fixture,
        &format!("a.csv --lag 0s --wait --report report.json --base-url {url}"),
    );
    run.check(0, "");
    has(&run, &["(the report) to 2"]);
    verify(&fixture, "a.csv --journal a.csv").check(1, "is not an import journal");
    // As an earlier version has written it.
    let header = format!(r#"{{"version":1,"base_url":"{url}","site":"1","kind":"people"}}"#);
    fixture.file("a.csv.cio-journal", format!("{header}\n"));
    verify(&fixture, "a.csv").check(1, "the journal does not say when the run began");
    // The key is not sent to any address that a file names.
    let other = header.replace(&url, "https://example.com");
    fixture.file("other", format!("{other}\n"));
    let run = verify(&fixture, "a.csv --since 1700000000 --journal other");
    run.check(1, "another address than Customer.io's, https://example.com");
    verify(
        &fixture,
        "a.csv --since 1700000000 --until 1700000001 --lag 0s --wait --retention 900000h",
    )
    .check(0, "");
}

#[test]
fn a_file_or_column_that_cannot_be_used_is_an_error_before_any_request() {
    let fixture = fixture();
    import(&fixture, "a.csv", "id\nada\n");
    let requests = fixture.simulator.totals().requests;
    verify(&fixture, "a.csv --id-column name").check(1, "the header has no column \"name\"");
    // Neither the input nor the journal is written over, whether or not the input is read.
    let before = ["a.csv", "a.csv.cio-journal"].map(|name| {
        let path = fixture.folder.path().join(name);
        (std::fs::read(&path).unwrap(), path)
    });
    for line in [
        "a.csv --id-column id --failures a.csv",
        "a.csv --failures ./a.csv",
    ] {
        verify(&fixture, line).check(1, "is both the input and the failures file");
    }
    let line = "a.csv --failures a.csv.cio-journal";
    verify(&fixture, line).check(1, "is both the journal and the failures file");
    for (content, path) in before {
        assert_eq!(std::fs::read(path).unwrap(), content);
    }
    verify(&fixture, "a.csv --journal .").check(1, "is not a regular file");
    verify(&fixture, "a.csv --since 2200-01-01T00:00:00Z").check(1, "is before its beginning");
    assert_eq!(fixture.simulator.totals().requests, requests);
}

#[test]
fn a_wrong_or_missing_key_and_a_server_that_is_down() {
    let fixture = Fixture::with(builder().app_api_key("another"));
    import(&fixture, "a.csv", "id\nada\n");
    verify(&fixture, "a.csv").check(4, "the App API rejected the key");
    let mut command = bare("verify a.csv");
    command.current_dir(fixture.folder.path());
    finish(command, b"").check(1, "CUSTOMERIO_APP_API_KEY");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let down = format!("a.csv --base-url http://{address}");
    verify(&fixture, &down).check(5, "no request gets an answer");
    let plain = "a.csv --base-url http://example.com";
    verify(&fixture, plain).check(1, "use https");
}

#[test]
fn the_result_as_json_has_exactly_the_documented_fields() {
    let fixture = fixture();
    suppress(&fixture, "bob\n");
    import(&fixture, "a.csv", "id,plan\nada,pro\nbob,free\n");
    let run = verify(&fixture, "a.csv --id-column id --lag 0s --wait --json");
    run.check(3, "");
    let mut json: Value = serde_json::from_str(&run.stdout).unwrap();
    for time in ["since", "until", "read_at", "complete_at"] {
        let text = json[time].take();
        assert!(text.as_str().unwrap().ends_with('Z'), "{time}: {text}");
    }
    assert_eq!(json["not_known"].take().as_array().unwrap().len(), 4);
    let expected = json!({
        "type": "verification", "file": "a.csv", "since": null, "since_from": "journal",
        "until": null, "read_at": null, "complete_at": null, "is_retained": true, "failures": 1,
        "failures_in_file": 1, "failures_of_others": 0, "failures_of_unknown_people": 0,
        "by_type": {"failed_attribute_change": {"failures": 1, "in_file": 1, "line": 3}},
        "sample": null, "not_known": null, "conclusion": "failures",
    });
    assert_eq!(json, expected);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_wait() {
    use crate::fixture::{ended, signal};

    let fixture = fixture();
    import(&fixture, "a.csv", "id\nada\n");
    let requests = fixture.simulator.totals().requests;
    let mut command = bare("verify a.csv --wait");
    command.current_dir(fixture.folder.path());
    command.env("CUSTOMERIO_APP_API_KEY", APP_KEY);
    let mut child = command.spawn().unwrap();
    crate::signals::read_until(&mut child, "waiting until");
    signal(&child, &["TERM"]);
    let run = ended(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stdout.as_str()), (5, ""));
    assert_eq!(fixture.simulator.totals().requests, requests);
}
