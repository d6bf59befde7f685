//! Files as in public bug reports, each in `reported_files/`, and the outcomes of their records.

use std::path::{Path, PathBuf};

use crate::fixture::{Fixture, Run, finish};

/// Copies a file to the folder of the fixture, so that no journal is written beside the original.
fn copy(fixture: &Fixture, path: &str) -> PathBuf {
    let original = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/reported_files")
        .join(path);
    fixture.file(
        path.rsplit('/').next().unwrap(),
        std::fs::read(original).unwrap(),
    )
}

fn people(fixture: &Fixture, path: &str, flags: &str) -> Run {
    let file = copy(fixture, path);
    fixture.run(&format!("people {} {flags}", file.display()))
}

/// Checks that each text is in exactly one line of the standard error.
#[track_caller]
fn check_lines(run: &Run, expected: &[&str]) {
    for words in expected {
        let found = run.stderr.lines().filter(|line| line.contains(words));
        assert_eq!(found.count(), 1, "{words}: {}", run.stderr);
    }
}

#[track_caller]
fn check_unusable(path: &str, expected: &[&str]) {
    let fixture = Fixture::new();
    let run = people(&fixture, path, "--id-column id");
    run.check(1, "");
    check_lines(&run, expected);
    assert_eq!(fixture.simulator.totals().requests, 0);
}

#[test]
fn a_quote_that_is_open_at_the_end_is_reported_with_its_line_and_nothing_is_sent() {
    let message = r#"line 2: column "city": the quote that opens here is never closed"#;
    check_unusable("quote-open-at-eof/people.csv", &[message]);
    let fixture = Fixture::new();
    let input = std::fs::read(copy(&fixture, "quote-open-at-eof/people.csv")).unwrap();
    let command = fixture.command("people - --format csv --id-column id");
    finish(command, &input).check(5, message);
    fixture.check_report([0, 0, 0, 0, 0]);
}

#[test]
fn text_after_a_closing_quote_loses_no_row() {
    check_unusable(
        "text-after-closing-quote/people.csv",
        &[
            r#"line 2: column "size": the quote that opens here is closed on line 4"#,
            r#"line 6: column "name": text follows the closing quote; double the quotes"#,
        ],
    );
}

#[test]
fn a_name_that_occurs_twice_rejects_the_record() {
    let fixture = Fixture::new();
    let run = people(
        &fixture,
        "repeated-json-name/people.jsonl",
        "--id-column id",
    );
    run.check(3, "");
    check_lines(
        &run,
        &[
            r#"people.jsonl:1: column "plan": occurs twice in the object"#,
            r#"people.jsonl:2: column "id": occurs twice in the object"#,
        ],
    );
    fixture.check_report([3, 1, 2, 0, 0]);
    assert!(fixture.simulator.person("4").is_some());
}

