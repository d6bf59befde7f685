use crate::retry::parse_http_date;
use std::time::{Duration, SystemTime};

use super::member::number;

/// A number above it is no time span, which would be 30 years, but seconds since 1970.
const EPOCH_SECONDS: u64 = 1_000_000_000;
/// A number above it is milliseconds since 1970.
const EPOCH_MILLIS: u64 = 1_000_000_000_000;

/// Reads when a limit starts anew: how long after the answer, which has this `Date`.
///
/// Nothing says in which of its forms an ad hoc field is: a number is seconds, or if it is too large for that, seconds or
/// milliseconds since 1970; letters are a date, of HTTP or RFC 3339. A date needs the answer's own to compare it with.
pub(super) fn reset(text: &str, answered: &[u8]) -> Option<Duration> {
    let text = text.trim();
    match whole_number(text) {
        Some(number) if number < EPOCH_SECONDS => Some(Duration::from_secs(number)),
        Some(number) if number < EPOCH_MILLIS => {
            since(epoch(Duration::from_secs(number))?, answered)
        }
        Some(number) => since(epoch(Duration::from_millis(number))?, answered),
        None => since(date(text)?, answered),
    }
}

/// Reads a number, and rounds a fraction up.
fn whole_number(text: &str) -> Option<u64> {
    match text.split_once('.') {
        None => number(text),
        Some((whole, fraction)) => {
            let has_rest = number(fraction)? > 0;
            Some(number(whole)?.saturating_add(u64::from(has_rest)))
        }
    }
}

fn since(date: SystemTime, answered: &[u8]) -> Option<Duration> {
    let answered = parse_http_date(answered)?;
    Some(date.duration_since(answered).unwrap_or_default())
}

fn epoch(time: Duration) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(time)
}

fn date(text: &str) -> Option<SystemTime> {
    parse_http_date(text.as_bytes()).or_else(|| rfc_3339(text))
}

/// Reads `1985-04-12T23:20:50.52Z`; a fraction is dropped.
fn rfc_3339(text: &str) -> Option<SystemTime> {
    let (day, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let [year, month, day] = numbers(day, '-')?;
    let [hour, minute, second] = numbers(clock, ':')?;
    let is_real = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_real || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let seconds = u64::try_from(local - offset(zone)?).ok()?;
    epoch(Duration::from_secs(seconds))
}

/// How far a zone is ahead of UTC, in seconds.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, time) = match zone.split_at_checked(1)? {
        ("+", time) => (1, time),
        ("-", time) => (-1, time),
        _ => return None,
    };
    let [hours, minutes] = numbers(time, ':')?;
    Some(sign * (hours * 3_600 + minutes * 60))
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let parts: Option<Vec<_>> = text.split(separator).map(number).collect();
    let parts = parts?.into_iter().map(i64::try_from);
    let parts: Vec<_> = parts.collect::<Result<_, _>>().ok()?;
    parts.try_into().ok()
}

/// The days from 1970 to a date of the Gregorian calendar: years are counted from March, so that a leap day ends one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let years = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    years * 365 + years / 4 - years / 100 + years / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,696,004,797 seconds after 1970.
    const NOW: &[u8] = b"Fri, 29 Sep 2023 16:26:37 GMT";

    #[test]
    fn a_reset_is_read_in_all_its_forms() {
        fn check(text: &str, seconds: Option<u64>) {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(reset(text, NOW), expected, "{text:?}");
        }
        check("30", Some(30));
        check(" 0 ", Some(0));
        check("29.2", Some(30));
        check("29.0", Some(29));
        check("999999999", Some(999_999_999));
        check("1696004827", Some(30));
        check("1696004826.5", Some(30));
        check("1696004796", Some(0));
        check("1696004827000", Some(30));
        check("Fri, 29 Sep 2023 16:27:07 GMT", Some(30));
        check("2023-09-29T16:27:07Z", Some(30));
        check("2023-09-29t18:27:07.250+02:00", Some(30));
        check("2023-09-29 14:57:07-01:30", Some(30));
        check("2024-02-29T00:00:00Z", Some(13_160_003));
        check("", None);
        check("soon", None);
        check("-30", None);
        check("+30", None);
        check("2023-13-01T00:00:00Z", None);
        check("2023-09-29T16:27:07", None);
        check("2023-09-29T16:27:07Z.", None);
        check("1900-01-01T00:00:00Z", None);
        check("9999999999000", Some(8_303_995_202));
        assert!(reset("99999999999999999999", NOW).is_some());
    }

    #[test]
    fn a_date_without_one_to_compare_with_says_nothing() {
        assert_eq!(reset("1696004827", b""), None);
        assert_eq!(reset("2023-09-29T16:27:07Z", b"\xff"), None);
        assert_eq!(reset("30", b""), Some(Duration::from_secs(30)));
    }
}
