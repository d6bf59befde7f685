use std::io::Cursor;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::input::row::MAX_RECORD;

fn dialect(person: &str) -> Dialect {
    Dialect {
        person: person.into(),
        ..Dialect::default()
    }
}

fn open_as(content: &[u8], dialect: &Dialect) -> Result<CsvRows> {
    CsvRows::new(Box::new(Cursor::new(content.to_vec())), dialect)
}

fn open(content: &[u8]) -> Result<CsvRows> {
    open_as(content, &dialect("id"))
}

fn shown(row: Result<Result<Row, Reject>>) -> String {
    match row {
        Ok(Ok(row)) => format!("{}: {}", row.line, Value::Object(row.fields)),
        Ok(Err(reject)) => reject.to_string(),
        Err(error) => format!("{error:#}"),
    }
}

/// Compares each record with `line: fields`, `line: error` or `line n: error that ends the file`.
#[track_caller]
fn check(content: &[u8], expected: &[&str]) {
    let found: Vec<_> = open(content).unwrap().map(shown).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check_header(header: &[u8], expected: &str) {
    assert_eq!(format!("{:#}", open(header).unwrap_err()), expected);
}

#[test]
fn empty_cells_are_empty_text() {
    check(b"id,a,b\n1,,x\n", &[r#"2: {"a":"","b":"x","id":"1"}"#]);
}

#[test]
fn cells_are_text_and_quotes_hold_commas_and_lines() {
    check(
        b"id,a\r\n1,\"x, \"\"y\"\"\nz\"\r\n2,007\r\n",
        &[
            &format!("2: {}", json!({"id": "1", "a": "x, \"y\"\nz"})),
            &format!("4: {}", json!({"id": "2", "a": "007"})),
        ],
    );
}

#[test]
fn a_row_of_another_width_is_rejected_and_the_next_one_is_read() {
    check(
        b"id,a\n1\n2,b,c\n3,\"b\nb\",c\n4,d\n",
        &[
            "2: column 2: the row has 1 cell, the header has 2; quote cells that contain commas",
            "3: column 3: the row has 3 cells, the header has 2; quote cells that contain commas",
            "4: column 3: the row has 3 cells, the header has 2; quote cells that contain commas; the record goes from line \
             4 to line 5",
            r#"6: {"a":"d","id":"4"}"#,
        ],
    );
}

#[test]
fn invalid_utf_8_is_rejected_with_its_column() {
    check(
        b"id,a\n1,\xff\n2,b\n",
        &[
            r#"2: column "a": is not UTF-8; save the file as UTF-8 or correct the cell"#,
            r#"3: {"a":"b","id":"2"}"#,
        ],
    );
}

#[test]
fn lines_are_right_after_blank_ones_and_a_byte_order_mark() {
    check(b"\xef\xbb\xbfid\n\n\n1\n", &[r#"4: {"id":"1"}"#]);
    check(b"\xef\xbb\xbf\nid\r\n\r\n1\r\n", &[r#"4: {"id":"1"}"#]);
}

#[test]
fn damage_with_a_certain_end_rejects_its_record() {
    let advice = "double the quotes that belong to the cell";
    check(
        b"id,a\n1,\"x\"y\n2,5\" pipe\n3, \"x, y\"\n4,x\n",
        &[
            &format!(r#"2: column "a": text follows the closing quote; {advice}"#),
            r#"3: column "a": there is a quote inside a cell that does not begin with one; put the cell in quotes and double the quote"#,
            r#"4: column "a": there is white space before the opening quote; remove it"#,
            r#"5: {"a":"x","id":"4"}"#,
        ],
    );
}

#[test]
fn damage_with_an_uncertain_end_breaks_the_file() {
    let advice = "double the quotes that belong to the cell";
    check(
        b"id,a\n1,\"x\n2,y\n3,\"z\n4,x\n",
        &[
            &format!(
                r#"line 2: column "a": the quote that opens here is closed on line 4, with text after it; remove the quote, or {advice}"#
            ),
            r#"5: {"a":"x","id":"4"}"#,
        ],
    );
    check(
        b"id,a\n1,x\n2,\"y\n3,z\n",
        &[
            r#"2: {"a":"x","id":"1"}"#,
            &format!(
                r#"line 3: column "a": the quote that opens here is never closed; close it or remove it, and {advice}"#
            ),
        ],
    );
    let is_broken = |text: &[u8]| {
        open(text)
            .unwrap()
            .last()
            .unwrap()
            .unwrap_err()
            .is::<BrokenInput>()
    };
    assert!(is_broken(b"id,a\n1,\"x\n2,y\n"));
}

#[test]
fn leftovers_between_rows_are_rejected() {
    let joined = "repeats the header; were files joined? remove the line";
    for row in [
        "id,a",
        "\u{feff}id,a",
        "ID,A",
        "\"id\",\"a\"",
        " id , a ",
        "\u{feff}\"id\",a",
    ] {
        let content = format!("id,a\n{row}\n1,x\n");
        check(
            content.as_bytes(),
            &[&format!("2: {joined}"), r#"3: {"a":"x","id":"1"}"#],
        );
    }
    let delimiter =
        "2: is a line `sep=`, as at the start of a file; were files joined? remove the line";
    for row in ["sep=,", "\u{feff}sep=;", "\"sep=,\""] {
        check(format!("id,a\n{row}\n").as_bytes(), &[delimiter]);
    }
    let mark = "2: begins with a byte order mark; were files joined? remove the mark";
    for row in ["\u{feff}1,x", "\u{feff}\"1\",x", "\u{feff}"] {
        check(format!("id,a\n{row}\n").as_bytes(), &[mark]);
    }
    let ctrl_z = "contains Ctrl-Z, which some programs write at the end of a file; remove it";
    check(b"id,a\n1,x\x1a", &[&format!(r#"2: column "a": {ctrl_z}"#)]);
    check(
        b"id,a\n1,x\n\x1a",
        &[
            r#"2: {"a":"x","id":"1"}"#,
            &format!(r#"3: column "id": {ctrl_z}"#),
        ],
    );
    check(
        b"id\n\x1a\x1a\n",
        &[&format!(r#"2: column "id": {ctrl_z}"#)],
    );
    check(
        b"id,a\n1,x\0\n",
        &[r#"2: column "a": contains a zero byte; is the file damaged? remove the byte"#],
    );
}

#[test]
fn a_first_line_with_sep_sets_the_delimiter() {
    for (line, delimiter) in [
        ("sep=;", ";"),
        ("SEP=;", ";"),
        ("sep=\t", "\t"),
        ("sep=,", ","),
        ("\u{feff}sep=|", "|"),
        ("\"sep=;\"", ";"),
    ] {
        let content = format!("{line}\r\nid{delimiter}a\r\n1{delimiter}x\r\n");
        check(content.as_bytes(), &[r#"3: {"a":"x","id":"1"}"#]);
    }
    check_header(
        b"sep=ab\nid\n",
        "line 1: `sep=` names no delimiter: write one character, like ';' or '|', or the word tab; letters, digits and quotes are not delimiters",
    );
    check_header(
        b"sep=;\n",
        "line 1: the header is missing; the first line must name the columns",
    );
    let given = Dialect {
        delimiter: Some("|".parse().unwrap()),
        ..dialect("id")
    };
    let error = open_as(b"sep=;\nid\n", &given).unwrap_err().to_string();
    assert_eq!(
        error,
        "line 1: `sep=` sets the delimiter to ';'; leave out --delimiter or correct the line"
    );
}

#[test]
fn a_given_delimiter_is_used() {
    for (text, byte) in [
        (";", ";"),
        ("|", "|"),
        ("tab", "\t"),
        ("\\t", "\t"),
        ("\u{1}", "\u{1}"),
    ] {
        let given = Dialect {
            delimiter: Some(text.parse().unwrap()),
            ..dialect("id")
        };
        let content = format!("id{byte}a\n1{byte}\"x{byte},\"\n2\n");
        let rows: Vec<_> = open_as(content.as_bytes(), &given)
            .unwrap()
            .map(shown)
            .collect();
        let fields = json!({"id": "1", "a": format!("x{byte},")});
        assert_eq!(rows[0], format!("2: {fields}"));
        assert!(
            rows[1].starts_with(
                "3: column 2: the row has 1 cell, the header has 2; quote cells that contain"
            ),
            "{}",
            rows[1]
        );
    }
    for text in ["", ";;", "a", "1", "\"", "\n", "\r", "é"] {
        assert!(text.parse::<Delimiter>().is_err(), "{text:?}");
    }
}

#[test]
fn the_error_of_a_header_suggests_another_delimiter() {
    check_header(
        b"id;name\n1;Ada\n",
        r#"line 1: with the delimiter ',' the header has no column "id"; with ';' its columns are "id", "name": add --delimiter ';'"#,
    );
    check_header(
        b"\"id\"\t\"na,me\"\n1\tAda\n",
        r#"line 1: with the delimiter ',' the header has no column "id"; with tab its columns are "id", "na,me": add --delimiter tab"#,
    );
    // Without the column, the line may be a person's data.
    check_header(
        b"1;Ada\n2;Grace\n",
        r#"line 1: the header has no column "id"; the line contains ';' and no ',': if ';' is the delimiter, add --delimiter ';'"#,
    );
    check_header(
        b"\"1\";\"Ada\"\n",
        "line 1, column 1: text follows the closing quote; double the quotes that belong to the cell; the line contains \
         ';' and no ',': if ';' is the delimiter, add --delimiter ';'",
    );
    let given = Dialect {
        delimiter: Some(";".parse().unwrap()),
        ..dialect("id")
    };
    let error = open_as(b"id,name\n", &given).unwrap_err().to_string();
    assert_eq!(
        error,
        r#"line 1: with the delimiter ';' the header has no column "id"; with ',' its columns are "id", "name": add --delimiter ','"#
    );
    check_header(
        b"{\"id\":\"1\"}\n",
        "line 1: looks like JSON; if the file is JSON lines, add --format jsonl",
    );
}

#[test]
fn unusable_headers_are_errors() {
    let missing = "line 1: the header is missing; the first line must name the columns";
    check_header(b"", missing);
    check_header(b"\xef\xbb\xbf", missing);
    check_header(b"\n\r\n", missing);
    check_header(
        b"id,a,id\n",
        "line 1, column 3: has the same name as column 1; rename one of the two",
    );
    check_header(
        b"\nid,,b\n",
        "line 2, column 2: the header has no name for this column; name it or remove the column",
    );
    check_header(
        b"id,\xff\n",
        "line 1, column 2: the header is not UTF-8; save the file as UTF-8",
    );
    check_header(
        b"id,\"a\n1,2\n",
        "line 1, column 2: the quote that opens here is never closed; close it or remove it, and double the quotes that \
         belong to the cell",
    );
}

#[test]
fn a_quote_that_is_never_closed_takes_bounded_memory() {
    let content = format!("id,a\n1,\"x\n{}", "2,b\n".repeat(MAX_RECORD));
    let rows: Vec<_> = open(content.as_bytes()).unwrap().map(shown).collect();
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0].starts_with(r#"line 2: column "a": the quote that opens here is never closed"#),
        "{}",
        rows[0]
    );
}

#[test]
fn a_cell_that_is_too_long_rejects_only_its_record() {
    let cell = "x".repeat(17 * MAX_RECORD);
    let too_long =
        r#"column "a": makes the record longer than 1 MiB; shorten it or remove the record"#;
    check(
        format!("id,a\n1,{cell}\n2,\"{cell}\n\"\n4,y\n").as_bytes(),
        &[
            &format!("2: {too_long}"),
            &format!("3: {too_long}; the record goes from line 3 to line 4"),
            r#"5: {"a":"y","id":"4"}"#,
        ],
    );
}

#[test]
fn positions_count_rejected_records() {
    let rows = open(b"id,a\n1,b\n2\n3,c\n").unwrap();
    let positions: Vec<_> = rows
        .filter_map(|row| row.unwrap().ok())
        .map(|row| row.position)
        .collect();
    assert_eq!(positions, [0, 2]);
}

#[test]
fn line_breaks_are_counted_and_rows_in_cells_are_rejected_in_strict_mode() {
    let content = b"id,a,b\n1,\"x\ny\",\"\r\n\"\n2,\"x,y\n3,z\",z\n";
    let mut rows = open(content).unwrap();
    assert!(rows.by_ref().all(|row| row.unwrap().is_ok()));
    let expected = LineBreaks {
        cells: 3,
        line: 2,
        rows_in_cells: 1,
        rows_in_cells_line: 5,
    };
    assert_eq!(rows.line_breaks(), expected);
    let strict = Dialect {
        is_strict: true,
        ..dialect("id")
    };
    let last = open_as(content, &strict)
        .unwrap()
        .map(shown)
        .last()
        .unwrap();
    assert_eq!(
        last,
        "5: a cell contains lines that look like rows; is a quote missing? correct it; --yes without --reject-suspects sends it unchanged; the record goes \
         from line 5 to line 6"
    );
}

#[test]
fn the_header_of_another_file_breaks_the_file() {
    let expected = "line 3: looks like the header of another file, with other columns; were files joined? split them, or \
                rename the person's column if this line is a person";
    for row in [
        "name,id,city",
        "id,city,zip",
        "ID",
        "id,name",
        "id,name,city,zip",
        "city,x,name",
    ] {
        let content = format!("id,name,city\n1,x,y\n{row}\n");
        let rows: Vec<_> = open(content.as_bytes()).unwrap().map(shown).collect();
        assert_eq!(rows[1], expected, "{row}");
    }
    for row in ["name,x,y", "1,id,name"] {
        let content = format!("id,name,city\n1,x,y\n{row}\n");
        assert!(
            open(content.as_bytes())
                .unwrap()
                .all(|row| row.unwrap().is_ok()),
            "{row}"
        );
    }
}

/// Returns the lines of a rejected record.
fn lines_of(reject: &Reject) -> (u64, u64) {
    let over = |reason: &str| -> Option<(u64, u64)> {
        let (first, last) = reason
            .rsplit_once("from line ")?
            .1
            .split_once(" to line ")?;
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    over(&reject.error.full_reason()).unwrap_or((reject.line, reject.line))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Each line is blank, or in exactly one row, read or rejected; or the file is refused.
    #[test]
    fn each_line_is_in_one_row_or_the_file_is_refused(
        pieces in prop::collection::vec(
            prop_oneof![
                6 => "[a-c]{1,2}",
                6 => Just(",".to_owned()),
                5 => Just("\n".to_owned()),
                1 => Just("\r".to_owned()),
                1 => Just("\r\n".to_owned()),
                3 => Just("\"".to_owned()),
                1 => prop_oneof![
                    Just("\u{feff}"), Just("\u{1a}"), Just("sep=,"), Just("id,a\n"), Just(" "),
                    Just("=\"1\"")
                ]
                .prop_map(str::to_owned),
            ],
            0..60,
        ),
    ) {
        let content = format!("id,a\n{}", pieces.concat());
        let text = content.replace("\r\n", "\n").replace('\r', "\n");
        let lines: Vec<_> = text.split('\n').collect();
        let mut owned = vec![0; lines.len() + 1];
        owned[1] = 1;
        let mut is_refused = false;
        for row in open(content.as_bytes()).unwrap() {
            let (first, last) = match &row {
                Ok(Ok(row)) => (row.line, row.last_line),
                Ok(Err(reject)) => lines_of(reject),
                Err(error) => {
                    prop_assert!(error.is::<BrokenInput>());
                    is_refused = true;
                    break;
                }
            };
            (first..=last).for_each(|line| owned[line as usize] += 1);
        }
        for (line, number) in lines.iter().zip(1..) {
            let count = owned[number];
            let is_in_one = count == 1 || (count == 0 && line.is_empty());
            prop_assert!(is_refused || is_in_one, "line {number}: {count}");
        }
    }
}