#[test]
fn integers_keep_every_digit_or_are_rejected() {
    let fixture = Fixture::new();
    let run = people(
        &fixture,
        "integers-over-64-bits/people.jsonl",
        "--id-column id",
    );
    run.check(3, "");
    let too_long = "contains an integer of more than 64 bits; write it as text";
    check_lines(
        &run,
        &[
            &format!(r#"people.jsonl:2: column "n": {too_long}"#),
            &format!(r#"people.jsonl:3: column "wallet": {too_long}"#),
            &format!(r#"people.jsonl:4: column "n": {too_long}"#),
            &format!(r#"people.jsonl:6: column "n": {too_long}"#),
        ],
    );
    fixture.check_report([6, 2, 4, 0, 0]);
    let n = |id| fixture.simulator.person(id).unwrap().attributes["n"].to_string();
    assert_eq!(
        (n("1"), n("5")),
        ("18446744073709551615".into(), "9007199254740993".into())
    );
}

#[test]
fn addresses_are_trimmed_and_invalid_ones_are_rejected() {
    let fixture = Fixture::new();
    let run = people(
        &fixture,
        "email-addresses/people.csv",
        "--email-column email",
    );
    run.check(3, "");
    check_lines(
        &run,
        &[
            r#"people.csv:4: column "email": person email holds an invisible character"#,
            r#"people.csv:7: column "email": person email has a name, quotes or brackets around the address"#,
            r#"people.csv:8: column "email": person email is a list"#,
            r#"people.csv:9: column "email": person email holds white space"#,
            r#"people.csv:10: column "email": person email begins with `mailto:`"#,
        ],
    );
    fixture.check_report([9, 4, 5, 0, 0]);
    for address in ["a", "b", "d", "j"] {
        let address = format!("{address}@example.com");
        assert!(fixture.simulator.person(&address).is_some(), "{address}");
    }
}

#[test]
fn lines_are_counted_by_every_kind_of_line_break() {
    for (path, line, records) in [
        ("carriage-returns/mac.csv", 3, 3),
        ("carriage-returns/windows-twice.csv", 5, 3),
    ] {
        let fixture = Fixture::new();
        let run = people(&fixture, path, "--id-column id");
        run.check(3, "");
        check_lines(
            &run,
            &[&format!(".csv:{line}: column \"id\": person id is")],
        );
        fixture.check_report([records, records - 1, 1, 0, 0]);
    }
    let fixture = Fixture::new();
    people(&fixture, "carriage-returns/mac.jsonl", "--id-column id").check(0, "");
    fixture.check_report([3, 3, 0, 0, 0]);
}

#[test]
fn one_key_of_four_events_makes_four_ids() {
    let fixture = Fixture::new();
    let file = copy(&fixture, "one-order-two-events/orders.csv");
    let line = format!(
        "events {} --person-column user --name-column event --timestamp-column day --timestamp-format %Y-%m-%d \
         --event-id-column order",
        file.display()
    );
    fixture.run(&line).check(0, "");
    fixture.check_report([4, 4, 0, 0, 0]);
    fixture.run(&format!("{line} --again")).check(0, "");
    let totals = fixture.simulator.totals();
    assert_eq!((totals.events, totals.duplicate_events), (4, 4));
}

/// As the README says: the time is a part of the id.
#[test]
fn a_corrected_date_makes_another_event() {
    let fixture = Fixture::new();
    let file = copy(&fixture, "one-order-two-events/ambiguous-dates.csv");
    for format in ["%d/%m/%Y", "%d/%m/%Y", "%m/%d/%Y"] {
        let line = format!(
            "events {} --person-column user --name-column event --timestamp-column day --timestamp-format {format} \
             --event-id-column key --no-journal",
            file.display()
        );
        fixture.run(&line).check(0, "");
    }
    let totals = fixture.simulator.totals();
    assert_eq!((totals.events, totals.duplicate_events), (2, 1));
}

#[test]
fn ids_that_a_spreadsheet_has_changed_need_confirmation() {
    let fixture = Fixture::new();
    let path = "ids-changed-by-a-spreadsheet/people.csv";
    let file = copy(&fixture, path);
    let run = fixture.run_unconfirmed(&format!("people {} --id-column id", file.display()));
    run.check(1, "add --yes");
    let warning = "ids: 6 may have been changed by a program, the first on line 2";
    assert!(run.stdout.contains(warning), "{}", run.stdout);
    let repeats = "repeats: 1 record has the identifier of an earlier record, the first on line 3 (as line 2)";
    assert!(run.stdout.contains(repeats), "{}", run.stdout);
    assert_eq!(fixture.simulator.totals().requests, 0);
    people(&fixture, path, "--id-column id --yes").check(0, "");
    fixture.check_report([7, 7, 0, 0, 0]);
    assert!(fixture.simulator.person("00123").is_some());
    assert!(fixture.simulator.person("123").is_none());
}

#[test]
fn rfc_3339_is_parsed_with_any_offset_and_other_times_are_rejected() {
    let fixture = Fixture::new();
    let file = copy(&fixture, "rfc-3339-times/events.csv");
    let run = fixture.run(&format!(
        "events {} --person-column user --name-column event --timestamp-column at --timestamp-format rfc3339",
        file.display()
    ));
    run.check(3, "");
    check_lines(
        &run,
        &[r#"events.csv:4: column "at": is not a time in the format rfc3339"#],
    );
    fixture.check_report([6, 5, 1, 0, 0]);
}

#[test]
fn files_that_are_not_json_lines_are_refused() {
    check_unusable(
        "not-json-lines/array.jsonl",
        &["line 1: the file is a JSON array; write one object per line, as `jq -c '.[]'` does"],
    );
    check_unusable(
        "not-json-lines/pretty.jsonl",
        &[
            "line 1: an object continues on the next line; write one object per line, as `jq -c .` does",
        ],
    );
    check_unusable(
        "not-json-lines/utf16.csv",
        &["the file is UTF-16; save it as UTF-8"],
    );
    let fixture = Fixture::new();
    let text = "\u{feff}{\"id\":\"1\"}\n";
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = fixture.file("a.jsonl", bytes);
    let run = fixture.run(&format!("people {} --id-column id", file.display()));
    run.check(1, "the file is UTF-16; save it as UTF-8");
    assert_eq!(fixture.simulator.totals().requests, 0);
}

#[test]
fn errors_name_values_that_json_does_not_have() {
    let fixture = Fixture::new();
    let run = people(&fixture, "not-json-lines/nan.jsonl", "--id-column id");
    run.check(3, "");
    check_lines(
        &run,
        &[
            "nan.jsonl:1: column 19: `NaN` is not a JSON value",
            r#"nan.jsonl:2: column "score": contains a number outside the range of a double"#,
            r#"nan.jsonl:3: column "name": contains half of a surrogate pair"#,
        ],
    );
    fixture.check_report([3, 0, 3, 0, 0]);
}
