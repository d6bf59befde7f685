//! Servers: how latencies vary, how they follow the load, and what goes wrong.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::fmt;
use std::time::Duration;

use pacing::Moment;
use rand::RngExt;
use rand::rngs::SmallRng;

/// When what is never answered is.
const FAR: Moment = Moment::from_nanos(u64::MAX);

/// The mean latency, in seconds, unless a law scales it.
pub(crate) const MEAN: f64 = 0.1;

/// How latencies vary. Their mean is [`MEAN`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Spread {
    Constant,
    /// Half of it constant, half of it exponential.
    Jitter,
    Exponential,
    /// Lognormal.
    Sigma(f64),
    /// 95 % take 17 ms, and 5 % 1.7 s.
    Slow5,
    /// 99 % take 66 ms, and 1 % 3.3 s.
    Slow1,
    /// Half are answered at once.
    Half0,
}

impl Spread {
    fn draw(self, rng: &mut SmallRng) -> f64 {
        let mut exponential = || -(1.0 - rng.random::<f64>()).ln();
        match self {
            Self::Constant => MEAN,
            Self::Jitter => MEAN * (0.5 + 0.5 * exponential()),
            Self::Exponential => MEAN * exponential(),
            Self::Sigma(sigma) => {
                // A normal deviate by the method of Box and Muller.
                let (radius, turn) = ((2.0 * exponential()).sqrt(), TAU * rng.random::<f64>());
                MEAN * (sigma * radius * turn.cos() - sigma * sigma / 2.0).exp()
            }
            Self::Slow5 => pick(rng, 0.05, 1.7, 0.017),
            Self::Slow1 => pick(rng, 0.01, 3.3, 0.066),
            Self::Half0 => pick(rng, 0.5, 0.2, 0.0),
        }
    }
}

fn pick(rng: &mut SmallRng, share: f64, rare: f64, usual: f64) -> f64 {
    match rng.random::<f64>() < share {
        true => rare,
        false => usual,
    }
}

/// How latency follows the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// Not at all.
    Ample,
    /// First come first served by so many at a time.
    Queue(usize),
    /// So many are served at full speed, and more share it.
    Shared(usize),
    /// Each request above the knee takes the factor longer.
    Knee(usize, f64),
    /// Each request adds so many seconds.
    Linear(f64),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// A share of the answers says that the server is overloaded, by chance.
    Random(f64),
    /// What is above so many is refused after so many seconds.
    RefusedAbove(usize, f64),
    /// What is more than so many within a second is throttled.
    Throttled(usize),
    /// What is above so many is never answered.
    DroppedAbove(usize),
    /// All is refused after the usual latency.
    Refused,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Law {
    pub(crate) spread: Spread,
    pub(crate) load: Load,
    pub(crate) fault: Fault,
    /// Latencies are multiplied by it.
    pub(crate) scale: f64,
    /// What the path adds, in seconds.
    pub(crate) path: f64,
}

impl Law {
    pub(crate) const fn new(load: Load, spread: Spread) -> Self {
        Self {
            spread,
            load,
            fault: Fault::None,
            scale: 1.0,
            path: 0.0,
        }
    }

    pub(crate) const fn fault(self, fault: Fault) -> Self {
        Self { fault, ..self }
    }

    pub(crate) const fn scale(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    pub(crate) const fn path(self, path: f64) -> Self {
        Self { path, ..self }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.load, self.spread)?;
        if self.scale != 1.0 {
            write!(f, ", x {}", self.scale)?;
        }
        if self.path > 0.0 {
            write!(f, ", path + {} s", self.path)?;
        }
        match self.fault {
            Fault::None => Ok(()),
            fault => write!(f, ", {fault:?}"),
        }
    }
}

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Served,
    Overloaded,
    Throttled,
    /// Never.
    Nothing,
}

/// The requests at a server.
#[derive(Debug, Default)]
pub(crate) struct Server {
    /// When those that are there will be answered, in order.
    ends: VecDeque<Moment>,
    /// When the last ones came that were not throttled.
    admitted: VecDeque<Moment>,
}

impl Server {
    /// Takes a request, and returns the reply and when it comes.
    pub(crate) fn take(&mut self, now: Moment, law: &Law, rng: &mut SmallRng) -> (Reply, Moment) {
        while self.ends.front().is_some_and(|&end| end <= now) {
            self.ends.pop_front();
        }
        let active = self.ends.len() + 1;
        let usual = law.spread.draw(rng) * law.scale;
        let (reply, end) = match law.fault {
            // Neither takes the place of a request that is served.
            Fault::DroppedAbove(most) if active > most => return (Reply::Nothing, FAR),
            Fault::RefusedAbove(most, after) if active > most => {
                return (Reply::Overloaded, now + seconds(after));
            }
            Fault::Throttled(most) if self.is_throttled(now, most) => {
                (Reply::Throttled, now + seconds(usual))
            }
            Fault::Random(share) if rng.random::<f64>() < share => {
                (Reply::Overloaded, now + seconds(usual))
            }
            Fault::Refused => (Reply::Overloaded, now + seconds(usual)),
            _ => (Reply::Served, self.end(now, law.load, active, usual)),
        };
        let later = self.ends.iter().rev().take_while(|&&other| other > end);
        let place = self.ends.len() - later.count();
        self.ends.insert(place, end);
        (reply, end + seconds(law.path))
    }

    fn end(&self, now: Moment, load: Load, active: usize, usual: f64) -> Moment {
        let (start, latency) = match load {
            Load::Ample => (now, usual),
            Load::Queue(servers) if active <= servers => (now, usual),
            // Its turn comes when fewer than `servers` are left of those that are there.
            Load::Queue(servers) => (self.ends[active - 1 - servers], usual),
            Load::Shared(servers) => (now, usual * (active as f64 / servers as f64).max(1.0)),
            Load::Knee(knee, factor) => {
                let above = i32::try_from(active.saturating_sub(knee)).expect("it is small");
                (now, usual * factor.powi(above))
            }
            Load::Linear(each) => (now, usual + each * active as f64),
        };
        start + seconds(latency)
    }

    fn is_throttled(&mut self, now: Moment, most: usize) -> bool {
        let is_past = |&at: &Moment| now.since(at) >= Duration::from_secs(1);
        while self.admitted.front().is_some_and(is_past) {
            self.admitted.pop_front();
        }
        let is_throttled = self.admitted.len() >= most;
        if !is_throttled {
            self.admitted.push_back(now);
        }
        is_throttled
    }
}

/// A knee may take for ever.
fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.min(1e6))
}
