//! Inputs that are damaged, byte for byte, and what the program says of each: where, what, and what
//! to do.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use crate::world::{World, finish};

/// What must become of a file.
enum Then {
    /// Exit code 1, no request.
    Refused,
    /// Exit code 2: wrong usage.
    Misused,
    /// Exit code 3; that many records are accepted and rejected.
    Rejected(u64, u64),
}

use Then::{Misused, Refused, Rejected};

/// Sends a file with the given name, flags and bytes, and expects `said` in one line of what is
/// told.
#[track_caller]
fn check(name: &str, flags: &str, content: &[u8], then: &Then, said: &str) {
    let world = World::new();
    let file = world.file(name, content);
    let command = if flags.contains("--name-column") {
        "events"
    } else {
        "people"
    };
    let run = world.run(&format!("{command} {} {flags}", file.display()));
    let context = format!(
        "{name} {flags} {:?}\n{}",
        String::from_utf8_lossy(&content[..content.len().min(200)]),
        run.stderr
    );
    let told = run
        .stderr
        .lines()
        .filter(|line| line.contains(said))
        .count();
    assert_eq!(told, 1, "{said}: {context}");
    match then {
        Refused | Misused => {
            let code = if matches!(then, Refused) { 1 } else { 2 };
            assert_eq!(
                (run.code, world.simulator.totals().requests),
                (code, 0),
                "{context}"
            );
        }
        Rejected(accepted, rejected) => {
            assert_eq!(run.code, 3, "{context}");
            world.check_report([accepted + rejected, *accepted, *rejected, 0, 0]);
            assert_eq!(world.simulator.totals().people, *accepted, "{context}");
        }
    }
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

const ID: &str = "--id-column id";

const QUOTES: &[(&[u8], Then, &str)] = &[
    (
        b"id,a,b\n1,Ada \"the countess\",x\n2,y,z\n",
        Rejected(1, 1),
        r#"a.csv:2: column "a": a quote stands inside of a cell that does not begin with one; put the cell in quotes and double the quote"#,
    ),
    (
        b"id,a,b\n1,x,5'6\"\n2,y,z\n",
        Rejected(1, 1),
        r#"a.csv:2: column "b": a quote stands inside of a cell"#,
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
        r#"a.csv:2: column "a": white space stands before the opening quote; remove it"#,
    ),
    (
        b"id,a,b\n1, \"x\ny\",z\n2,y,z\n",
        Refused,
        r#"line 2: column "a": a quote that stands behind white space is not closed on its line; remove the white space"#,
    ),
    (
        b"id,a,b\n1,\"x\" ,z\n2,y,z\n",
        Rejected(1, 1),
        r#"a.csv:2: column "a": text follows the closing quote"#,
    ),
    (
        b"id,a,b\n1,\"x\"y\"z,z\n2,y,z\n",
        Refused,
        r#"line 2: column "a": text follows the closing quote, and one more quote of the line stays open"#,
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
        r#"a.csv:4: column "a": a quote stands inside of a cell"#,
    ),
    (
        b"id,a\n1,\"x\ny\",z\n2,y\n",
        Rejected(1, 1),
        "a.csv:2: column 3: cells in the row: 3, in the header: 2; quote cells that hold commas; the record goes from line 2 to line 3",
    ),
    (
        b"id,a,b\n1,\"x,y\n2,z\",w\n",
        Refused,
        "rows in cells: 1 record holds what looks like rows inside of a cell, the first on line 2; is a quote missing?; nobody can be asked",
    ),
];

#[test]
fn quotes_of_csv() {
    for (content, then, said) in QUOTES {
        check("a.csv", ID, content, then, said);
    }
}

const ROWS: &[(&str, &[u8], Then, &str)] = &[
    (
        ID,
        b"id,a\n1\n2,y\n",
        Rejected(1, 1),
        "a.csv:2: column 2: cells in the row: 1, in the header: 2; quote cells that hold commas",
    ),
    (
        ID,
        b"id,a\n1,Doe, John\n2,y\n",
        Rejected(1, 1),
        "a.csv:2: column 3: cells in the row: 3, in the header: 2; quote cells that hold commas",
    ),
    (
        ID,
        b"id,a\n1,x\n,\n,\n",
        Rejected(1, 2),
        r#"a.csv:3: column "id": has no value; give every record one or remove the record"#,
    ),
    (
        ID,
        b"id;a\n1;x\n",
        Refused,
        r#"line 1: the header has no column "id" at ','; at ';' its columns are "id", "a": add --delimiter ';'"#,
    ),
    (
        ID,
        b"id\ta\n1\tx\n",
        Refused,
        r#"at tab its columns are "id", "a": add --delimiter tab"#,
    ),
    (
        ID,
        b"a|id|\"c\x1b\"\n1|x|y\n",
        Refused,
        r#"at '|' its columns are "a", "id", "c\u{1b}": add --delimiter '|'"#,
    ),
    (
        ID,
        b"ID;a\n1;x\n",
        Refused,
        r#"line 1: the header has no column "id"; the line holds ';' and no ',': if that is the delimiter, add --delimiter ';'"#,
    ),
    (
        "--id-column id --delimiter ;",
        b"id,a\n1,x\n",
        Refused,
        r#"at ',' its columns are "id", "a": add --delimiter ','"#,
    ),
    (
        "--id-column id --delimiter ;",
        b"id;a\n1;x;y\n2;y\n",
        Rejected(1, 1),
        "a.csv:2: column 3: cells in the row: 3, in the header: 2; quote cells that hold ';'",
    ),
    (
        "--id-column id --delimiter ab",
        b"id,a\n",
        Misused,
        "write one character, like ';' or '|', or tab",
    ),
    (
        "--id-column id --delimiter \"",
        b"id,a\n",
        Misused,
        "write one character, like ';' or '|', or tab",
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
    for (flags, content, then, said) in ROWS {
        check("a.csv", flags, content, then, said);
    }
}

#[test]
fn what_programs_leave_in_files() {
    let joined = "were files joined? remove the";
    let cell = "x".repeat(3 << 20);
    let oversize = format!("id,a\n1,{cell}\n2,y\n3,\"{cell}\"\n");
    let table: [(&[u8], Then, String); 14] = [
        (b"id,a\n1,x\nid,a\n2,y\n", Rejected(2, 1), format!("a.csv:3: repeats the header; {joined} line")),
        (b"\xef\xbb\xbfid,a\n1,x\n\xef\xbb\xbfid,a\n2,y\n", Rejected(2, 1), format!("a.csv:3: repeats the header; {joined} line")),
        (b"id,a\n1,x\n\xef\xbb\xbf\"2\",y\n3,z\n", Rejected(2, 1), format!("a.csv:3: begins with a byte order mark; {joined} mark")),
        (b"id\n1\n2\xef\xbb\xbfid\n3\n", Refused, "ids: 1 looks as if a program had changed it, the first on line 3".into()),
        (b"id,a\n1,x\na,id\n2,y\n", Refused, "line 3: looks like the header of another file, with other columns; were files joined? split the file".into()),
        (b"id,a\n1,x\nid,b\n2,y\n", Refused, "line 3: looks like the header of another file".into()),
        (b"id,a\n1,x\n\x1a", Rejected(1, 1), r#"a.csv:3: column "id": holds Ctrl-Z, with which some programs end a file; remove it"#.into()),
        (b"id,a\n1,x\n2,y\x1a", Rejected(1, 1), r#"a.csv:3: column "a": holds Ctrl-Z"#.into()),
        (b"id\n1\n\x1a\n", Rejected(1, 1), r#"a.csv:3: column "id": holds Ctrl-Z"#.into()),
        (b"id,a\n1,x\0\n2,y\n", Rejected(1, 1), r#"a.csv:2: column "a": holds a zero byte; is the file damaged? remove it"#.into()),
        (b"sep=;\r\nid;a\r\n1;x\r\nsep=;\r\n", Rejected(1, 1), format!("a.csv:4: names a delimiter, as a first line does; {joined} line")),
        (b"sep=ab\nid,a\n1,x\n", Refused, "line 1: `sep=` names no delimiter: write one character".into()),
        (b"sep=;\n1;x\n", Refused, r#"line 2: the header has no column "id"; name another"#.into()),
        (oversize.as_bytes(), Rejected(1, 2), r#"a.csv:2: column "a": makes a record of more than 1 MiB; shorten it or remove the record"#.into()),
    ];
    for (content, then, said) in &table {
        check("a.csv", ID, content, then, said);
    }
}

const ENCODINGS: &[(&str, &[u8], Then, &str)] = &[
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
        "a.csv: the file is an archive or a workbook of a spreadsheet; save it as CSV in UTF-8",
    ),
    (
        "a.csv.gz",
        b"id,a\n1,x\n",
        Refused,
        "a.csv.gz: the file is not compressed by gzip; give it a name that does not end in .gz",
    ),
    (
        "a.csv",
        b"id,a\n1,caf\xe9\n2,y\n",
        Rejected(1, 1),
        r#"a.csv:2: column "a": is not UTF-8; save the file in UTF-8 or correct the cell"#,
    ),
    (
        "a.csv",
        b"id,caf\xe9\n1,x\n",
        Refused,
        "line 1, column 2: the header is not UTF-8; save the file in UTF-8",
    ),
    (
        "a.csv",
        b"{\"id\":\"1\"}\n",
        Refused,
        "line 1: begins as JSON does; if it is JSON lines, add --format jsonl",
    ),
];

#[test]
fn what_is_no_text_in_utf_8() {
    for (name, content, then, said) in ENCODINGS {
        check(name, ID, content, then, said);
    }
}

#[test]
fn files_that_are_compressed() {
    let (gz, more) = (packed(b"id,a\n1,x\n"), packed(b"id,a\n2,y\n"));
    let named = "a.csv: the file is compressed by gzip; let its name end in .gz, or unpack it";
    check("a.csv", ID, &gz, &Refused, named);
    let cut_off = "the compressed data is cut off; copy or download the file again";
    check("a.csv.gz", ID, &gz[..gz.len() - 4], &Refused, cut_off);
    check("a.csv.gz", ID, b"", &Refused, cut_off);
    let garbage =
        "something else than gzip follows the compressed data; copy or download the file again";
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
    let world = World::new();
    let file = world.file("a.csv.gz", [&*gz, &[0; 10_240]].concat());
    world
        .run(&format!("people {} {ID}", file.display()))
        .check(0, "");
    world.check_report([1, 1, 0, 0, 0]);
}

const VALUES: &[(&[u8], &str)] = &[
    (
        br#"{"id":"3","a":{"b":1,"c":2,"b":1}}"#,
        r#"column "a": holds an object that has a name twice; keep one of the two"#,
    ),
    (
        br#"{"id":"3","i\u0064":"4"}"#,
        r#"column "id": has the name `id` twice; keep one of the two"#,
    ),
    (
        br#"{"id":"3","a":[[{"b":18446744073709551616}]]}"#,
        r#"column "a": holds an integer of more than 64 bits; write it as text"#,
    ),
    (
        br#"{"id":99999999999999999999}"#,
        r#"column "id": holds an integer of more than 64 bits; write it as text"#,
    ),
    (
        br#"{"id":"3","a":1e-400}"#,
        r#"column "a": holds a number that no double holds; write it as text"#,
    ),
    (
        br#"{"id":"3","a":[-1E999]}"#,
        r#"column "a": holds a number that no double holds; write it as text"#,
    ),
    (
        br#"{"id":"3","a":12345678901234567.89}"#,
        r#"column "a": holds a number of more digits than a double keeps; write it as text"#,
    ),
    (
        br#"{"id":"3","a":Infinity}"#,
        "column 15: `Infinity` is no value of JSON; write null or leave it out",
    ),
    (
        br#"{"id":"3","a":None}"#,
        "column 15: `None` is no value of JSON; write null",
    ),
    (
        br#"{"id":"3","a":True}"#,
        "column 15: `True` is no value of JSON; write true",
    ),
    (
        br#"{'id':'3'}"#,
        "column 2: single quotes are none of JSON; write double quotes",
    ),
    (
        b"{\"id\":\"3\",\"a\":\"x\ty\"}",
        "column 17: holds a control character; escape it as \\u00xx or remove it",
    ),
    (
        br#"{"id":"3"}{"id":"4"}"#,
        "column 11: holds more than one value; write one object a line",
    ),
    (
        br#"[{"id":"3"},{"id":"4"}]"#,
        "is JSON, but no object; write one object a line",
    ),
    (
        br#"{"id":"3","a":"\ude00"}"#,
        r#"column "a": holds half of a surrogate pair, as of a text that was cut off"#,
    ),
    (
        br#"{"id":"3","\ud83d":"a"}"#,
        "column 18: holds half of a surrogate pair, as of a text that was cut off",
    ),
    (
        b"\xef\xbb\xbf{\"id\":\"3\"}",
        "column 1: holds a byte order mark; were files joined? remove the mark",
    ),
    (
        b"\x1a",
        "column 1: holds Ctrl-Z, with which some programs end a file; remove it",
    ),
    (
        br#"{"id":"3","a":"cut o"#,
        "column 20: is no JSON object; write one object a line",
    ),
    (
        br#"{"id":2.0}"#,
        r#"column "id": is neither text nor a whole number; write it as text"#,
    ),
];

#[test]
fn values_of_json_lines() {
    for (line, said) in VALUES {
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
                &format!("a.jsonl:3: {said}"),
            );
        }
    }
}

#[test]
fn json_that_is_no_lines() {
    let (begun, ended) = (
        "an object goes on in the next line; write one object a line, as `jq -c .` does",
        "an object or array of an earlier line ends here; write one object a line",
    );
    let table: [(&[u8], String); 8] = [
        (
            b"[{\"id\":\"1\"},{\"id\":\"2\"}]\n",
            "line 1: the file is a JSON array; write one object a line, as `jq -c '.[]'` does"
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
    for (content, said) in &table {
        check("a.jsonl", ID, content, &Refused, said);
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
    for (address, said) in table {
        let content = format!("name,mail\nx,z@example.com\ny,\"{address}\"\n");
        check(
            "a.csv",
            "--email-column mail",
            content.as_bytes(),
            &Rejected(1, 1),
            &format!("a.csv:3: column \"mail\": person email {said}"),
        );
    }
}

#[test]
fn moments_and_keys_of_events() {
    let flags = "--person-column p --name-column n --timestamp-column t --timestamp-format rfc3339 --event-id-column k";
    let moment = "is no moment written as rfc3339; correct it or the format";
    for (row, column, said) in [
        ("1,a,2024-01-02,k", "t", moment),
        ("1,a,2024-01-02T03:04:05,k", "t", moment),
        ("1,a,1704164645,k", "t", moment),
        ("1,a,2024-02-30T03:04:05Z,k", "t", moment),
        (
            "1,a,2024-01-02T03:04:05Z,",
            "k",
            "has no value; give every record one or remove the record",
        ),
    ] {
        let content = format!("p,n,t,k\n1,a,2024-01-02T03:04:05Z,k\n{row}\n");
        check(
            "a.csv",
            flags,
            content.as_bytes(),
            &Rejected(1, 1),
            &format!("a.csv:3: column \"{column}\": {said}"),
        );
    }
}

#[test]
fn an_attribute_by_the_name_of_email_is_told_in_the_plan() {
    let world = World::new();
    let file = world.file(
        "a.csv",
        "id,email\n1,a@example.com\n2,\"Bob <b@example.com>\"\n3,\n4,c@example.com \n",
    );
    let run = world.run(&format!("people {} {ID}", file.display()));
    run.check(0, "");
    let told = "e-mail: 2 records have an attribute \"email\" that is no address, the first on line 3; it is sent as it is";
    assert!(run.stdout.contains(told), "{}", run.stdout);
}

#[test]
fn cells_with_line_breaks_are_counted_in_the_plan() {
    let world = World::new();
    let file = world.file(
        "a.csv",
        "id,a,b\n1,x,y\n2,\"x\r\ny\",\"\n\"\n3,\"12 Street\nLondon\",z\n",
    );
    let run = world.run(&format!("people {} {ID}", file.display()));
    run.check(0, "");
    let told = "line breaks: 3 cells hold some, the first on line 3; if none should, a quote is missing or one too many";
    assert!(run.stdout.contains(told), "{}", run.stdout);
}

#[test]
fn of_a_stream_what_a_plan_would_ask_about_is_rejected_unless_there_is_a_yes() {
    let input = b"id,a,b\n1.5E+10,x,y\n2,\"x,y\n3,z\",w\n4,x,y\n";
    let world = World::new();
    let line = "people - --format csv --id-column id";
    let run = finish(world.command(line), input);
    run.check(3, r#"2: column "id": is an id in scientific notation; correct it, or add --yes if it is right"#);
    run.check(3, "3: a cell holds what looks like rows; is a quote missing? correct it, or add --yes if it is none; the record goes from line 3 to line 4");
    world.check_report([3, 1, 2, 0, 0]);
    finish(world.command(&format!("{line} --yes")), input).check(0, "");
    world.check_report([3, 3, 0, 0, 0]);
}

#[test]
fn a_stream_that_is_no_json_lines_sends_nothing() {
    let world = World::new();
    for input in ["[{\"id\":\"1\"}]", "{\n\"id\":\"1\"\n}\n"] {
        let command = world.command("people - --format jsonl --id-column id");
        finish(command, input.as_bytes()).check(1, "write one object a line");
    }
    assert_eq!(world.simulator.totals().requests, 0);
}

const ROWS_WITH_A_STRAY: usize = 30_000;

/// Puts a quote into a file of many rows, and expects its line or the one before it to be told.
fn check_stray(rows: &str, at: usize) {
    let (before, after) = rows.split_at(at);
    let world = World::new();
    let file = world.file("a.csv", format!("id,name,city\n{before}\"{after}"));
    let run = world.run(&format!("people {} {ID} --no-journal", file.display()));
    let line = 2 + before.matches('\n').count();
    let is_told = |line| {
        run.stderr.contains(&format!("line {line}: "))
            || run.stderr.contains(&format!("a.csv:{line}: "))
    };
    assert!(is_told(line) || is_told(line - 1), "{at}: {}", run.stderr);
    match run.code {
        1 => assert_eq!(world.simulator.totals().requests, 0),
        3 => {
            let all = ROWS_WITH_A_STRAY as u64;
            world.check_report([all, all - 1, 1, 0, 0]);
        }
        code => panic!("{at} in line {line}: {code}: {}", run.stderr),
    }
}

#[test]
fn a_stray_quote_among_many_rows_never_ends_well() {
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

/// Returns how many lines of the file are told, those of a record that goes over several included.
fn lines_told(stderr: &str) -> usize {
    let over_several = |line: &str| -> Option<usize> {
        let (first, last) = line.rsplit_once("from line ")?.1.split_once(" to line ")?;
        Some(last.parse::<usize>().ok()? - first.parse::<usize>().ok()?)
    };
    let told = stderr.lines().filter(|line| line.contains("a.csv:"));
    told.map(|line| 1 + over_several(line).unwrap_or(0)).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever quotes a file has too many, its rows are sent, told, or all held back.
    #[test]
    fn rows_are_sent_or_told_or_all_held_back(
        quoted in prop::collection::vec(any::<[bool; 3]>(), 20),
        quotes in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let cell = |text: String, is_quoted: bool| if is_quoted { format!("\"{text}\"") } else { text };
        let mut rows: String = quoted
            .iter()
            .enumerate()
            .map(|(row, [id, name, city])| {
                let cells = [cell(row.to_string(), *id), cell(format!("n {row}"), *name), cell("x".into(), *city)];
                cells.join(",") + "\n"
            })
            .collect();
        for at in &quotes {
            rows.insert(at.index(rows.len() + 1), '"');
        }
        let world = World::new();
        let file = world.file("a.csv", format!("id,name,city\n{rows}"));
        let run = world.run(&format!("people {} {ID}", file.display()));
        let (people, told) = (world.simulator.totals().people as usize, lines_told(&run.stderr));
        match run.code {
            0 => prop_assert!(people == 20 || run.stdout.contains("line breaks: "), "{rows}\n{}", run.stdout),
            1 => prop_assert_eq!(world.simulator.totals().requests, 0),
            3 => prop_assert!(people + told >= 20 && told > 0, "{rows}\n{}", run.stderr),
            code => prop_assert!(false, "{code}: {}", run.stderr),
        }
        prop_assert!(run.code != 0 || quotes.len() % 2 == 0, "an odd quote was overlooked: {rows}");
    }
}
