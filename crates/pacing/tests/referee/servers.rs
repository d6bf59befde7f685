//! The ways in which servers count, each by its plain definition.

use std::collections::VecDeque;
use std::time::Duration;

use pacing::Quota;

pub(crate) struct Server {
    limit: f64,
    window: f64,
    count: Count,
}

enum Count {
    SlidingLog(VecDeque<f64>),
    SlidingCounter {
        window: i64,
        current: f64,
        previous: f64,
    },
    FixedWindow {
        phase: f64,
        window: i64,
        current: f64,
    },
    TokenBucket {
        tokens: f64,
        filled: f64,
    },
}

impl Server {
    fn of(quota: &Quota, count: Count) -> Self {
        Self {
            limit: f64::from(quota.limit()),
            window: quota.window().as_secs_f64(),
            count,
        }
    }

    pub(crate) fn sliding_log(quota: &Quota) -> Self {
        Self::of(quota, Count::SlidingLog(VecDeque::new()))
    }

    pub(crate) fn sliding_counter(quota: &Quota) -> Self {
        let (window, current, previous) = (0, 0.0, 0.0);
        Self::of(
            quota,
            Count::SlidingCounter {
                window,
                current,
                previous,
            },
        )
    }

    pub(crate) fn fixed_window(quota: &Quota, phase: f64) -> Self {
        let (window, current) = (0, 0.0);
        Self::of(
            quota,
            Count::FixedWindow {
                phase,
                window,
                current,
            },
        )
    }

    pub(crate) fn token_bucket(quota: &Quota) -> Self {
        let tokens = f64::from(quota.limit());
        Self::of(
            quota,
            Count::TokenBucket {
                tokens,
                filled: 0.0,
            },
        )
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.count {
            Count::SlidingLog(_) => "sliding log",
            Count::SlidingCounter { .. } => "sliding counter",
            Count::FixedWindow { .. } => "fixed window",
            Count::TokenBucket { .. } => "token bucket",
        }
    }

    /// Counts an arrival and says whether it is let through.
    pub(crate) fn admit(&mut self, now: Duration) -> bool {
        let (now, limit, length) = (now.as_secs_f64(), self.limit, self.window);
        match &mut self.count {
            Count::SlidingLog(log) => {
                while log.front().is_some_and(|&first| first <= now - length) {
                    log.pop_front();
                }
                let admitted = (log.len() as f64) < limit;
                if admitted {
                    log.push_back(now);
                }
                admitted
            }
            Count::SlidingCounter {
                window,
                current,
                previous,
            } => {
                let index = (now / length).floor() as i64;
                (*previous, *current) = match index - *window {
                    0 => (*previous, *current),
                    1 => (*current, 0.0),
                    _ => (0.0, 0.0),
                };
                *window = index;
                let passed = now / length - index as f64;
                let admitted = *previous * (1.0 - passed) + *current + 1.0 <= limit;
                *current += f64::from(u8::from(admitted));
                admitted
            }
            Count::FixedWindow {
                phase,
                window,
                current,
            } => {
                let index = (now / length + *phase).floor() as i64;
                if index != *window {
                    (*window, *current) = (index, 0.0);
                }
                let admitted = *current < limit;
                *current += f64::from(u8::from(admitted));
                admitted
            }
            Count::TokenBucket { tokens, filled } => {
                *tokens = (*tokens + (now - *filled) * limit / length).min(limit);
                *filled = now;
                let admitted = *tokens >= 1.0 - 1e-9;
                *tokens -= f64::from(u8::from(admitted));
                admitted
            }
        }
    }
}
