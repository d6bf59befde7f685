use std::str::FromStr;
use std::time::Duration;

use super::probability::Probability;
use crate::setting::{InvalidSetting, LONGEST, parse_duration};

/// Delays in both directions, and faults with their probabilities.
///
/// The default is none of them. A request meets at most one fault. The first that hits wins, in the
/// order gateway, outage, error, reset, garbage.
///
/// ```
/// use std::time::Duration;
/// use customerio_sim::{Faults, Probability, Simulator};
///
/// let faults = Faults::none()
///     .latency(Duration::from_millis(20))
///     .jitter(Duration::from_millis(50))
///     .error(Probability::new(0.01)?);
/// let simulator = Simulator::builder().faults(faults).seed(7).build();
/// assert_eq!(simulator.totals().errors, 0);
/// # Ok::<(), customerio_sim::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Faults {
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) stall: Stall,
    pub(super) gateway: Probability,
    pub(super) outage: Outage,
    pub(super) error: Probability,
    pub(super) reset: Probability,
    pub(super) garbage: Probability,
}

impl Faults {
    /// No delays and no faults.
    pub const fn none() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            stall: Stall {
                probability: Probability::NEVER,
                length: Duration::ZERO,
            },
            gateway: Probability::NEVER,
            outage: Outage {
                probability: Probability::NEVER,
                retry_after: 1,
            },
            error: Probability::NEVER,
            reset: Probability::NEVER,
            garbage: Probability::NEVER,
        }
    }

    /// Delays every request by `latency` before the counter, and every response by `latency`.
    ///
    /// The maximum is one day.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency.min(LONGEST);
        self
    }

    /// Adds a delay drawn evenly from `0..jitter`, once for the request and once for the response.
    ///
    /// The maximum is one day.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter.min(LONGEST);
        self
    }

    /// Delays some requests by a fixed time: half of them before the counter, half after it.
    pub fn stall(mut self, stall: Stall) -> Self {
        self.stall = stall;
        self
    }

    /// Responds 502 with an HTML page, as a gateway does. The request is neither counted nor
    /// applied.
    pub fn gateway(mut self, probability: Probability) -> Self {
        self.gateway = probability;
        self
    }

    /// Responds 200 with a page in HTML in place of the API's response. Half of these requests are
    /// applied.
    pub fn garbage(mut self, probability: Probability) -> Self {
        self.garbage = probability;
        self
    }

    /// Responds 503 with `Retry-After`. The request is counted and not applied.
    pub fn outage(mut self, outage: Outage) -> Self {
        self.outage = outage;
        self
    }

    /// Responds 500, 503 or 504 without `Retry-After`. Half of these requests are applied.
    pub fn error(mut self, probability: Probability) -> Self {
        self.error = probability;
        self
    }

    /// Drops the connection in place of a response. Half of these requests are applied.
    pub fn reset(mut self, probability: Probability) -> Self {
        self.reset = probability;
        self
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::none()
    }
}

/// A delay of some requests, written `1%:300ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    pub(super) probability: Probability,
    pub(super) length: Duration,
}

impl Stall {
    /// Delays a request by `length`, at most one day, with the given probability.
    #[must_use]
    pub fn new(probability: Probability, length: Duration) -> Self {
        Self {
            probability,
            length: length.min(LONGEST),
        }
    }
}

impl FromStr for Stall {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let parts = text.split_once(':').and_then(|(probability, length)| {
            Some((probability.parse().ok()?, parse_duration(length).ok()?))
        });
        let (probability, length) = parts.ok_or_else(|| {
            InvalidSetting::new(
                "stall",
                text,
                "a probability and a duration, such as 1%:300ms",
            )
        })?;
        Ok(Self::new(probability, length))
    }
}

/// A 503 with `Retry-After` for some requests, written `1%:2s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outage {
    pub(super) probability: Probability,
    /// In seconds.
    pub(super) retry_after: u32,
}

impl Outage {
    /// Responds 503 with a `Retry-After` of that number of seconds, with the given probability.
    #[must_use]
    pub fn new(probability: Probability, retry_after: u32) -> Self {
        Self {
            probability,
            retry_after,
        }
    }
}

impl FromStr for Outage {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let parts = text
            .split_once(':')
            .and_then(|(probability, pause)| Some((probability.parse().ok()?, seconds(pause)?)));
        let (probability, retry_after) = parts.ok_or_else(|| {
            InvalidSetting::new(
                "outage",
                text,
                "a probability and whole seconds, such as 1%:2s",
            )
        })?;
        Ok(Self::new(probability, retry_after))
    }
}

fn seconds(text: &str) -> Option<u32> {
    let pause = parse_duration(text).ok()?;
    if pause.subsec_nanos() == 0 {
        u32::try_from(pause.as_secs()).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_and_an_outage_are_a_probability_and_a_duration() {
        let one_percent = Probability::new(0.01).unwrap();
        assert_eq!(
            "1%:300ms".parse::<Stall>().unwrap(),
            Stall::new(one_percent, Duration::from_millis(300))
        );
        assert_eq!(
            "1%:2s".parse::<Outage>().unwrap(),
            Outage::new(one_percent, 2)
        );
    }

    #[test]
    fn a_stall_without_both_parts_is_rejected() {
        for text in ["", "1%", ":300ms", "1%:", "300ms:1%"] {
            assert!(
                text.parse::<Stall>()
                    .unwrap_err()
                    .to_string()
                    .contains("such as 1%:300ms")
            );
            assert!(
                text.parse::<Outage>()
                    .unwrap_err()
                    .to_string()
                    .contains("such as 1%:2s")
            );
        }
        assert!("1%:1500ms".parse::<Outage>().is_err());
    }
}
