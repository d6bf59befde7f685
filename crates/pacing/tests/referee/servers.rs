//! The ways in which servers count, each by its plain definition.

use std::collections::VecDeque;
use std::time::Duration;

use pacing::Quota;
use pacing::fields::Budget;

/// How a server counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    SlidingLog,
    FixedWindow,
    /// The window before, weighted by what of it is still in sight, and this one.
    SlidingCounter,
    /// The same, and what it refuses counts.
    StrictCounter,
    TokenBucket {
        size: u32,
        refill: u32,
    },
}

/// A server that allows the limit of a quota.
pub(crate) struct Server {
    kind: Kind,
    limit: f64,
    window: f64,
    /// Where in its window the server is at the origin, from 0 to 1.
    phase: f64,
    log: VecDeque<(f64, f64)>,
    index: f64,
    current: f64,
    previous: f64,
    tokens: f64,
    filled: f64,
}

impl Server {
    pub(crate) fn new(kind: Kind, quota: &Quota, phase: f64) -> Self {
        Self {
            kind,
            limit: f64::from(quota.limit()),
            window: quota.window().as_secs_f64(),
            phase,
            log: VecDeque::new(),
            index: 0.0,
            current: 0.0,
            previous: 0.0,
            tokens: match kind {
                Kind::TokenBucket { size, .. } => f64::from(size),
                _ => 0.0,
            },
            filled: 0.0,
        }
    }

    /// Counts an arrival and says whether it is let through.
    pub(crate) fn admit(&mut self, now: Duration, cost: u32) -> bool {
        let (now, cost) = (now.as_secs_f64(), f64::from(cost));
        match self.kind {
            Kind::SlidingLog => self.admit_by_log(now, cost),
            Kind::FixedWindow => self.admit_by_counter(now, cost, 0.0, false),
            Kind::SlidingCounter => self.admit_by_counter(now, cost, 1.0, false),
            Kind::StrictCounter => self.admit_by_counter(now, cost, 1.0, true),
            Kind::TokenBucket { size, refill } => self.admit_by_bucket(now, cost, size, refill),
        }
    }

    /// Allows the limit of another quota from now on, and counts with it what it knows.
    pub(crate) fn change(&mut self, now: Duration, quota: &Quota) {
        self.forget(now.as_secs_f64());
        self.limit = f64::from(quota.limit());
        self.window = quota.window().as_secs_f64();
    }

    /// States what remains, in whole numbers and seconds.
    pub(crate) fn budget(&self, now: Duration) -> Budget {
        let now = now.as_secs_f64();
        let (limit, remaining, reset) = match self.kind {
            Kind::SlidingLog => {
                let oldest = self.log.front().map_or(now, |&(at, _)| at);
                (
                    self.limit,
                    self.limit - self.current,
                    oldest + self.window - now,
                )
            }
            Kind::TokenBucket { size, refill } => {
                let size = f64::from(size);
                let full = (size - self.tokens) * self.window / f64::from(refill);
                (size, self.tokens, full)
            }
            Kind::FixedWindow | Kind::SlidingCounter | Kind::StrictCounter => {
                let left = 1.0 - (now / self.window + self.phase).fract();
                let weight = f64::from(u8::from(self.kind != Kind::FixedWindow));
                let used = self.current + weight * self.previous * left;
                (self.limit, self.limit - used, left * self.window)
            }
        };
        Budget {
            limit: Some(limit as u64),
            remaining: remaining.max(0.0) as u64,
            reset: Duration::from_secs(reset.max(0.0).ceil() as u64),
        }
    }

    /// Drops from the log what is no longer in the window.
    fn forget(&mut self, now: f64) {
        while let Some(&(at, cost)) = self.log.front()
            && at <= now - self.window
        {
            self.log.pop_front();
            self.current -= cost;
        }
    }

    fn admit_by_log(&mut self, now: f64, cost: f64) -> bool {
        self.forget(now);
        let admitted = self.current + cost <= self.limit;
        if admitted {
            self.log.push_back((now, cost));
            self.current += cost;
        }
        admitted
    }

    fn admit_by_counter(&mut self, now: f64, cost: f64, weight: f64, strict: bool) -> bool {
        let position = now / self.window + self.phase;
        let index = position.floor();
        if index != self.index {
            let follows = index == self.index + 1.0;
            self.previous = if follows { self.current } else { 0.0 };
            (self.index, self.current) = (index, 0.0);
        }
        let weighted = weight * self.previous * (1.0 - (position - index));
        let admitted = weighted + self.current + cost <= self.limit;
        if admitted || strict {
            self.current += cost;
        }
        admitted
    }

    fn admit_by_bucket(&mut self, now: f64, cost: f64, size: u32, refill: u32) -> bool {
        let refilled = (now - self.filled) * f64::from(refill) / self.window;
        self.tokens = (self.tokens + refilled).min(f64::from(size));
        self.filled = now;
        // As the sum of many small refills is off by as many small errors.
        let admitted = self.tokens >= cost - 1e-6;
        if admitted {
            self.tokens -= cost;
        }
        admitted
    }
}
