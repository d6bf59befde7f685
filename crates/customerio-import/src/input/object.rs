//! Reads one JSON object, and refuses what a lenient reader would change in silence: a name that
//! occurs twice, at any depth, and numbers that lose digits.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::number;
use crate::reject::{Column, Fault};

/// Returns the members of an object.
///
/// # Errors
///
/// Says what is wrong with a text that is no object, or not one whose members can be sent as they
/// are.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, Fault> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader
        .deserialize_any(TopLevel)
        .and_then(|members| reader.end().map(|()| members))
        .map_err(|error| no_object(text, &error))?;
    let mut fields = Map::new();
    for (name, raw) in members? {
        let value = value(raw.get()).map_err(|reason| Fault::named(&name, reason))?;
        fields.insert(name, value);
    }
    Ok(fields)
}

fn value(raw: &str) -> Result<Value, &'static str> {
    number::check_all(raw)?;
    match serde_json::from_str(raw) {
        Ok(Unique(Ok(value))) => Ok(value),
        Ok(Unique(Err(Twice))) => Err("holds an object that has a name twice; keep one of the two"),
        Err(_) if has_lone_surrogate(raw) => Err(LONE_SURROGATE),
        Err(_) => Err("is nested more than a hundred levels deep; send less at once"),
    }
}

const LONE_SURROGATE: &str = "holds half of a surrogate pair, as of a text that was cut off; write the whole character or leave it out";

/// The members of an object as they stand in the text.
struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = Result<Vec<(String, &'de RawValue)>, Fault>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut members, mut seen, mut twice) = (Vec::new(), HashSet::new(), None);
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if !seen.insert(name.clone()) {
                twice.get_or_insert_with(|| name.clone());
            }
            members.push((name, value));
        }
        Ok(match twice {
            None => Ok(members),
            Some(name) => {
                let reason = format!(
                    "has the name `{}` twice; keep one of the two",
                    Column::shown(&name)
                );
                Err(Fault::named(name, reason))
            }
        })
    }
}

/// A value in which each object has each name once, or the finding that one has not.
struct Unique(Result<Value, Twice>);

