use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use pacing::retry::{RetryAfter, parse_date};

use crate::clock;

/// Fields of Azure and of those who took it over, and of AWS, whose field names no unit and is in
/// milliseconds too.
const IN_MILLIS: [&str; 3] = ["retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after"];
const SHOULD_RETRY: [&str; 2] = ["x-should-retry", "stripe-should-retry"];

/// What a response asked for with `Retry-After`, `retry-after-ms`, `x-ms-retry-after-ms` and
/// `x-amz-retry-after`: of several fields the longest, since none is to be undercut. A date counts
/// from the response's own `Date`. The time has no bound here; whoever obeys it has one.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let standard = headers.get_all(header::RETRY_AFTER).iter();
    let standard = standard.filter_map(|value| RetryAfter::parse(value.as_bytes()));
    let millis = IN_MILLIS.iter().flat_map(|name| headers.get_all(*name));
    let millis = millis.filter_map(|value| RetryAfter::parse_millis(value.as_bytes()));
    standard
        .chain(millis)
        .map(|asked| match asked {
            RetryAfter::Delay(delay) => delay,
            RetryAfter::Date(_) | RetryAfter::Both(..) => asked.after(answered(headers)),
        })
        .max()
}

/// What a response says itself of whether to send the request again, in `x-should-retry` or
/// `stripe-should-retry`.
pub(crate) fn should_retry(headers: &HeaderMap) -> Option<bool> {
    let mut values = SHOULD_RETRY.iter().filter_map(|name| headers.get(*name));
    values.find_map(|value| match value.as_bytes().trim_ascii() {
        value if value.eq_ignore_ascii_case(b"true") => Some(true),
        value if value.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    })
}

