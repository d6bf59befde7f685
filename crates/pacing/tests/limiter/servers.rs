//! Reference servers: each model by its plain definition.

use std::collections::VecDeque;
use std::time::Duration;

use pacing::Quota;
use pacing::fields::StatedLimit;

/// How a server counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerModel {
    SlidingLog,
    FixedWindow,
    /// The current window, plus the previous one weighted by its part in the sliding window.
    SlidingCounter,
    /// The same, and throttled requests count too.
    StrictCounter,
    TokenBucket {
        size: u32,
        refill: u32,
    },
}

/// A server that allows the limit of a quota.
pub(crate) struct Server {
    kind: ServerModel,
    limit: f64,
    window: f64,
    /// The part of its window that has passed at the origin, from 0 to 1.
    phase: f64,
    log: VecDeque<(f64, f64)>,
    index: f64,
    current: f64,
    previous: f64,
    tokens: f64,
    filled: f64,
}

impl Server {
    pub(crate) fn new(kind: ServerModel, quota: &Quota, phase: f64) -> Self {
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
                ServerModel::TokenBucket { size, .. } => f64::from(size),
                _ => 0.0,
            },
            filled: 0.0,
        }
    }

    /// Counts an arrival. Returns false if it is throttled.
    pub(crate) fn admit(&mut self, now: Duration, cost: u32) -> bool {
        let (now, cost) = (now.as_secs_f64(), f64::from(cost));
        match self.kind {
            ServerModel::SlidingLog => self.admit_by_log(now, cost),
            ServerModel::FixedWindow => self.admit_by_counter(now, cost, 0.0, false),
            ServerModel::SlidingCounter => self.admit_by_counter(now, cost, 1.0, false),
            ServerModel::StrictCounter => self.admit_by_counter(now, cost, 1.0, true),
            ServerModel::TokenBucket { size, refill } => {
                self.admit_by_bucket(now, cost, size, refill)
            }
        }
    }

    /// Changes the limit. Requests that were counted before still count.
    pub(crate) fn change(&mut self, now: Duration, quota: &Quota) {
        self.forget(now.as_secs_f64());
        self.limit = f64::from(quota.limit());
        self.window = quota.window().as_secs_f64();
    }

    /// States the requests that remain, in whole numbers and seconds.
    pub(crate) fn stated_limit(&self, now: Duration) -> StatedLimit {
        let now = now.as_secs_f64();
        let (limit, remaining, reset) = match self.kind {
            ServerModel::SlidingLog => {
                let oldest = self.log.front().map_or(now, |&(at, _)| at);
                (
                    self.limit,
                    self.limit - self.current,
                    oldest + self.window - now,
                )
            }
            ServerModel::TokenBucket { size, refill } => {
                let size = f64::from(size);
                let full = (size - self.tokens) * self.window / f64::from(refill);
                (size, self.tokens, full)
            }
            ServerModel::FixedWindow | ServerModel::SlidingCounter | ServerModel::StrictCounter => {
                let left = 1.0 - (now / self.window + self.phase).fract();
                let weight = f64::from(u8::from(self.kind != ServerModel::FixedWindow));
                let used = self.current + weight * self.previous * left;
                (self.limit, self.limit - used, left * self.window)
            }
        };
        StatedLimit {
            limit: Some(limit as u64),
            remaining: remaining.max(0.0) as u64,
            reset: Duration::from_secs(reset.max(0.0).ceil() as u64),
            unit: None,
        }
    }

    /// Removes from the log the requests before the window.
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
        // The sum of many small refills has as many rounding errors.
        let admitted = self.tokens >= cost - 1e-6;
        if admitted {
            self.tokens -= cost;
        }
        admitted
    }
}
