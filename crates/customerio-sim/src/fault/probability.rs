use std::str::FromStr;

use crate::setting::InvalidSetting;

/// A probability from 0 to 1, written `0.01` or `1%`.
///
/// ```
/// use customerio_sim::Probability;
///
/// assert_eq!("1%".parse::<Probability>()?, "0.01".parse()?);
/// # Ok::<(), customerio_sim::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probability(f64);

impl Probability {
    /// Every request is hit.
    pub const ALWAYS: Self = Self(1.0);
    /// No request is hit.
    pub const NEVER: Self = Self(0.0);

    /// Creates a probability from a number between 0 and 1.
    ///
    /// # Errors
    ///
    /// If the number is outside of that range, or NaN.
    pub fn new(probability: f64) -> Result<Self, InvalidSetting> {
        if (0.0..=1.0).contains(&probability) {
            return Ok(Self(probability));
        }
        Err(InvalidSetting::new(
            "probability",
            probability.to_string(),
            EXPECTED,
        ))
    }

    /// Returns whether the fault happens, for a `sample` drawn evenly from `0.0..1.0`.
    pub(super) fn hits(self, sample: f64) -> bool {
        sample < self.0
    }
}

impl FromStr for Probability {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let (number, scale) = text
            .strip_suffix('%')
            .map_or((text, 1.0), |percent| (percent, 100.0));
        let probability = number
            .parse::<f64>()
            .ok()
            .and_then(|number| Self::new(number / scale).ok());
        probability.ok_or_else(|| InvalidSetting::new("probability", text, EXPECTED))
    }
}

const EXPECTED: &str = "a probability from 0 to 1, or a percentage such as 0.1%";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<f64>) {
        assert_eq!(
            text.parse()
                .ok()
                .map(|Probability(probability)| probability),
            expected,
            "{text}"
        );
    }

    #[test]
    fn a_probability_is_a_number_or_a_percentage() {
        check("0", Some(0.0));
        check("0.25", Some(0.25));
        check("50%", Some(0.5));
        check("0.1%", Some(0.001));
        check("100%", Some(1.0));
    }

    #[test]
    fn other_text_is_rejected() {
        for text in ["", "%", "-1%", "101%", "1.5", "nan", "inf%", "1 %"] {
            check(text, None);
        }
    }
}
