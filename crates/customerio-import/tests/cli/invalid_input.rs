use crate::fixture::{Fixture, bare, data, finish};

/// Runs an import of people that must stop before the first request.
#[track_caller]
fn check_refused(name: &str, content: &[u8], flags: &str, code: i32, message: &str) {
    let fixture = Fixture::new();
    let file = fixture.file(name, content);
    let run = fixture.run(&format!("people {} {flags}", file.display()));
    run.check(code, message);
    assert_eq!(fixture.simulator.totals().requests, 0);
    assert!(
        !fixture
            .folder
            .path()
            .join(format!("{name}.cio-journal"))
            .exists()
    );
}

/// Runs an import with one invalid record.
#[track_caller]
fn check_rejected(name: &str, bad: &[u8], message: &str) {
    let fixture = Fixture::new();
    let content = match name.ends_with("csv") {
        true => [b"id,a\n1,x\n", bad, b"\n2,y\n"].concat(),
        false => [
            b"{\"id\":\"0\"}\n{\"id\":\"1\"}\n",
            bad,
            b"\n{\"id\":\"2\"}\n",
        ]
        .concat(),
    };
    let file = fixture.file(name, content);
    let run = fixture.run(&format!("people {} --id-column id", file.display()));
    let message = format!("{}:3: {message}", file.display());
    run.check(3, &message);
    let lines = run
        .stderr
        .lines()
        .filter(|line| line.contains(&format!("{name}:")))
        .count();
    assert_eq!(lines, 1, "{}", run.stderr);
    assert_eq!(fixture.report()["rejected"], 1);
    assert_eq!(fixture.simulator.person("2").map(|_| ()), Some(()));
}

#[test]
fn an_invalid_row_is_reported_with_line_and_column_and_the_others_are_sent() {
    check_rejected(
        "a.csv",
        b",x",
        r#"column "id": has no value; add one or remove the record"#,
    );
    check_rejected("a.csv", b".,x", r#"column "id": person id is `.` or `..`"#);
    check_rejected("a.csv", b"..,x", r#"column "id": person id is `.` or `..`"#);
    check_rejected(
        "a.csv",
        format!("{},x", "i".repeat(151)).as_bytes(),
        r#"column "id": person id takes 151 bytes"#,
    );
    check_rejected(
        "a.csv",
        format!("3,{}", "v".repeat(1001)).as_bytes(),
        "attribute `a` takes 1001 bytes",
    );
    check_rejected(
        "a.csv",
        b"3",
        "column 2: the row has 1 cell, the header has 2",
    );
    check_rejected(
        "a.csv",
        b"3,x,y",
        "column 3: the row has 3 cells, the header has 2",
    );
    check_rejected(
        "a.csv",
        b"3,\xff",
        r#"column "a": is not UTF-8; save the file as UTF-8"#,
    );
}

#[test]
fn an_invalid_json_line_is_reported_with_its_line_and_the_others_are_sent() {
    check_rejected(
        "a.jsonl",
        b"[3]",
        "is JSON, but not an object; write one object per line",
    );
    check_rejected(
        "a.jsonl",
        b"{\"id\":",
        "column 6: is not a JSON object; write one object per line",
    );
    check_rejected("a.jsonl", b"{\"id\":\"\xff\"}", "column 8: is not UTF-8");
    check_rejected(
        "a.jsonl",
        b"{\"name\":\"Ada\"}",
        r#"column "id": has no value"#,
    );
    let wide: Vec<_> = (0..40)
        .map(|n| format!("\"c{n}\":\"{}\"", "x".repeat(1000)))
        .collect();
    let wide = format!("{{\"id\":\"3\",{}}}", wide.join(","));
    check_rejected("a.jsonl", wide.as_bytes(), "operation takes");
}

#[test]
fn invalid_times_are_reported_with_their_line() {
    let fixture = Fixture::new();
    let file = fixture.file(
        "a.csv",
        "p,n,t\n1,won,1999\n1,won,soon\n1,won,1451606400000\n",
    );
    let events = format!(
        "events {} --person-column p --name-column n --timestamp-column t",
        file.display()
    );
    let run = fixture.run(&format!("{events} --timestamp-format %Y --no-journal"));
    run.check(
        3,
        r#"a.csv:3: column "t": is not a time in the format %Y; correct it or --timestamp-format"#,
    );
    fixture.check_report([3, 1, 2, 0, 0]);
    let run = fixture.run(&format!("{events} --timestamp-format unix --no-journal"));
    run.check(
        3,
        r#"a.csv:4: column "t": is before the year 1 or after 2286; write unix seconds"#,
    );
    fixture.check_report([3, 1, 2, 0, 0]);
}

#[test]
fn an_unusable_file_or_mapping_stops_the_run_before_the_first_request() {
    check_refused(
        "a.csv",
        b"id,a\n1,x\n",
        "--id-column ID",
        1,
        r#"line 1: the header has no column "ID"; did you mean "id"?"#,
    );
    check_refused(
        "a.csv",
        b"id,id\n1,x\n",
        "--id-column id",
        1,
        "line 1, column 2: has the same name as column 1",
    );
    check_refused("a.csv", b"", "--id-column id", 1, "the header is missing");
    check_refused(
        "a.jsonl",
        b"{\"ID\":1}\n",
        "--id-column id",
        1,
        r#"no record has a column "id""#,
    );
    check_refused(
        "a.txt",
        b"id\n1\n",
        "--id-column id",
        1,
        "add --format csv or --format jsonl",
    );
    check_refused("a.csv.gz", b"id\n1\n", "--id-column id", 1, "a.csv.gz");
    let fixture = Fixture::new();
    fixture.run("people no-such.csv --id-column id").check(
        1,
        "no-such.csv: cannot be opened; check the path and its permissions",
    );
}

#[test]
fn a_file_without_a_header_is_refused_without_showing_its_first_line() {
    let fixture = Fixture::new();
    for (content, message) in [
        ("1,Ada\n2,Grace\n", "its first line must be the header"),
        ("Ada,Ada\n", "has the same name as column 1"),
    ] {
        let file = fixture.file("a.csv", content);
        let run = fixture.run(&format!("people {} --id-column id", file.display()));
        run.check(1, message);
        assert!(!run.stderr.contains("Ada"), "{}", run.stderr);
    }
}

#[test]
fn a_run_never_writes_over_what_it_reads() {
    let fixture = Fixture::new();
    let content = "id,a\n1,x\n";
    let file = fixture.file("a.csv", content);
    let path = file.display();
    for flags in [
        format!("--rejects {path}"),
        format!("--journal {path}"),
        format!("--rejects {path}.cio-journal"),
        format!(
            "--rejects {}",
            fixture.folder.path().join("report.json").display()
        ),
    ] {
        fixture
            .run(&format!("people {path} --id-column id {flags}"))
            .check(1, "name another file for one of them");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), content, "{flags}");
    }
    let mut command = bare(&format!(
        "people {path} --id-column id --rehearse --report {path}"
    ));
    command.env_clear();
    finish(command, b"").check(1, "is both the input and the report");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
    assert_eq!(fixture.simulator.totals().requests, 0);
}

