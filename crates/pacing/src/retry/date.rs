use std::time::{Duration, SystemTime};

/// The names of UTC. `UT` is the one of RFC 822.
const UTC: [&str; 4] = ["GMT", "UTC", "UT", "Z"];

/// Parses an HTTP date in any of its three forms (RFC 9110, section 5.6.7), from 1970 to 9999.
///
/// White space around it is ignored. A leap second counts as the second after the one before it.
/// Returns `None` for a weekday that does not fit the date, and for any other error.
///
/// ```
/// use pacing::retry::parse_http_date;
///
/// let fixed = parse_http_date(b"Sun, 06 Nov 1994 08:49:37 GMT");
/// assert_eq!(fixed, parse_http_date(b"Sunday, 06-Nov-94 08:49:37 GMT"));
/// assert_eq!(fixed, parse_http_date(b"Sun Nov  6 08:49:37 1994"));
/// assert!(fixed.is_some());
/// ```
#[must_use]
pub fn parse_http_date(value: &[u8]) -> Option<SystemTime> {
    http_date(std::str::from_utf8(value).ok()?)
}

/// Parses a date from 1970 to 9999, as servers write it: an HTTP date, an HTTP date in another
/// zone, a date of RFC 3339, or a date as JavaScript prints it.
///
/// A zone is a name of UTC, or an offset of at most 23 hours and 59 minutes, with or without a
/// colon. A date of RFC 3339 may have a space instead of the `T` or before its zone; without a zone
/// it is UTC. A fraction of a second counts as a whole one. Without seconds, the minute counts as a
/// whole one: 16:27 is 16:28:00.
///
/// ```
/// use pacing::retry::{parse_date, parse_http_date};
///
/// let date = parse_http_date(b"Sun, 06 Nov 1994 08:49:37 GMT");
/// assert_eq!(parse_date(b"Sun, 06 Nov 1994 08:49:37 UTC"), date);
/// assert_eq!(parse_date(b"1994-11-06T09:49:36.5+01:00"), date);
/// assert!(date.is_some());
/// ```
#[must_use]
pub fn parse_date(value: &[u8]) -> Option<SystemTime> {
    date(std::str::from_utf8(value).ok()?)
}

pub(super) fn date(text: &str) -> Option<SystemTime> {
    http_date(text)
        .or_else(|| http_date_elsewhere(text))
        .or_else(|| rfc_3339(text))
        .or_else(|| javascript(text))
}

fn http_date(text: &str) -> Option<SystemTime> {
    let text = text.trim_ascii();
    let date = httpdate::parse_http_date(text).ok();
    date.or_else(|| leap_second(text))
}

/// Parses a date with a second of 60, which the grammar has and `httpdate` does not.
fn leap_second(text: &str) -> Option<SystemTime> {
    let (before, after) = text.rsplit_once(":60")?;
    let date = httpdate::parse_http_date(&format!("{before}:59{after}")).ok()?;
    let date = date.checked_add(Duration::from_secs(1))?;
    before.contains(':').then_some(date)
}

/// Parses `Sun, 06 Nov 1994 08:49:37 UTC` or `.. +0100`, as in RFC 5322.
fn http_date_elsewhere(text: &str) -> Option<SystemTime> {
    // Parse the date as if its zone were GMT, and subtract the offset.
    let (rest, zone) = text.trim_ascii().rsplit_once(' ')?;
    let offset = offset(zone)?;
    let local = http_date(&format!("{rest} GMT"))?;
    let local = local.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    in_utc(i64::try_from(local.as_secs()).ok()?, offset)
}

/// Parses `1985-04-12T23:20:50.52Z`.
fn rfc_3339(text: &str) -> Option<SystemTime> {
    let (day, rest) = text.trim_ascii().split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(5)?;
    let [year, month, day] = numbers(day, '-', [4, 2, 2])?;
    let [hour, minute] = numbers(clock, ':', [2, 2])?;
    let (second, rest) = match rest.strip_prefix(':') {
        None => (60, rest),
        Some(rest) => {
            let (second, rest) = rest.split_at_checked(2)?;
            (digits(second, 2)?, rest)
        }
    };
    let (has_fraction, zone) = fraction(rest)?;
    // `days` computes a date from any numbers, so all of them are checked first.
    let is_real = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if !is_real || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let offset = match zone.trim_ascii_start() {
        "" => 0,
        zone => offset(zone)?,
    };
    in_utc(local + i64::from(has_fraction), offset)
}

