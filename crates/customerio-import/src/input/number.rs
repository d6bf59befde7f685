//! Finds numbers that would lose digits as 64-bit integers or doubles, and compares numbers.

use serde_json::value::RawValue;

/// Checks each number of a well-formed JSON value.
pub(super) fn check_all(raw: &str) -> Result<(), &'static str> {
    literals(raw).try_for_each(check_number)
}

/// Returns the numbers outside strings, as they are written.
fn literals(raw: &str) -> impl Iterator<Item = &str> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(byte) = bytes.get(at) {
            let start = at;
            match byte {
                b'"' => at = end_of_string(bytes, at),
                b'-' | b'0'..=b'9' => {
                    at += bytes[at..]
                        .iter()
                        .take_while(|byte| is_number(byte))
                        .count();
                    return Some(&raw[start..at]);
                }
                _ => at += 1,
            }
        }
        None
    })
}

const fn is_number(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

/// Returns the index after the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Checks a single number as JSON writes it.
pub(crate) fn check_number(literal: &str) -> Result<(), &'static str> {
    if !literal.contains(['.', 'e', 'E']) {
        let fits = literal.parse::<u64>().is_ok() || literal.parse::<i64>().is_ok();
        return match fits {
            true => Ok(()),
            false => Err("contains an integer of more than 64 bits; write it as text"),
        };
    }
    let Ok(value) = literal.parse::<f64>() else {
        return Err("contains a number that cannot be read; write it as text");
    };
    let (digits, exponent) = scientific(literal);
    if !value.is_finite() || (value == 0.0 && !digits.is_empty()) {
        return Err("contains a number outside the range of a double; write it as text");
    }
    match is_kept(value, &digits, exponent) {
        true => Ok(()),
        false => Err("contains a number with more digits than a double keeps; write it as text"),
    }
}

/// Returns the digits of a decimal without leading zeros, and the power of ten of the first one.
fn scientific(literal: &str) -> (String, i64) {
    let literal = literal.trim_start_matches('-');
    let (mantissa, power) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = [whole, decimals].concat();
    let digits = all.trim_start_matches('0');
    let leading = (all.len() - digits.len()) as i64;
    let power: i64 = power.parse().unwrap_or(0);
    // Saturating: the power may be as large as an integer gets.
    let first = whole.len() as i64 - 1 - leading;
    (digits.to_owned(), power.saturating_add(first))
}

/// Returns whether two texts are one number in JSON, to the last digit: `1`, `1.0` and `10e-1` are,
/// and so are `0` and `-0`.
pub(crate) fn is_same_number(one: &str, other: &str) -> bool {
    let one = decimal(one);
    one.is_some() && one == decimal(other)
}

/// Returns the sign, the digits without zeros at their ends, and the power of ten of the first one.
/// Returns nothing for a text that is no number.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let json = serde_json::from_str::<&RawValue>(text).ok()?;
    let power = text.split(['e', 'E']).nth(1).unwrap_or("0");
    // A double has a power of at most 308.
    if !is_number || json.get() != text || power.parse::<i32>().is_err() {
        return None;
    }
    let (digits, exponent) = scientific(text);
    Some(match digits.trim_end_matches('0') {
        "" => (false, String::new(), 0),
        digits => (text.starts_with('-'), digits.to_owned(), exponent),
    })
}

/// Returns whether the double, written with as many digits as the literal, is the literal again.
///
/// So `0.1` is kept, and so is `0.10000000000000000555`, as some programs write it; the cents of
/// `12345678901234567.89` are lost. If the double is halfway between two literals, programs differ
/// in the last digit; then the shortest form is kept too.
fn is_kept(value: f64, digits: &str, exponent: i64) -> bool {
    /// More digits than the exact value of any double has (767). With fewer, a literal that differs
    /// from the double in a late digit would be kept.
    const MOST: usize = 800;
    if digits.is_empty() {
        return true;
    }
    let precision = digits.len().min(MOST) - 1;
    let (head, tail) = digits.split_at(precision + 1);
    let is_literal = |written: &str| {
        written.split_once('e').is_some_and(|(mantissa, power)| {
            mantissa.replace('.', "") == head && power.parse() == Ok(exponent)
        })
    };
    let value = value.abs();
    let is_written =
        is_literal(&format!("{value:.precision$e}")) || is_literal(&format!("{value:e}"));
    is_written && tail.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_literal(literal: &str, expected: &str) {
        let found = check_number(literal).err().unwrap_or("kept");
        assert!(found.contains(expected), "{literal}: {found}");
    }

    #[test]
    fn integers_of_64_bits_are_kept() {
        for literal in [
            "0",
            "-0",
            "1",
            "-1",
            "9007199254740993",
            "18446744073709551615",
            "-9223372036854775808",
        ] {
            check_literal(literal, "kept");
        }
        for literal in [
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890",
        ] {
            check_literal(literal, "an integer of more than 64 bits");
        }
    }

    #[test]
    fn decimals_are_kept_if_their_digits_are() {
        for literal in [
            "0.0",
            "-0.0",
            "0e5",
            "0.1",
            "1.10",
            "100.0",
            "1e3",
            "1E+3",
            "1e23",
            "1.5e300",
            "2.5e-3",
            "0.30000000000000004",
            "0.10000000000000000555",
            "2251799813685248.5",
            "1671783317508445.2",
            "1671783317508445.3",
            "9007199254740993e0",
            "1.7976931348623157e308",
            "5e-324",
            "1e400000000000000000000",
            "1e9223372036854775807",
            "0.001e-9223372036854775808",
        ] {
            let expected = match literal {
                "9007199254740993e0" => "more digits",
                "1e400000000000000000000"
                | "1e9223372036854775807"
                | "0.001e-9223372036854775808" => "outside the range of a double",
                _ => "kept",
            };
            check_literal(literal, expected);
        }
        for literal in [
            "12345678901234567.89",
            "4503599627370497.25",
            "123456789012345678901.0",
            "0.1234567890123456789012",
        ] {
            check_literal(literal, "more digits");
        }
        for literal in ["1e400", "-1e309", "1e-400"] {
            check_literal(literal, "outside the range of a double");
        }
    }

    #[test]
    fn numbers_are_compared_to_the_last_digit() {
        for same in [
            ["1", "1.0"],
            ["1", "1.000e0"],
            ["10", "1e1"],
            ["10e-1", "1E+0"],
            ["0", "-0.0"],
            ["0e5", "0"],
            ["-2.50", "-2.5"],
            ["9007199254740993", "9007199254740993.0"],
            ["18446744073709551615", "1.8446744073709551615e19"],
            ["0.001", "1e-3"],
        ] {
            assert!(is_same_number(same[0], same[1]), "{same:?}");
        }
        for different in [
            ["9007199254740992", "9007199254740993"],
            ["18446744073709551615", "18446744073709551616"],
            ["1", "-1"],
            ["1", "10"],
            ["1", "1e9223372036854775807"],
            ["1e9223372036854775807", "1e9223372036854775807"],
            ["1e99999999999999999999", "1e99999999999999999999"],
            ["1", "01"],
            ["1", "+1"],
            ["1", "1 "],
            ["1", "\"1\""],
            ["true", "true"],
            ["NaN", "NaN"],
            ["", ""],
        ] {
            assert!(!is_same_number(different[0], different[1]), "{different:?}");
        }
    }

    #[test]
    fn numbers_are_found_outside_strings() {
        let found: Vec<_> =
            literals(r#"{"a1":[1,-2.5e+3,{"b\"2":"3\\","c":4}],"5":true}"#).collect();
        assert_eq!(found, ["1", "-2.5e+3", "4"]);
    }
}
