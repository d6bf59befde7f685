use std::time::{Duration, SystemTime};

use rand::{Rng, RngExt};

use super::parse_http_date;
use crate::moment::nanos;

/// The most that is added to what a server asked for.
const LARGEST_JITTER: Duration = Duration::from_secs(1);

/// What one `Retry-After` field asks for (RFC 9110, section 10.2.3).
///
/// ```
/// use std::time::Duration;
/// use pacing::retry::{RetryAfter, parse_http_date};
///
/// let answered = parse_http_date(b"Fri, 29 Sep 2023 16:26:37 GMT").unwrap();
/// let asked = RetryAfter::parse(b"Fri, 29 Sep 2023 16:26:57 GMT").unwrap();
/// assert_eq!(asked.after(answered), Duration::from_secs(20));
/// assert_eq!(RetryAfter::parse(b"+5"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// To wait for so long after the answer.
    Delay(Duration),
    /// To wait until then, by the server's clock.
    Date(SystemTime),
}

impl RetryAfter {
    /// Reads a field's value: digits and nothing else are seconds, and all three forms of an HTTP date are dates.
    ///
    /// White space around them is passed over, and a number too large for 64 bits counts as the largest. Everything else,
    /// a sign, a fraction, a list, is `None`.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let seconds = digits(value).map(|seconds| Self::Delay(Duration::from_secs(seconds)));
        seconds.or_else(|| parse_http_date(value).map(Self::Date))
    }

    /// Reads the value of `retry-after-ms` or `x-ms-retry-after-ms`, which no standard describes: digits are milliseconds.
    #[must_use]
    pub fn parse_millis(value: &[u8]) -> Option<Self> {
        digits(value).map(|millis| Self::Delay(Duration::from_millis(millis)))
    }

    /// Returns how long to wait after an answer of the date `answered`, zero if what was asked for is past.
    ///
    /// Both dates should be of the server's clock: with the answer's own `Date` it does not matter how far the clocks of
    /// client and server differ.
    #[must_use]
    pub fn after(self, answered: SystemTime) -> Duration {
        match self {
            Self::Delay(delay) => delay,
            Self::Date(date) => date.duration_since(answered).unwrap_or_default(),
        }
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(number)
}

/// Draws a wait of at least `floor`, with up to a tenth of it, and up to a second, on top.
///
/// A wait that a server asked for is never shortened, but everyone who was told the same should not come back at once.
#[must_use]
pub fn wait_at_least(floor: Duration, rng: &mut impl Rng) -> Duration {
    let jitter = (floor / 10).min(LARGEST_JITTER);
    floor.saturating_add(Duration::from_nanos(rng.random_range(0..=nanos(jitter))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    /// Fri, 29 Sep 2023 16:26:37 GMT.
    const NOW: u64 = 1_696_004_797;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// The vectors of other clients' tests, and what they do not test. Where those disagree, the comment says our choice.
    #[test]
    fn what_a_field_says_is_obeyed_to_the_second() {
        fn check(value: &str, seconds: Option<u64>) {
            let asked = RetryAfter::parse(value.as_bytes()).map(|asked| asked.after(at(NOW)));
            assert_eq!(asked, seconds.map(Duration::from_secs), "{value:?}");
        }
        check("5", Some(5));
        check("20", Some(20));
        check("60", Some(60));
        // Beyond 60 or 120 s some fall back to their backoff, which is earlier than told. The policy has the bound.
        check("61", Some(61));
        check("120", Some(120));
        check("121", Some(121));
        check(" 7\t", Some(7));
        // "At once"; the policy backs off all the same.
        check("0", Some(0));
        check("100000000000000000000000000000000000", Some(u64::MAX));
        check("18446744073709551616", Some(u64::MAX));
        check("", None);
        check(" ", None);
        check("+5", None);
        check("-10", None);
        // Some read a fraction; the grammar has none.
        check("2.5", None);
        check("1595320702.1234", None);
        check("5, 10", None);
        check("5s", None);
        check("inf", None);
        check("nan", None);
        check("Zun, 29 Sep 2023 16:26:27 GMT", None);
        check("Fri, 29 Sep 2023 16:26:57 GMT", Some(20));
        check("Fri, 29 Sep 2023 16:26:37 GMT", Some(0));
        check("Fri, 29 Sep 2023 16:26:27 GMT", Some(0));
        check("Fri, 29 Sep 2023 16:27:37 GMT", Some(60));
        check("Fri, 29 Sep 2023 16:27:38 GMT", Some(61));
        check("Fri, 29 Sep 2023 16:28:37 GMT", Some(120));
        check("Fri, 29 Sep 2023 16:28:38 GMT", Some(121));
        check("Sat, 30 Sep 2023 16:26:37 GMT", Some(86_400));
        check("Friday, 29-Sep-23 16:26:57 GMT", Some(20));
        check("Fri Sep 29 16:26:57 2023", Some(20));
        check("Fri, 29 Sep 2023 16:26:60 GMT", Some(23));
        check("Fri, 29 Sep 100000 16:26:57 GMT", None);
    }

    /// At midnight of the year 2021.
    #[test]
    fn a_date_in_another_year_is_ten_seconds_away() {
        fn check(value: &str, seconds: u64) {
            let asked = RetryAfter::parse(value.as_bytes()).unwrap();
            assert_eq!(asked.after(at(1_609_459_200)), Duration::from_secs(seconds));
        }
        check("Fri, 01 Jan 2021 00:00:10 GMT", 10);
        check("Thu, 31 Dec 2020 23:59:50 GMT", 0);
    }

    /// Others take it for a moment of Unix time, and wait until then or, if that is past, not at all.
    #[test]
    fn a_number_is_never_an_epoch() {
        for seconds in [999_999_999, 1_000_000_000, 1_000_000_007] {
            let asked = RetryAfter::parse(seconds.to_string().as_bytes()).unwrap();
            let wait = asked.after(at(1_000_000_000));
            assert_eq!(wait, Duration::from_secs(seconds));
        }
    }

    #[test]
    fn milliseconds_are_digits_too() {
        fn check(value: &str, millis: Option<u64>) {
            let asked = RetryAfter::parse_millis(value.as_bytes());
            let expected = millis.map(|millis| RetryAfter::Delay(Duration::from_millis(millis)));
            assert_eq!(asked, expected, "{value:?}");
        }
        check("1500", Some(1_500));
        check("0", Some(0));
        check("1.5", None);
        check("Fri, 29 Sep 2023 16:26:57 GMT", None);
    }

    #[test]
    fn a_wait_is_never_shorter_than_told_and_a_tenth_longer_at_most() {
        let mut rng = StdRng::seed_from_u64(3);
        for seconds in [0, 2, 5, 600] {
            let floor = Duration::from_secs(seconds);
            let most = floor + (floor / 10).min(Duration::from_secs(1));
            let waits: Vec<_> = (0..1_000).map(|_| wait_at_least(floor, &mut rng)).collect();
            assert!(waits.iter().all(|wait| *wait >= floor && *wait <= most));
            assert!(floor.is_zero() || waits.iter().any(|wait| *wait > floor + (most - floor) / 2));
        }
        assert_eq!(wait_at_least(Duration::MAX, &mut rng), Duration::MAX);
    }

    proptest! {
        #[test]
        fn seconds_are_read_as_they_are_written(seconds: u64) {
            let asked = RetryAfter::parse(seconds.to_string().as_bytes());
            prop_assert_eq!(asked, Some(RetryAfter::Delay(Duration::from_secs(seconds))));
        }
    }
}
