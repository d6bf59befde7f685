use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn open(content: &[u8]) -> Result<JsonRows> {
    JsonRows::new(Box::new(io::Cursor::new(content.to_vec())))
}

/// Compares each record with `line: fields` or `line: error`.
#[track_caller]
fn check(content: &[u8], expected: &[&str]) {
    let shown = |row: Result<Result<Row, Reject>>| match row.unwrap() {
        Ok(row) => format!("{}: {}", row.line, Value::Object(row.fields)),
        Err(reject) => reject.to_string(),
    };
    assert_eq!(
        open(content).unwrap().map(shown).collect::<Vec<_>>(),
        expected
    );
}

#[track_caller]
fn check_refused(content: &[u8], line: u64, expected: &str) {
    let rows = match open(content) {
        Ok(rows) => rows,
        Err(error) => return assert_eq!(error.to_string(), format!("line {line}: {expected}")),
    };
    let mut rows = rows.skip_while(Result::is_ok);
    let error = rows.next().unwrap().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("line {line}: {expected}")),
        "{error}"
    );
    assert!(rows.next().is_none(), "it reads on");
}

#[test]
fn values_keep_their_types() {
    check(
        br#"{"a":1,"b":true,"c":[null,""],"d":null,"e":"","f":0}"#,
        &[r#"1: {"a":1,"b":true,"c":[null,""],"d":null,"e":"","f":0}"#],
    );
}

#[test]
fn blank_lines_are_skipped_and_counted() {
    check(
        b"\xef\xbb\xbf\n{}\r\n  \n\n{\"a\":1}",
        &["2: {}", r#"5: {"a":1}"#],
    );
    check(
        b"{}\r{\"a\":1}\r\r{}\r\n\n{}",
        &["1: {}", r#"2: {"a":1}"#, "4: {}", "6: {}"],
    );
    check(b"", &[]);
    check(b"\n\r\n\r", &[]);
}

#[test]
fn a_line_that_is_not_an_object_is_rejected_and_the_next_one_is_read() {
    check(
        b"{}\n[1]\n{\"a\":\n\"x\xff\"\n{}\n",
        &[
            "1: {}",
            "2: is JSON, but not an object; write one object per line",
            "3: column 5: is not a JSON object; write one object per line",
            "4: column 3: is not UTF-8; save the file as UTF-8",
            "5: {}",
        ],
    );
}

#[test]
fn a_line_that_is_too_long_is_rejected_and_the_next_one_is_read() {
    for end in ["\n", "\r", "\r\n"] {
        let content = format!("{{\"a\":\"{}\"}}{end}{{}}{end}", "x".repeat(2 * MAX_RECORD));
        check(
            content.as_bytes(),
            &[
                "1: the line is longer than 1 MiB; write one object per line",
                "2: {}",
            ],
        );
    }
}

#[test]
fn a_crlf_split_between_two_chunks_is_one_line_break() {
    for length in [64 * 1024 - 9, 64 * 1024 - 8, 64 * 1024 - 7] {
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(length));
        let content = format!("{text}\r\n{{}}\r\n");
        let rows: Vec<_> = open(content.as_bytes())
            .unwrap()
            .map(|row| row.unwrap().unwrap().line)
            .collect();
        assert_eq!(rows, [1, 2], "{length}");
    }
}

#[test]
fn objects_and_arrays_over_several_lines_are_refused() {
    let begun = "an object continues on the next line";
    let ended = "an object or array that began on an earlier line ends here";
    check_refused(
        b"{\n \"id\": 1\n}\n",
        1,
        &format!("{begun}; write one object per line, as `jq -c .` does"),
    );
    check_refused(b"{}\n{\"a\": [\n{\"id\": 1}\n]}\n", 2, begun);
    check_refused(b"{}\n{\"a\": 1,\n\"id\": 2}\n", 2, begun);
    check_refused(b"{}\n{\"id\": 1},\n", 2, begun);
    check_refused(b"{}\n{\"a\":\n{\"id\": 1}\n}\n", 4, ended);
    check_refused(b"{}\n]\n", 2, ended);
    check_refused(b"{}\n,{\"id\": 1}\n", 2, ended);
    let array = "the file is a JSON array; write one object per line, as `jq -c '.[]'` does";
    check_refused(b"[\n{\"id\": 1}\n]\n", 1, array);
    check_refused(b"\n [{\"id\": 1},{\"id\": 2}]\n", 2, array);
    check_refused(b"[]", 1, array);
}

#[test]
fn a_string_that_is_cut_off_ends_with_its_line() {
    check(
        b"{}\n{\"id\":\"1\",\"a\":\"x,\n{}\n",
        &[
            "1: {}",
            "2: column 17: is not a JSON object; write one object per line",
            "3: {}",
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Each line that is not blank is one record, read or rejected; or the file is refused.
    #[test]
    fn each_line_is_one_record(
        pieces in prop::collection::vec(
            prop_oneof![
                4 => Just("{\"id\":\"1\"}"),
                4 => Just("\n"),
                1 => Just("\r"),
                1 => Just("\r\n"),
                1 => prop_oneof![
                    Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just("\""), Just(" "),
                    Just("\\"), Just("1e999"),
                    Just("\u{feff}"), Just("{\"a\":1,\"a\":2}"), Just("\u{1a}")
                ],
            ],
            0..40,
        ),
    ) {
        let content = pieces.concat();
        let text = content.replace("\r\n", "\n").replace('\r', "\n");
        let is_blank = |line: &str| line.trim_ascii().is_empty();
        let expected: Vec<_> = text
            .split('\n')
            .zip(1..)
            .filter(|(line, number)| !is_blank(match number {
                1 => line.strip_prefix('\u{feff}').unwrap_or(line),
                _ => line,
            }))
            .map(|(_, number)| number)
            .collect();
        if let Ok(rows) = open(content.as_bytes()) {
            let found: Result<Vec<u64>> = rows
                .map(|row| row.map(|row| row.map_or_else(|reject| reject.line, |row| row.line)))
                .collect();
            if let Ok(found) = found {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
