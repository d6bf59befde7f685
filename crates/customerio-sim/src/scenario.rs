use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::fault::{FailurePoint, Faults, Outage, Probability, Script, Stall, Step};
use crate::limit::Limit;
use crate::records::Dedupe;
use crate::setting::parse_duration;
use crate::simulator::{Builder, Simulator};

/// Reads a scenario in TOML: seed, limit, faults, changes of the faults, and a script.
///
/// Every key is optional. A `change` replaces all faults at `after` since the simulator was built.
/// The steps of the `script` apply to the first requests, one each.
///
/// ```
/// let builder = customerio_sim::from_toml(r#"
///     seed = 7
///     limit = "100/1s"
///     faults = { latency = "20ms", error = "1%" }
///
///     [[change]]
///     after = "10s"
///     faults = { gateway = "50%", garbage = "1%" }
///
///     [[script]]
///     status = 429
///     retry_after = 2
///
///     [[script]]
///     fault = "reset" # or "garbage", "gateway", "none"
///     when = "after-effect" # or "before-effect", which is the default
/// "#)?;
/// # let _ = builder;
/// let error = customerio_sim::from_toml("sed = 7").unwrap_err();
/// assert!(error.to_string().starts_with("scenario, line 1: unknown field `sed`"));
/// # Ok::<(), customerio_sim::InvalidScenario>(())
/// ```
///
/// # Errors
///
/// If the text is not TOML, or has an unknown key or an invalid value.
pub fn from_toml(text: &str) -> Result<Builder, InvalidScenario> {
    let scenario: Scenario =
        toml::from_str(text).map_err(|error| InvalidScenario::new(text, &error))?;
    Ok(scenario.builder())
}

/// An invalid scenario.
///
/// Its message names the line, the value and the expected form.
#[derive(Debug)]
pub struct InvalidScenario(String);

impl InvalidScenario {
    fn new(text: &str, error: &toml::de::Error) -> Self {
        // toml's own message spans several lines and repeats the text. An operator's log needs one
        // line.
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
    faults: FaultSettings,
    #[serde(default)]
    change: Vec<FaultChange>,
    #[serde(default)]
    script: Vec<StepSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultChange {
    #[serde(deserialize_with = "duration")]
    after: Duration,
    faults: FaultSettings,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FaultSettings {
    #[serde(deserialize_with = "duration")]
    latency: Duration,
    #[serde(deserialize_with = "duration")]
    jitter: Duration,
    #[serde(deserialize_with = "parsed")]
    stall: Option<Stall>,
    #[serde(deserialize_with = "parsed")]
    gateway: Option<Probability>,
    #[serde(deserialize_with = "parsed")]
    outage: Option<Outage>,
    #[serde(deserialize_with = "parsed")]
    error: Option<Probability>,
    #[serde(deserialize_with = "parsed")]
    reset: Option<Probability>,
    #[serde(deserialize_with = "parsed")]
    garbage: Option<Probability>,
}

/// One step of a script: a status, or a fault by its name.
#[derive(Deserialize)]
// Without `expecting`, the error would name this type in place of the keys.
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "invalid step: expected `status` from 200 to 599, or `fault`, one of garbage, gateway, none, reset"
)]
enum StepSettings {
    Status {
        #[serde(deserialize_with = "final_status")]
        status: u16,
        retry_after: Option<u32>,
    },
    Fault {
        fault: FaultName,
        #[serde(default)]
        when: When,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FaultName {
    Garbage,
    Gateway,
    None,
    Reset,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum When {
    AfterEffect,
    #[default]
    BeforeEffect,
}

impl Scenario {
    fn builder(self) -> Builder {
        let script = self.script.into_iter().map(StepSettings::step);
        let mut builder = Simulator::builder()
            .seed(self.seed)
            .dedupe(self.dedupe.unwrap_or_default())
            .faults(self.faults.faults())
            .script(Script::new(script));
        for change in self.change {
            builder = builder.faults_after(change.after, change.faults.faults());
        }
        match self.limit {
            Some(limit) => builder.limit(limit),
            None => builder,
        }
    }
}

impl FaultSettings {
    fn faults(self) -> Faults {
        let probability =
            |probability: Option<Probability>| probability.unwrap_or(Probability::NEVER);
        let mut faults = Faults::none()
            .latency(self.latency)
            .jitter(self.jitter)
            .gateway(probability(self.gateway))
            .error(probability(self.error))
            .reset(probability(self.reset))
            .garbage(probability(self.garbage));
        if let Some(stall) = self.stall {
            faults = faults.stall(stall);
        }
        match self.outage {
            Some(outage) => faults.outage(outage),
            None => faults,
        }
    }
}

impl StepSettings {
    fn step(self) -> Step {
        match self {
            Self::Status {
                status,
                retry_after,
            } => match retry_after {
                Some(seconds) => Step::status(status).retry_after(seconds),
                None => Step::status(status),
            },
            Self::Fault { fault, when } => match fault {
                FaultName::Garbage => Step::garbage(when.into()),
                FaultName::Gateway => Step::gateway(),
                FaultName::None => Step::pass(),
                FaultName::Reset => Step::reset(when.into()),
            },
        }
    }
}

impl From<When> for FailurePoint {
    fn from(when: When) -> Self {
        match when {
            When::AfterEffect => Self::AfterEffect,
            When::BeforeEffect => Self::BeforeEffect,
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
    // Checked here as well as in `Step::status`, which panics.
    let status = u16::deserialize(from)?;
    if (200..=599).contains(&status) {
        return Ok(status);
    }
    Err(D::Error::custom(format!(
        "invalid status {status}: expected one from 200 to 599"
    )))
}
