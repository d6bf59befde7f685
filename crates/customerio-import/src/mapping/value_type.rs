//! The types of values, by which `--type` converts the text of a cell.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use customerio::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use super::time::TimeFormat;
use crate::input::{check_number, parse_json, parses_as_json};

/// The type of the values of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    Int,
    Float,
    Bool,
    /// Unix seconds, parsed by the format.
    Timestamp(TimeFormat),
    Json,
    String,
}

/// A type as the command line names it. The format of a timestamp may be given by
/// `--timestamp-format` instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TypeName {
    Complete(ValueType),
    TimestampWithoutFormat,
}

/// Words for true and false, in lower case. Text is compared without regard to case.
const BOOLEANS: [(&str, bool); 12] = [
    ("true", true),
    ("false", false),
    ("1", true),
    ("0", false),
    ("yes", true),
    ("no", false),
    ("y", true),
    ("n", false),
    ("t", true),
    ("f", false),
    ("on", true),
    ("off", false),
];

/// The error of an integer that is longer than the API's languages hold.
const TOO_LONG: &str =
    "is an integer of more than 64 bits; leave out its --type to send it as text";

impl ValueType {
    /// Converts a value that is not empty: text, or a value of a JSON line.
    ///
    /// # Errors
    ///
    /// Returns the reason and the advice. It never contains the value, which is a person's data.
    pub(super) fn convert(&self, value: Value) -> Result<Value, String> {
        match (self, value) {
            (Self::Int, Value::String(text)) => int(text.trim_ascii()).map_err(String::from),
            (Self::Int, Value::Number(number)) if !number.is_f64() => Ok(Value::Number(number)),
            (Self::Int, _) => Err("is not a whole number; correct it or its --type".into()),
            (Self::Float, Value::String(text)) => float(text.trim_ascii()).map_err(String::from),
            (Self::Float, Value::Number(number)) => Ok(Value::Number(number)),
            (Self::Float, _) => Err("is not a number; correct it or its --type".into()),
            (Self::Bool, value) => boolean(&value).ok_or_else(|| {
                "is not a boolean; write true or false (or yes and no, 1 and 0)".into()
            }),
            (Self::Timestamp(format), value) => timestamp(format, &value),
            (Self::Json, Value::String(text)) => parse_json(&text).map_err(String::from),
            (Self::Json, value) => Ok(value),
            (Self::String, value) => string(value).map_err(String::from),
        }
    }
}

/// Converts a whole number, such as `-42` or `+7`.
fn int(text: &str) -> Result<Value, &'static str> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(unsigned) {
        let has_fraction = unsigned
            .split_once('.')
            .is_some_and(|(whole, fraction)| is_digits(whole) && is_digits(fraction));
        return Err(match has_fraction {
            true => "is not a whole number; correct it, or use the type float",
            false => "is not a whole number; write digits only, without separators",
        });
    }
    // `007` as a number would be another id or another code.
    if unsigned.len() > 1 && unsigned.starts_with('0') {
        return Err("has leading zeros, which a number loses; leave out its --type or remove them");
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let signed = text.parse::<i64>().map(Value::from);
    signed
        .or_else(|_| text.parse::<u64>().map(Value::from))
        .map_err(|_| TOO_LONG)
}

/// Converts a decimal number, such as `1.5`, `-0.25` or `1e3`.
fn float(text: &str) -> Result<Value, &'static str> {
    let literal = text.strip_prefix('+').unwrap_or(text);
    if !is_number(literal) {
        let has_comma = literal.contains(',') && is_number(&literal.replacen(',', ".", 1));
        return Err(match has_comma {
            true => "has a decimal comma; write a decimal point, as in 1.5",
            false => "is not a number; write one like 42, 1.5 or -2e3, without separators",
        });
    }
    let number = literal.parse::<f64>().ok().and_then(Number::from_f64);
    let number = number.ok_or(
        "is a number outside the range of a double; leave out its --type to send it as text",
    )?;
    // Without a point or an exponent the check is for 64 bits, which keep more digits.
    let is_decimal = literal.contains(['.', 'e', 'E']);
    let decimal = if is_decimal {
        literal.to_owned()
    } else {
        format!("{literal}e0")
    };
    check_number(&decimal).map_err(|_| {
        "is a number with more digits than a double keeps; leave out its --type to send it as text"
    })?;
    Ok(Value::Number(number))
}

/// Returns whether a text is a number as JSON writes it, in any range.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) && parses_as_json(text)
}

fn boolean(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::Number(number) => match number.as_u64() {
            Some(0) => Some(false.into()),
            Some(1) => Some(true.into()),
            _ => None,
        },
        Value::String(text) => {
            let text = text.trim_ascii();
            let found = BOOLEANS
                .iter()
                .find(|(word, _)| word.eq_ignore_ascii_case(text));
            found.map(|(_, value)| Value::Bool(*value))
        }
        _ => None,
    }
}

