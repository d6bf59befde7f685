use pacing::{Answer, Sample};

use super::change::Change;
use super::permit::Permit;
use super::permits::Permits;
use super::tally::End;

/// A call that holds a permit and has no answer yet. Dropped before it has one, it counts as
/// cancelled.
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
            true => permit.queue().with(Permits::depart),
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
        let tally = permit.queue().front();
        tally.count(end);
        if tally.learns() {
            let mut change = Change::default();
            permit.queue().change(|permits, _| {
                change = permits.end(self.sample, answer);
                change.wake()
            });
            change.tell();
        }
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.end(&permit, End::Cancelled, None);
        }
    }
}
