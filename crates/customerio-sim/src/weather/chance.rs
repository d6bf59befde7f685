use std::str::FromStr;

use crate::setting::InvalidSetting;

/// A probability from 0 to 1.
///
/// ```
/// use customerio_sim::Chance;
///
/// assert_eq!("1%".parse::<Chance>()?, "0.01".parse()?);
/// # Ok::<(), customerio_sim::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance(f64);

impl Chance {
    /// What happens on every request.
    pub const ALWAYS: Self = Self(1.0);
    /// What happens on no request.
    pub const NEVER: Self = Self(0.0);

    /// A probability from 0 to 1.
    ///
    /// # Errors
    ///
    /// A number outside of that, or none.
    pub fn new(probability: f64) -> Result<Self, InvalidSetting> {
        if (0.0..=1.0).contains(&probability) {
            return Ok(Self(probability));
        }
        Err(InvalidSetting::new(
            "chance",
            probability.to_string(),
            EXPECTED,
        ))
    }

    /// Whether it happens, for a roll from 0 up to but not including 1.
    pub(super) fn hits(self, roll: f64) -> bool {
        roll < self.0
    }
}

impl FromStr for Chance {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let (number, scale) = text
            .strip_suffix('%')
            .map_or((text, 1.0), |percent| (percent, 100.0));
        let probability = number
            .parse::<f64>()
            .ok()
            .and_then(|number| Self::new(number / scale).ok());
        probability.ok_or_else(|| InvalidSetting::new("chance", text, EXPECTED))
    }
}

const EXPECTED: &str = "a probability from 0 to 1, or a percentage such as 0.1%";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<f64>) {
        assert_eq!(
            text.parse().ok().map(|Chance(probability)| probability),
            expected,
            "{text}"
        );
    }

    #[test]
    fn a_chance_is_a_probability_or_a_percentage() {
        check("0", Some(0.0));
        check("0.25", Some(0.25));
        check("50%", Some(0.5));
        check("0.1%", Some(0.001));
        check("100%", Some(1.0));
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for text in ["", "%", "-1%", "101%", "1.5", "nan", "inf%", "1 %"] {
            check(text, None);
        }
    }
}