fn timestamp(format: &TimeFormat, value: &Value) -> Result<Value, String> {
    let text = match value {
        Value::String(text) => Some(text.trim_ascii().to_owned()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    };
    let seconds = text.and_then(|text| format.parse(&text).ok());
    let seconds = seconds.ok_or_else(|| {
        format!(
            "is not a time in the format {}; correct it or its format",
            format.as_str()
        )
    })?;
    match Timestamp::new(seconds) {
        Ok(timestamp) => Ok(timestamp.seconds().into()),
        Err(_) => Err(format.out_of_range().into()),
    }
}

fn string(value: Value) -> Result<Value, &'static str> {
    match value {
        Value::String(_) => Ok(value),
        Value::Number(number) => Ok(number.to_string().into()),
        Value::Bool(boolean) => Ok(boolean.to_string().into()),
        _ => Err("is a list or an object, which is no text; use the type json"),
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Timestamp(format) => return write!(f, "timestamp:{}", format.as_str()),
            Self::Json => "json",
            Self::String => "string",
        })
    }
}

impl Serialize for ValueType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for TypeName {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(format) = text.strip_prefix("timestamp:") {
            ensure!(
                !format.is_empty(),
                "timestamp: needs a format, like timestamp:rfc3339"
            );
            return Ok(Self::Complete(ValueType::Timestamp(format.parse()?)));
        }
        Ok(Self::Complete(match text {
            "int" => ValueType::Int,
            "float" => ValueType::Float,
            "bool" => ValueType::Bool,
            "json" => ValueType::Json,
            "string" => ValueType::String,
            "timestamp" => return Ok(Self::TimestampWithoutFormat),
            _ => bail!(
                "no such type; write int, float, bool, timestamp, timestamp:FORMAT, json or string"
            ),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value_type(name: &str) -> ValueType {
        match name.parse().unwrap() {
            TypeName::Complete(value_type) => value_type,
            TypeName::TimestampWithoutFormat => unreachable!("the tests give a format"),
        }
    }

    #[track_caller]
    fn check(name: &str, cases: &[(Value, Result<Value, &str>)]) {
        for (value, expected) in cases {
            let found = value_type(name).convert(value.clone());
            match (&found, expected) {
                (Ok(found), Ok(expected)) => {
                    // Compared as text: 1 and 1.0 differ on the wire.
                    assert_eq!(found.to_string(), expected.to_string(), "{value} as {name}");
                }
                (Err(found), Err(expected)) => {
                    assert!(found.contains(expected), "{value} as {name}: {found}");
                }
                _ => panic!("{value} as {name}: {found:?}"),
            }
        }
    }

    #[test]
    fn integers() {
        let not_whole = "is not a whole number; write digits only";
        check(
            "int",
            &[
                (json!("42"), Ok(json!(42))),
                (json!(" 42\t"), Ok(json!(42))),
                (json!("+7"), Ok(json!(7))),
                (json!("-1"), Ok(json!(-1))),
                (json!("0"), Ok(json!(0))),
                (json!(42), Ok(json!(42))),
                (json!("-9223372036854775808"), Ok(json!(i64::MIN))),
                (json!("18446744073709551615"), Ok(json!(u64::MAX))),
                (json!("18446744073709551616"), Err("more than 64 bits")),
                (json!("-9223372036854775809"), Err("more than 64 bits")),
                (json!("1.0"), Err("use the type float")),
                (json!("007"), Err("has leading zeros")),
                (json!("-00"), Err("has leading zeros")),
                (json!("1,000"), Err(not_whole)),
                (json!("1e3"), Err(not_whole)),
                (json!("1_000"), Err(not_whole)),
                (json!("0x10"), Err(not_whole)),
                (json!("--1"), Err(not_whole)),
                (json!("-"), Err(not_whole)),
                (json!("٣"), Err(not_whole)),
                (json!("many"), Err(not_whole)),
                (json!(1.5), Err("is not a whole number")),
                (json!(true), Err("is not a whole number")),
                (json!([1]), Err("is not a whole number")),
            ],
        );
    }

    #[test]
    fn floats() {
        let not_a_number = "is not a number; write one like";
        check(
            "float",
            &[
                (json!("1.5"), Ok(json!(1.5))),
                (json!("42"), Ok(json!(42.0))),
                (json!(" -0.25 "), Ok(json!(-0.25))),
                (json!("+1e3"), Ok(json!(1000.0))),
                (json!("0.1"), Ok(json!(0.1))),
                (
                    json!("9007199254740992"),
                    Ok(json!(9_007_199_254_740_992.0)),
                ),
                (
                    json!("9007199254740993"),
                    Err("is a number with more digits"),
                ),
                (
                    json!("12345678901234567"),
                    Err("is a number with more digits"),
                ),
                (json!(3), Ok(json!(3))),
                (json!("1,5"), Err("has a decimal comma")),
                (json!("1,000.5"), Err(not_a_number)),
                (json!(".5"), Err(not_a_number)),
                (json!("5."), Err(not_a_number)),
                (json!("NaN"), Err(not_a_number)),
                (json!("inf"), Err(not_a_number)),
                (json!("1e400"), Err("outside the range of a double")),
                (json!("12345678901234567.89"), Err("more digits")),
                (json!("$5"), Err(not_a_number)),
                (json!("01.5"), Err(not_a_number)),
                (json!(true), Err("is not a number")),
                (json!({"a": 1}), Err("is not a number")),
            ],
        );
    }

    #[test]
    fn booleans() {
        let no_boolean = "is not a boolean; write true or false";
        check(
            "bool",
            &[
                (json!("true"), Ok(json!(true))),
                (json!("FALSE"), Ok(json!(false))),
                (json!(" Yes "), Ok(json!(true))),
                (json!("n"), Ok(json!(false))),
                (json!("1"), Ok(json!(true))),
                (json!("0"), Ok(json!(false))),
                (json!("Off"), Ok(json!(false))),
                (json!("T"), Ok(json!(true))),
                (json!(true), Ok(json!(true))),
                (json!(0), Ok(json!(false))),
                (json!("2"), Err(no_boolean)),
                (json!("nein"), Err(no_boolean)),
                (json!("unsubscribed"), Err(no_boolean)),
                (json!("true,false"), Err(no_boolean)),
                (json!(2), Err(no_boolean)),
                (json!(1.0), Err(no_boolean)),
                (json!([true]), Err(no_boolean)),
            ],
        );
    }

    #[test]
    fn timestamps() {
        check(
            "timestamp:rfc3339",
            &[
                (json!("2024-01-02T03:04:05Z"), Ok(json!(1_704_164_645))),
                (
                    json!(" 2024-01-02T05:04:05.9+02:00"),
                    Ok(json!(1_704_164_645)),
                ),
                (
                    json!("2024-01-02"),
                    Err("is not a time in the format rfc3339"),
                ),
                (
                    json!(1_704_164_645),
                    Err("is not a time in the format rfc3339"),
                ),
            ],
        );
        check(
            "timestamp:%d/%m/%Y",
            &[
                (json!("02/01/1970"), Ok(json!(86_400))),
                (json!("01/02/1877"), Ok(json!(-2_932_070_400_i64))),
                (
                    json!("1/32/2024"),
                    Err("is not a time in the format %d/%m/%Y"),
                ),
            ],
        );
        check(
            "timestamp:unix",
            &[
                (json!("-5"), Ok(json!(-5))),
                (json!(1_704_164_645), Ok(json!(1_704_164_645))),
                (
                    json!(1_704_164_645_000_i64),
                    Err("write unix seconds, not milliseconds"),
                ),
                (json!("1.5"), Err("is not a time in the format unix")),
                (json!(true), Err("is not a time in the format unix")),
            ],
        );
    }

    #[test]
    fn json_values() {
        check(
            "json",
            &[
                (json!(r#"{"a": [1, "x"]}"#), Ok(json!({"a": [1, "x"]}))),
                (json!("[]"), Ok(json!([]))),
                (json!("12"), Ok(json!(12))),
                (json!("null"), Ok(json!(null))),
                (json!({"a": 1}), Ok(json!({"a": 1}))),
                (json!("{'a': 1}"), Err("is not JSON")),
                (json!("[1,]"), Err("is not JSON")),
                (json!("NaN"), Err("is not JSON")),
                (json!("text"), Err("is not JSON")),
                (json!("1 2"), Err("is not JSON")),
                (json!(r#"{"a":1,"a":2}"#), Err("a name occurs twice")),
                (json!("[18446744073709551616]"), Err("more than 64 bits")),
            ],
        );
    }

    #[test]
    fn strings() {
        check(
            "string",
            &[
                (json!(" 007 "), Ok(json!(" 007 "))),
                (json!(7), Ok(json!("7"))),
                (json!(false), Ok(json!("false"))),
                (json!(["a"]), Err("use the type json")),
                (json!({}), Err("use the type json")),
            ],
        );
    }

    #[test]
    fn types_are_named_as_documented() {
        for name in ["int", "float", "bool", "json", "string", "timestamp:%Y"] {
            assert_eq!(value_type(name).to_string(), name);
        }
        assert_eq!(
            "timestamp".parse::<TypeName>().unwrap(),
            TypeName::TimestampWithoutFormat
        );
        for name in [
            "",
            "Int",
            "integer",
            "timestamp:",
            "timestamp:%m",
            "date",
            "int:",
        ] {
            assert!(name.parse::<TypeName>().is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_error_repeats_the_value(text in "[a-z]{12,20}") {
            for name in ["int", "float", "bool", "timestamp:%Y", "json"] {
                let error = value_type(name).convert(text.clone().into()).unwrap_err();
                prop_assert!(!error.contains(&text), "{error}");
            }
        }
    }
}