/// Parses `Fri Sep 29 2023 18:26:57 GMT+0200 (Central European Summer Time)`.
fn javascript(text: &str) -> Option<SystemTime> {
    let (rest, zone) = text.trim_ascii().split_once(" GMT")?;
    // The name of the zone is for people.
    let (offset, _) = zone.split_once(" (").unwrap_or((zone, ""));
    let [weekday, month, day, year, clock] = {
        let mut parts = rest.split(' ');
        let parts = [(); 5].map(|()| parts.next().unwrap_or_default());
        (rest.split(' ').count() == parts.len()).then_some(parts)?
    };
    http_date_elsewhere(&format!("{weekday}, {day} {month} {year} {clock} {offset}"))
}

/// Returns whether there is a fraction of a second above zero, and the text after it.
fn fraction(text: &str) -> Option<(bool, &str)> {
    let Some(text) = text.strip_prefix('.') else {
        return Some((false, text));
    };
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &text[..text.len() - rest.len()];
    (!digits.is_empty()).then(|| (digits.bytes().any(|digit| digit != b'0'), rest))
}

/// Returns how far a zone is ahead of UTC, in seconds: less than a day, so that no date can
/// overflow.
fn offset(zone: &str) -> Option<i64> {
    if UTC.iter().any(|name| zone.eq_ignore_ascii_case(name)) {
        return Some(0);
    }
    let (sign, time) = match zone.split_at_checked(1)? {
        ("+", time) => (1, time),
        ("-", time) => (-1, time),
        _ => return None,
    };
    let (hours, minutes) = time.split_at_checked(2)?;
    let minutes = match minutes.strip_prefix(':').unwrap_or(minutes) {
        "" => "00",
        minutes => minutes,
    };
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let is_real = hours <= 23 && minutes <= 59;
    is_real.then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Returns the time of a clock that shows `local`, in seconds since 1970, and is `offset` seconds
/// ahead of UTC.
fn in_utc(local: i64, offset: i64) -> Option<SystemTime> {
    // A date before 1970 fails in `try_from`.
    let seconds = u64::try_from(local.checked_sub(offset)?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        *number = digits(parts.next()?, width)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Parses exactly `width` digits, at most four.
fn digits(text: &str, width: usize) -> Option<i64> {
    let is_number = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Returns the number of days of a month.
fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the number of days from 1970 to a date.
///
/// Years are counted from March, so that a leap day is the last of its year. With years of four
/// digits nothing overflows.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let years = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    years * 365 + years / 4 - years / 100 + years / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: &str, seconds: Option<u64>) {
        let epoch = SystemTime::UNIX_EPOCH;
        let date = parse_http_date(value.as_bytes())
            .map(|date| date.duration_since(epoch).unwrap().as_secs());
        assert_eq!(date, seconds, "{value:?}");
    }

    #[test]
    fn the_three_forms_of_a_date_are_equal() {
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777));
        check("Sun Nov  6 08:49:37 1994", Some(784_111_777));
        check("\tSun, 06 Nov 1994 08:49:37 GMT ", Some(784_111_777));
    }

    #[test]
    fn a_leap_second_is_the_one_after_the_one_before_it() {
        check("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800));
        check("Saturday, 31-Dec-16 23:59:60 GMT", Some(1_483_228_800));
        check("Sat Dec 31 23:59:60 2016", Some(1_483_228_800));
        check("Sun, 01 Jan 2017 00:00:00 GMT", Some(1_483_228_800));
    }

    #[test]
    fn malformed_dates_are_none() {
        check("", None);
        check(":60", None);
        check("Mon, 06 Nov 1994 08:49:37 GMT", None);
        check("Sun, 06 Nov 1994 08:49:37 CET", None);
        check("Sun, 06 Nov 1994 08:49:61 GMT", None);
        check("Sun, 06 Nov 1994 08:60:00 GMT", None);
        check("Thu, 30 Feb 2023 08:49:37 GMT", None);
        check("Wed, 31 Dec 1969 23:59:59 GMT", None);
        check("1994-11-06T08:49:37Z", None);
        assert_eq!(parse_http_date(b"\xff"), None);
    }

    /// 784,111,777 is Sun, 06 Nov 1994 08:49:37 GMT.
    #[test]
    fn a_date_is_parsed_in_every_zone_and_notation() {
        fn check(value: &str, seconds: Option<u64>) {
            let epoch = SystemTime::UNIX_EPOCH;
            let date = parse_date(value.as_bytes());
            let date = date.map(|date| date.duration_since(epoch).unwrap().as_secs());
            assert_eq!(date, seconds, "{value:?}");
        }
        const DATE: Option<u64> = Some(784_111_777);
        check("Sun, 06 Nov 1994 08:49:37 GMT", DATE);
        check("Sunday, 06-Nov-94 08:49:37 GMT", DATE);
        check("Sun Nov  6 08:49:37 1994", DATE);
        check(" Sun, 06 Nov 1994 08:49:37 UTC\t", DATE);
        check("Sunday, 06-Nov-94 08:49:37 utc", DATE);
        check("Sun, 06 Nov 1994 08:49:37 UT", DATE);
        check("Sun, 06 Nov 1994 08:49:37 Z", DATE);
        check("Sun, 06 Nov 1994 08:49:37 -0000", DATE);
        check("Sun, 06 Nov 1994 10:19:37 +0130", DATE);
        check("Sun, 06 Nov 1994 07:49:37 -01:00", DATE);
        check("Sat, 31 Dec 2016 23:59:60 UTC", Some(1_483_228_800));
        check("1994-11-06T08:49:37Z", DATE);
        check("1994-11-06t08:49:37z", DATE);
        check(" 1994-11-06 08:49:37 UTC ", DATE);
        check("1994-11-06 10:49:37 +0200", DATE);
        check("1994-11-06T06:19:37-02:30", DATE);
        check("1994-11-06T10:49:37+02", DATE);
        check("1994-11-06T08:49:37", DATE);
        check("1994-11-06T08:49:37.000000", DATE);
        check("1994-11-06T08:49:36.001", DATE);
        check("2016-12-31T23:59:60Z", Some(1_483_228_800));
        // To the minute: 08:48 may be any time up to 08:49:00.
        check("1994-11-06T08:48Z", Some(784_111_740));
        check("1994-11-06 10:18+0130", Some(784_111_740));
        check("1994-11-06T08:48", Some(784_111_740));
        check(
            "Sun Nov 06 1994 08:49:37 GMT+0000 (Coordinated Universal Time)",
            DATE,
        );
        check("Sun Nov 06 1994 10:19:37 GMT+0130", DATE);
        check("2024-02-29T00:00:00Z", Some(1_709_164_800));
        check("2000-02-29T00:00:00Z", Some(951_782_400));
        check("1970-01-01T00:00:00Z", Some(0));
        check("1969-12-31T23:59:60Z", Some(0));
        check("9999-12-31T23:59:59Z", Some(253_402_300_799));
    }

    /// The standard bounds every part of a date.
    #[test]
    fn a_part_out_of_its_bounds_is_none() {
        let none = [
            "1994-11-06T08:49:37+24:00",
            "1994-11-06T08:49:37+23:60",
            "1994-11-06T08:49:37-24:00",
            "1994-11-06T08:49:37+100:00",
            "1994-11-06T08:49:37+9223372036854775807:00",
            "1994-11-06T08:49:37+00:9223372036854775807",
            "1994-11-06T08:49:37-2562047788015215:00",
            "1994-11-06T08:49:37+99999999999999999999:99999999999999999999",
            "1994-11-06T08:49:37+",
            "1994-11-06T08:49:37+1",
            "1994-11-06T08:49:37+1:00",
            "1994-11-06T08:49:37+01:0",
            "1994-11-06T08:49:37+:",
            "1994-11-06T08:49:37+-1:00",
            "1994-11-06T08:49:37Z.",
            "1994-11-06T08:49:37.Z",
            "1994-11-06T08:49:37CET",
            "1994-11-06T24:00:00Z",
            "1994-11-06T08:60:00Z",
            "1994-11-06T08:49:61Z",
            "1994-13-06T08:49:37Z",
            "1994-00-06T08:49:37Z",
            "1994-11-31T08:49:37Z",
            "1994-11-00T08:49:37Z",
            "2023-02-29T08:49:37Z",
            "1900-02-29T08:49:37Z",
            "19941-1-06T08:49:37Z",
            "1994-1-006T08:49:37Z",
            "1994-11-06T8:49:037Z",
            "+994-11-06T08:49:37Z",
            "1994-11-06T08:49:",
            "1994-11-06T08:49:3",
            "1994-11-06T08:60",
            "1994-11-06T24:00",
            "1994-11-06",
            "1970-01-01T00:00:00+00:01",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 +2400",
            "Sun, 06 Nov 1994 08:49:37 +9223372036854775807",
            "Thu, 01 Jan 1970 00:00:00 +0001",
            "Mon, 06 Nov 1994 08:49:37 UTC",
            "1994\u{2013}11-06T08:49:37Z",
            "1994-11-06T08:49:3\u{e9}Z",
            "1994-11-06T08:49:37+0\u{e9}",
            "UTC",
            " UTC",
        ];
        for value in none {
            assert_eq!(parse_date(value.as_bytes()), None, "{value:?}");
        }
        assert_eq!(parse_date(b"\xff"), None);
    }

    #[test]
    fn a_date_of_javascript_has_five_parts_and_an_offset() {
        let none = [
            "Sun Nov 06 1994 08:49:37 GMT",
            "Sun Nov 06 1994 08:49:37 GMT+0",
            "Sun Nov 06 1994 08:49:37 GMT CET",
            "Mon Nov 06 1994 08:49:37 GMT+0000",
            "Nov 06 1994 08:49:37 GMT+0000",
            "Sun Nov 06 1994 at 08:49:37 GMT+0000",
            " GMT+0000",
        ];
        for value in none {
            assert_eq!(parse_date(value.as_bytes()), None, "{value:?}");
        }
    }

    fn near_a_date() -> &'static str {
        "(Sun|Sunday), ?[0-9]{2}[- ](Nov|Feb|[a-z]{3})[- ][0-9]{2,5} \
         [0-9]{2}:[0-9]{2}:(60|[0-9]{2}) GMT"
    }

    proptest! {
        #[test]
        fn a_formatted_date_is_parsed_again(seconds in 0_u64..253_402_300_800) {
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let read = parse_http_date(httpdate::fmt_http_date(date).as_bytes());
            prop_assert_eq!(read, Some(date));
        }

        #[test]
        fn a_zone_shifts_a_date_by_its_offset(
            seconds in 86_400_u64..253_402_214_400,
            hours in 0_u64..24,
            minutes in 0_u64..60,
            is_ahead: bool,
        ) {
            let offset = hours * 3_600 + minutes * 60;
            let (sign, local) = match is_ahead {
                true => ('+', seconds + offset),
                false => ('-', seconds - offset),
            };
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let local = SystemTime::UNIX_EPOCH + Duration::from_secs(local);
            let local = httpdate::fmt_http_date(local);
            let local = local.trim_end_matches("GMT");
            let written = format!("{local}{sign}{hours:02}{minutes:02}");
            prop_assert_eq!(parse_date(written.as_bytes()), Some(date));
        }

        #[test]
        fn no_text_panics(
            date in near_a_date(),
            any: Vec<u8>,
        ) {
            for text in [date.as_bytes(), &any] {
                let date = parse_http_date(text);
                prop_assert!(date.is_none_or(|date| date >= SystemTime::UNIX_EPOCH));
            }
        }
    }
}
