use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use crate::InvalidInput;

/// The first second of the year 1.
const EARLIEST: i64 = -62_135_596_800;

/// The last second of ten digits, in the year 2286. Milliseconds since April 1970, given as
/// seconds, are greater.
const LATEST: i64 = 9_999_999_999;

/// A time in unix seconds, the unit of the Track API.
///
/// ```
/// use customerio::Timestamp;
/// assert_eq!(Timestamp::new(-2_934_144_000)?.seconds(), -2_934_144_000); // 1877 is a real time
/// assert!(Timestamp::new(1_700_000_000_123).is_err()); // milliseconds
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Creates a timestamp from unix seconds. Negative ones are before 1970.
    ///
    /// # Errors
    ///
    /// The time is before the year 1 or after 2286. Milliseconds given as seconds are out of this
    /// range.
    pub const fn new(unix_seconds: i64) -> Result<Self, InvalidInput> {
        if EARLIEST <= unix_seconds && unix_seconds <= LATEST {
            Ok(Self(unix_seconds))
        } else {
            Err(InvalidInput::out_of_range())
        }
    }

    /// Creates a timestamp, or the nearest one in range.
    pub(crate) fn clamped(unix_seconds: i64) -> Self {
        Self(unix_seconds.clamp(EARLIEST, LATEST))
    }

    /// Returns the unix seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// Returns the milliseconds since 1970, or `None` before 1970.
    pub(crate) fn millis(self) -> Option<u64> {
        u64::try_from(self.0).ok().map(|seconds| seconds * 1_000)
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = InvalidInput;

    /// Rounds down to the second.
    fn try_from(time: SystemTime) -> Result<Self, InvalidInput> {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()),
            Err(before) => {
                let before = before.duration();
                i64::try_from(before.as_secs() + u64::from(before.subsec_nanos() > 0)).map(|s| -s)
            }
        };
        Self::new(seconds.unwrap_or(i64::MAX))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn impossible_times_are_errors() {
        let check =
            |seconds, expected| assert_eq!(Timestamp::new(seconds).is_ok(), expected, "{seconds}");
        check(0, true);
        check(EARLIEST, true);
        check(EARLIEST - 1, false);
        check(LATEST, true);
        check(LATEST + 1, false);
        check(i64::MIN, false);
        check(i64::MAX, false);
    }

    #[test]
    fn system_times_round_down() {
        let half = Duration::from_millis(1_500);
        let check =
            |time, expected| assert_eq!(Timestamp::try_from(time).unwrap().seconds(), expected);
        check(UNIX_EPOCH + half, 1);
        check(UNIX_EPOCH - half, -2);
        check(UNIX_EPOCH - Duration::from_secs(2), -2);
    }
}
