use std::time::Duration;

use pacing::Moment;

/// The time that a request waited before its departure, by cause.
///
/// The rate limit inserts it into the extensions of a response whose request had to wait. It does
/// not include the time in which the inner service was not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waited {
    /// The time behind other requests.
    pub queued: Duration,
    /// The time at the head of the queue until the departure was due.
    pub paced: Duration,
    /// The time in which the gate was closed, the server had stated that nothing remains, or a
    /// handle had paused the limit.
    pub gated: Duration,
    /// The time until earlier requests had ended or could no longer count at the server.
    pub acknowledged: Duration,
}

impl Waited {
    /// Returns the whole time.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.queued + self.paced + self.gated + self.acknowledged
    }
}

/// The reason of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitCause {
    Queued,
    Paced,
    Gated,
    Acknowledged,
}

/// Adds up the time of each cause, from one poll to the next.
#[derive(Debug)]
pub(super) struct WaitTimes {
    /// The nanoseconds of each cause. Durations would take twice the memory of each waiter.
    nanos: [u64; 4],
    since: Moment,
    cause: Option<WaitCause>,
}

impl WaitTimes {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            nanos: [0; 4],
            since: now,
            cause: None,
        }
    }

    /// Records the cause of the wait from `now` on.
    pub(super) fn record(&mut self, cause: Option<WaitCause>, now: Moment) {
        if let Some(before) = self.cause {
            self.nanos[before as usize] += now.as_nanos().saturating_sub(self.since.as_nanos());
        }
        self.since = now;
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
fn the_time_between_two_polls_has_the_cause_of_the_first() {
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
