use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::*;
use crate::input::tokenizer::{Damage, DamageKind};

/// The parts of a record that the tests compare.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    lines: (u64, u64),
    cells: Vec<Vec<u8>>,
    damage: Option<Damage>,
    multiline_cells: u64,
}

fn read_from(source: Bytes, delimiter: u8) -> Vec<Found> {
    let mut tokenizer = Tokenizer::new(source, delimiter);
    let (mut record, mut records) = (Record::default(), Vec::new());
    while tokenizer.read(&mut record).unwrap() {
        records.push(Found {
            lines: record.lines,
            cells: record.cells().map(<[u8]>::to_vec).collect(),
            damage: record.damage,
            multiline_cells: record.multiline_cells,
        });
    }
    records
}

fn read(text: &[u8]) -> Vec<Found> {
    read_from(Box::new(Cursor::new(text.to_vec())), b',')
}

/// Compares each record with its lines and cells, or with its damage: `line.column kind`, and `!`
/// if its end is uncertain.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let shown = |record: &Found| match record.damage {
        Some(damage) => {
            let uncertain = if damage.is_end_uncertain { "!" } else { "" };
            format!(
                "{}.{} {:?}{uncertain}",
                damage.line, damage.column, damage.kind
            )
        }
        None => {
            let cells: Vec<_> = record
                .cells
                .iter()
                .map(|cell| String::from_utf8_lossy(cell).into_owned())
                .collect();
            format!("{}-{} {}", record.lines.0, record.lines.1, cells.join("|"))
        }
    };
    let found: Vec<_> = read(text.as_bytes()).iter().map(shown).collect();
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn cells_are_split_as_in_rfc_4180() {
    check("a,b\n1,2\n", &["1-1 a|b", "2-2 1|2"]);
    check("a,b", &["1-1 a|b"]);
    check("a,", &["1-1 a|"]);
    check(",", &["1-1 |"]);
    check("\"a\",\"b,\"\"c\"\"\"\r\n", &["1-1 a|b,\"c\""]);
    check("\"\"\n\"\",\"\"", &["1-1 ", "2-2 |"]);
    check("\"\"\"\"", &["1-1 \""]);
    check("a b,c\td", &["1-1 a b|c\td"]);
    check(" a,b ", &["1-1  a|b "]);
    check("", &[]);
}

#[test]
fn lines_end_with_cr_lf_or_both() {
    check("a\r1\r\r2\r", &["1-1 a", "2-2 1", "4-4 2"]);
    check("a\n\n\n1\n", &["1-1 a", "4-4 1"]);
    check("a\r\r\n1\r\r\n", &["1-1 a", "3-3 1"]);
    check("\"a\rb\r\nc\nd\"\re", &["1-4 a\rb\r\nc\nd", "5-5 e"]);
}

#[test]
fn damage_is_reported_where_it_began() {
    check("a\n\"1\n2\n", &["1-1 a", "2.1 NeverClosed!"]);
    check(
        "a,b\n1,\"2\n3,4\n5,\"6\n7,8\n",
        &["1-1 a|b", "2.2 TextAfterQuote(4)!", "5-5 7|8"],
    );
    check("a,\"b\"c,d\n1\n", &["1.2 TextAfterQuote(1)", "2-2 1"]);
    check("a,\"b\"c\"d\",e\n1\n", &["1.2 TextAfterQuote(1)", "2-2 1"]);
    check("a,\"b\"c\"d,e\n1\n", &["1.2 TextAfterQuote(1)!", "2-2 1"]);
    check("a,\"b\" ,c\n1\n", &["1.2 TextAfterQuote(1)", "2-2 1"]);
    check("a,5\"\n1,\"2\"\n", &["1.2 BareQuote", "2-2 1|2"]);
    check("a,5\"x6\"\n1\n", &["1.2 BareQuote", "2-2 1"]);
    check("5\",\"a\nb\"\n1\n", &["1.1 BareQuote", "3-3 1"]);
    check("5\",\"a\nb\n1\n", &["1.2 NeverClosed!"]);
    check("a, \"b, c\"\n1\n", &["1.2 SpaceBeforeQuote", "2-2 1"]);
    check(
        "a, \"b\nc\"\n1\n",
        &["1.2 SpaceBeforeQuote!", "2.1 BareQuote", "3-3 1"],
    );
    check("\"a\"", &["1-1 a"]);
    check("\"a", &["1.1 NeverClosed!"]);
    check("\"", &["1.1 NeverClosed!"]);
    check("a\"", &["1.1 BareQuote"]);
}

