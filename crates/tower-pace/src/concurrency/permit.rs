use std::fmt;
use std::sync::Arc;

use pacing::{Answer, Sample};

use super::permits::Permits;
use super::tally::End;
use crate::line::{Queue, Wake};

/// The right to be in flight. Its drop gives it back.
#[expect(
    unnameable_types,
    reason = "seals `Until`: how a permit is held may change"
)]
pub struct Permit {
    queue: Arc<Queue<Permits>>,
    /// Whether somebody learns from the answer.
    learns: bool,
    /// Of a call that is not answered yet.
    sample: Option<Sample>,
    end: End,
}

impl Permit {
    /// Takes a permit without the lock, if there is one and nobody waits.
    pub(super) fn at_once(queue: &Arc<Queue<Permits>>) -> Option<Self> {
        let taken = queue.front().in_flight.take();
        taken.then(|| Self::claimed(Arc::clone(queue), false))
    }

    /// Wraps a permit that was just claimed from `queue`.
    pub(super) fn claimed(queue: Arc<Queue<Permits>>, learns: bool) -> Self {
        Self {
            queue,
            learns,
            sample: None,
            end: End::Unused,
        }
    }

    /// The call is made.
    pub(super) fn depart(&mut self) {
        self.end = End::Cancelled;
        if self.learns {
            self.sample = self.queue.with(|permits, _| permits.depart());
        }
    }

    /// The call is complete, though a body may be still to come.
    pub(super) fn answer(&mut self, answer: Answer, end: End) {
        self.end = end;
        if let Some(sample) = self.sample.take() {
            self.queue.with(|permits, _| permits.answer(sample, answer));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let tally = self.queue.front();
        tally.count(self.end);
        if tally.in_flight.give_back() {
            return;
        }
        let sample = self.sample.take();
        self.queue.change(|permits, _| {
            permits.take_back(sample);
            Wake::IfAwaited
        });
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
