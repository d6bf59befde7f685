use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::books::{Dedupe, Ledger, Trace};
use crate::clock::Clock;
use crate::http::{Credentials, Throttle};
use crate::limit::{Limit, Limiter};
use crate::simulator::Simulator;
use crate::weather::{Dice, Script, Weather};
use crate::world::{State, World};

/// Sets a [`Simulator`] up.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    limit: Option<Limit>,
    weather: Weather,
    changes: Vec<(Duration, Weather)>,
    script: Script,
    seed: u64,
    credentials: Credentials,
    dedupe: Dedupe,
    omits_retry_after: bool,
    epoch: SystemTime,
    trace: usize,
    segments: Vec<u64>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            limit: None,
            weather: Weather::calm(),
            changes: Vec::new(),
            script: Script::default(),
            seed: 0,
            credentials: Credentials::any(),
            dedupe: Dedupe::On,
            omits_retry_after: false,
            epoch: SystemTime::UNIX_EPOCH + NEW_YEAR_2026,
            trace: 0,
            segments: Vec::new(),
        }
    }

    /// Answers 429 to what exceeds `limit`.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Leaves `Retry-After` out of a 429, as a daily quota does.
    pub fn omit_retry_after(mut self) -> Self {
        self.omits_retry_after = true;
        self
    }

    /// Delays requests and lets them fail as `weather` says.
    pub fn weather(mut self, weather: Weather) -> Self {
        self.weather = weather;
        self
    }

    /// Changes the weather once the simulator has run for so long.
    pub fn weather_after(mut self, time: Duration, weather: Weather) -> Self {
        self.changes.push((time, weather));
        self
    }

    /// Plays `script` on the first requests.
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Draws all that is random from `seed`.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Answers 401 to any other credentials. Without this, any are accepted, but some must be sent.
    pub fn credentials(mut self, site_id: &str, api_key: &str) -> Self {
        self.credentials = Credentials::only(site_id, api_key);
        self
    }

    /// Says what becomes of an event whose id was seen before.
    pub fn dedupe(mut self, dedupe: Dedupe) -> Self {
        self.dedupe = dedupe;
        self
    }

    /// Calls the moment of building `epoch` in the `Date` of every answer. The default is 2026-01-01, midnight UTC.
    pub fn epoch(mut self, epoch: SystemTime) -> Self {
        self.epoch = epoch;
        self
    }

    /// Keeps the first `arrivals` requests for [`Simulator::trace`]; their paths name people.
    pub fn trace(mut self, arrivals: usize) -> Self {
        self.trace = arrivals;
        self
    }

    /// Makes an empty manual segment. Requests about others are answered 404.
    pub fn segment(mut self, id: u64) -> Self {
        self.segments.push(id);
        self
    }

    /// Builds the simulator and starts its clock, which is tokio's.
    #[must_use]
    pub fn build(self) -> Simulator {
        let window = self
            .limit
            .as_ref()
            .map_or(Duration::from_secs(1), Limit::window);
        let mut ledger = Ledger::new(self.dedupe, window);
        self.segments.iter().for_each(|id| ledger.add_segment(*id));
        let state = State {
            dice: Dice::new(self.weather, self.seed).changing(self.changes),
            script: self.script,
            limiter: self.limit.as_ref().map(Limiter::new),
            ledger,
            trace: Trace::new(self.trace),
        };
        Simulator::new(World {
            clock: Clock::start(self.epoch),
            credentials: self.credentials,
            throttle: Throttle::new(self.limit.as_ref(), self.omits_retry_after),
            state: Mutex::new(state),
        })
    }
}

const NEW_YEAR_2026: Duration = Duration::from_secs(1_767_225_600);