#[test]
fn a_formula_that_keeps_zeros_is_text() {
    check("=\"00123\",b\n", &["1-1 =\"00123\"|b"]);
    check("=\"a,b\"\n1\n", &["1.1 BareQuote", "2-2 1"]);
    check("=\"a\nb\"\n", &["1.1 BareQuote", "2.1 BareQuote"]);
    check("=a\"b\"\n", &["1.1 BareQuote"]);
}

#[test]
fn byte_order_marks_are_removed() {
    check("\u{feff}a,b\n\u{feff}1,2\n", &["1-1 a|b", "2-2 1|2"]);
    check("\u{feff}\"a\",b\n", &["1-1 a|b"]);
    check("\u{feff}\u{feff}\"a,b\"\n", &["1-1 a,b"]);
    let mut tokenizer = Tokenizer::new(
        Box::new(Cursor::new("a\n\u{feff}1\n\u{feff}\"2\"\n3\n")),
        b',',
    );
    let (mut record, mut marked) = (Record::default(), Vec::new());
    while tokenizer.read(&mut record).unwrap() {
        marked.push(record.has_byte_order_mark);
    }
    assert_eq!(marked, [false, true, true, false]);
}

/// Returns whether the second record of a file with three columns holds rows in a cell.
fn has_rows_in_cell(rest: &str) -> bool {
    let text = format!("id,name,city\n{rest}\n");
    let mut tokenizer = Tokenizer::new(Box::new(Cursor::new(text)), b',');
    let mut record = Record::default();
    assert!(tokenizer.read(&mut record).unwrap());
    tokenizer.width = Some(3);
    assert!(tokenizer.read(&mut record).unwrap());
    record.has_rows_in_cell
}

#[test]
fn rows_inside_a_cell_are_detected() {
    for rest in [
        "1,\"Ada,London\n2,Grace\",Arlington",
        "1,\"Ada,London\n2,Grace,Arlington\n3,Joan\",Bristol",
        "1,Ada,\"London\n2,Grace,Arlington\"",
        "\"1,Ada,London\n2\",Grace,Arlington",
    ] {
        assert!(has_rows_in_cell(rest), "{rest}");
    }
    for rest in [
        "1,Ada,\"12 Street\nLondon\"",
        "1,\"12 Street\nLondon\",x",
        "1,x,\"Dear Ada, good morning, and\nthanks, friend, bye\"",
        "1,x,\"a\n\nb\"",
        "1,\"Ada,London,x\",y",
    ] {
        assert!(!has_rows_in_cell(rest), "{rest}");
    }
}

#[test]
fn the_record_after_one_that_is_too_long_is_read() {
    let cell = "x".repeat(2 * MAX_RECORD);
    for (text, column) in [
        (format!("a,{cell},b\n1\n"), 2),
        (format!("\"{cell}\n\",b\n1\n"), 1),
        (
            format!("{}\n1\n", ",".repeat(2 * MAX_RECORD)),
            MAX_RECORD + 1,
        ),
    ] {
        let mut tokenizer = Tokenizer::new(Box::new(Cursor::new(text)), b',');
        let mut record = Record::default();
        assert!(tokenizer.read(&mut record).unwrap());
        assert_eq!((record.oversize, record.damage), (Some(column), None));
        assert!(record.text.len() <= MAX_RECORD && record.ends.len() <= MAX_RECORD);
        assert!(tokenizer.read(&mut record).unwrap());
        assert_eq!((record.oversize, record.len()), (None, 1));
        assert!(!tokenizer.read(&mut record).unwrap());
    }
}

