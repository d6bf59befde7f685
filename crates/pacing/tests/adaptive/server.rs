//! Simulated servers: how latencies vary, how they follow the load, and the faults.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::fmt;
use std::time::Duration;

use pacing::Moment;
use rand::RngExt;
use rand::rngs::SmallRng;

/// The time of an answer that never arrives.
const FAR: Moment = Moment::from_nanos(u64::MAX);

/// The mean latency, in seconds, unless a behavior scales it.
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
    /// 95 % of requests take 17 ms, and 5 % take 1.7 s.
    Slow5,
    /// 99 % of requests take 66 ms, and 1 % take 3.3 s.
    Slow1,
    /// Half of the requests are answered instantly.
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

/// How latency depends on the load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    /// Not at all.
    Ample,
    /// First in, first out, with this number of requests at a time.
    Queue(usize),
    /// This number of requests is served at full speed. More of them share it.
    Shared(usize),
    /// Each request above the knee multiplies the latency by the factor.
    Knee(usize, f64),
    /// Each request adds this number of seconds.
    Linear(f64),
}

/// What a server does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// A random share of the answers says that the server is overloaded.
    Random(f64),
    /// Requests above this number fail after these seconds.
    FailedAbove(usize, f64),
    /// Requests above this number per second are throttled.
    Throttled(usize),
    /// Requests above this number are never answered.
    DroppedAbove(usize),
    /// All requests fail after the usual latency.
    AllFailed,
}

/// All that a server does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Behavior {
    pub(crate) spread: Spread,
    pub(crate) load: Load,
    pub(crate) fault: Fault,
    /// The factor of all latencies.
    pub(crate) scale: f64,
    /// The latency that the path adds, in seconds.
    pub(crate) path: f64,
}

impl Behavior {
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

impl fmt::Display for Behavior {
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

/// The answer of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Served,
    Overloaded,
    Throttled,
    /// No answer.
    Nothing,
}

/// The requests at a server.
#[derive(Debug, Default)]
pub(crate) struct Server {
    /// The times of the answers to all present requests, in order.
    ends: VecDeque<Moment>,
    /// The arrivals of the last second that were not throttled.
    admitted: VecDeque<Moment>,
}

impl Server {
    /// Takes a request, and returns the answer and its time.
    pub(crate) fn take(
        &mut self,
        now: Moment,
        behavior: &Behavior,
        rng: &mut SmallRng,
    ) -> (Reply, Moment) {
        while self.ends.front().is_some_and(|&end| end <= now) {
            self.ends.pop_front();
        }
        let active = self.ends.len() + 1;
        let usual = behavior.spread.draw(rng) * behavior.scale;
        let (reply, end) = match behavior.fault {
            // These requests use no capacity.
            Fault::DroppedAbove(most) if active > most => return (Reply::Nothing, FAR),
            Fault::FailedAbove(most, after) if active > most => {
                return (Reply::Overloaded, now + seconds(after));
            }
            Fault::Throttled(most) if self.is_throttled(now, most) => {
                (Reply::Throttled, now + seconds(usual))
            }
            Fault::Random(share) if rng.random::<f64>() < share => {
                (Reply::Overloaded, now + seconds(usual))
            }
            Fault::AllFailed => (Reply::Overloaded, now + seconds(usual)),
            _ => (Reply::Served, self.end(now, behavior.load, active, usual)),
        };
        let later = self.ends.iter().rev().take_while(|&&other| other > end);
        let place = self.ends.len() - later.count();
        self.ends.insert(place, end);
        (reply, end + seconds(behavior.path))
    }

    fn end(&self, now: Moment, load: Load, active: usize, usual: f64) -> Moment {
        let (start, latency) = match load {
            Load::Ample => (now, usual),
            Load::Queue(servers) if active <= servers => (now, usual),
            // It starts when fewer than `servers` of the present requests are left.
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

/// Bounds the time: a knee may multiply it without end.
fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.min(1e6))
}
