//! Properties of any value of `Retry-After`, and of any date.

use std::time::{Duration, SystemTime};

use pacing::retry::{RetryAfter, parse_date, parse_http_date};

/// Fri, 31 Dec 9999 23:59:59 GMT: the last second of a date.
pub(crate) const LAST: u64 = 253_402_300_799;
/// An upper bound of that second in a zone behind UTC, with a leap second and a fraction.
const LAST_ELSEWHERE: u64 = LAST + 86_400;

/// Parses a value from a response of the second `now`.
pub(crate) fn check(value: &[u8], now: u64) {
    let (http_date, date) = (parse_http_date(value), parse_date(value));
    // A leap second counts as the next second, so it may lie one after the last.
    assert!(http_date.is_none_or(|date| (at(0)..=at(LAST + 1)).contains(&date)));
    assert!(date.is_none_or(|date| (at(0)..=at(LAST_ELSEWHERE)).contains(&date)));
    assert!(http_date.is_none() || http_date == date);

    let (asked, millis) = (RetryAfter::parse(value), RetryAfter::parse_millis(value));
    assert!(date.is_none() || (asked == date.map(RetryAfter::Date) && millis.is_none()));
    assert!(millis.is_none() || asked.is_some());
    assert!(asked.is_none() || value.iter().any(u8::is_ascii_digit));

    let wait = |asked: RetryAfter| asked.after(at(now));
    let wait_of = |value: &[u8]| RetryAfter::parse(value).map(wait);
    assert!(date.is_none() || wait_of(value) <= Some(Duration::from_secs(LAST_ELSEWHERE)));
    // The wait of a list is at least that of each member. Bytes that are not UTF-8 make the whole
    // field `None`.
    if std::str::from_utf8(value).is_ok() {
        let listed = [b"5, ", value].concat();
        let expected = wait_of(value).unwrap_or_default();
        assert_eq!(wait_of(&listed), Some(expected.max(Duration::from_secs(5))));
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
