//! Reads one JSON object, and rejects content that a lenient reader changes silently: a name that
//! occurs twice, at any depth, and numbers that lose digits.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::number;
use crate::reject::RecordError;

/// Returns the members of an object.
///
/// # Errors
///
/// Fails if the text is not an object, or if a member cannot be sent unchanged.
pub(super) fn read(text: &str) -> Result<Map<String, Value>, RecordError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader
        .deserialize_any(TopLevel)
        .and_then(|members| reader.end().map(|()| members))
        .map_err(|error| not_an_object(text, &error))?;
    // Values are checked as text, since a parsed number has lost its digits already.
    let mut fields = Map::new();
    for (name, raw) in members? {
        let value = value(raw.get()).map_err(|reason| RecordError::named(&name, reason))?;
        fields.insert(name, value);
    }
    Ok(fields)
}

/// Returns the members of an object, whose values are still text, or nothing if the text is no
/// object or has a name twice.
pub(super) fn members(text: &str) -> Option<Vec<(String, &RawValue)>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let members = reader.deserialize_any(TopLevel).ok()?.ok()?;
    reader.end().ok()?;
    Some(members)
}

/// Parses any JSON value, with the checks of [`read`].
///
/// # Errors
///
/// Returns the reason and the advice, without the text.
pub(crate) fn parse_json(text: &str) -> Result<Value, &'static str> {
    match parses_as_json(text) {
        true => value(text.trim_ascii()),
        false => Err("is not JSON; write it as JSON, or leave out its --type to send it as text"),
    }
}

/// Returns whether a text is one well-formed JSON value, whatever its numbers.
pub(crate) fn parses_as_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

fn value(raw: &str) -> Result<Value, &'static str> {
    number::check_all(raw)?;
    match serde_json::from_str(raw) {
        Ok(Unique(Ok(value))) => Ok(value),
        Ok(Unique(Err(Repeated))) => {
            Err("contains an object in which a name occurs twice; keep one of the two")
        }
        Err(_) if has_lone_surrogate(raw) => Err(LONE_SURROGATE),
        // The limit is serde_json's, 128 levels in all.
        Err(_) => Err("is nested more than a hundred levels deep; flatten it"),
    }
}

const LONE_SURROGATE: &str = "contains half of a surrogate pair, as in text that was cut off; \
                              write the whole character or remove it";

/// Visits an object and returns its members, whose values are still text.
struct TopLevel;

impl<'de> Visitor<'de> for TopLevel {
    type Value = Result<Vec<(String, &'de RawValue)>, RecordError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut members, mut seen, mut repeated) = (Vec::new(), HashSet::new(), None);
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if !seen.insert(name.clone()) {
                repeated.get_or_insert_with(|| name.clone());
            }
            members.push((name, value));
        }
        Ok(match repeated {
            None => Ok(members),
            Some(name) => Err(RecordError::named(
                name,
                "occurs twice in the object; keep one of the two",
            )),
        })
    }
}

/// A value in which no object has a name twice, or the error that one has.
struct Unique(Result<Value, Repeated>);

struct Repeated;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Result<Value, Repeated>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
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
                Err(repeated) => {
                    // The deserializer fails unless the rest is read.
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(repeated));
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
                Ok(_) | Err(Repeated) => {
                    // The deserializer fails unless the rest is read.
                    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                    return Ok(Err(Repeated));
                }
            };
        }
        Ok(Ok(members.into()))
    }
}

