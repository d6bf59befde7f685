use std::str::FromStr;
use std::time::Duration;

use super::chance::Chance;
use crate::setting::{InvalidSetting, LONGEST, parse_duration};

/// How requests fare: delays in both directions, and mishaps with their probabilities.
///
/// Each request meets at most one mishap; they are tried in the order gateway, outage, error, reset,
/// garbage. The default is
/// calm: no delay, no mishap.
///
/// ```
/// use std::time::Duration;
/// use customerio_sim::{Chance, Simulator, Weather};
///
/// let weather = Weather::calm()
///     .latency(Duration::from_millis(20))
///     .jitter(Duration::from_millis(50))
///     .error(Chance::new(0.01)?);
/// let simulator = Simulator::builder().weather(weather).seed(7).build();
/// assert_eq!(simulator.books().errors, 0);
/// # Ok::<(), customerio_sim::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Weather {
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) stall: Stall,
    pub(super) gateway: Chance,
    pub(super) outage: Outage,
    pub(super) error: Chance,
    pub(super) reset: Chance,
    pub(super) garbage: Chance,
}

impl Weather {
    /// No delay, no mishap.
    pub const fn calm() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            stall: Stall {
                chance: Chance::NEVER,
                length: Duration::ZERO,
            },
            gateway: Chance::NEVER,
            outage: Outage {
                chance: Chance::NEVER,
                retry_after: 1,
            },
            error: Chance::NEVER,
            reset: Chance::NEVER,
            garbage: Chance::NEVER,
        }
    }

    /// Delays every request by `latency` on its way to the counter, and every answer by as much on its way back.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency.min(LONGEST);
        self
    }

    /// Adds a delay drawn evenly from 0 to `jitter`, anew for each direction.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter.min(LONGEST);
        self
    }

    /// Holds some requests up, before the counter or after it, evenly.
    pub fn stall(mut self, stall: Stall) -> Self {
        self.stall = stall;
        self
    }

    /// Lets a gateway in front of the counter answer 502 with an HTML page; the API never sees such a request.
    pub fn gateway(mut self, chance: Chance) -> Self {
        self.gateway = chance;
        self
    }

    /// Answers 200 with a page in HTML where the API's answer belongs, before the effect or after, evenly.
    pub fn garbage(mut self, chance: Chance) -> Self {
        self.garbage = chance;
        self
    }

    /// Answers 503 with `Retry-After`, without an effect.
    pub fn outage(mut self, outage: Outage) -> Self {
        self.outage = outage;
        self
    }

    /// Answers 500, 503 or 504 without `Retry-After`, before the effect or after it, evenly.
    pub fn error(mut self, chance: Chance) -> Self {
        self.error = chance;
        self
    }

    /// Drops the connection instead of answering, before the effect or after it, evenly.
    pub fn reset(mut self, chance: Chance) -> Self {
        self.reset = chance;
        self
    }
}

impl Default for Weather {
    fn default() -> Self {
        Self::calm()
    }
}

/// Some requests are held up, written `1%:300ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    pub(super) chance: Chance,
    pub(super) length: Duration,
}

impl Stall {
    /// Holds a request up for `length` with a probability of `chance`.
    #[must_use]
    pub fn new(chance: Chance, length: Duration) -> Self {
        Self {
            chance,
            length: length.min(LONGEST),
        }
    }
}

impl FromStr for Stall {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let parts = text.split_once(':').and_then(|(chance, length)| {
            Some((chance.parse().ok()?, parse_duration(length).ok()?))
        });
        let (chance, length) = parts.ok_or_else(|| {
            InvalidSetting::new("stall", text, "a chance and a duration, such as 1%:300ms")
        })?;
        Ok(Self::new(chance, length))
    }
}

/// Some requests are answered 503 with `Retry-After`, written `1%:2s`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outage {
    pub(super) chance: Chance,
    /// In seconds.
    pub(super) retry_after: u32,
}

impl Outage {
    /// Asks for a pause of `retry_after` seconds with a probability of `chance`.
    #[must_use]
    pub fn new(chance: Chance, retry_after: u32) -> Self {
        Self {
            chance,
            retry_after,
        }
    }
}

impl FromStr for Outage {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        let parts = text
            .split_once(':')
            .and_then(|(chance, pause)| Some((chance.parse().ok()?, seconds(pause)?)));
        let (chance, retry_after) = parts.ok_or_else(|| {
            InvalidSetting::new("outage", text, "a chance and whole seconds, such as 1%:2s")
        })?;
        Ok(Self::new(chance, retry_after))
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
    fn a_stall_and_an_outage_are_a_chance_and_a_duration() {
        let one_percent = Chance::new(0.01).unwrap();
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
    fn half_a_stall_is_refused() {
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