#[test]
fn a_quote_without_end_ends_the_record() {
    let endless = Cursor::new("a\n\"").chain(io::repeat(b'\n'));
    let mut tokenizer = Tokenizer::new(Box::new(endless), b',');
    let mut record = Record::default();
    assert!(tokenizer.read(&mut record).unwrap());
    assert!(tokenizer.read(&mut record).unwrap());
    let damage = record.damage.unwrap();
    assert_eq!(
        (damage.kind, damage.line, damage.is_end_uncertain),
        (DamageKind::NeverClosed, 2, true)
    );
}

/// Returns its bytes in chunks of one to three, so that every pair is split in some test.
struct Dribble(Vec<u8>, usize);

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        let count = (1 + self.1 % 3).min(self.0.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0.drain(..count);
        Ok(count)
    }
}

/// Text that consists mostly of characters with a meaning in CSV.
fn damaged_text() -> impl Strategy<Value = Vec<u8>> {
    let letters = prop_oneof![
        4 => Just(b"\"".to_vec()),
        3 => Just(b",".to_vec()),
        3 => Just(b"\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\xef\xbb\xbf".to_vec()),
        1 => Just(b" ".to_vec()),
        1 => Just(b"=".to_vec()),
        4 => Just(b"a".to_vec()),
    ];
    prop::collection::vec(letters, 0..40).prop_map(|letters| letters.concat())
}

fn lines_of(text: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let width = match &text[at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
        if width > 0 {
            lines.push(&text[start..at]);
            start = at + width;
        }
        at += width.max(1);
    }
    lines.push(&text[start..]);
    lines
}

fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Every line that is not blank belongs to exactly one record, with any damage.
    #[test]
    fn records_and_lines_add_up(text in damaged_text()) {
        let lines = lines_of(&text);
        let mut owners = vec![0; lines.len()];
        let mut last = 0;
        for record in read(&text) {
            let (first, end) = record.lines;
            prop_assert!(first > last && end >= first, "{:?}", record.lines);
            (first..=end).for_each(|line| owners[line as usize - 1] += 1);
            last = end;
        }
        for (line, owner) in lines.iter().zip(owners) {
            prop_assert!(owner <= 1);
            prop_assert!(owner == 1 || line.is_empty(), "{line:?} is in no record");
        }
    }

    /// An odd number of quotes is always reported as damage.
    #[test]
    fn a_stray_quote_is_always_damage(text in damaged_text()) {
        let quotes = text.iter().filter(|byte| **byte == b'"').count();
        let is_damaged = read(&text).iter().any(|record| record.damage.is_some());
        prop_assert!(is_damaged || quotes % 2 == 0);
    }

    /// A lenient reader reads text without damage in the same way.
    #[test]
    fn without_damage_the_crate_csv_reads_the_same(text in damaged_text()) {
        let ours = read(&text);
        let is_plain = !text.windows(3).any(|window| window == b"\xef\xbb\xbf");
        if is_plain && ours.iter().all(|record| record.damage.is_none()) {
            let mut reader = csv::ReaderBuilder::new();
            let mut reader = reader.has_headers(false).flexible(true).from_reader(&*text);
            let theirs: Vec<Vec<Vec<u8>>> = reader
                .byte_records()
                .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
                .collect();
            let ours: Vec<_> = ours.into_iter().map(|record| record.cells).collect();
            prop_assert_eq!(ours, theirs);
        }
    }

    /// Rows that were written correctly are read unchanged.
    #[test]
    fn rows_are_read_as_they_were_written(
        rows in prop::collection::vec(prop::collection::vec("[a\", \r\n]{0,6}", 1..5), 0..8),
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
    ) {
        let text: String = rows
            .iter()
            .map(|row| row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + end)
            .collect();
        let expected: Vec<Vec<_>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| cell.clone().into_bytes()).collect())
            .collect();
        let found = read(text.as_bytes());
        prop_assert!(found.iter().all(|record| record.damage.is_none()));
        let broken: u64 = found.iter().map(|record| record.multiline_cells).sum();
        let with_breaks = rows.iter().flatten().filter(|cell| cell.contains(['\r', '\n'])).count();
        prop_assert_eq!(broken, with_breaks as u64);
        prop_assert_eq!(found.into_iter().map(|record| record.cells).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_size_of_the_chunks_does_not_matter(text in damaged_text()) {
        prop_assert_eq!(read_from(Box::new(Dribble(text.clone(), 0)), b','), read(&text));
    }
}
