use std::fmt;
use std::time::Duration;

/// A setting with an invalid value.
///
/// Its message names the setting, the value and the expected form.
#[derive(Debug)]
pub struct InvalidSetting {
    setting: &'static str,
    value: String,
    expected: &'static str,
}

impl InvalidSetting {
    pub(crate) fn new(
        setting: &'static str,
        value: impl Into<String>,
        expected: &'static str,
    ) -> Self {
        Self {
            setting,
            value: value.into(),
            expected,
        }
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid {} `{}`: expected {}",
            self.setting, self.value, self.expected
        )
    }
}

impl std::error::Error for InvalidSetting {}

/// Parses a duration: a whole number and a unit, which is `us`, `ms`, `s`, `m` or `h`.
///
/// # Errors
///
/// If the text has another form, such as a number without a unit, or exceeds one day.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(customerio_sim::parse_duration("20ms")?, Duration::from_millis(20));
/// # Ok::<(), customerio_sim::InvalidSetting>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, InvalidSetting> {
    let invalid = || {
        InvalidSetting::new(
            "duration",
            text,
            "a whole number and a unit up to a day, such as 20ms or 1s",
        )
    };
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(invalid)?;
    let (number, unit) = text.split_at(unit_at);
    let micros = number.parse::<u64>().ok().zip(unit_micros(unit));
    let duration = micros
        .and_then(|(number, unit)| number.checked_mul(unit))
        .map(Duration::from_micros);
    duration
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(invalid)
}

fn unit_micros(unit: &str) -> Option<u64> {
    match unit {
        "us" => Some(1),
        "ms" => Some(1_000),
        "s" => Some(1_000_000),
        "m" => Some(60_000_000),
        "h" => Some(3_600_000_000),
        _ => None,
    }
}

/// The longest accepted duration. A sum of a few of them and the current time cannot overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Duration>) {
        assert_eq!(parse_duration(text).ok(), expected, "{text}");
    }

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        check("500us", Some(Duration::from_micros(500)));
        check("20ms", Some(Duration::from_millis(20)));
        check("0s", Some(Duration::ZERO));
        check("2m", Some(Duration::from_secs(120)));
        check("24h", Some(LONGEST));
    }

    #[test]
    fn other_text_is_rejected() {
        check("", None);
        check("20", None);
        check("ms", None);
        check("-1s", None);
        check("1.5s", None);
        check("1 s", None);
        check("25h", None);
        check("99999999999999999999s", None);
        check("18446744073709551615h", None);
    }

    #[test]
    fn the_error_names_the_value_and_the_expected_form() {
        let error = parse_duration("20").unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid duration `20`: expected a whole number and a unit up to a day, such as 20ms or 1s"
        );
    }
}
