use std::time::{Duration, SystemTime};

use crate::retry::RetryAfter;

/// Reads when a limit starts anew: how long after the answer, which has this date.
///
/// Nothing says in which of its forms an ad hoc field is, so that it is read as a member of
/// `Retry-After` is: a number is seconds, or if it is too large for that, seconds or milliseconds
/// since 1970; letters are a date. A date needs the answer's own to compare it with.
pub(super) fn reset(text: &str, answered: Option<SystemTime>) -> Option<Duration> {
    match RetryAfter::read(text)? {
        RetryAfter::Delay(delay) => Some(delay),
        asked => Some(asked.after(answered?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::parse_date;

    /// 1,696,004,797 seconds after 1970.
    const NOW: &[u8] = b"Fri, 29 Sep 2023 16:26:37 GMT";

    #[test]
    fn a_reset_is_read_in_all_its_forms() {
        fn check(text: &str, seconds: Option<u64>) {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(reset(text, parse_date(NOW)), expected, "{text:?}");
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
        check("Fri, 29 Sep 2023 16:27:07 UTC", Some(30));
        check("2023-09-29T16:27:07Z", Some(30));
        check("2023-09-29t18:27:06.250+02:00", Some(30));
        check("2023-09-29 14:57:07-01:30", Some(30));
        check("2023-09-29T16:27:07", Some(30));
        check("2024-02-29T00:00:00Z", Some(13_160_003));
        check("", None);
        check("soon", None);
        check("-30", None);
        check("+30", None);
        check("2023-13-01T00:00:00Z", None);
        check("2023-09-29T16:27:07Z.", None);
        check("1900-01-01T00:00:00Z", None);
        check("9999999999000", Some(8_303_995_202));
        check("99999999999999999999", Some(u64::MAX));
    }

    #[test]
    fn an_offset_beyond_its_bounds_makes_no_reset() {
        for offset in [
            "+9223372036854775807:00",
            "+00:9223372036854775807",
            "-2562047788015215:00",
            "+24:00",
            "-00:60",
        ] {
            let text = format!("2023-09-29T16:27:07{offset}");
            assert_eq!(reset(&text, parse_date(NOW)), None, "{text:?}");
        }
    }

    #[test]
    fn a_date_without_one_to_compare_with_says_nothing() {
        assert_eq!(reset("1696004827", None), None);
        assert_eq!(reset("2023-09-29T16:27:07Z", None), None);
        assert_eq!(reset("30", None), Some(Duration::from_secs(30)));
    }
}
