use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pacing::retry::{RetryAfter, parse_date};

use crate::clock;

static DELAYS_IN_MILLIS: [HeaderName; 3] = [
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-ms-retry-after-ms"),
    HeaderName::from_static("x-amz-retry-after"),
];
static RETRY_FLAGS: [HeaderName; 2] = [
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("stripe-should-retry"),
];

/// The header fields, beside `Retry-After`, in which a server says when and whether to retry.
///
/// The default is this list. Builder methods add to it:
///
/// ```
/// use http::HeaderName;
/// use tower_pace::{Classifier, HintHeaders, RetryLayer, RetryPolicy};
///
/// let hints = HintHeaders::default()
///     .delay_in_millis(HeaderName::from_static("x-backoff-ms"))
///     .retry_flag(HeaderName::from_static("x-transient"));
/// let classifier = Classifier::new().hint_headers(hints);
/// let layer = RetryLayer::new(RetryPolicy::default()).classifier(classifier);
/// ```
///
/// | field | value | sent by |
/// |---|---|---|
/// | `retry-after-ms` | delay in milliseconds | Azure and OpenAI, as their SDKs read it |
/// | `x-ms-retry-after-ms` | delay in milliseconds | Azure Cosmos DB, in its REST reference |
/// | `x-amz-retry-after` | delay in milliseconds | AWS, as its SDKs read it |
/// | `x-should-retry` | `true` or `false` | OpenAI and Anthropic, as their SDKs read it |
/// | `stripe-should-retry` | `true` or `false` | Stripe, in "Advanced error handling" |
///
/// Of several delays, `Retry-After` included, the longest counts. Of several flags, the first one
/// in the order of this list that is `true` or `false` counts; added names come last. A value that
/// cannot be read is ignored.
///
/// Both the retry and the rate limit take these in their [`Classifier`](crate::Classifier). The
/// rate limit reads the delays.
///
/// A clone is cheap, and the default allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct HintHeaders {
    /// The names beyond the documented list.
    added: Option<Arc<Added>>,
}

#[derive(Clone, Debug, Default)]
struct Added {
    delays_in_millis: Vec<HeaderName>,
    retry_flags: Vec<HeaderName>,
}

impl HintHeaders {
    pub(crate) const DEFAULT: Self = Self { added: None };

    /// Adds a field whose value is a delay in milliseconds.
    #[must_use]
    pub fn delay_in_millis(mut self, name: HeaderName) -> Self {
        self.added_mut().delays_in_millis.push(name);
        self
    }

    /// Adds a field whose value is `true` if the request should be sent again, and `false` if not.
    ///
    /// The flag makes no replay safe. It says only that another attempt is promising.
    #[must_use]
    pub fn retry_flag(mut self, name: HeaderName) -> Self {
        self.added_mut().retry_flags.push(name);
        self
    }

    /// Returns the added names, apart from those of any clone.
    fn added_mut(&mut self) -> &mut Added {
        Arc::make_mut(self.added.get_or_insert_default())
    }

    /// Returns the delay for which a response asks, in `Retry-After` or in one of these fields.
    ///
    /// Of several delays it is the longest, since none may be undercut. A date counts from the
    /// response's own `Date`. The delay has no upper bound: the caller must bound it.
    pub(crate) fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let standard = headers.get_all(header::RETRY_AFTER).iter();
        let standard = standard.filter_map(|value| RetryAfter::parse(value.as_bytes()));
        let added = self.added.as_deref();
        let names = DELAYS_IN_MILLIS.iter();
        let names = names.chain(added.iter().flat_map(|added| &added.delays_in_millis));
        let millis = names.flat_map(|name| headers.get_all(name));
        let millis = millis.filter_map(|value| RetryAfter::parse_millis(value.as_bytes()));
        standard
            .chain(millis)
            .map(|asked| match asked {
                RetryAfter::Delay(delay) => delay,
                RetryAfter::Date(_) | RetryAfter::Both(..) => asked.after(responded(headers)),
            })
            .max()
    }

    /// Returns whether a response asks to send the request again, if it says so.
    pub(crate) fn should_retry(&self, headers: &HeaderMap) -> Option<bool> {
        let added = self.added.as_deref();
        let names = RETRY_FLAGS.iter();
        let mut names = names.chain(added.iter().flat_map(|added| &added.retry_flags));
        names.find_map(|name| headers.get(name).and_then(parse_flag))
    }
}

fn parse_flag(value: &HeaderValue) -> Option<bool> {
    match value.as_bytes().trim_ascii() {
        value if value.eq_ignore_ascii_case(b"true") => Some(true),
        value if value.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// Returns when the response was made, by the server's clock, or by ours if it has no `Date`.
fn responded(headers: &HeaderMap) -> SystemTime {
    let date = headers.get(header::DATE);
    date.and_then(|date| parse_date(date.as_bytes()))
        .unwrap_or_else(clock::date)
}

#[cfg(test)]
mod tests {
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
            HintHeaders::DEFAULT.retry_after(&headers(fields)),
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
    fn a_date_counts_from_the_responses_own_date() {
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
    fn values_beyond_the_standard_are_rounded_up_and_obeyed() {
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
        assert!(
            HintHeaders::DEFAULT
                .retry_after(&far)
                .is_some_and(|wait| wait > Duration::from_secs(86_400))
        );
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
            clock::after(HintHeaders::DEFAULT.retry_after(&headers).unwrap_or_default());
            headers.insert("date", HeaderValue::from_static("Fri, 29 Sep 2023 16:26:37 GMT"));
            let alone = HintHeaders::DEFAULT.retry_after(&headers);
            clock::after(alone.unwrap_or_default());
            headers.append("retry-after", HeaderValue::from_static("7"));
            let beside = HintHeaders::DEFAULT.retry_after(&headers);
            prop_assert_eq!(beside, Some(alone.unwrap_or_default().max(Duration::from_secs(7))));
        }
    }

    #[test]
    fn a_retry_flag_is_true_or_false_and_nothing_else() {
        fn check(fields: &[(&'static str, &'static [u8])], expected: Option<bool>) {
            assert_eq!(
                HintHeaders::DEFAULT.should_retry(&headers(fields)),
                expected,
                "{fields:?}"
            );
        }
        check(&[], None);
        check(&[("x-should-retry", b"true")], Some(true));
        check(&[("x-should-retry", b"False")], Some(false));
        check(&[("stripe-should-retry", b"false")], Some(false));
        check(&[("x-should-retry", b"1")], None);
    }

    #[test]
    fn an_added_field_counts_like_those_of_the_list() {
        let hints = HintHeaders::default();
        let added = hints
            .clone()
            .delay_in_millis(HeaderName::from_static("x-backoff-ms"))
            .retry_flag(HeaderName::from_static("x-transient"));
        let said = headers(&[("x-backoff-ms", b"1500"), ("x-transient", b"true")]);
        assert_eq!(added.retry_after(&said), Some(Duration::from_millis(1_500)));
        assert_eq!(added.should_retry(&said), Some(true));
        assert_eq!(hints.retry_after(&said), None, "a clone is not changed");
        assert_eq!(hints.should_retry(&said), None);
        let both = headers(&[("x-backoff-ms", b"1500"), ("retry-after", b"2")]);
        assert_eq!(added.retry_after(&both), Some(Duration::from_secs(2)));
        let both = headers(&[("x-transient", b"true"), ("x-should-retry", b"false")]);
        assert_eq!(added.should_retry(&both), Some(false));
    }

    #[test]
    fn the_size_is_that_of_a_pointer() {
        assert_eq!(size_of::<HintHeaders>(), size_of::<usize>());
    }
}
