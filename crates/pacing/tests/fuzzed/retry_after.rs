//! What holds for any value of `Retry-After`, and for any date.

use std::time::{Duration, SystemTime};

use pacing::retry::{RetryAfter, parse_http_date};

/// Fri, 31 Dec 9999 23:59:59 GMT: the last second that a date can name.
pub(crate) const LAST: u64 = 253_402_300_799;

/// Reads a value that an answer of the second `now` carried.
pub(crate) fn check(value: &[u8], now: u64) {
    let asked = RetryAfter::parse(value);
    let millis = RetryAfter::parse_millis(value);
    let date = parse_http_date(value);
    // A leap second is the second after the one before it, so it may lie one after the last.
    assert!(date.is_none_or(|date| (at(0)..=at(LAST + 1)).contains(&date)));
    assert!(date.is_none() || millis.is_none());
    assert_eq!(asked.is_some(), date.is_some() || millis.is_some());
    assert!(asked.is_none() || value.iter().any(u8::is_ascii_digit));
    let wait = asked.map(|asked| asked.after(at(now)));
    assert!(date.is_none() || wait <= Some(Duration::from_secs(LAST + 1)));
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
