use std::time::{Duration, SystemTime};

use rand::{Rng, RngExt};

use super::date::date;
use crate::moment::nanos;

/// The most that is added to a `Retry-After`. More would delay the client without need; much less
/// would let all clients return at once.
const LARGEST_JITTER: Duration = Duration::from_secs(1);
/// From this number on, seconds are not a delay, which would be 31 years, but a time since 1970.
const EPOCH: u64 = 1_000_000_000;
/// The last second of an HTTP date, in the year 9999. A larger number is no date.
const LAST: u64 = 253_402_300_799;
/// The weekdays. A comma behind one of them belongs to a date and does not separate a list.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The value of a `Retry-After` field (RFC 9110, section 10.2.3).
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
    /// A time after the response.
    Delay(Duration),
    /// A date of the server's clock.
    Date(SystemTime),
    /// A list of both. The later one counts.
    Both(Duration, SystemTime),
}

impl RetryAfter {
    /// Parses a field's value: seconds in digits, or an HTTP date in any of its three forms.
    ///
    /// Servers also send values that the standard does not have. These are parsed too:
    ///
    /// - a fraction, which is rounded up to a whole second;
    /// - a date in another zone or notation, as [`parse_date`](super::parse_date) parses it, for
    ///   instance to the minute, which is rounded up;
    /// - a number from 1,000,000,000 on, which would be 31 years: seconds since 1970, or from
    ///   1,000,000,000,000 on milliseconds since 1970, if that is a date up to the year 9999;
    /// - a list of these, as proxies make it of several fields: the longest wait counts, and
    ///   malformed members are ignored.
    ///
    /// White space is ignored. A number above 64 bits counts as the largest one. Everything else,
    /// for instance a sign or a unit, is `None`. The wait has no bound here: the caller has to
    /// bound it.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        members(std::str::from_utf8(value).ok()?)
            .filter_map(Self::read)
            .reduce(Self::later)
    }

    /// Parses the value of a field in milliseconds, for instance `retry-after-ms`: a number,
    /// rounded up, or the largest of a list. No standard describes these fields.
    #[must_use]
    pub fn parse_millis(value: &[u8]) -> Option<Self> {
        members(std::str::from_utf8(value).ok()?)
            .filter_map(rounded_up)
            .max()
            .map(|millis| Self::Delay(Duration::from_millis(millis)))
    }

    /// Parses a member of a list.
    pub(crate) fn read(text: &str) -> Option<Self> {
        // Numbers first: a date never parses as a number.
        match rounded_up(text) {
            Some(number) => Some(
                epoch(number).map_or_else(|| Self::Delay(Duration::from_secs(number)), Self::Date),
            ),
            None => date(text).map(Self::Date),
        }
    }

    /// Returns the wait after a response of the date `answered`. It is zero if the date is past.
    ///
    /// Pass the `Date` of the response, so that both dates are of the server's clock. Then a
    /// difference between the clocks of client and server does not matter.
    #[must_use]
    pub fn after(self, answered: SystemTime) -> Duration {
        let until = |date: SystemTime| date.duration_since(answered).unwrap_or_default();
        match self {
            Self::Delay(delay) => delay,
            Self::Date(date) => until(date),
            Self::Both(delay, date) => delay.max(until(date)),
        }
    }

    fn later(self, other: Self) -> Self {
        // A delay and a date cannot be compared without the date of the response: keep the longest
        // of each kind.
        let (delay, date) = (
            self.delay().max(other.delay()),
            self.date().max(other.date()),
        );
        match (delay, date) {
            (Some(delay), Some(date)) => Self::Both(delay, date),
            (Some(delay), None) => Self::Delay(delay),
            (None, Some(date)) => Self::Date(date),
            (None, None) => self,
        }
    }

    const fn delay(self) -> Option<Duration> {
        match self {
            Self::Delay(delay) | Self::Both(delay, _) => Some(delay),
            Self::Date(_) => None,
        }
    }

    const fn date(self) -> Option<SystemTime> {
        match self {
            Self::Date(date) | Self::Both(_, date) => Some(date),
            Self::Delay(_) => None,
        }
    }
}

/// Returns the members of a list. Some of them may be dates, which have a comma of their own.
pub(crate) fn members(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut commas = text.match_indices(',').map(|(at, _)| at);
        // The comma of `Fri, 29 Sep ..` is behind a weekday. Commas elsewhere end a member.
        let end = commas.find(|&at| !is_weekday(text[..at].trim_ascii()));
        let (member, after) = match end {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        rest = after;
        Some(member)
    })
}

fn is_weekday(text: &str) -> bool {
    WEEKDAYS.iter().any(|day| text.starts_with(day))
        && text.bytes().all(|b| b.is_ascii_alphabetic())
}

/// Parses a number without a sign, and rounds a fraction up. A number above 64 bits counts as the
/// largest one.
fn rounded_up(text: &str) -> Option<u64> {
    let text = text.trim_ascii();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let has_fraction = digits(fraction)? > 0;
    Some(digits(whole)?.saturating_add(u64::from(has_fraction)))
}

fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Only a number above 64 bits fails here.
    Some(text.parse().unwrap_or(u64::MAX))
}

