use std::sync::Arc;
use std::time::Duration;

use pacing::{Due, Moment};

use crate::line::{Queue, Resource, Wake};

/// How many may be in flight, and how many are.
#[derive(Debug)]
pub(crate) struct Permits {
    limit: usize,
    in_flight: usize,
}

impl Permits {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            in_flight: 0,
        }
    }
}

impl Resource for Permits {
    const TIMED: bool = false;

    type Claim = ();

    fn due(&mut self, _: Moment) -> Due {
        if self.in_flight < self.limit {
            Due::Now
        } else {
            Due::OnAnswer
        }
    }

    fn claim(&mut self, _: Moment) {
        self.in_flight += 1;
    }

    fn interval(&self, _: Moment) -> Duration {
        Duration::ZERO
    }
}

/// The right to be in flight. Its drop gives it back.
#[derive(Debug)]
pub(super) struct Permit {
    queue: Arc<Queue<Permits>>,
}

impl Permit {
    /// Wraps a permit that was just claimed from `queue`.
    pub(super) fn claimed(queue: Arc<Queue<Permits>>) -> Self {
        Self { queue }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.queue.change(|permits, _| {
            permits.in_flight -= 1;
            Wake::IfAwaited
        });
    }
}
