use std::time::Duration;

use super::{ActivityQuery, ActivityType, ObjectActivity, PersonActivity};
use crate::Timestamp;

/// The time after which the log is taken as complete. No lag is documented; this is a guess on the
/// safe side, since a shorter one misses failures.
const LAG: Duration = Duration::from_secs(5 * 60);

/// The age up to which the log is taken as complete. No retention is documented for the API.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The most by which the clock of the caller is taken to be ahead of the server's. A larger value
/// only reads more entries.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The older activities in a row after which a list is left: one full page, so that a list that is
/// not quite in order is read far enough.
const OLDER: usize = 100;

/// The types of activities of people and events that show data which was accepted and not applied.
const TYPES: [PersonActivity; 5] = [
    PersonActivity::FailedAttributeChange,
    PersonActivity::FailedEvent,
    PersonActivity::FailedBatchUpdate,
    PersonActivity::RelationshipFailedAttributeChange,
    PersonActivity::SkippedUpdate,
];

/// A query for the failed and skipped activities since a moment: data that the API accepted with a
/// 200, and did not apply.
///
/// ```
/// use std::time::Duration;
/// use customerio::Timestamp;
/// use customerio::app::FailureQuery;
///
/// let (started, last_request) = (Timestamp::new(1_700_000_000)?, Timestamp::new(1_700_000_600)?);
/// let query = FailureQuery::since(started).object_type("1").lag(Duration::from_secs(120));
/// assert_eq!(query.complete_at(last_request).seconds(), 1_700_000_720); // read it then
/// assert!(query.is_retained_at(Timestamp::new(1_700_086_400)?)); // a day later
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// # Unknown, and therefore settable
///
/// The API documents none of these, so each is a setting:
///
/// | question | default | if it is wrong |
/// |---|---|---|
/// | [`lag`](Self::lag): how long after a response a failure is in the log | 5 minutes | a later failure is missed |
/// | [`retention`](Self::retention): how long it stays there | 30 days | an older one is missed |
/// | [`stop_after`](Self::stop_after): whether the newest come first | left after 100 older ones in a row | the rest of a list is missed |
/// | whether a failed event has its own `timestamp`, or the time of its arrival | | begin at the earliest time of all events that were sent |
///
/// An empty result therefore shows that the log has no failure, and does not prove that everything
/// was applied. Activities of people who were deleted since then are not included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct FailureQuery {
    since: Timestamp,
    types: Vec<ActivityType>,
    lag: Duration,
    retention: Duration,
    clock_skew: Duration,
    stop_after: usize,
}

impl FailureQuery {
    /// Selects the failed and skipped activities of people and events since a moment, such as the
    /// start of an import.
    pub fn since(since: Timestamp) -> Self {
        Self {
            since,
            types: TYPES.map(ActivityType::from).to_vec(),
            lag: LAG,
            retention: RETENTION,
            clock_skew: CLOCK_SKEW,
            stop_after: OLDER,
        }
    }

    /// Adds the failed changes of objects of a type and of their relationships.
    pub fn object_type(mut self, type_id: &str) -> Self {
        let activity = ObjectActivity::FailedAttributeChange;
        self.types.push(ActivityType::Object {
            type_id: type_id.into(),
            activity,
        });
        self.types.push(ActivityType::Relationship {
            type_id: type_id.into(),
            activity,
        });
        self
    }

    /// Sets the types, in place of all failed and skipped ones. Each is a list of its own.
    pub fn types(self, types: impl IntoIterator<Item = ActivityType>) -> Self {
        Self {
            types: types.into_iter().collect(),
            ..self
        }
    }

    /// Sets the longest time from a response to its entry in the log, for
    /// [`complete_at`](Self::complete_at). The default is 5 minutes.
    pub fn lag(self, lag: Duration) -> Self {
        Self { lag, ..self }
    }

    /// Sets the time for which the log keeps its entries, for
    /// [`is_retained_at`](Self::is_retained_at). The default is 30 days.
    pub fn retention(self, retention: Duration) -> Self {
        Self { retention, ..self }
    }

    /// Sets how far the caller's clock may be ahead of the server's: activities from that much
    /// earlier are included. The default is one minute.
    pub fn clock_skew(self, clock_skew: Duration) -> Self {
        Self { clock_skew, ..self }
    }

    /// Sets after how many older activities in a row the rest of a list is not read. The default is
    /// 100. `usize::MAX` reads each list to its end, whatever its order.
    pub fn stop_after(self, older: usize) -> Self {
        Self {
            stop_after: older,
            ..self
        }
    }

    /// Returns the time at which the log is complete for requests up to `last_request`. Read it
    /// then or later.
    #[must_use]
    pub fn complete_at(&self, last_request: Timestamp) -> Timestamp {
        moved(last_request, self.lag, 1)
    }

    /// Returns whether the log still reaches back to the beginning of this query at `now`.
    #[must_use]
    pub fn is_retained_at(&self, now: Timestamp) -> bool {
        moved(now, self.retention, -1) <= self.first()
    }

    /// Returns the time from which activities are included.
    #[must_use]
    pub fn first(&self) -> Timestamp {
        moved(self.since, self.clock_skew, -1)
    }

    /// Returns the query of each list, one for each type.
    #[must_use]
    pub fn queries(&self) -> impl ExactSizeIterator<Item = ActivityQuery> + '_ {
        let types = self.types.iter().cloned();
        types.map(|activity_type| ActivityQuery::all().activity_type(activity_type))
    }

    #[cfg(feature = "client")]
    pub(crate) fn older(&self) -> usize {
        self.stop_after
    }
}

/// Returns a time that is `by` later or earlier, within the range of times.
fn moved(time: Timestamp, by: Duration, sign: i64) -> Timestamp {
    let by = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
    Timestamp::clamped(time.seconds().saturating_add(by.saturating_mul(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_in_range() {
        let now = Timestamp::new(1_700_000_000).unwrap();
        let forever = FailureQuery::since(now)
            .lag(Duration::MAX)
            .retention(Duration::MAX)
            .clock_skew(Duration::MAX);
        assert!(forever.complete_at(now) > now && forever.first() < now);
        assert!(forever.is_retained_at(now));
        let day = Duration::from_secs(86_400);
        let query = FailureQuery::since(now).retention(day).clock_skew(day);
        assert!(query.is_retained_at(now));
        assert!(!query.is_retained_at(Timestamp::new(1_700_000_001).unwrap()));
    }

    #[test]
    fn each_type_is_a_list() {
        let now = Timestamp::new(1_700_000_000).unwrap();
        let query = FailureQuery::since(now).object_type("1");
        let paths = query
            .queries()
            .map(|query| query.to_request().unwrap().path().to_owned());
        let paths: Vec<_> = paths.collect();
        assert_eq!(paths.len(), 7);
        assert_eq!(
            paths[0],
            "/v1/activities?limit=100&type=failed_attribute_change"
        );
        assert_eq!(
            paths[5],
            "/v1/activities?limit=100&type=_o%3A1%3Afailed_attribute_change",
        );
    }
}
