//! The plan: counts, time and destination of a run, and questions for a person to confirm.

use std::fmt;
use std::time::Duration;

use crate::display::{self, counted};
use crate::mapping::Kind;
use crate::options::SendOptions;
use crate::scan::Scan;
use crate::settings::Settings;

/// Events newer than this trigger live campaigns. With a shorter time, some of them would start
/// campaigns without a question.
const CAMPAIGN_WINDOW: Duration = Duration::from_secs(72 * 3600);

/// The plan of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    input: String,
    kind: &'static str,
    destination: String,
    options: SendOptions,
    /// None for a stream, which can be read only once.
    scan: Option<Scan>,
    /// The events that may trigger campaigns, if there are any.
    recent: Option<RecentEvents>,
}

/// How many events may trigger campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecentEvents {
    Count(u64),
    /// Events of a stream are not counted before they are sent.
    Unknown,
}

/// Returns the time after which events trigger campaigns, in unix seconds.
pub(crate) fn campaigns_since(now: i64) -> i64 {
    now.saturating_sub_unsigned(CAMPAIGN_WINDOW.as_secs())
}

fn recent(kind: &Kind, scan: Option<Scan>) -> Option<RecentEvents> {
    match (scan, kind) {
        (Some(Scan { recent: 0, .. }), _) | (None, Kind::People) => None,
        (Some(Scan { recent, .. }), _) => Some(RecentEvents::Count(recent)),
        (None, Kind::Events(_)) => Some(RecentEvents::Unknown),
    }
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(settings: &Settings, scan: Option<Scan>) -> Self {
        Self {
            input: settings.input.to_string(),
            kind: settings.mapping.kind(),
            destination: settings.destination.to_string(),
            options: settings.options,
            scan,
            recent: recent(&settings.mapping.kind, scan),
        }
    }

    fn write_scan(&self, f: &mut fmt::Formatter<'_>, scan: &Scan) -> fmt::Result {
        let Self {
            input,
            kind,
            options,
            ..
        } = self;
        let Scan {
            records,
            rejected,
            requests,
            warnings,
            ..
        } = scan;
        writeln!(
            f,
            "{input}: {} of {kind}, {rejected} of them cannot be sent",
            display::records(*records)
        )?;
        writeln!(
            f,
            "requests: about {requests}, each with up to {}",
            display::records(options.batch_items as u64)
        )?;
        writeln!(
            f,
            "time: about {}, {}",
            display::estimate(options.time(*requests, records - rejected)),
            options.slowest_limit()
        )?;
        write!(f, "{warnings}")
    }

    /// Returns the questions that a person must confirm before anything is sent.
    pub(crate) fn questions(&self) -> Vec<String> {
        let recent = self.recent.map(|recent| recent.to_string());
        let warnings = self.scan.iter().flat_map(|scan| scan.warnings.questions());
        recent.into_iter().chain(warnings).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scan {
            Some(scan) => self.write_scan(f, scan)?,
            None => writeln!(
                f,
                "{}: records of {}, not counted because the input is a stream\ntime: {}",
                self.input,
                self.kind,
                self.options.slowest_limit()
            )?,
        }
        write!(f, "destination: {}", self.destination)?;
        match self.recent {
            None => Ok(()),
            Some(recent) => write!(f, "\ncampaigns: {recent}"),
        }
    }
}

// === impl RecentEvents ===

impl fmt::Display for RecentEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(events) => {
                let events = counted(*events, "event is", "events are");
                write!(
                    f,
                    "{events} newer than 72 hours and may trigger live campaigns"
                )
            }
            Self::Unknown => f.write_str(
                "events newer than 72 hours may trigger live campaigns; the input is a stream, so \
                 their number is unknown",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use customerio::client::Quota;

    use super::*;
    use crate::mapping::{EventColumns, Moment};

    fn options() -> SendOptions {
        SendOptions {
            limit: Quota::per_second(100),
            record_limit: Quota::per_second(10_000),
            concurrency: 32,
            batch_items: 1,
            keep_going: false,
            max_wait: Duration::ZERO,
        }
    }

    #[test]
    fn the_plan_shows_counts_time_limit_and_destination() {
        let scan = Scan {
            records: 20_093,
            rejected: 3,
            requests: 20_090,
            ..Scan::default()
        };
        let plan = Plan {
            input: "a.csv".into(),
            kind: "people",
            destination: "https://track.customer.io".into(),
            options: options(),
            scan: Some(scan),
            recent: Some(RecentEvents::Count(2)),
        };
        let expected = "\
            a.csv: 20093 records of people, 3 of them cannot be sent\n\
            requests: about 20090, each with up to 1 record\n\
            time: about 3 min 44 s, limited to 100 requests per 1 s; if answers take longer than \
            356 ms, limited by 32 requests in flight\n\
            destination: https://track.customer.io\n\
            campaigns: 2 events are newer than 72 hours and may trigger live campaigns";
        assert_eq!(plan.to_string(), expected);
    }

    #[test]
    fn one_is_singular() {
        let scan = Scan {
            records: 1,
            rejected: 0,
            requests: 1,
            recent: 1,
            ..Scan::default()
        };
        let plan = Plan {
            input: "a.csv".into(),
            kind: "events",
            destination: "https://track.customer.io".into(),
            options: SendOptions {
                limit: Quota::new(1, Duration::from_secs(1)).unwrap(),
                concurrency: 1,
                batch_items: 2,
                ..options()
            },
            scan: Some(scan),
            recent: Some(RecentEvents::Count(1)),
        };
        let shown = plan.to_string();
        for words in [
            "a.csv: 1 record of events",
            "about 1, each with up to 2 records",
            "limited to 1 request per 1 s",
            "by 1 request in flight",
            "1 event is newer",
        ] {
            assert!(shown.contains(words), "{words}: {shown}");
        }
    }

    #[test]
    fn only_events_trigger_campaigns_and_those_of_a_stream_are_not_counted() {
        let events = Kind::Events(EventColumns {
            name: "n".into(),
            moment: Moment::Now,
            event_id: None,
        });
        let scan = |recent| {
            Some(Scan {
                recent,
                ..Scan::default()
            })
        };
        assert_eq!(recent(&events, scan(2)), Some(RecentEvents::Count(2)));
        assert_eq!(recent(&events, scan(0)), None);
        assert_eq!(recent(&events, None), Some(RecentEvents::Unknown));
        assert_eq!(recent(&Kind::People, scan(0)), None);
        assert_eq!(recent(&Kind::People, None), None);
    }
}
