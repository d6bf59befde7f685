use std::borrow::Cow;
use std::collections::VecDeque;
use std::iter::from_fn;
use std::time::Duration;

use crate::api::Identifier;

/// An entry of the activity log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Activity {
    /// Its place in the log, from 1.
    pub(crate) number: u64,
    /// The type, as the API names it.
    pub(crate) kind: Cow<'static, str>,
    /// When it was recorded, in Unix seconds.
    pub(crate) at: i64,
    pub(crate) person: Option<Identifier>,
    /// Whether the person existed then. One who did and no longer does was deleted.
    pub(crate) existed: bool,
    /// The name of an event or a screen, or the URL of a page.
    pub(crate) name: Option<String>,
    pub(crate) delivery_id: Option<String>,
    /// JSON, as the API shows it.
    pub(crate) data: Option<Box<[u8]>>,
}

/// A question to the activity log.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActivityFilter {
    pub(crate) person: Option<Identifier>,
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    /// Whether activities of deleted people are included.
    pub(crate) deleted: bool,
    /// Only activities before this number are returned: the position of a page.
    pub(crate) before: Option<u64>,
    pub(crate) limit: usize,
}

/// How the log answers, and how much it keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    /// How many activities are kept of those that show a loss, and of all others.
    pub(crate) capacity: usize,
    /// How long an activity is invisible after it was recorded.
    pub(crate) lag: Duration,
    /// After which time it is invisible again.
    pub(crate) retention: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            // A few megabytes. A test of more failures than these sets its own.
            capacity: 10_000,
            lag: Duration::ZERO,
            retention: Duration::MAX,
        }
    }
}

/// The newest activities, up to a bound.
#[derive(Debug, Default)]
pub(super) struct ActivityLog {
    settings: LogSettings,
    recorded: u64,
    /// Failed and skipped updates and events. Apart, so that many successes do not push them out.
    losses: VecDeque<Activity>,
    others: VecDeque<Activity>,
}

impl ActivityLog {
    pub(super) fn configure(&mut self, settings: LogSettings) {
        self.settings = settings;
    }

    pub(super) fn record(&mut self, mut activity: Activity) {
        self.recorded += 1;
        activity.number = self.recorded;
        let is_loss = activity.kind.contains("failed_") || activity.kind == SKIPPED_UPDATE;
        let log = match is_loss {
            true => &mut self.losses,
            false => &mut self.others,
        };
        while log.len() >= self.settings.capacity {
            if log.pop_front().is_none() {
                return;
            }
        }
        log.push_back(activity);
    }

    /// Returns the activities that are visible at `now`, the newest first.
    pub(super) fn visible(&self, now: i64) -> impl Iterator<Item = &Activity> {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let newest = now.saturating_sub(seconds(self.settings.lag));
        let oldest = now.saturating_sub(seconds(self.settings.retention));
        let mut losses = self.losses.iter().rev().peekable();
        let mut others = self.others.iter().rev().peekable();
        let merged = from_fn(move || match (losses.peek(), others.peek()) {
            (Some(loss), Some(other)) if loss.number < other.number => others.next(),
            (Some(_), _) => losses.next(),
            (None, _) => others.next(),
        });
        merged.filter(move |activity| (oldest..=newest).contains(&activity.at))
    }
}

impl Activity {
    /// Returns an activity without a name and without data.
    pub(super) fn new(kind: impl Into<Cow<'static, str>>, at: i64) -> Self {
        Self {
            number: 0,
            kind: kind.into(),
            at,
            person: None,
            existed: false,
            name: None,
            delivery_id: None,
            data: None,
        }
    }

    pub(super) fn is_selected(&self, filter: &ActivityFilter) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        filter.before.is_none_or(|before| self.number < before)
            && is(&filter.kind, Some(&self.kind))
            && is(&filter.name, self.name.as_deref())
            && (filter.person.is_none() || filter.person == self.person)
    }
}

// Types as the API names them.
pub(super) const FAILED_ATTRIBUTE_CHANGE: &str = "failed_attribute_change";
pub(super) const FAILED_EVENT: &str = "failed_event";
pub(super) const FAILED_RELATIONSHIP: &str = "relationship_failed_attribute_change";
pub(super) const SKIPPED_UPDATE: &str = "skipped_update";

#[cfg(test)]
mod tests {
    use super::*;

    fn log(capacity: usize, kinds: &[&'static str]) -> ActivityLog {
        let mut log = ActivityLog::default();
        log.configure(LogSettings {
            capacity,
            lag: Duration::from_secs(10),
            retention: Duration::from_secs(100),
        });
        for (at, kind) in (1_000..).zip(kinds) {
            log.record(Activity::new(*kind, at));
        }
        log
    }

    fn numbers(log: &ActivityLog, now: i64) -> Vec<u64> {
        log.visible(now).map(|activity| activity.number).collect()
    }

    #[test]
    fn successes_do_not_push_out_losses() {
        let kinds = [FAILED_EVENT, "event", "event", SKIPPED_UPDATE, "event"];
        assert_eq!(numbers(&log(2, &kinds), 1_050), [5, 4, 3, 1]);
        assert_eq!(numbers(&log(9, &kinds), 1_050), [5, 4, 3, 2, 1]);
        assert!(numbers(&log(0, &kinds), 1_050).is_empty());
    }

    #[test]
    fn an_activity_is_visible_after_the_lag_and_within_the_retention() {
        let log = log(9, &["event", FAILED_EVENT]);
        assert!(numbers(&log, 1_009).is_empty());
        assert_eq!(numbers(&log, 1_010), [1]);
        assert_eq!(numbers(&log, 1_100), [2, 1]);
        assert_eq!(numbers(&log, 1_101), [2]);
        assert!(numbers(&log, 1_102).is_empty());
    }
}