/// Returns the error of a text that cannot be read as an object.
fn not_an_object(text: &str, error: &serde_json::Error) -> RecordError {
    if error.is_data() {
        return RecordError::new("is JSON, but not an object; write one object per line");
    }
    // From the most specific cause to the least: serde_json names only the column.
    let column = error.column();
    if has_lone_surrogate(text) {
        return RecordError::numbered(column, LONE_SURROGATE);
    }
    if let Some((word, instead)) = foreign_word(text, column) {
        return RecordError::numbered(column, format!("`{word}` is not a JSON value; {instead}"));
    }
    let (column, reason) = match error_byte(text, column) {
        (at, Some(b'\'')) => (at, "JSON has no single quotes; write double quotes"),
        (at, Some(0x1a)) => (
            at,
            "contains Ctrl-Z, which some programs write at the end of a file; remove it",
        ),
        (at, Some(0)) => (
            at,
            "contains a zero byte; is the file damaged? remove the byte",
        ),
        (at, Some(..0x20)) => (
            at,
            "contains a control character; escape it as \\u00xx or remove it",
        ),
        (at, Some(0xef)) if text[at - 1..].starts_with('\u{feff}') => (
            at,
            "contains a byte order mark; were files joined? remove the mark",
        ),
        (at, Some(b'{' | b'[' | b'"')) if is_complete(text, at) => (
            at,
            "contains more than one value; write one object per line",
        ),
        _ => (column, "is not a JSON object; write one object per line"),
    };
    RecordError::numbered(column, reason)
}

/// Returns the column of an error, counted from 1, and its byte. serde_json gives the column of a
/// control character in a string counted from 0, and all others from 1.
fn error_byte(text: &str, column: usize) -> (usize, Option<u8>) {
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

/// Words of other languages for numbers, `true`, `false` and `null`, and the advice for each.
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

/// Returns the word at a column if it is one of [`FOREIGN`]. No other word is shown: it may be a
/// person's data.
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

/// Returns whether an escape is half of a surrogate pair, without the other half. Escapes occur in
/// strings only.
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

/// Returns the position and the value of each `\u` escape.
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
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_name_occurs_once_at_every_depth() {
        check(
            r#"{"a":1,"b":2,"a":1}"#,
            r#"column "a": occurs twice in the object; keep one of the two"#,
        );
        check(
            r#"{"id":1,"\u0069d":2}"#,
            r#"column "id": occurs twice in the object; keep one of the two"#,
        );
        let nested =
            r#"column "a": contains an object in which a name occurs twice; keep one of the two"#;
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
            r#"column "a": contains an integer of more than 64 bits; write it as text"#,
        );
        check(
            r#"{"a":1e400}"#,
            r#"column "a": contains a number outside the range of a double; write it as text"#,
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
                .unwrap_or_else(|error| panic!("{number:e}: {error}"));
            assert_eq!(fields["a"][0].as_f64(), Some(number), "{number:?}");
        }
    }

    #[test]
    fn errors_name_what_json_does_not_have() {
        for (value, word, instead) in [
            ("NaN", "NaN", "write null or leave it out"),
            ("-Infinity", "-Infinity", "write null or leave it out"),
            ("[1,Infinity]", "Infinity", "write null or leave it out"),
            ("None", "None", "write null"),
            ("nan", "nan", "write null or leave it out"),
            ("nil", "nil", "write null"),
            ("True", "True", "write true"),
        ] {
            let message = read(&format!("{{\"a\":{value}}}")).unwrap_err().to_string();
            let expected = format!("`{word}` is not a JSON value; {instead}");
            assert!(message.ends_with(&expected), "{value}: {message}");
        }
        check(
            "{'a':1}",
            "column 2: JSON has no single quotes; write double quotes",
        );
        check(
            "{\"a\":\"x\ty\"}",
            "column 8: contains a control character; escape it as \\u00xx or remove it",
        );
        check(
            "\u{1a}",
            "column 1: contains Ctrl-Z, which some programs write at the end of a file; remove it",
        );
        check(
            "\u{feff}{}",
            "column 1: contains a byte order mark; were files joined? remove the mark",
        );
        check(
            "{\"a\":1}{\"a\":2}",
            "column 8: contains more than one value; write one object per line",
        );
        check(
            "{\"a\":1} {\"a\":2}",
            "column 9: contains more than one value; write one object per line",
        );
        check(
            "{\"a\":secret}",
            "column 6: is not a JSON object; write one object per line",
        );
    }

    #[test]
    fn half_of_a_surrogate_pair_is_rejected() {
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
        let message = read(r#"{"\ud83d":1}"#).unwrap_err().to_string();
        assert!(message.ends_with(LONE_SURROGATE), "{message}");
    }

    #[test]
    fn endless_nesting_is_rejected() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        check(
            &deep,
            r#"column "a": is nested more than a hundred levels deep; flatten it"#,
        );
    }
}
