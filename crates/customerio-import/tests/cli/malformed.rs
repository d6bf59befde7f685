//! Malformed files, byte by byte, and the message about each: where, what, and what to do.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use crate::fixture::{Fixture, finish};

/// The result of a file.
enum Expected {
    /// Exit code 1, no request.
    Refused,
    /// Exit code 2: wrong usage.
    Misused,
    /// Exit code 3, with the numbers of accepted and rejected records.
    Rejected(u64, u64),
}

use Expected::{Misused, Refused, Rejected};

/// Sends a file, and checks that `message` is in exactly one line of the standard error.
#[track_caller]
fn check(name: &str, flags: &str, content: &[u8], expected: &Expected, message: &str) {
    let fixture = Fixture::new();
    let file = fixture.file(name, content);
    let command = if flags.contains("--name-column") {
        "events"
    } else {
        "people"
    };
    let line = format!("{command} {} {flags}", file.display());
    // A refused file is refused before the question; or the question is the refusal.
    let run = match expected {
        Refused | Misused => fixture.run_unconfirmed(&line),
        Rejected(..) => fixture.run(&line),
    };
    let context = format!(
        "{name} {flags} {:?}\n{}",
        String::from_utf8_lossy(&content[..content.len().min(200)]),
        run.stderr
    );
    let lines = run
        .stderr
        .lines()
        .filter(|line| line.contains(message))
        .count();
    assert_eq!(lines, 1, "{message}: {context}");
    match expected {
        Refused | Misused => {
            let code = if matches!(expected, Refused) { 1 } else { 2 };
            assert_eq!(
                (run.code, fixture.simulator.totals().requests),
                (code, 0),
                "{context}"
            );
        }
        Rejected(accepted, rejected) => {
            assert_eq!(run.code, 3, "{context}");
            fixture.check_report([accepted + rejected, *accepted, *rejected, 0, 0]);
            assert_eq!(fixture.simulator.totals().people, *accepted, "{context}");
        }
    }
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

const ID: &str = "--id-column id";

const QUOTES: &[(&[u8], Expected, &str)] = &[
    (
        b"id,a,b\n1,Ada \"the countess\",x\n2,y,z\n",
        Rejected(1, 1),
        r#"a.csv:2: column "a": there is a quote inside a cell that does not begin with one; put the cell in quotes and double the quote"#,
    ),
    (
        b"id,a,b\n1,x,5'6\"\n2,y,z\n",
        Rejected(1, 1),
        r#"a.csv:2: column "b": there is a quote inside a cell"#,
    ),
    (
        b"id,a,b\n\"1,x,y\n2,y,z\n",
        Refused,
        r#"line 2: column "id": the quote that opens here is never closed; close it or remove it, and double"#,
    ),
    (
        b"id,a,b\n1,x,y\n2,y,\"",
        Refused,
        r#"line 3: column "b": the quote that opens here is never closed"#,
    ),
    (
        b"id,a,b\n1,\"x \\\"y\\\" z\",x\n2,y,z\n",
        Rejected(1, 1),
        r#"a.csv:2: column "a": text follows the closing quote; double the quotes that belong to the cell"#,
    ),
    (
        b"id,a,b\n1,\"x\\\"\",x\n2,y,z\n",
        Refused,
        r#"line 2: column "a": the quote that opens here is never closed"#,
    ),
    (
        b"id,a,b\n1, \"x, y\",z\n2,y,z\n",
        Rejected(1, 1),
        r#"a.csv:2: column "a": there is white space before the opening quote; remove it"#,
    ),
    (
        b"id,a,b\n1, \"x\ny\",z\n2,y,z\n",
        Refused,
        r#"line 2: column "a": the quote after white space is not closed on its line; remove the white space"#,
    ),
    (
        b"id,a,b\n1,\"x\" ,z\n2,y,z\n",
        Rejected(1, 1),
        r#"a.csv:2: column "a": text follows the closing quote"#,
    ),
    (
        b"id,a,b\n1,\"x\"y\"z,z\n2,y,z\n",
        Refused,
        r#"line 2: column "a": text follows the closing quote, and another quote of the line stays open"#,
    ),
    (
        b"id,a,b\n1,\"\"x\"\",y\n2,y,z\n",
        Rejected(1, 1),
        r#"a.csv:2: column "a": text follows the closing quote"#,
    ),
    (
        b"id,a,b\n1,\"\"\"x,y\n2,y,z\n",
        Refused,
        r#"line 2: column "a": the quote that opens here is never closed"#,
    ),
    (
        b"id,\"a\n1,x\n",
        Refused,
        "line 1, column 2: the quote that opens here is never closed",
    ),
    (
        b"id,\"a\"b\n1,x\n",
        Refused,
        "line 1, column 2: text follows the closing quote",
    ),
    (
        b"id,a\r1,\"x\r2,y\r",
        Refused,
        r#"line 2: column "a": the quote that opens here is never closed"#,
    ),
    (
        b"id,a\r\n1,x\r\n2,\"a\"b\r\n",
        Rejected(1, 1),
        r#"a.csv:3: column "a": text follows the closing quote"#,
    ),
    (
        b"id,a\r\n1,\"a\r\nb\"\r\n2,x\"y\r\n",
        Rejected(1, 1),
        r#"a.csv:4: column "a": there is a quote inside a cell"#,
    ),
    (
        b"id,a\n1,\"x\ny\",z\n2,y\n",
        Rejected(1, 1),
        "a.csv:2: column 3: the row has 3 cells, the header has 2; quote cells that contain commas; the record goes from line 2 to line 3",
    ),
    (
        b"id,a,b\n1,\"x,y\n2,z\",w\n",
        Refused,
        "rows in cells: 1 record has a cell with lines that look like rows, the first on line 2; is a quote missing?; nothing was sent",
    ),
];

#[test]
fn quotes_of_csv() {
    for (content, expected, message) in QUOTES {
        check("a.csv", ID, content, expected, message);
    }
}

const ROWS: &[(&str, &[u8], Expected, &str)] = &[
    (
        ID,
        b"id,a\n1\n2,y\n",
        Rejected(1, 1),
        "a.csv:2: column 2: the row has 1 cell, the header has 2; quote cells that contain commas",
    ),
    (
        ID,
        b"id,a\n1,Doe, John\n2,y\n",
        Rejected(1, 1),
        "a.csv:2: column 3: the row has 3 cells, the header has 2; quote cells that contain commas",
    ),
    (
        ID,
        b"id,a\n1,x\n,\n,\n",
        Rejected(1, 2),
        r#"a.csv:3: column "id": has no value; add one or remove the record"#,
    ),
    (
        ID,
        b"id;a\n1;x\n",
        Refused,
        r#"line 1: with the delimiter ',' the header has no column "id"; with ';' its columns are "id", "a": add --delimiter ';'"#,
    ),
    (
        ID,
        b"id\ta\n1\tx\n",
        Refused,
        r#"with tab its columns are "id", "a": add --delimiter tab"#,
    ),
    (
        ID,
        b"a|id|\"c\x1b\"\n1|x|y\n",
        Refused,
        r#"with '|' its columns are "a", "id", "c\u{1b}": add --delimiter '|'"#,
    ),
    (
        ID,
        b"ID;a\n1;x\n",
        Refused,
        r#"line 1: the header has no column "id"; the line contains ';' and no ',': if ';' is the delimiter, add --delimiter ';'"#,
    ),
    (
        "--id-column id --delimiter ;",
        b"id,a\n1,x\n",
        Refused,
        r#"with ',' its columns are "id", "a": add --delimiter ','"#,
    ),
    (
        "--id-column id --delimiter ;",
        b"id;a\n1;x;y\n2;y\n",
        Rejected(1, 1),
        "a.csv:2: column 3: the row has 3 cells, the header has 2; quote cells that contain ';'",
    ),
    (
        "--id-column id --delimiter ab",
        b"id,a\n",
        Misused,
        "write one character, like ';' or '|', or the word tab",
    ),
    (
        "--id-column id --delimiter \"",
        b"id,a\n",
        Misused,
        "write one character, like ';' or '|', or the word tab",
    ),
    (
        "--id-column id --format jsonl --delimiter ;",
        b"{}\n",
        Refused,
        "JSON lines have no delimiter; leave out --delimiter",
    ),
];

#[test]
fn rows_and_delimiters_of_csv() {
    for (flags, content, expected, message) in ROWS {
        check("a.csv", flags, content, expected, message);
    }
}

#[test]
fn leftovers_of_programs() {
    let joined = "were files joined? remove the";
    let cell = "x".repeat(3 << 20);
    let oversize = format!("id,a\n1,{cell}\n2,y\n3,\"{cell}\"\n");
    let table: [(&[u8], Expected, String); 14] = [
        (b"id,a\n1,x\nid,a\n2,y\n", Rejected(2, 1), format!("a.csv:3: repeats the header; {joined} line")),
        (b"\xef\xbb\xbfid,a\n1,x\n\xef\xbb\xbfid,a\n2,y\n", Rejected(2, 1), format!("a.csv:3: repeats the header; {joined} line")),
        (b"id,a\n1,x\n\xef\xbb\xbf\"2\",y\n3,z\n", Rejected(2, 1), format!("a.csv:3: begins with a byte order mark; {joined} mark")),
        (b"id\n1\n2\xef\xbb\xbfid\n3\n", Refused, "ids: 1 may have been changed by a program, the first on line 3".into()),
        (b"id,a\n1,x\na,id\n2,y\n", Refused, "line 3: looks like the header of another file, with other columns; were files joined? split them".into()),
        (b"id,a\n1,x\nid,b\n2,y\n", Refused, "line 3: looks like the header of another file".into()),
        (b"id,a\n1,x\n\x1a", Rejected(1, 1), r#"a.csv:3: column "id": contains Ctrl-Z, which some programs write at the end of a file; remove it"#.into()),
        (b"id,a\n1,x\n2,y\x1a", Rejected(1, 1), r#"a.csv:3: column "a": contains Ctrl-Z"#.into()),
        (b"id\n1\n\x1a\n", Rejected(1, 1), r#"a.csv:3: column "id": contains Ctrl-Z"#.into()),
        (b"id,a\n1,x\0\n2,y\n", Rejected(1, 1), r#"a.csv:2: column "a": contains a zero byte; is the file damaged? remove the byte"#.into()),
        (b"sep=;\r\nid;a\r\n1;x\r\nsep=;\r\n", Rejected(1, 1), format!("a.csv:4: is a line `sep=`, as at the start of a file; {joined} line")),
        (b"sep=ab\nid,a\n1,x\n", Refused, "line 1: `sep=` names no delimiter: write one character".into()),
        (b"sep=;\n1;x\n", Refused, r#"line 2: the header has no column "id"; name a column of the file"#.into()),
        (oversize.as_bytes(), Rejected(1, 2), r#"a.csv:2: column "a": makes the record longer than 1 MiB; shorten it or remove the record"#.into()),
    ];
    for (content, expected, message) in &table {
        check("a.csv", ID, content, expected, message);
    }
}

const ENCODINGS: &[(&str, &[u8], Expected, &str)] = &[
    (
        "a.csv",
        b"\xfe\xff\0i\0d\0\n\x001\0\n",
        Refused,
        "a.csv: the file is UTF-16; save it as UTF-8",
    ),
    (
        "a.csv",
        b"i\0d\0\n\x001\0\n\0",
        Refused,
        "a.csv: the file is UTF-16; save it as UTF-8",
    ),
    (
        "a.jsonl",
        b"\xff\xfe{\0}\0\n\0",
        Refused,
        "a.jsonl: the file is UTF-16; save it as UTF-8",
    ),
    (
        "a.csv",
        b"\xff\xfe\0\0i\0\0\0d\0\0\0",
        Refused,
        "a.csv: the file is UTF-32; save it as UTF-8",
    ),
    (
        "a.csv",
        b"PK\x03\x04\x14\0",
        Refused,
        "a.csv: the file is an archive or a spreadsheet workbook; save it as CSV in UTF-8",
    ),
    (
        "a.csv.gz",
        b"id,a\n1,x\n",
        Refused,
        "a.csv.gz: the file is not compressed by gzip; give it a name without .gz",
    ),
    (
        "a.csv",
        b"id,a\n1,caf\xe9\n2,y\n",
        Rejected(1, 1),
        r#"a.csv:2: column "a": is not UTF-8; save the file as UTF-8 or correct the cell"#,
    ),
    (
        "a.csv",
        b"id,caf\xe9\n1,x\n",
        Refused,
        "line 1, column 2: the header is not UTF-8; save the file as UTF-8",
    ),
    (
        "a.csv",
        b"{\"id\":\"1\"}\n",
        Refused,
        "line 1: looks like JSON; if the file is JSON lines, add --format jsonl",
    ),
];

#[test]
fn files_that_are_not_utf_8() {
    for (name, content, expected, message) in ENCODINGS {
        check(name, ID, content, expected, message);
    }
}

#[test]
fn compressed_files() {
    let (gz, more) = (packed(b"id,a\n1,x\n"), packed(b"id,a\n2,y\n"));
    let named =
        "a.csv: the file is compressed by gzip; give it a name that ends in .gz, or unpack it";
    check("a.csv", ID, &gz, &Refused, named);
    let cut_off = "the compressed data is cut off; copy or download the file again";
    check("a.csv.gz", ID, &gz[..gz.len() - 4], &Refused, cut_off);
    check("a.csv.gz", ID, b"", &Refused, cut_off);
    let garbage =
        "data that is not gzip follows the compressed data; copy or download the file again";
    check("a.csv.gz", ID, &[&*gz, b"id"].concat(), &Refused, garbage);
    check(
        "a.csv.gz",
        ID,
        &[&*gz, b"\0\0id"].concat(),
        &Refused,
        garbage,
    );
    let repeated = "a.csv.gz:3: repeats the header";
    check(
        "a.csv.gz",
        ID,
        &[&*gz, &more].concat(),
        &Rejected(2, 1),
        repeated,
    );
    let fixture = Fixture::new();
    let file = fixture.file("a.csv.gz", [&*gz, &[0; 10_240]].concat());
    fixture
        .run(&format!("people {} {ID}", file.display()))
        .check(0, "");
    fixture.check_report([1, 1, 0, 0, 0]);
}

const VALUES: &[(&[u8], &str)] = &[
    (
        br#"{"id":"3","a":{"b":1,"c":2,"b":1}}"#,
        r#"column "a": contains an object in which a name occurs twice; keep one of the two"#,
    ),
    (
        br#"{"id":"3","i\u0064":"4"}"#,
        r#"column "id": occurs twice in the object; keep one of the two"#,
    ),
    (
        br#"{"id":"3","a":[[{"b":18446744073709551616}]]}"#,
        r#"column "a": contains an integer of more than 64 bits; write it as text"#,
    ),
    (
        br#"{"id":99999999999999999999}"#,
        r#"column "id": contains an integer of more than 64 bits; write it as text"#,
    ),
    (
        br#"{"id":"3","a":1e-400}"#,
        r#"column "a": contains a number outside the range of a double; write it as text"#,
    ),
    (
        br#"{"id":"3","a":[-1E999]}"#,
        r#"column "a": contains a number outside the range of a double; write it as text"#,
    ),
    (
        br#"{"id":"3","a":12345678901234567.89}"#,
        r#"column "a": contains a number with more digits than a double keeps; write it as text"#,
    ),
    (
        br#"{"id":"3","a":Infinity}"#,
        "column 15: `Infinity` is not a JSON value; write null or leave it out",
    ),
    (
        br#"{"id":"3","a":None}"#,
        "column 15: `None` is not a JSON value; write null",
    ),
    (
        br#"{"id":"3","a":True}"#,
        "column 15: `True` is not a JSON value; write true",
    ),
    (
        br#"{'id':'3'}"#,
        "column 2: JSON has no single quotes; write double quotes",
    ),
    (
        b"{\"id\":\"3\",\"a\":\"x\ty\"}",
        "column 17: contains a control character; escape it as \\u00xx or remove it",
    ),
    (
        br#"{"id":"3"}{"id":"4"}"#,
        "column 11: contains more than one value; write one object per line",
    ),
    (
        br#"[{"id":"3"},{"id":"4"}]"#,
        "is JSON, but not an object; write one object per line",
    ),
    (
        br#"{"id":"3","a":"\ude00"}"#,
        r#"column "a": contains half of a surrogate pair, as in text that was cut off"#,
    ),
    (
        br#"{"id":"3","\ud83d":"a"}"#,
        "column 18: contains half of a surrogate pair, as in text that was cut off",
    ),
    (
        b"\xef\xbb\xbf{\"id\":\"3\"}",
        "column 1: contains a byte order mark; were files joined? remove the mark",
    ),
    (
        b"\x1a",
        "column 1: contains Ctrl-Z, which some programs write at the end of a file; remove it",
    ),
    (
        br#"{"id":"3","a":"cut o"#,
        "column 20: is not a JSON object; write one object per line",
    ),
    (
        br#"{"id":2.0}"#,
        r#"column "id": is neither text nor a whole number; write it as text"#,
    ),
];

#[test]
fn values_of_json_lines() {
    for (line, message) in VALUES {
        for end in ["\n", "\r\n", "\r"] {
            let content = [
                b"{\"id\":\"1\"}",
                end.as_bytes(),
                end.as_bytes(),
                line,
                end.as_bytes(),
                b"{\"id\":\"2\"}",
            ]
            .concat();
            check(
                "a.jsonl",
                ID,
                &content,
                &Rejected(2, 1),
                &format!("a.jsonl:3: {message}"),
            );
        }
    }
}

#[test]
fn json_over_several_lines() {
    let (begun, ended) = (
        "an object continues on the next line; write one object per line, as `jq -c .` does",
        "an object or array that began on an earlier line ends here; write one object per line",
    );
    let table: [(&[u8], String); 8] = [
        (
            b"[{\"id\":\"1\"},{\"id\":\"2\"}]\n",
            "line 1: the file is a JSON array; write one object per line, as `jq -c '.[]'` does"
                .into(),
        ),
        (
            b"\n\n[\n{\"id\":\"1\"}\n]\n",
            "line 3: the file is a JSON array".into(),
        ),
        (b"{\r\"id\":\"1\"\r}\r", format!("line 1: {begun}")),
        (
            b"{\"id\":\"1\"},\n{\"id\":\"2\"}\n",
            format!("line 1: {begun}"),
        ),
        (
            b"{\"id\":\"1\"}\n{\"id\":\"2\",\"a\":[\n{\"id\":\"3\"}\n]}\n",
            format!("line 2: {begun}"),
        ),
        (
            b"{\"id\":\"1\"}\n{\"id\":\"2\",\n\"a\":3}\n",
            format!("line 2: {begun}"),
        ),
        (
            b"{\"id\":\"1\"}\n{\"id\":\"2\"}\n]\n",
            format!("line 3: {ended}"),
        ),
        (
            b"{\"id\":\"1\"}\n{\"id\":\"2\"\n}\n",
            format!("line 3: {ended}"),
        ),
    ];
    for (content, message) in &table {
        check("a.jsonl", ID, content, &Refused, message);
    }
}

#[test]
fn addresses() {
    let table = [
        ("a@example.com,b@example.com", "is a list; give one address"),
        ("a@example.com;", "is a list; give one address"),
        (
            "Ada <a@example.com>",
            "has a name, quotes or brackets around the address; give the address alone",
        ),
        (
            "a@b@example.com",
            "is not of the form name@domain; correct it or use an id",
        ),
        (
            "example.com",
            "is not of the form name@domain; correct it or use an id",
        ),
        (
            "@example.com",
            "is not of the form name@domain; correct it or use an id",
        ),
        (
            "a@",
            "is not of the form name@domain; correct it or use an id",
        ),
        ("a\u{a0}b@example.com", "holds white space; remove it"),
        ("a@exam\nple.com", "holds white space; remove it"),
        (
            "a@example\u{200b}.com",
            "holds an invisible character, such as a zero-width space; remove it",
        ),
        (
            "\u{202a}a@example.com\u{202c}",
            "holds an invisible character",
        ),
        ("a\u{7}@example.com", "holds a control character; remove it"),
        (
            "MAILTO:a@example.com",
            "begins with `mailto:`; give the address alone",
        ),
    ];
    for (address, message) in table {
        let content = format!("name,mail\nx,z@example.com\ny,\"{address}\"\n");
        check(
            "a.csv",
            "--email-column mail",
            content.as_bytes(),
            &Rejected(1, 1),
            &format!("a.csv:3: column \"mail\": person email {message}"),
        );
    }
}

#[test]
fn times_and_ids_of_events() {
    let flags = "--person-column p --name-column n --timestamp-column t --timestamp-format rfc3339 --event-id-column k";
    let not_a_time = "is not a time in the format rfc3339; correct it or --timestamp-format";
    for (row, column, message) in [
        ("1,a,2024-01-02,k", "t", not_a_time),
        ("1,a,2024-01-02T03:04:05,k", "t", not_a_time),
        ("1,a,1704164645,k", "t", not_a_time),
        ("1,a,2024-02-30T03:04:05Z,k", "t", not_a_time),
        (
            "1,a,2024-01-02T03:04:05Z,",
            "k",
            "has no value; add one or remove the record",
        ),
    ] {
        let content = format!("p,n,t,k\n1,a,2024-01-02T03:04:05Z,k\n{row}\n");
        check(
            "a.csv",
            flags,
            content.as_bytes(),
            &Rejected(1, 1),
            &format!("a.csv:3: column \"{column}\": {message}"),
        );
    }
}

#[test]
fn the_plan_shows_attributes_named_email_that_are_not_addresses() {
    let fixture = Fixture::new();
    let file = fixture.file(
        "a.csv",
        "id,email\n1,a@example.com\n2,\"Bob <b@example.com>\"\n3,\n4,c@example.com \n",
    );
    let run = fixture.run(&format!("people {} {ID}", file.display()));
    run.check(0, "");
    let expected = "e-mail: 2 records have an attribute \"email\" that is not an e-mail address, the first on line 3; it is sent unchanged";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
}

#[test]
fn the_plan_counts_cells_with_line_breaks() {
    let fixture = Fixture::new();
    let file = fixture.file(
        "a.csv",
        "id,a,b\n1,x,y\n2,\"x\r\ny\",\"\n\"\n3,\"12 Street\nLondon\",z\n",
    );
    let run = fixture.run(&format!("people {} {ID}", file.display()));
    run.check(0, "");
    let expected = "line breaks: 3 cells contain line breaks, the first on line 3; if none should, a quote is missing or there is one too many";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
}

#[test]
fn suspect_records_are_sent_with_yes_and_rejected_with_reject_suspects() {
    let input = b"id,a,b\n1.5E+10,x,y\n2,\"x,y\n3,z\",w\n4,x,y\n";
    let fixture = Fixture::new();
    let line = "people - --format csv --id-column id";
    let run = finish(fixture.command(&format!("{line} --reject-suspects")), input);
    run.check(3, r#"2: column "id": the id is in scientific notation; correct it; --yes without --reject-suspects sends it unchanged"#);
    run.check(3, "3: a cell contains lines that look like rows; is a quote missing? correct it; --yes without --reject-suspects sends it unchanged; the record goes from line 3 to line 4");
    fixture.check_report([3, 1, 2, 0, 0]);
    finish(fixture.unconfirmed(line), input).check(1, "records come from the standard input");
    fixture.check_report([3, 1, 2, 0, 0]);
    finish(fixture.command(&format!("{line} --yes")), input).check(0, "");
    fixture.check_report([3, 3, 0, 0, 0]);
}

#[test]
fn a_stream_that_is_not_json_lines_sends_nothing() {
    let fixture = Fixture::new();
    for input in ["[{\"id\":\"1\"}]", "{\n\"id\":\"1\"\n}\n"] {
        let command = fixture.command("people - --format jsonl --id-column id");
        finish(command, input.as_bytes()).check(1, "write one object per line");
    }
    assert_eq!(fixture.simulator.totals().requests, 0);
}

/// So many rows take several buffers of 64 KiB, and less than the longest record, as 30,000 would.
const ROWS_WITH_A_STRAY: usize = 10_000;

/// Inserts a quote into a file of many rows, and checks that its line or the one before it is
/// reported.
fn check_stray(rows: &str, at: usize) {
    let (before, after) = rows.split_at(at);
    let fixture = Fixture::new();
    let file = fixture.file("a.csv", format!("id,name,city\n{before}\"{after}"));
    let run = fixture.run(&format!("people {} {ID} --no-journal", file.display()));
    let line = 2 + before.matches('\n').count();
    let is_reported = |line| {
        run.stderr.contains(&format!("line {line}: "))
            || run.stderr.contains(&format!("a.csv:{line}: "))
    };
    assert!(
        is_reported(line) || is_reported(line - 1),
        "{at}: {}",
        run.stderr
    );
    match run.code {
        1 => assert_eq!(fixture.simulator.totals().requests, 0),
        3 => {
            let all = ROWS_WITH_A_STRAY as u64;
            fixture.check_report([all, all - 1, 1, 0, 0]);
        }
        code => panic!("{at} in line {line}: {code}: {}", run.stderr),
    }
}

#[test]
fn a_stray_quote_among_many_rows_is_always_reported() {
    let plain = |row: usize| format!("{row},n {row},city\n");
    let quoted = |row: usize| format!("{row},\"n {row}\",\"a, \"\"b\"\"\"\n");
    let plain: String = (0..ROWS_WITH_A_STRAY).map(plain).collect();
    let quoted: String = (0..ROWS_WITH_A_STRAY).map(quoted).collect();
    for rows in [&plain, &quoted] {
        let (middle, end) = (rows.len() / 2, rows.len());
        for at in [
            0,
            1,
            2,
            7,
            12,
            100_003,
            middle,
            middle + 1,
            middle + 5,
            end - 2,
            end - 1,
            end,
        ] {
            check_stray(rows, at);
        }
    }
}

/// Returns how many lines of the file are reported, all lines of a rejected record included.
fn lines_reported(stderr: &str) -> usize {
    let over_several = |line: &str| -> Option<usize> {
        let (first, last) = line.rsplit_once("from line ")?.1.split_once(" to line ")?;
        Some(last.parse::<usize>().ok()? - first.parse::<usize>().ok()?)
    };
    let reported = stderr.lines().filter(|line| line.contains("a.csv:"));
    reported
        .map(|line| 1 + over_several(line).unwrap_or(0))
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// With stray quotes anywhere, each row is sent or reported, or the file is refused.
    #[test]
    fn each_row_is_sent_or_reported_or_the_file_is_refused(
        quoted in prop::collection::vec(any::<[bool; 3]>(), 20),
        quotes in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let cell = |text: String, is_quoted: bool| match is_quoted {
            true => format!("\"{text}\""),
            false => text,
        };
        let mut rows: String = quoted
            .iter()
            .enumerate()
            .map(|(row, [id, name, city])| {
                let cells = [
                    cell(row.to_string(), *id),
                    cell(format!("n {row}"), *name),
                    cell("x".into(), *city),
                ];
                cells.join(",") + "\n"
            })
            .collect();
        for at in &quotes {
            rows.insert(at.index(rows.len() + 1), '"');
        }
        let fixture = Fixture::new();
        let file = fixture.file("a.csv", format!("id,name,city\n{rows}"));
        let run = fixture.run(&format!("people {} {ID}", file.display()));
        let people = fixture.simulator.totals().people as usize;
        let reported = lines_reported(&run.stderr);
        match run.code {
            0 => {
                let is_reported = run.stdout.contains("line breaks: ");
                prop_assert!(people == 20 || is_reported, "{rows}\n{}", run.stdout);
            }
            1 => prop_assert_eq!(fixture.simulator.totals().requests, 0),
            3 => prop_assert!(people + reported >= 20 && reported > 0, "{rows}\n{}", run.stderr),
            code => prop_assert!(false, "{code}: {}", run.stderr),
        }
        prop_assert!(run.code != 0 || quotes.len() % 2 == 0, "an odd quote was overlooked: {rows}");
    }
}