/// When the response was made, by the server's clock; by ours if it does not say.
fn answered(headers: &HeaderMap) -> SystemTime {
    let date = headers.get(header::DATE);
    date.and_then(|date| parse_date(date.as_bytes()))
        .unwrap_or_else(clock::date)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(fields: &[(&'static str, &'static [u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn check(fields: &[(&'static str, &'static [u8])], millis: Option<u64>) {
        assert_eq!(
            retry_after(&headers(fields)),
            millis.map(Duration::from_millis),
            "{fields:?}"
        );
    }

    #[test]
    fn the_longest_of_several_fields_counts_and_garbage_hides_none() {
        check(&[], None);
        check(
            &[("retry-after", b"1"), ("retry-after", b"60")],
            Some(60_000),
        );
        check(
            &[("retry-after", b"soon"), ("retry-after", b"7")],
            Some(7_000),
        );
        // A list is no value of the standard, but what proxies make of two fields.
        check(&[("retry-after", b"5, 10")], Some(10_000));
        check(&[("retry-after", b"\xff\xfe")], None);
        check(&[("retry-after-ms", b"1500")], Some(1_500));
        check(&[("x-ms-retry-after-ms", b"20")], Some(20));
        check(&[("x-amz-retry-after", b"2500")], Some(2_500));
        check(
            &[("retry-after", b"1"), ("retry-after-ms", b"1500")],
            Some(1_500),
        );
        check(
            &[("retry-after", b"2"), ("retry-after-ms", b"1500")],
            Some(2_000),
        );
    }

    /// The clock of this machine is years away from that of the server, and it does not matter.
    #[test]
    fn a_date_counts_from_the_answers_own_date() {
        const DATE: (&str, &[u8]) = ("date", b"Fri, 29 Sep 2023 16:26:37 GMT");
        check(
            &[DATE, ("retry-after", b"Fri, 29 Sep 2023 16:26:57 GMT")],
            Some(20_000),
        );
        check(
            &[DATE, ("retry-after", b"Friday, 29-Sep-23 16:26:57 GMT")],
            Some(20_000),
        );
        check(
            &[DATE, ("retry-after", b"Fri Sep 29 16:26:57 2023")],
            Some(20_000),
        );
        check(
            &[DATE, ("retry-after", b"Fri, 29 Sep 2023 15:26:57 GMT")],
            Some(0),
        );
        check(
            &[DATE, ("retry-after", b"Fri, 29 Sep 2023 17:26:37 GMT")],
            Some(3_600_000),
        );
    }

    /// None of these is in the standard, and each is sent by servers that mean it.
    #[test]
    fn what_servers_send_beyond_the_standard_is_rounded_up_and_obeyed() {
        const DATE: (&str, &[u8]) = ("date", b"Fri, 29 Sep 2023 16:26:37 GMT");
        let values: [(&[u8], u64); 12] = [
            (b"2.5", 3),
            (b"299.997", 300),
            (b"2, 5", 5),
            (b"Fri, 29 Sep 2023 16:26:57 UTC", 20),
            (b"2023-09-29T16:26:57Z", 20),
            (b"2023-09-29T16:26:56.123456Z", 20),
            (b"2023-09-29T18:26:57+02:00", 20),
            (b"1696004817", 20),
            (b"1696004816.25", 20),
            (b"1696004817000", 20),
            (b"15, Fri, 29 Sep 2023 16:26:57 GMT", 20),
            (b"25, 1696004817", 25),
        ];
        for (value, seconds) in values {
            check(&[DATE, ("retry-after", value)], Some(seconds * 1_000));
        }
        check(
            &[
                ("date", b"Fri, 29 Sep 2023 16:26:37 UTC"),
                ("retry-after", b"1696004817"),
            ],
            Some(20_000),
        );
    }

    #[test]
    fn a_date_without_a_date_to_compare_counts_from_our_own() {
        check(
            &[("retry-after", b"Fri, 29 Sep 2023 16:26:57 GMT")],
            Some(0),
        );
        let far = headers(&[
            ("date", b"today"),
            ("retry-after", b"Fri, 31 Dec 9999 23:59:59 GMT"),
        ]);
        assert!(retry_after(&far).is_some_and(|wait| wait > Duration::from_secs(86_400)));
    }

    proptest! {
        /// Whatever a server sends, reading it overflows nothing, neither does adding the wait to
        /// the clock, and no garbage hides what another field asks for.
        #[test]
        fn no_value_overflows_or_hides_another(
            value in prop_oneof![
                "[\\x20-\\x7e]{0,40}",
                "[0-9]{0,40}([.,][0-9]{0,40})?",
                "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{1,20}:?[0-9]{0,20}",
            ],
            date in "[0-9A-Z:+-]{0,30}",
        ) {
            let mut headers = HeaderMap::new();
            for name in ["retry-after", "retry-after-ms", "x-ms-retry-after-ms", "x-amz-retry-after"] {
                headers.append(name, value.parse().unwrap());
            }
            // Most of these are no date, so that what is asked for counts from the clock of this
            // machine.
            headers.insert("date", date.parse().unwrap());
            clock::after(retry_after(&headers).unwrap_or_default());
            headers.insert("date", HeaderValue::from_static("Fri, 29 Sep 2023 16:26:37 GMT"));
            let alone = retry_after(&headers);
            clock::after(alone.unwrap_or_default());
            headers.append("retry-after", HeaderValue::from_static("7"));
            let beside = retry_after(&headers);
            prop_assert_eq!(beside, Some(alone.unwrap_or_default().max(Duration::from_secs(7))));
        }
    }

    #[test]
    fn the_servers_own_word_is_true_or_false_and_nothing_else() {
        fn check(fields: &[(&'static str, &'static [u8])], expected: Option<bool>) {
            assert_eq!(should_retry(&headers(fields)), expected, "{fields:?}");
        }
        check(&[], None);
        check(&[("x-should-retry", b"true")], Some(true));
        check(&[("x-should-retry", b"False")], Some(false));
        check(&[("stripe-should-retry", b"false")], Some(false));
        check(&[("x-should-retry", b"1")], None);
    }
}
