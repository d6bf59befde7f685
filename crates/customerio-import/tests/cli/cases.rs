//! Files in the manner of public bug reports, each in `cases/`, and what must become of their
//! records.

use std::path::{Path, PathBuf};

use crate::world::{Run, World, finish};

/// Copies a case to the folder of the world, so that no journal lies beside the original.
fn case(world: &World, path: &str) -> PathBuf {
    let original = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cli/cases")
        .join(path);
    world.file(
        path.rsplit('/').next().unwrap(),
        std::fs::read(original).unwrap(),
    )
}

fn people(world: &World, path: &str, flags: &str) -> Run {
    let file = case(world, path);
    world.run(&format!("people {} {flags}", file.display()))
}

/// Expects each of `told` in a line of its own on the standard error.
#[track_caller]
fn check_told(run: &Run, told: &[&str]) {
    for words in told {
        let found = run.stderr.lines().filter(|line| line.contains(words));
        assert_eq!(found.count(), 1, "{words}: {}", run.stderr);
    }
}

#[track_caller]
fn check_unusable(path: &str, told: &[&str]) {
    let world = World::new();
    let run = people(&world, path, "--id-column id");
    run.check(1, "");
    check_told(&run, told);
    assert_eq!(world.simulator.totals().requests, 0);
}

#[test]
fn a_quote_that_is_open_at_the_end_is_told_by_its_line_and_nothing_is_sent() {
    let said = r#"line 2: column "city": the quote that opens here is never closed"#;
    check_unusable("quote-open-at-eof/people.csv", &[said]);
    let world = World::new();
    let input = std::fs::read(case(&world, "quote-open-at-eof/people.csv")).unwrap();
    let command = world.command("people - --format csv --id-column id");
    finish(command, &input).check(5, said);
    world.check_report([0, 0, 0, 0, 0]);
}

#[test]
fn text_after_a_closing_quote_swallows_no_row() {
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
    let world = World::new();
    let run = people(&world, "json-key-twice/people.jsonl", "--id-column id");
    run.check(3, "");
    check_told(
        &run,
        &[
            r#"people.jsonl:1: column "plan": has the name `plan` twice"#,
            r#"people.jsonl:2: column "id": has the name `id` twice"#,
        ],
    );
    world.check_report([3, 1, 2, 0, 0]);
    assert!(world.simulator.person("4").is_some());
}

