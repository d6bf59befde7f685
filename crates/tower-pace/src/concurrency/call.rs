use pacing::{Answer, Sample};

use super::permit::Permit;
use super::tally::End;

/// A call that holds a permit and has no answer yet. Dropped before it has one, it counts as cancelled.
#[derive(Debug)]
pub(super) struct Call {
    permit: Option<Permit>,
    /// For a limit that learns; otherwise it is the same for all calls, and nobody looks at it.
    sample: Sample,
}

impl Call {
    /// The call departs with a permit.
    #[inline]
    pub(super) fn new(permit: Permit) -> Self {
        let sample = match permit.queue().front().learns() {
            true => permit.queue().with(|permits, _| permits.depart()),
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
        let tally = permit.queue().front();
        tally.count(end);
        if tally.learns() {
            permit
                .queue()
                .change(|permits, _| permits.answer(self.sample, answer));
        }
        permit
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let tally = permit.queue().front();
        tally.count(End::Cancelled);
        if tally.learns() {
            permit
                .queue()
                .with(|permits, _| permits.cancel(self.sample));
        }
    }
}
