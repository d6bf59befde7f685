use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::Offset;
use serde::{Serialize, Serializer};

/// The format of times in a column: `unix` seconds, `rfc3339`, or a format of `strftime`.
///
/// Parts that a format lacks are the first of January, 00:00, UTC: `%Y` alone is a time too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    Unix,
    /// With `Z` or an offset. Fractions of a second are dropped: the API counts whole seconds.
    Rfc3339,
    Strftime(String),
}

impl TimeFormat {
    /// Returns the time in seconds since 1970, negative before it.
    ///
    /// # Errors
    ///
    /// Fails if the text is not in this format, and for a day or hour that does not exist.
    pub(crate) fn parse(&self, text: &str) -> Result<i64> {
        match self {
            Self::Unix => text.parse().context("not a whole number of seconds"),
            Self::Rfc3339 => rfc3339(text),
            Self::Strftime(format) => seconds(BrokenDownTime::parse(format, text)?),
        }
    }

    /// Returns the message about a time that the API does not accept.
    pub(super) fn out_of_range(&self) -> &'static str {
        match self {
            Self::Unix => {
                "is before the year 1 or after 2286; write unix seconds, not milliseconds"
            }
            Self::Rfc3339 | Self::Strftime(_) => {
                "is before the year 1 or after 2286; correct it or remove the record"
            }
        }
    }

    /// Returns the format as on the command line.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Unix => "unix",
            Self::Rfc3339 => "rfc3339",
            Self::Strftime(format) => format,
        }
    }
}

impl Serialize for TimeFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl FromStr for TimeFormat {
    type Err = anyhow::Error;

    /// Parses a format. One that cannot parse its own output is an error: no text fits it.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "unix" => return Ok(Self::Unix),
            "rfc3339" => return Ok(Self::Rfc3339),
            _ => {}
        }
        let format = Self::Strftime(text.to_owned());
        let sample = jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(jiff::tz::TimeZone::UTC);
        let Ok(written) = strtime::format(text, &sample) else {
            bail!("not a strftime format; write one like %Y-%m-%dT%H:%M:%S%z, or rfc3339, or unix");
        };
        format.parse(&written).context(
            "this format gives no time; add at least the year, or write rfc3339 or unix",
        )?;
        Ok(format)
    }
}

/// Parses `2024-01-02T03:04:05Z`, with any fraction and offset, and with a space instead of the
/// `T`.
fn rfc3339(text: &str) -> Result<i64> {
    ensure!(is_rfc3339(text), "not RFC 3339");
    // The fraction is cut out: jiff accepts at most nine digits, and RFC 3339 any number.
    let (start, end) = text.split_at(DATE_TIME);
    let fraction = end.len()
        - end
            .trim_start_matches(|c: char| c == '.' || c.is_ascii_digit())
            .len();
    let whole = format!("{start}{}", &end[fraction..]).to_ascii_uppercase();
    Ok(whole.parse::<jiff::Timestamp>()?.as_second())
}

/// The length of a date and a time without fraction and offset.
const DATE_TIME: usize = "2024-01-02T03:04:05".len();

/// Returns whether a text has the form of RFC 3339, section 5.6. jiff accepts more: offsets without
/// a colon or without minutes, dates without hyphens, names of time zones.
fn is_rfc3339(text: &str) -> bool {
    let fits = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(byte, pattern)| match pattern {
                    b'0' => byte.is_ascii_digit(),
                    b'T' => matches!(byte, b'T' | b't' | b' '),
                    b'+' => matches!(byte, b'+' | b'-'),
                    _ => byte == pattern,
                })
    };
    let Some((start, end)) = text.split_at_checked(DATE_TIME) else {
        return false;
    };
    let offset = match end.strip_prefix('.') {
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
        None => end,
    };
    fits(start, "0000-00-00T00:00:00")
        && (matches!(offset, "Z" | "z") || (fits(offset, "+00:00") && offset[1..] < *"24:00"))
}

fn seconds(mut time: BrokenDownTime) -> Result<i64> {
    ensure!(
        time.iana_time_zone().is_none(),
        "names of time zones are not supported; use an offset (%z)"
    );
    // A month and a day would contradict a day of the year or of a week.
    if !names_a_day(&time) {
        time.set_month(time.month().or(Some(1)))?;
        time.set_day(time.day().or(Some(1)))?;
    }
    time.set_offset(time.offset().or(Some(Offset::UTC)));
    Ok(time.to_timestamp()?.as_second())
}

