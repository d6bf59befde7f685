use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::{
    Builder, Chance, Dedupe, Limit, Outage, Script, Simulator, Stall, Step, Weather, When,
    parse_duration,
};

/// Reads what misbehaves, when, and with which seed from a file in TOML.
///
/// Every key may be left out. A `change` replaces the whole weather once the simulator has run for so long; the steps of
/// the `script` meet the first requests.
///
/// ```
/// let builder = customerio_sim::from_toml(r#"
///     seed = 7
///     limit = "100/1s"
///     weather = { latency = "20ms", error = "1%" }
///
///     [[change]]
///     after = "10s"
///     weather = { gateway = "50%", garbage = "1%" }
///
///     [[script]]
///     status = 429
///     retry_after = 2
///
///     [[script]]
///     instead = "reset" # or "garbage", "gateway", "pass"
///     when = "after-effect"
/// "#)?;
/// # let _ = builder;
/// let refused = customerio_sim::from_toml("sed = 7").unwrap_err();
/// assert!(refused.to_string().starts_with("scenario, line 1: unknown field `sed`"));
/// # Ok::<(), customerio_sim::InvalidScenario>(())
/// ```
///
/// # Errors
///
/// The text is no TOML, has a key that is not known, or a value that its setting does not take.
pub fn from_toml(text: &str) -> Result<Builder, InvalidScenario> {
    let scenario: Scenario =
        toml::from_str(text).map_err(|error| InvalidScenario::new(text, &error))?;
    Ok(scenario.builder())
}

/// A scenario that no simulator can be built from.
///
/// Its text says on which line, what is wrong, and what is expected instead.
#[derive(Debug)]
pub struct InvalidScenario(String);

impl InvalidScenario {
    fn new(text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.get(..start).unwrap_or_default().matches('\n').count();
        Self(format!("scenario, line {line}: {}", error.message()))
    }
}

impl Display for InvalidScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidScenario {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(default)]
    seed: u64,
    #[serde(default, deserialize_with = "parsed")]
    limit: Option<Limit>,
    #[serde(default, deserialize_with = "parsed")]
    dedupe: Option<Dedupe>,
    #[serde(default)]
    weather: Forecast,
    #[serde(default)]
    change: Vec<Change>,
    #[serde(default)]
    script: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(deserialize_with = "duration")]
    after: Duration,
    weather: Forecast,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Forecast {
    #[serde(deserialize_with = "duration")]
    latency: Duration,
    #[serde(deserialize_with = "duration")]
    jitter: Duration,
    #[serde(deserialize_with = "parsed")]
    stall: Option<Stall>,
    #[serde(deserialize_with = "parsed")]
    gateway: Option<Chance>,
    #[serde(deserialize_with = "parsed")]
    outage: Option<Outage>,
    #[serde(deserialize_with = "parsed")]
    error: Option<Chance>,
    #[serde(deserialize_with = "parsed")]
    reset: Option<Chance>,
    #[serde(deserialize_with = "parsed")]
    garbage: Option<Chance>,
}

/// One step of a script: a status, or something instead of an answer.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Status {
        #[serde(deserialize_with = "final_status")]
        status: u16,
        retry_after: Option<u32>,
    },
    Instead {
        instead: Mishap,
        #[serde(default)]
        when: Moment,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mishap {
    Garbage,
    Gateway,
    Pass,
    Reset,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Moment {
    AfterEffect,
    #[default]
    BeforeEffect,
}

impl Scenario {
    fn builder(self) -> Builder {
        let script = self.script.into_iter().map(Line::step);
        let mut builder = Simulator::builder()
            .seed(self.seed)
            .dedupe(self.dedupe.unwrap_or_default())
            .weather(self.weather.weather())
            .script(Script::new(script));
        for change in self.change {
            builder = builder.weather_after(change.after, change.weather.weather());
        }
        match self.limit {
            Some(limit) => builder.limit(limit),
            None => builder,
        }
    }
}

impl Forecast {
    fn weather(self) -> Weather {
        let chance = |chance: Option<Chance>| chance.unwrap_or(Chance::NEVER);
        let mut weather = Weather::calm()
            .latency(self.latency)
            .jitter(self.jitter)
            .gateway(chance(self.gateway))
            .error(chance(self.error))
            .reset(chance(self.reset))
            .garbage(chance(self.garbage));
        if let Some(stall) = self.stall {
            weather = weather.stall(stall);
        }
        match self.outage {
            Some(outage) => weather.outage(outage),
            None => weather,
        }
    }
}

impl Line {
    fn step(self) -> Step {
        match self {
            Self::Status {
                status,
                retry_after,
            } => match retry_after {
                Some(seconds) => Step::status(status).retry_after(seconds),
                None => Step::status(status),
            },
            Self::Instead { instead, when } => match instead {
                Mishap::Garbage => Step::garbage(when.into()),
                Mishap::Gateway => Step::gateway(),
                Mishap::Pass => Step::pass(),
                Mishap::Reset => Step::reset(when.into()),
            },
        }
    }
}

impl From<Moment> for When {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::AfterEffect => Self::AfterEffect,
            Moment::BeforeEffect => Self::BeforeEffect,
        }
    }
}

fn parsed<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(from)?;
    text.parse().map(Some).map_err(D::Error::custom)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn final_status<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(from)?;
    if (200..=599).contains(&status) {
        return Ok(status);
    }
    Err(D::Error::custom(format!(
        "invalid status {status}: expected one from 200 to 599"
    )))
}