#[test]
fn integers_keep_every_digit_or_are_rejected() {
    let world = World::new();
    let run = people(
        &world,
        "integers-over-64-bits/people.jsonl",
        "--id-column id",
    );
    run.check(3, "");
    let too_long = "holds an integer of more than 64 bits; write it as text";
    check_told(
        &run,
        &[
            &format!(r#"people.jsonl:2: column "n": {too_long}"#),
            &format!(r#"people.jsonl:3: column "wallet": {too_long}"#),
            &format!(r#"people.jsonl:4: column "n": {too_long}"#),
            &format!(r#"people.jsonl:6: column "n": {too_long}"#),
        ],
    );
    world.check_report([6, 2, 4, 0, 0]);
    let n = |id| world.simulator.person(id).unwrap().attributes["n"].to_string();
    assert_eq!(
        (n("1"), n("5")),
        ("18446744073709551615".into(), "9007199254740993".into())
    );
}

#[test]
fn addresses_are_trimmed_and_what_is_none_is_rejected() {
    let world = World::new();
    let run = people(
        &world,
        "addresses-that-are-none/people.csv",
        "--email-column email",
    );
    run.check(3, "");
    check_told(
        &run,
        &[
            r#"people.csv:4: column "email": person email holds an invisible character"#,
            r#"people.csv:7: column "email": person email has a name, quotes or brackets around the address"#,
            r#"people.csv:8: column "email": person email is a list"#,
            r#"people.csv:9: column "email": person email holds white space"#,
            r#"people.csv:10: column "email": person email begins with `mailto:`"#,
        ],
    );
    world.check_report([9, 4, 5, 0, 0]);
    for address in ["a", "b", "d", "j"] {
        let address = format!("{address}@example.com");
        assert!(world.simulator.person(&address).is_some(), "{address}");
    }
}

#[test]
fn lines_are_counted_by_every_kind_of_line_break() {
    for (path, line, records) in [
        ("carriage-returns/mac.csv", 3, 3),
        ("carriage-returns/windows-twice.csv", 5, 3),
    ] {
        let world = World::new();
        let run = people(&world, path, "--id-column id");
        run.check(3, "");
        check_told(
            &run,
            &[&format!(".csv:{line}: column \"id\": person id is")],
        );
        world.check_report([records, records - 1, 1, 0, 0]);
    }
    let world = World::new();
    people(&world, "carriage-returns/mac.jsonl", "--id-column id").check(0, "");
    world.check_report([3, 3, 0, 0, 0]);
}

#[test]
fn one_key_of_four_events_makes_four_ids() {
    let world = World::new();
    let file = case(&world, "one-order-two-events/orders.csv");
    let line = format!(
        "events {} --person-column user --name-column event --timestamp-column day --timestamp-format %Y-%m-%d \
         --event-id-column order",
        file.display()
    );
    world.run(&line).check(0, "");
    world.check_report([4, 4, 0, 0, 0]);
    world.run(&format!("{line} --again")).check(0, "");
    let books = world.simulator.totals();
    assert_eq!((books.events, books.duplicate_events), (4, 4));
}

/// The README says so: the date is a part of the id.
#[test]
fn a_date_that_is_corrected_makes_another_event() {
    let world = World::new();
    let file = case(&world, "one-order-two-events/mended.csv");
    for format in ["%d/%m/%Y", "%d/%m/%Y", "%m/%d/%Y"] {
        let line = format!(
            "events {} --person-column user --name-column event --timestamp-column day --timestamp-format {format} \
             --event-id-column key --no-journal",
            file.display()
        );
        world.run(&line).check(0, "");
    }
    let books = world.simulator.totals();
    assert_eq!((books.events, books.duplicate_events), (2, 1));
}

#[test]
fn ids_that_a_spreadsheet_has_changed_need_a_yes() {
    let world = World::new();
    let path = "ids-that-excel-ate/people.csv";
    let run = people(&world, path, "--id-column id");
    run.check(1, "add --yes");
    let warning = "ids: 6 look as if a program had changed them, the first on line 2";
    assert!(run.stdout.contains(warning), "{}", run.stdout);
    assert_eq!(world.simulator.totals().requests, 0);
    people(&world, path, "--id-column id --yes").check(0, "");
    world.check_report([7, 7, 0, 0, 0]);
    assert!(world.simulator.person("00123").is_some());
    assert!(world.simulator.person("123").is_none());
}

#[test]
fn rfc_3339_is_read_with_either_offset_and_what_is_not_is_named() {
    let world = World::new();
    let file = case(&world, "iso-8601-as-it-comes/events.csv");
    let run = world.run(&format!(
        "events {} --person-column user --name-column event --timestamp-column at --timestamp-format rfc3339",
        file.display()
    ));
    run.check(3, "");
    check_told(
        &run,
        &[r#"events.csv:4: column "at": is no moment written as rfc3339"#],
    );
    world.check_report([6, 5, 1, 0, 0]);
}

#[test]
fn what_is_no_json_lines_is_refused_whole() {
    check_unusable(
        "not-json-lines/array.jsonl",
        &["line 1: the file is a JSON array; write one object a line, as `jq -c '.[]'` does"],
    );
    check_unusable(
        "not-json-lines/pretty.jsonl",
        &["line 1: an object goes on in the next line; write one object a line, as `jq -c .` does"],
    );
    check_unusable(
        "not-json-lines/utf16.csv",
        &["the file is UTF-16; save it as UTF-8"],
    );
    let world = World::new();
    let text = "\u{feff}{\"id\":\"1\"}\n";
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = world.file("a.jsonl", bytes);
    let run = world.run(&format!("people {} --id-column id", file.display()));
    run.check(1, "the file is UTF-16; save it as UTF-8");
    assert_eq!(world.simulator.totals().requests, 0);
}

#[test]
fn values_that_json_does_not_have_are_named() {
    let world = World::new();
    let run = people(&world, "not-json-lines/nan.jsonl", "--id-column id");
    run.check(3, "");
    check_told(
        &run,
        &[
            "nan.jsonl:1: column 19: `NaN` is no value of JSON",
            r#"nan.jsonl:2: column "score": holds a number that no double holds"#,
            r#"nan.jsonl:3: column "name": holds half of a surrogate pair"#,
        ],
    );
    world.check_report([3, 0, 3, 0, 0]);
}
