use std::time::Duration;

use pacing::Moment;

/// How long a request waited before it left, by what it waited for.
///
/// The rate limit puts it into the extensions of the response to a request that had to wait. The time in which the inner
/// service was not ready is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waited {
    /// The time behind other requests.
    pub queued: Duration,
    /// The time until the departure was due, at the head of the line.
    pub paced: Duration,
    /// The time for which everyone was held back: after a rejection, by the server's word, or by a handle.
    pub gated: Duration,
    /// The time in which earlier requests had to be answered, or to be forgotten by the server.
    pub acknowledged: Duration,
}

impl Waited {
    /// Returns the whole time.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.queued + self.paced + self.gated + self.acknowledged
    }
}

/// What one waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitCause {
    Queued,
    Paced,
    Gated,
    Acknowledged,
}

/// Adds up what one waits for, look by look.
#[derive(Debug)]
pub(super) struct WaitTimes {
    /// The nanoseconds of each cause; four durations would be twice as large, for each who waits.
    nanos: [u64; 4],
    looked: Moment,
    cause: Option<WaitCause>,
}

impl WaitTimes {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            nanos: [0; 4],
            looked: now,
            cause: None,
        }
    }

    /// Notes what is waited for from `now` on.
    pub(super) fn record(&mut self, cause: Option<WaitCause>, now: Moment) {
        if let Some(before) = self.cause {
            self.nanos[before as usize] += now.as_nanos().saturating_sub(self.looked.as_nanos());
        }
        self.looked = now;
        self.cause = cause;
    }

    pub(super) fn waited(&self) -> Waited {
        let time = |cause| Duration::from_nanos(self.nanos[cause as usize]);
        Waited {
            queued: time(WaitCause::Queued),
            paced: time(WaitCause::Paced),
            gated: time(WaitCause::Gated),
            acknowledged: time(WaitCause::Acknowledged),
        }
    }
}

#[test]
fn the_time_between_two_looks_is_what_the_first_said() {
    let at = |millis| Moment::ORIGIN + Duration::from_millis(millis);
    let mut times = WaitTimes::new(at(0));
    times.record(Some(WaitCause::Queued), at(0));
    times.record(Some(WaitCause::Paced), at(30));
    times.record(None, at(40));
    times.record(Some(WaitCause::Gated), at(1_000));
    times.record(None, at(1_005));
    let millis = Duration::from_millis;
    let expected = Waited {
        queued: millis(30),
        paced: millis(10),
        gated: millis(5),
        acknowledged: Duration::ZERO,
    };
    assert_eq!(times.waited(), expected);
    assert_eq!(times.waited().total(), millis(45));
}
