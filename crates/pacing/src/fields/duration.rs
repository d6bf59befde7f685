use std::time::Duration;

/// The units of Go's durations, in nanoseconds, and the day. Longer names come before their
/// prefixes.
const UNITS: [(&str, u64); 9] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("ms", 1_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ns", 1),
];

/// Parses a duration of numbers with units, as Go prints it: `6m0s`, `2m59.56s`, `120ms`.
///
/// A fraction is rounded up to a nanosecond. A duration above 64 bits of nanoseconds counts as the
/// longest one. Returns `None` for a sign, a number without a unit, and any other error.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim_ascii();
    let mut nanos = None;
    while !rest.is_empty() {
        let (part, after) = leading(rest)?;
        nanos = Some(nanos.unwrap_or(0_u64).saturating_add(part));
        rest = after;
    }
    nanos.map(Duration::from_nanos)
}

/// Returns the nanoseconds of the leading number with its unit, and the text after it.
fn leading(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(end);
    let units = UNITS.iter();
    let mut units = units.filter_map(|(name, nanos)| Some((rest.strip_prefix(name)?, *nanos)));
    let (after, unit) = units.next()?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let nanos = digits(whole)?.saturating_mul(unit);
    Some((nanos.saturating_add(part(fraction, unit)?), after))
}

/// Returns a decimal fraction of `unit` nanoseconds, rounded up.
fn part(fraction: &str, unit: u64) -> Option<u64> {
    // A day has 8.64e13 nanoseconds, so 15 digits are exact. More digits round up.
    let (exact, more) = fraction.split_at_checked(15).unwrap_or((fraction, ""));
    let is_more = !more.is_empty() && digits(more)? > 0;
    let scale = 10_u128.pow(u32::try_from(exact.len()).ok()?);
    let nanos = (u128::from(digits(exact)?) * u128::from(unit)).div_ceil(scale);
    Some(
        u64::try_from(nanos)
            .ok()?
            .saturating_add(u64::from(is_more)),
    )
}

/// Parses digits. A number above 64 bits counts as the largest one.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_summed_and_rounded_up() {
        for (text, nanos) in [
            ("50s", 50_000_000_000),
            ("6m0s", 360_000_000_000),
            ("120ms", 120_000_000),
            ("2m59.56s", 179_560_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1d2h", 93_600_000_000_000),
            (" 0s\t", 0),
            ("8.64s", 8_640_000_000),
            ("17.25\u{b5}s", 17_250),
            ("17.25\u{3bc}s", 17_250),
            ("3us", 3_000),
            ("0.1ns", 1),
            ("1.0000000000000000000000001s", 1_000_000_001),
            ("99999999999999999999d", u64::MAX),
            ("9999999d9999999d", u64::MAX),
        ] {
            assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            " ",
            "s",
            "5",
            "-5s",
            "+5s",
            "5 s",
            "5s ago",
            "1.s",
            ".5s",
            "1.2.3s",
            "1e3s",
            "5x",
            "5s5",
            "1.00000000000000000x",
            "\u{661}s",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }
}