struct Twice;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Result<Value, Twice>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Ok(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Ok(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Ok(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Ok(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Ok(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Ok(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = seq.next_element()? {
            match value {
                Ok(value) => values.push(value),
                Err(twice) => {
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(twice));
                }
            }
        }
        Ok(Ok(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
            match value {
                Ok(value) if !members.contains_key(&name) => members.insert(name, value),
                Ok(_) | Err(Twice) => {
                    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                    return Ok(Err(Twice));
                }
            };
        }
        Ok(Ok(members.into()))
    }
}

/// Says what a text is that cannot be read as an object.
fn no_object(text: &str, error: &serde_json::Error) -> Fault {
    if error.is_data() {
        return Fault::new("is JSON, but no object; write one object a line");
    }
    let column = error.column();
    if has_lone_surrogate(text) {
        return Fault::numbered(column, LONE_SURROGATE);
    }
    if let Some((word, instead)) = foreign_word(text, column) {
        return Fault::numbered(column, format!("`{word}` is no value of JSON; {instead}"));
    }
    let (column, reason) = match stop(text, column) {
        (at, Some(b'\'')) => (at, "single quotes are none of JSON; write double quotes"),
        (at, Some(0x1a)) => (
            at,
            "holds Ctrl-Z, with which some programs end a file; remove it",
        ),
        (at, Some(0)) => (at, "holds a zero byte; is the file damaged? remove it"),
        (at, Some(..0x20)) => (
            at,
            "holds a control character; escape it as \\u00xx or remove it",
        ),
        (at, Some(0xef)) if text[at - 1..].starts_with('\u{feff}') => (
            at,
            "holds a byte order mark; were files joined? remove the mark",
        ),
        (at, Some(b'{' | b'[' | b'"')) if is_complete(text, at) => {
            (at, "holds more than one value; write one object a line")
        }
        _ => (column, "is no JSON object; write one object a line"),
    };
    Fault::numbered(column, reason)
}

/// Returns the column, counted from 1, and the byte at which the reader stopped. It counts control
/// characters in strings from 0.
fn stop(text: &str, column: usize) -> (usize, Option<u8>) {
    let bytes = text.as_bytes();
    let at = column.max(1);
    match (bytes.get(at - 1), bytes.get(at)) {
        (Some(0x20..), Some(control @ ..0x20)) => (at + 1, Some(*control)),
        (byte, _) => (at, byte.copied()),
    }
}

fn is_complete(text: &str, column: usize) -> bool {
    text.get(..column - 1)
        .is_some_and(|before| serde_json::from_str::<IgnoredAny>(before).is_ok())
}

/// Words that other languages have where JSON has numbers, `true`, `false` and `null`.
const FOREIGN: [(&str, &str); 12] = [
    ("NaN", "write null or leave it out"),
    ("nan", "write null or leave it out"),
    ("Infinity", "write null or leave it out"),
    ("-Infinity", "write null or leave it out"),
    ("-inf", "write null or leave it out"),
    ("inf", "write null or leave it out"),
    ("None", "write null"),
    ("undefined", "write null or leave it out"),
    ("NULL", "write null"),
    ("nil", "write null"),
    ("True", "write true"),
    ("False", "write false"),
];

/// Finds the word in which the reader stopped. No other word is shown: it may be data.
fn foreign_word(text: &str, column: usize) -> Option<(&'static str, &'static str)> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let (bytes, at) = (text.as_bytes(), (column.max(1) - 1).min(text.len()));
    let start = at
        - bytes[..at]
            .iter()
            .rev()
            .take_while(|byte| is_word(byte))
            .count();
    let end = at + bytes[at..].iter().take_while(|byte| is_word(byte)).count();
    let word = &bytes[start..end];
    FOREIGN
        .into_iter()
        .find(|(foreign, _)| foreign.as_bytes() == word)
}

/// Tells whether an escape names half of a surrogate pair alone. Escapes occur in strings only.
fn has_lone_surrogate(text: &str) -> bool {
    let mut units = escaped_units(text).peekable();
    while let Some((at, unit)) = units.next() {
        let is_followed =
            |next: &(usize, u32)| next.0 == at + 6 && (0xdc00..0xe000).contains(&next.1);
        match unit {
            0xd800..0xdc00 if units.next_if(is_followed).is_none() => return true,
            0xdc00..0xe000 => return true,
            _ => {}
        }
    }
    false
}

/// Yields the place and the value of each `\u` escape.
fn escaped_units(text: &str) -> impl Iterator<Item = (usize, u32)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            at += text.get(at..)?.find('\\')?;
            let hex = text
                .get(at + 2..at + 6)
                .filter(|_| text[at..].starts_with("\\u"));
            let unit = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
            let place = at;
            at += if unit.is_some() { 6 } else { 2 };
            if let Some(unit) = unit {
                return Some((place, unit));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match read(text) {
            Ok(fields) => Value::Object(fields).to_string(),
            Err(fault) => fault.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_name_occurs_once_at_every_depth() {
        check(
            r#"{"a":1,"b":2,"a":1}"#,
            r#"column "a": has the name `a` twice; keep one of the two"#,
        );
        check(
            r#"{"id":1,"\u0069d":2}"#,
            r#"column "id": has the name `id` twice; keep one of the two"#,
        );
        let nested = r#"column "a": holds an object that has a name twice; keep one of the two"#;
        for text in [
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[1,{"b":1,"b":1},2,{"c":3}],"d":4}"#,
            r#"{"a":{"c":{"d":[{"b":{},"b":[]}],"e":1},"f":2},"g":3}"#,
        ] {
            check(text, nested);
        }
        check(
            r#"{"a":{"b":1},"b":{"b":1}}"#,
            r#"{"a":{"b":1},"b":{"b":1}}"#,
        );
    }

    #[test]
    fn numbers_keep_their_digits_at_every_depth() {
        check(
            r#"{"a":{"b":[18446744073709551615,-9223372036854775808,1.5]}}"#,
            r#"{"a":{"b":[18446744073709551615,-9223372036854775808,1.5]}}"#,
        );
        check(
            r#"{"a":{"b":[1,123456789012345678901]}}"#,
            r#"column "a": holds an integer of more than 64 bits; write it as text"#,
        );
        check(
            r#"{"a":1e400}"#,
            r#"column "a": holds a number that no double holds; write it as text"#,
        );
        check(
            r#"{"a":"18446744073709551616"}"#,
            r#"{"a":"18446744073709551616"}"#,
        );
    }

    /// Without its feature `float_roundtrip`, serde_json reads many literals as a neighbor of the
    /// nearest double.
    #[test]
    fn decimals_are_read_as_the_nearest_double() {
        let mut random = StdRng::seed_from_u64(1);
        let of_any_size = std::iter::repeat_with(|| f64::from_bits(random.random()));
        let numbers: Vec<_> = of_any_size
            .filter(|number| number.is_finite())
            .take(5_000)
            .collect();
        let small = std::iter::repeat_with(|| random.random::<f64>()).take(5_000);
        for number in numbers.into_iter().chain(small) {
            let fields = read(&format!("{{\"a\":[{number:e}]}}"))
                .unwrap_or_else(|fault| panic!("{number:e}: {fault}"));
            assert_eq!(fields["a"][0].as_f64(), Some(number), "{number:?}");
        }
    }

    #[test]
    fn what_json_does_not_have_is_named() {
        for (value, word, instead) in [
            ("NaN", "NaN", "write null or leave it out"),
            ("-Infinity", "-Infinity", "write null or leave it out"),
            ("[1,Infinity]", "Infinity", "write null or leave it out"),
            ("None", "None", "write null"),
            ("nan", "nan", "write null or leave it out"),
            ("nil", "nil", "write null"),
            ("True", "True", "write true"),
        ] {
            let said = read(&format!("{{\"a\":{value}}}")).unwrap_err().to_string();
            let expected = format!("`{word}` is no value of JSON; {instead}");
            assert!(said.ends_with(&expected), "{value}: {said}");
        }
        check(
            "{'a':1}",
            "column 2: single quotes are none of JSON; write double quotes",
        );
        check(
            "{\"a\":\"x\ty\"}",
            "column 8: holds a control character; escape it as \\u00xx or remove it",
        );
        check(
            "\u{1a}",
            "column 1: holds Ctrl-Z, with which some programs end a file; remove it",
        );
        check(
            "\u{feff}{}",
            "column 1: holds a byte order mark; were files joined? remove the mark",
        );
        check(
            "{\"a\":1}{\"a\":2}",
            "column 8: holds more than one value; write one object a line",
        );
        check(
            "{\"a\":1} {\"a\":2}",
            "column 9: holds more than one value; write one object a line",
        );
        check(
            "{\"a\":secret}",
            "column 6: is no JSON object; write one object a line",
        );
    }

    #[test]
    fn half_of_a_surrogate_pair_is_named() {
        let named = format!("column \"a\": {LONE_SURROGATE}");
        for half in [
            r"\ud83d",
            r"x\ude00",
            r"\ud83dx",
            r"\ud83d\ud83d\ude00",
            r"\\\ud83d",
            r"\ud83d\n",
        ] {
            check(&format!("{{\"a\":\"{half}\"}}"), &named);
            check(&format!("{{\"a\":[{{\"b\":\"{half}\"}}]}}"), &named);
        }
        check(r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"😀"}"#);
        check(r#"{"a":"\\ud83d"}"#, r#"{"a":"\\ud83d"}"#);
        let said = read(r#"{"\ud83d":1}"#).unwrap_err().to_string();
        assert!(said.ends_with(LONE_SURROGATE), "{said}");
    }

    #[test]
    fn what_is_nested_without_end_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        check(
            &deep,
            r#"column "a": is nested more than a hundred levels deep; send less at once"#,
        );
    }
}
