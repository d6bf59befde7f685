use pacing::{Answer, Sample};

use super::events::Events;
use super::permit::Permit;
use super::state::{ConcurrencyState, End};

/// A call that holds a permit and has no answer yet. Dropped before it has one, it counts as
/// cancelled.
#[derive(Debug)]
pub(super) struct InFlight {
    permit: Option<Permit>,
    /// For a limit that learns; otherwise it is the same for all calls, and nobody looks at it.
    sample: Sample,
}

impl InFlight {
    /// The call departs with a permit.
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

    /// The call is complete, though a body may be still to come: the permit is for that.
    #[inline]
    pub(super) fn answer(&mut self, answer: Answer, end: End) -> Permit {
        let permit = self.permit.take().expect("a call is answered once");
        self.end(&permit, end, Some(answer));
        permit
    }

    /// Counts how the call ended, and lets a limit learn from it that does.
    #[inline]
    fn end(&self, permit: &Permit, end: End, answer: Option<Answer>) {
        let permits = permit.queue().front();
        permits.count(end);
        if permits.is_adaptive() {
            self.learn(permit, answer);
        }
    }

    // Out of line: most calls are answered before they are dropped.
    #[cold]
    fn cancel(&self, permit: &Permit) {
        self.end(permit, End::Cancelled, None);
    }

    /// Lets the limit learn from the end of the call.
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