/// Returns the date of a number of seconds or milliseconds since 1970. Returns `None` if the number
/// can be a delay.
fn epoch(number: u64) -> Option<SystemTime> {
    let since = match number {
        EPOCH..=LAST => Duration::from_secs(number),
        _ if (EPOCH * 1_000..=LAST * 1_000).contains(&number) => Duration::from_millis(number),
        _ => return None,
    };
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// Draws a wait: `floor`, plus jitter of up to a tenth of it and up to a second.
///
/// A wait that a server asked for is never shortened. The jitter spreads the clients that got the
/// same `Retry-After`, so that they do not return at once.
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

    #[track_caller]
    fn check(value: &str, seconds: Option<u64>) {
        let asked = RetryAfter::parse(value.as_bytes()).map(|asked| asked.after(at(NOW)));
        assert_eq!(asked, seconds.map(Duration::from_secs), "{value:?}");
    }

    /// The vectors of other clients' tests, and some more. Where the clients disagree, a comment
    /// names our choice.
    #[test]
    fn a_field_is_parsed_to_the_second() {
        check("5", Some(5));
        check("20", Some(20));
        check("60", Some(60));
        // Beyond 60 or 120 s some clients fall back to their backoff, which is too early. Here the
        // policy has the bound.
        check("61", Some(61));
        check("120", Some(120));
        check("121", Some(121));
        check(" 7\t", Some(7));
        // The policy backs off after a zero.
        check("0", Some(0));
        check("100000000000000000000000000000000000", Some(u64::MAX));
        check("18446744073709551616", Some(u64::MAX));
        check("", None);
        check(" ", None);
        check("+5", None);
        check("-10", None);
        check("5s", None);
        check("5.", None);
        check(".5", None);
        check("1.2.3", None);
        check("1e3", None);
        check("-2.5", None);
        check(",", None);
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

    /// The grammar has no fraction, no list and no other date. Other clients ignore them or fall
    /// back to their backoff, which is too early. Servers send them, so they are rounded up and
    /// obeyed.
    #[test]
    fn values_beyond_the_grammar_are_parsed() {
        check("2.5", Some(3));
        check("2.0", Some(2));
        check("0.001", Some(1));
        check("299.997", Some(300));
        check("18446744073709551615.5", Some(u64::MAX));
        check("2, 5", Some(5));
        check("5, 10", Some(10));
        check("10,5", Some(10));
        check("7, soon, -9,", Some(7));
        check("1,5.5", Some(6));
        check("Fri, 29 Sep 2023 16:26:57 UTC", Some(20));
        check("Fri, 29 Sep 2023 18:26:57 +0200", Some(20));
        check("2023-09-29T16:26:57Z", Some(20));
        check("2023-09-29T16:26:56.2+00:00", Some(20));
        check("2023-09-29 16:26:57 UTC", Some(20));
        check("2023-09-29T16:26:57", Some(20));
        check("2023-09-29T16:26:57+24:00", None);
    }

    #[test]
    fn the_longest_wait_of_a_list_counts() {
        check(
            "Fri, 29 Sep 2023 16:26:57 GMT, Fri, 29 Sep 2023 16:26:47 GMT",
            Some(20),
        );
        check(
            "Friday, 29-Sep-23 16:26:47 GMT,Fri, 29 Sep 2023 16:26:57 GMT",
            Some(20),
        );
        check("15, Fri, 29 Sep 2023 16:26:57 GMT", Some(20));
        check("Fri, 29 Sep 2023 16:26:57 GMT, 25", Some(25));
        check(
            "Fri, 29 Sep 2023 16:26:57 GMT, 2023-09-29T16:27:37Z, 25",
            Some(60),
        );
        check("Fri, soon, 25", Some(25));
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

    /// Up to 31 years, and far beyond the last date, a number is a delay: the caller bounds it.
    #[test]
    fn a_number_that_can_be_no_delay_counts_from_1970() {
        fn check(value: &str, answered: u64, seconds: u64) {
            let asked = RetryAfter::parse(value.as_bytes()).map(|asked| asked.after(at(answered)));
            assert_eq!(asked, Some(Duration::from_secs(seconds)), "{value:?}");
        }
        check("999999999", 1_000_000_000, 999_999_999);
        check("1000000000", 1_000_000_000, 0);
        check("1000000007", 1_000_000_000, 7);
        check("1696004827", NOW, 30);
        check("1696004826.25", NOW, 30);
        check("1696004827000", NOW, 30);
        check("1696004827.0", NOW, 30);
        check("1696004796", NOW, 0);
        check("253402300799", NOW, LAST - NOW);
        check("253402300800", NOW, 253_402_300_800);
        check("999999999999", NOW, 999_999_999_999);
        check("1000000000000", 1_000_000_000, 0);
        check("253402300799000", NOW, LAST - NOW);
        check("253402300799001", NOW, 253_402_300_799_001);
        check("1696004827, 40", NOW, 40);
        check("40, 1696004827", NOW, 40);
    }

    #[test]
    fn milliseconds_are_parsed() {
        fn check(value: &str, millis: Option<u64>) {
            let asked = RetryAfter::parse_millis(value.as_bytes());
            let expected = millis.map(|millis| RetryAfter::Delay(Duration::from_millis(millis)));
            assert_eq!(asked, expected, "{value:?}");
        }
        check("1500", Some(1_500));
        check("0", Some(0));
        check("1.5", Some(2));
        check("2, 5", Some(5));
        check("1696004827000", Some(1_696_004_827_000));
        check("-1", None);
        check("Fri, 29 Sep 2023 16:26:57 GMT", None);
    }

    #[test]
    fn a_wait_is_never_shorter_than_its_floor_and_at_most_a_tenth_longer() {
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
        fn seconds_are_parsed_as_they_are_written(
            seconds in prop_oneof![0..EPOCH, LAST * 1_000 + 1..=u64::MAX],
        ) {
            let asked = RetryAfter::parse(seconds.to_string().as_bytes());
            prop_assert_eq!(asked, Some(RetryAfter::Delay(Duration::from_secs(seconds))));
        }
    }
}
