//! The plan before the first request, as golden text, and the question.

use std::process::Command;

use serde_json::{Value, json};

use crate::fixture::{Fixture, Run, bare, data, finish};

/// Runs a command in the folder of the fixture, so that the plan names files without their folder.
fn run_in(fixture: &Fixture, line: &str) -> Run {
    finish(in_folder(fixture, bare(line)), b"")
}

fn in_folder(fixture: &Fixture, mut command: Command) -> Command {
    command.current_dir(fixture.folder.path());
    command
}

/// Compares the whole plan.
#[track_caller]
fn check_plan(content: &str, line: &str, expected: &str) {
    let fixture = Fixture::new();
    fixture.file("a.csv", content);
    let run = run_in(&fixture, &format!("{line} --dry-run"));
    assert_eq!(run.stdout, expected, "{}", run.stderr);
}

#[test]
fn the_plan_of_people() {
    let content = "\
        id,name,age,vip,notes,unsubscribed,empty\n\
        1,Ada,36,yes,x,true,\n\
        2,\"Grace\nHopper\",85,no,,nein,\n\
        3,Max,old,no,,,\n\
        4,Joan,unknown,no,,,\n\
        1,Ada,37,NULL,,false,\n\
        ,Ann,1,no,,,\n\
        1.2E+15,Edith,1,no,,,\n";
    let line = "people a.csv --id-column id --type age=int --type vip=bool --map vip=is_vip --except notes \
                --null NULL --set source=shop --update-only";
    let expected = "\
a.csv: 7 records of people, 3 of them cannot be sent
  2 records: column \"age\": is not a whole number; write digits only, without separators (the first on line 5)
  1 record: column \"id\": has no value; add one or remove the record (on line 8)
columns:
  the person's id: \"id\"
  attribute as text: \"name\", \"unsubscribed\"
  attribute as int: \"age\"
  attribute \"is_vip\" as bool: \"vip\"
  left out (--only, --except): \"notes\"
  always empty: \"empty\"
  the same in each record: \"source\"
example: {\"type\":\"person\",\"action\":\"identify\",\"identifiers\":{\"id\":\"1\"},\"attributes\":{\"_update\":true,\"age\":36,\"is_vip\":true,\"name\":\"Ada\",\"source\":\"shop\",\"unsubscribed\":\"true\"}}
requests: about 1, each with up to 500 records
time: about 1 ms, limited to 10000 records per 1 s; if answers take longer than 1.8 s, limited by 32 requests in flight
line breaks: 1 cell contains line breaks, the first on line 3; if none should, a quote is missing or there is one too many
ids: 1 may have been changed by a program, the first on line 9: 1 in scientific notation
booleans: 1 record has a value in \"unsubscribed\" that Customer.io does not read as a boolean, the first on line 3; people who said no may be subscribed: correct the values or add --type \"unsubscribed\"=bool
repeats: 1 record has the identifier of an earlier record, the first on line 7 (as line 2); they become one, and later values replace earlier ones
destination: none; nothing is sent (--dry-run)
people: updated, never created (--update-only)
campaigns: changes of attributes may trigger live campaigns
";
    check_plan(content, line, expected);
}

#[test]
fn the_plan_of_events() {
    let content = "user,at,price\n1,2200-01-01T00:00:00Z,1.5\n2,1999-01-01T00:00:00+01:00,2\n";
    let line = "events a.csv --person-column user --name bought --timestamp-column at --timestamp-format rfc3339 \
                --type price=float --event-id-column price";
    let fixture = Fixture::new();
    fixture.file("a.csv", content);
    // The key of the id is a column with a meaning of its own.
    run_in(&fixture, &format!("{line} --dry-run")).check(1, "\"price\" is named by two flags");
    let line = line.replace(" --event-id-column price", "");
    let run = run_in(&fixture, &format!("{line} --dry-run"));
    let without_example: Vec<_> = run
        .stdout
        .lines()
        .filter(|line| !line.starts_with("example: "))
        .collect();
    let expected = [
        "a.csv: 2 records of events, 0 of them cannot be sent",
        "columns:",
        "  the person's id: \"user\"",
        "  the event's time, as rfc3339: \"at\"",
        "  attribute as float: \"price\"",
        "requests: about 1, each with up to 500 records",
        "time: about 1 ms, limited to 10000 records per 1 s; if answers take longer than 1.8 s, limited by 32 requests in flight",
        "destination: none; nothing is sent (--dry-run)",
        "campaigns: 1 event is newer than 72 hours and may trigger live campaigns",
    ];
    assert_eq!(without_example, expected);
    let example = r#""name":"bought","id":""#;
    assert!(run.stdout.contains(example), "{}", run.stdout);
}

#[test]
fn the_plan_of_deletions_counts_a_request_each_and_the_deletions() {
    let expected = "\
a.csv: 2 records of people to delete, 0 of them cannot be sent
columns:
  the person's e-mail address: \"mail\"
  not used: these records have no attributes: \"name\"
example: {\"type\":\"person\",\"action\":\"delete\",\"identifiers\":{\"email\":\"a@example.com\"}}
requests: about 2, each with up to 1 record
time: about 2 ms, limited to 1000 requests per 1 s; if answers take longer than 35 ms, limited by 32 requests in flight
destination: none; nothing is sent (--dry-run)
deletions: 2 people are deleted, which cannot be undone
";
    let content = "mail,name\na@example.com,Ada\nb@example.com,Bea\n";
    check_plan(content, "delete a.csv --email-column mail", expected);
}

#[test]
fn a_dry_run_needs_no_credentials_sends_nothing_and_writes_nothing() {
    let fixture = Fixture::new();
    fixture.file("a.csv", "id\n1\n2\n");
    let line = "people a.csv --id-column id --report r --rejects s --dry-run";
    run_in(&fixture, line).check(0, "");
    let files = std::fs::read_dir(fixture.folder.path()).unwrap();
    assert_eq!(files.count(), 1);
    fixture.file("b.csv", "id\n1\n.\n");
    run_in(&fixture, "people b.csv --id-column id --dry-run").check(3, "");
    fixture
        .run("people b.csv --id-column id --dry-run")
        .check(1, "b.csv");
    assert_eq!(fixture.simulator.totals().requests, 0);
}

#[test]
fn a_dry_run_of_a_stream_has_a_plan() {
    let line = "events - --format csv --person-column p --name won --now --dry-run";
    let run = finish(bare(line), b"p,x\n1,a\n.,b\n");
    run.check(3, "");
    let expected = "standard input: 2 records of events, 1 of them cannot be sent";
    assert!(run.stdout.starts_with(expected), "{}", run.stdout);
}

#[test]
fn every_live_run_asks_and_a_rehearsal_does_not() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id\n1\n");
    let line = format!("people {} --id-column id", file.display());
    let run = fixture.run_unconfirmed(&line);
    run.check(1, "nothing was sent, because there is no terminal to ask for confirmation; check the plan, then add --yes");
    // A record is shown where a person is asked, and left out of the log of a confirmed run.
    let example = "example: {\"type\":\"person\"";
    assert!(run.stdout.contains(example), "{}", run.stdout);
    assert_eq!(fixture.simulator.totals().requests, 0);
    let run = fixture.run(&line);
    run.check(0, "");
    assert!(!run.stdout.contains("example"), "{}", run.stdout);
    let run = run_in(&fixture, "people a.csv --id-column id --rehearse");
    run.check(0, "");
    assert!(run.stdout.contains(example), "{}", run.stdout);
}

/// Runs a command whose standard input is a terminal, and types the answer.
#[cfg(unix)]
fn answer(mut command: Command, answer: &str) -> Run {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::ffi::OsStrExt;

    use crate::fixture::ended;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let name = std::ffi::OsStr::from_bytes(name.as_bytes());
    let terminal = File::options().read(true).write(true).open(name).unwrap();
    let child = command.stdin(terminal).spawn().unwrap();
    // Typed ahead: the terminal keeps it until the question reads it.
    writeln!(File::from(controller.try_clone().unwrap()), "{answer}").unwrap();
    let output = child.wait_with_output().unwrap();
    drop(controller);
    ended(output)
}

#[cfg(unix)]
#[test]
fn a_terminal_is_asked_and_only_yes_sends() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id\n1\n2\n");
    let line = format!("people {} --id-column id", file.display());
    for no in ["n", "", "no", "yess"] {
        let run = answer(fixture.unconfirmed(&line), no);
        run.check(
            1,
            "Continue? [y/N] cio-import: not confirmed; nothing was sent",
        );
        assert_eq!(fixture.simulator.totals().requests, 0, "{no}");
        assert!(!fixture.folder.path().join("a.csv.cio-journal").exists());
    }
    answer(fixture.unconfirmed(&line), "y").check(0, "Continue? [y/N] ");
    fixture.check_report([2, 2, 0, 0, 0]);
    // A finished import sends nothing, so it does not ask.
    let run = fixture.run_unconfirmed(&line);
    run.check(0, "");
    assert!(run.stdout.contains("is finished since an earlier run"));
}

