use std::time::Duration;

use rand::{Rng, RngExt};

use crate::moment::nanos;

/// The most that is added to what a server asked for.
const LARGEST_JITTER: Duration = Duration::from_secs(1);

/// Reads the `delay-seconds` form of `Retry-After` (RFC 9110, section 10.2.3): digits and nothing else.
///
/// White space around them is passed over, and a number too large for 64 bits counts as the largest. Everything else,
/// a sign, a fraction, a list, a date, is `None`.
///
/// ```
/// use std::time::Duration;
/// use pacing::retry::parse_retry_after;
///
/// assert_eq!(parse_retry_after(b"120"), Some(Duration::from_secs(120)));
/// assert_eq!(parse_retry_after(b"+5"), None);
/// ```
#[must_use]
pub fn parse_retry_after(value: &[u8]) -> Option<Duration> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = digits.iter().fold(0_u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(Duration::from_secs(seconds))
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
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn only_digits_are_seconds() {
        fn check(value: &str, seconds: Option<u64>) {
            assert_eq!(
                parse_retry_after(value.as_bytes()),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
        check("0", Some(0));
        check("120", Some(120));
        check(" 7\t", Some(7));
        check("100000000000000000000000000000000000", Some(u64::MAX));
        check("", None);
        check("+5", None);
        check("-10", None);
        check("2.5", None);
        check("5, 10", None);
        check("5s", None);
        check("inf", None);
        check("Fri, 29 Sep 2023 16:26:57 GMT", None);
    }

    #[test]
    fn a_wait_is_never_shorter_than_told_and_a_tenth_longer_at_most() {
        let mut rng = StdRng::seed_from_u64(3);
        for seconds in [0, 2, 5, 600] {
            let floor = Duration::from_secs(seconds);
            let most = floor + (floor / 10).min(Duration::from_secs(1));
            for _ in 0..1_000 {
                let wait = wait_at_least(floor, &mut rng);
                assert!(wait >= floor && wait <= most);
            }
        }
        assert_eq!(wait_at_least(Duration::MAX, &mut rng), Duration::MAX);
    }
}
