use std::time::{Duration, SystemTime};

/// Reads a date of HTTP in any of its three forms (RFC 9110, section 5.6.7), from 1970 to 9999.
///
/// White space around it is passed over. A leap second is the second after the one before it. A weekday that is not that
/// of the date, or any other flaw, is `None`.
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
    let text = std::str::from_utf8(value).ok()?.trim_ascii();
    let date = httpdate::parse_http_date(text).ok();
    date.or_else(|| parse_leap_second(text))
}

/// The grammar of a second goes to 60, which the parser does not know.
fn parse_leap_second(text: &str) -> Option<SystemTime> {
    let (before, after) = text.rsplit_once(":60")?;
    let date = httpdate::parse_http_date(&format!("{before}:59{after}")).ok()?;
    before.contains(':').then(|| date + Duration::from_secs(1))
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
    fn the_three_forms_are_one_date() {
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
    fn what_is_no_date_is_none() {
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

    proptest! {
        #[test]
        fn a_date_that_is_written_is_read_again(seconds in 0_u64..253_402_300_800) {
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let read = parse_http_date(httpdate::fmt_http_date(date).as_bytes());
            prop_assert_eq!(read, Some(date));
        }

        #[test]
        fn what_looks_like_a_date_makes_it_panic_no_more_than_anything_else(
            date in "(Sun|Sunday), ?[0-9]{2}[- ](Nov|Feb|[a-z]{3})[- ][0-9]{2,5} [0-9]{2}:[0-9]{2}:(60|[0-9]{2}) GMT",
            any: Vec<u8>,
        ) {
            prop_assert!(parse_http_date(date.as_bytes()).is_none_or(|date| date >= SystemTime::UNIX_EPOCH));
            prop_assert!(parse_http_date(&any).is_none_or(|date| date >= SystemTime::UNIX_EPOCH));
        }
    }
}