#[cfg(unix)]
#[test]
fn doubtful_records_of_a_stream_are_rejected_even_if_a_terminal_says_yes() {
    let fixture = Fixture::new();
    let pipe = fixture.folder.path().join("a.csv");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let line = format!("people {} --id-column id", pipe.display());
    let command = fixture.unconfirmed(&line);
    let content = "id,unsubscribed\n2.0,1\n2,yes\n3,1\n";
    let writer = std::thread::spawn(move || std::fs::write(pipe, content).unwrap());
    let run = answer(command, "yes");
    writer.join().unwrap();
    run.check(3, "2: column \"id\": the id is with zero decimals");
    run.check(3, "3: column \"unsubscribed\": is a boolean of Customer.io");
    fixture.check_report([3, 1, 2, 0, 0]);
}

#[test]
fn plan_progress_and_summary_are_json_lines() {
    let fixture = Fixture::new();
    let line = format!(
        "people {} --id-column playerID --json --no-journal",
        data("people.csv")
    );
    let run = fixture.run(&line);
    run.check(0, "");
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (plan, summary) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!(plan["type"], "plan");
    assert_eq!(plan["records"], 20_093);
    assert_eq!(plan["columns"][0]["use"], "the person's id");
    assert_eq!(plan["columns"][0]["filled"], 20_093);
    assert_eq!(plan["example"], Value::Null);
    let progress = &lines[1..lines.len() - 1];
    assert!(!progress.is_empty(), "{}", run.stdout);
    assert!(progress.iter().all(|line| line["type"] == "progress"));
    assert!(progress.iter().all(|line| line["records"] == 20_093));
    let fields: Vec<_> = progress[0].as_object().unwrap().keys().collect();
    let expected = [
        "accepted",
        "limited_by",
        "not_sent",
        "records",
        "records_per_second",
        "rejected",
        "seconds_left",
        "type",
        "unknown",
    ];
    assert_eq!(fields, expected);
    let rate = progress[0]["records_per_second"].as_f64().unwrap();
    // 0 on a slow machine: no answer came in the first second.
    assert!(rate >= 0.0 && rate.fract() == 0.0, "{rate}");
    let mut report = fixture.report();
    report["type"] = json!("summary");
    report["stopped"] = Value::Null;
    report["not_accepted_by_reason"] = json!([]);
    report["finished_earlier"] = json!(false);
    assert_eq!(*summary, report);
    assert_eq!(run.stderr, "");
}