/// Returns whether the format gives the day otherwise than by month and day.
fn names_a_day(time: &BrokenDownTime) -> bool {
    let weeks = [
        time.iso_week(),
        time.sunday_based_week(),
        time.monday_based_week(),
    ];
    time.day_of_year().is_some() || weeks.iter().any(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, text: &str, expected: Option<i64>) {
        let found = format.parse::<TimeFormat>().unwrap().parse(text).ok();
        assert_eq!(found, expected, "{text} as {format}");
    }

    fn check_refused(format: &str, expected: &str) {
        assert_eq!(
            format.parse::<TimeFormat>().unwrap_err().to_string(),
            expected,
            "{format}"
        );
    }

    #[test]
    fn missing_parts_are_the_first_of_january_at_midnight_in_utc() {
        check("%Y", "1970", Some(0));
        check("%Y", "2016", Some(1_451_606_400));
        check("%Y-%m", "2016-02", Some(1_454_284_800));
        check("%Y %H", "1970 01", Some(3600));
        check("%d %Y", "02 1970", Some(86_400));
    }

    #[test]
    fn times_before_1970_are_negative() {
        check("%Y", "1877", Some(-2_934_748_800));
        check("unix", "-1", Some(-1));
    }

    #[test]
    fn offsets_and_days_by_week_or_year_are_parsed() {
        check("%Y-%m-%dT%H:%M:%S%z", "1970-01-01T01:00:00+0100", Some(0));
        check("%Y %j", "1970 032", Some(31 * 86_400));
        check("%G-W%V-%u", "1970-W01-4", Some(0));
        check("%s", "86400", Some(86_400));
        check("unix", "1451606400", Some(1_451_606_400));
    }

    #[test]
    fn rfc_3339_is_parsed_with_any_fraction_and_offset() {
        for text in [
            "1970-01-01T00:00:01Z",
            "1970-01-01t00:00:01z",
            "1970-01-01 00:00:01Z",
            "1970-01-01T02:00:01+02:00",
            "1969-12-31T18:30:01-05:30",
            "1970-01-01T00:00:01.9Z",
            "1970-01-01T00:00:01.6527521+00:00",
            "1970-01-01T00:00:01.123456789012345Z",
            "1970-01-01T00:00:01-00:00",
        ] {
            check("rfc3339", text, Some(1));
        }
        check("rfc3339", "1969-12-31T23:59:58.5Z", Some(-2));
        check("rfc3339", "2016-12-31T23:59:60Z", Some(1_483_228_799));
    }

    #[test]
    fn text_that_is_not_rfc_3339_is_an_error() {
        for text in [
            "",
            "2024-01-02",
            "2024-01-02T03:04:05",
            "2024-01-02T03:04Z",
            "2024-01-02T03:04:05+0200",
            "2024-01-02T03:04:05+02",
            "2024-01-02T03:04:05+24:00",
            "2024-01-02T03:04:05.Z",
            "2024-01-02T03:04:05Z[UTC]",
            "2024-01-02T03:04:05 Z",
            " 2024-01-02T03:04:05Z",
            "20240102T030405Z",
            "2024-02-30T03:04:05Z",
            "2024-01-02T24:00:00Z",
            "2024-01-02T03:60:05Z",
            "24-01-02T03:04:05Z",
            "+002024-01-02T03:04:05Z",
            "2024-01-02T03:04:05−02:00",
            "ü2024-01-02T03:04:0",
        ] {
            check("rfc3339", text, None);
        }
    }

    #[test]
    fn text_in_another_format_and_days_that_do_not_exist_are_errors() {
        check("%Y", "MCMLXX", None);
        check("%Y", "1970-01", None);
        check("%Y-%m-%d", "2015-02-29", None);
        check("%H:%M %Y", "24:01 1970", None);
        check("unix", "1.5", None);
        check("unix", "", None);
    }

    #[test]
    fn formats_that_determine_no_time_are_errors() {
        check_refused(
            "%@",
            "not a strftime format; write one like %Y-%m-%dT%H:%M:%S%z, or rfc3339, or unix",
        );
        check_refused(
            "%m-%d",
            "this format gives no time; add at least the year, or write rfc3339 or unix",
        );
        check_refused(
            "year",
            "this format gives no time; add at least the year, or write rfc3339 or unix",
        );
        check_refused(
            "%Y-%m-%d %Q",
            "this format gives no time; add at least the year, or write rfc3339 or unix",
        );
    }
}
