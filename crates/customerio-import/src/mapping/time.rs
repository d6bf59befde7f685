use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::Offset;

/// Says how a cell writes a moment: `unix` seconds, or a format of `strftime`.
///
/// What a format lacks is the first of January, 00:00, UTC, so that `%Y` alone is a moment too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    Unix,
    Strftime(String),
}

impl TimeFormat {
    /// Returns the moment in seconds since 1970; moments before it are negative.
    ///
    /// # Errors
    ///
    /// Fails where the text is not in this format, and for days and hours that no calendar has.
    pub(crate) fn parse(&self, text: &str) -> Result<i64> {
        match self {
            Self::Unix => text.parse().context("not a whole number of seconds"),
            Self::Strftime(format) => seconds(BrokenDownTime::parse(format, text)?),
        }
    }

    /// Says of a moment that the API does not take what to do about it.
    pub(super) fn out_of_range(&self) -> &'static str {
        match self {
            Self::Unix => {
                "lies before the year 1 or after 2286; write unix seconds, not milliseconds"
            }
            Self::Strftime(_) => {
                "lies before the year 1 or after 2286; correct it or leave the record out"
            }
        }
    }

    /// Returns the format as it is given on the command line.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Unix => "unix",
            Self::Strftime(format) => format,
        }
    }
}

impl FromStr for TimeFormat {
    type Err = anyhow::Error;

    /// Refuses a format that no text can satisfy: it must read back what it writes.
    fn from_str(text: &str) -> Result<Self> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let format = Self::Strftime(text.to_owned());
        let sample = jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(jiff::tz::TimeZone::UTC);
        let Ok(written) = strtime::format(text, &sample) else {
            bail!("not a format of strftime; write it like %Y-%m-%dT%H:%M:%S%z, or unix");
        };
        format.parse(&written).context(
            "no moment follows from this format; it needs at least a year, or write unix",
        )?;
        Ok(format)
    }
}

fn seconds(mut time: BrokenDownTime) -> Result<i64> {
    ensure!(
        time.iana_time_zone().is_none(),
        "names of time zones are not supported; use an offset (%z)"
    );
    if !names_a_day(&time) {
        time.set_month(time.month().or(Some(1)))?;
        time.set_day(time.day().or(Some(1)))?;
    }
    time.set_offset(time.offset().or(Some(Offset::UTC)));
    Ok(time.to_timestamp()?.as_second())
}

/// Tells whether the day follows from something else than month and day.
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
    fn what_a_format_lacks_is_the_first_of_january_at_midnight_in_utc() {
        check("%Y", "1970", Some(0));
        check("%Y", "2016", Some(1_451_606_400));
        check("%Y-%m", "2016-02", Some(1_454_284_800));
        check("%Y %H", "1970 01", Some(3600));
        check("%d %Y", "02 1970", Some(86_400));
    }

    #[test]
    fn moments_before_1970_are_negative() {
        check("%Y", "1877", Some(-2_934_748_800));
        check("unix", "-1", Some(-1));
    }

    #[test]
    fn offsets_and_other_ways_to_name_a_day_are_understood() {
        check("%Y-%m-%dT%H:%M:%S%z", "1970-01-01T01:00:00+0100", Some(0));
        check("%Y %j", "1970 032", Some(31 * 86_400));
        check("%G-W%V-%u", "1970-W01-4", Some(0));
        check("%s", "86400", Some(86_400));
        check("unix", "1451606400", Some(1_451_606_400));
    }

    #[test]
    fn what_is_not_in_the_format_or_in_no_calendar_is_refused() {
        check("%Y", "MCMLXX", None);
        check("%Y", "1970-01", None);
        check("%Y-%m-%d", "2015-02-29", None);
        check("%H:%M %Y", "24:01 1970", None);
        check("unix", "1.5", None);
        check("unix", "", None);
    }

    #[test]
    fn formats_that_name_no_moment_are_refused() {
        check_refused(
            "%@",
            "not a format of strftime; write it like %Y-%m-%dT%H:%M:%S%z, or unix",
        );
        check_refused(
            "%m-%d",
            "no moment follows from this format; it needs at least a year, or write unix",
        );
        check_refused(
            "year",
            "no moment follows from this format; it needs at least a year, or write unix",
        );
        check_refused(
            "%Y-%m-%d %Q",
            "no moment follows from this format; it needs at least a year, or write unix",
        );
    }
}