#[test]
fn the_summary_as_json_has_the_reasons() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id,age\n1,old\n2,3\n3,new\n,4\n");
    let line = format!(
        "people {} --id-column id --type age=int --json",
        file.display()
    );
    let run = fixture.run(&line);
    run.check(3, "");
    let summary: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    let reasons = summary["not_accepted_by_reason"].as_array().unwrap();
    let counts: Vec<_> = reasons
        .iter()
        .map(|reason| (&reason["column"], &reason["records"], &reason["line"]))
        .collect();
    assert_eq!(
        counts,
        [
            (&json!("age"), &json!(2), &json!(2)),
            (&json!("id"), &json!(1), &json!(5))
        ]
    );
}

#[test]
fn a_finished_run_and_a_stopped_one_have_a_summary_as_json() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id\n1\n");
    let line = format!("people {} --id-column id --json", file.display());
    fixture.run(&line).check(0, "");
    let summary =
        |run: &Run| -> Value { serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap() };
    assert_eq!(summary(&fixture.run(&line))["finished_earlier"], true);
    let mut command = fixture.command(&format!("{line} --no-journal"));
    command.env("CUSTOMERIO_TRACK_API_KEY", "");
    finish(command, b"").check(1, "CUSTOMERIO_TRACK_API_KEY");
    let rejecting =
        Fixture::with(customerio_sim::Simulator::builder().credentials("other", "other"));
    let run = rejecting.run(&format!("{line} --no-journal"));
    run.check(4, "");
    let stopped = summary(&run)["stopped"].as_str().unwrap().to_owned();
    assert!(
        stopped.contains("the API rejected the credentials"),
        "{stopped}"
    );
}
