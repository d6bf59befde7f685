use pacing::{Answer, Sample};

use super::events::Events;
use super::permit::Permit;
use super::state::{ConcurrencyState, End};

/// A call in flight, which holds a permit. It counts as cancelled if it is dropped before it has
/// ended.
#[derive(Debug)]
pub(super) struct InFlight {
    permit: Option<Permit>,
    /// For an adaptive limit. A fixed limit does not read it.
    sample: Sample,
}

impl InFlight {
    /// Records the departure of a call that has a permit.
    #[inline]
    pub(super) fn new(permit: Permit) -> Self {
        let sample = match permit.queue().front().is_adaptive() {
            true => permit.queue().with(ConcurrencyState::depart),
            false => Sample::default(),
        };
        Self {
            permit: Some(permit),
            sample,
        }
    }

    /// Records the end of the call, and returns the permit, which a body may hold on to.
    #[inline]
    pub(super) fn end(&mut self, answer: Answer, end: End) -> Permit {
        let permit = self.permit.take().expect("a call ends once");
        self.record(&permit, end, Some(answer));
        permit
    }

    /// Counts the end of the call. An adaptive limit learns from it.
    #[inline]
    fn record(&self, permit: &Permit, end: End, answer: Option<Answer>) {
        let permits = permit.queue().front();
        permits.record(end);
        if permits.is_adaptive() {
            self.learn(permit, answer);
        }
    }

    // Out of line: most calls end before they are dropped.
    #[cold]
    fn cancel(&self, permit: &Permit) {
        self.record(permit, End::Cancelled, None);
    }

    /// Lets an adaptive limit learn from the end of the call.
    // Out of line, so that a fixed limit pays for none of it.
    #[inline(never)]
    fn learn(&self, permit: &Permit, answer: Option<Answer>) {
        let mut events = Events::default();
        permit.queue().change(|state, _| {
            events = state.end(self.sample, answer);
            events.wake()
        });
        events.emit();
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.cancel(&permit);
        }
    }
}