#[test]
fn a_column_has_one_meaning() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id,t\n1,1999\n");
    let events = format!("events {} --person-column id", file.display());
    for flags in [
        "--name-column id --now",
        "--name-column t --timestamp-column t --timestamp-format %Y",
    ] {
        fixture
            .run(&format!("{events} {flags} --yes"))
            .check(1, "is named by two flags");
    }
    assert_eq!(fixture.simulator.totals().requests, 0);
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    check_refused("a.csv", b"id\n1\n", "", 2, "--id-column");
    check_refused(
        "a.csv",
        b"id\n1\n",
        "--id-column id --limit 100",
        2,
        "write a number and a window of time",
    );
    check_refused(
        "a.csv",
        b"id\n1\n",
        "--id-column id --limit 0/1s",
        2,
        "give a limit of at least 1",
    );
    check_refused(
        "a.csv",
        b"id\n1\n",
        "--id-column id --concurrency 0",
        2,
        "write a number from 1 to 1024",
    );
    // An empty variable of the shell would give all files the same event ids.
    let mut command = bare("people a.csv --id-column id --rehearse --import-id");
    command.arg("");
    finish(command, b"").check(2, "a value is required for '--import-id <ID>'");
}

#[test]
fn missing_credentials_stop_before_the_first_request() {
    let run = finish(
        bare(&format!(
            "people {} --id-column playerID --no-journal",
            data("people.csv")
        )),
        b"",
    );
    run.check(1, "CUSTOMERIO_SITE_ID");
    assert!(run.stderr.contains("--rehearse"), "{}", run.stderr);
}

#[test]
fn credentials_are_never_sent_unencrypted_except_to_the_loopback() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", "id\n1\n");
    let mut command = bare(&format!(
        "people {} --id-column id --base-url http://example.com",
        file.display()
    ));
    command
        .env("CUSTOMERIO_SITE_ID", "s")
        .env("CUSTOMERIO_TRACK_API_KEY", "k");
    finish(command, b"").check(1, "use https");
}

#[test]
fn of_many_invalid_rows_the_first_are_printed_and_all_are_in_the_rejects_file() {
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", format!("id,a\n{}", ",x\n".repeat(500)));
    let rejects = fixture.folder.path().join("rejects.csv");
    let run = fixture.run(&format!(
        "people {} --id-column id --rejects {}",
        file.display(),
        rejects.display()
    ));
    run.check(
        3,
        "500 records were not accepted; all are in the rejects file; by reason:\n  \
         500 records: column \"id\": has no value; add one or remove the record (the first on line 2)\n",
    );
    assert_eq!(run.stderr.matches("has no value").count(), 4);
    assert_eq!(
        std::fs::read_to_string(rejects).unwrap().lines().count(),
        501,
        "a header, and a row for each"
    );
    fixture.check_report([500, 0, 500, 0, 0]);
}
