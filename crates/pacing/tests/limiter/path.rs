//! The path between client and server, and its delays.

use std::time::Duration;

use pacing::Moment;
use rand::RngExt;
use rand::rngs::SmallRng;

/// The delays of requests and of answers, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delays {
    pub(crate) least: Duration,
    pub(crate) jitter: Duration,
    /// If zero, `jitter` is the most of an evenly distributed delay. Otherwise it is the median of
    /// a lognormal delay with this sigma.
    pub(crate) sigma: f64,
    /// The probability that a message takes `stalled` longer.
    pub(crate) stall: f64,
    pub(crate) stalled: Duration,
    /// The path is blocked again and again, and releases all messages at the end of each block.
    pub(crate) blocks: Option<Blocks>,
    /// The start and the length of a single block.
    pub(crate) once: Option<(Duration, Duration)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    /// The most time from the end of one block to the start of the next. The least is half of it.
    pub(crate) every: Duration,
    /// The shortest block.
    pub(crate) least: Duration,
    /// The longest block.
    pub(crate) most: Duration,
}

impl Delays {
    pub(crate) const STEADY: Self = Self {
        least: Duration::from_millis(5),
        jitter: Duration::from_millis(5),
        sigma: 0.0,
        stall: 0.0,
        stalled: Duration::ZERO,
        blocks: None,
        once: None,
    };
}

/// A path that draws its delays as it is used.
pub(crate) struct Path {
    delays: Delays,
    /// The blocks drawn so far, in order.
    blocked: Vec<(Moment, Moment)>,
}

impl Path {
    pub(crate) fn new(delays: Delays) -> Self {
        let once = delays.once.map(|(start, length)| {
            let start = Moment::ORIGIN + start;
            (start, start + length)
        });
        Self {
            delays,
            blocked: once.into_iter().collect(),
        }
    }

    /// Returns when a message that is sent at `sent` arrives.
    pub(crate) fn through(&mut self, sent: Moment, rng: &mut SmallRng) -> Moment {
        let Delays {
            least,
            jitter,
            sigma,
            stall,
            stalled,
            ..
        } = self.delays;
        let varied = match sigma {
            0.0 => fraction(jitter, rng),
            _ => jitter.mul_f64((sigma * normal(rng)).exp()),
        };
        let mut out = sent + least + varied;
        if stall > 0.0 && rng.random_bool(stall) {
            out = out + stalled;
        }
        self.released(out, rng)
    }

    fn released(&mut self, at: Moment, rng: &mut SmallRng) -> Moment {
        if let Some(blocks) = self.delays.blocks {
            self.draw_blocks(blocks, at, rng);
        }
        let before = self.blocked.partition_point(|&(start, _)| start <= at);
        let block = before.checked_sub(1).map(|last| self.blocked[last]);
        block.map_or(at, |(_, end)| at.max(end))
    }

    fn draw_blocks(&mut self, blocks: Blocks, at: Moment, rng: &mut SmallRng) {
        let Blocks { every, least, most } = blocks;
        let mut known = self.blocked.last().map_or(Moment::ORIGIN, |last| last.1);
        while known <= at {
            let start = known + every / 2 + fraction(every / 2, rng);
            known = start + least + fraction(most - least, rng);
            self.blocked.push((start, known));
        }
    }
}

fn fraction(whole: Duration, rng: &mut SmallRng) -> Duration {
    match u64::try_from(whole.as_nanos()) {
        Ok(0) | Err(_) => Duration::ZERO,
        Ok(nanos) => Duration::from_nanos(rng.random_range(0..=nanos)),
    }
}

/// Draws from the standard normal distribution, by Box and Muller.
fn normal(rng: &mut SmallRng) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
