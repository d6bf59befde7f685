//! Says before the first request what will be sent where, how long it takes, and what bounds it.

use std::fmt;
use std::time::Duration;

use customerio::client::Quota;

use crate::counted::{self, counted};
use crate::mapping::Kind;
use crate::pace::Pace;
use crate::scan::Scan;
use crate::settings::Settings;

/// Events newer than this trigger live campaigns.
const CAMPAIGN_WINDOW: Duration = Duration::from_secs(72 * 3600);

/// What a run is about to do.
#[derive(Debug)]
pub(crate) struct Plan {
    input: String,
    kind: &'static str,
    destination: String,
    pace: Pace,
    /// Unknown for a stream, which can be read only once.
    scan: Option<Scan>,
    /// What may trigger campaigns, if anything does.
    recent: Option<Recent>,
}

/// How many events may trigger campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recent {
    Events(u64),
    Unknown,
}

/// Returns the moment from which on events trigger campaigns, in unix seconds.
pub(crate) fn campaigns_since(now: i64) -> i64 {
    now.saturating_sub_unsigned(CAMPAIGN_WINDOW.as_secs())
}

/// Tells what may trigger campaigns. Of a stream nothing is known before it is sent.
fn recent(kind: &Kind, scan: Option<Scan>) -> Option<Recent> {
    match (scan, kind) {
        (Some(Scan { recent: 0, .. }), _) | (None, Kind::People) => None,
        (Some(Scan { recent, .. }), _) => Some(Recent::Events(recent)),
        (None, Kind::Events(_)) => Some(Recent::Unknown),
    }
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(settings: &Settings, scan: Option<Scan>) -> Self {
        Self {
            input: settings.input.to_string(),
            kind: settings.mapping.kind(),
            destination: settings.destination.to_string(),
            pace: settings.pace,
            scan,
            recent: recent(&settings.mapping.kind, scan),
        }
    }

    fn write_scan(&self, f: &mut fmt::Formatter<'_>, scan: &Scan) -> fmt::Result {
        let Self {
            input, kind, pace, ..
        } = self;
        let Scan {
            records,
            rejected,
            requests,
            notes,
            ..
        } = scan;
        writeln!(
            f,
            "{input}: {} of {kind}, of which {rejected} cannot be sent",
            counted::records(*records)
        )?;
        writeln!(
            f,
            "requests: about {requests}, of up to {}",
            counted::records(pace.batch_items as u64)
        )?;
        writeln!(
            f,
            "time: about {}; {}",
            shown(pace.time(*requests, records - rejected)),
            pace.bound()
        )?;
        write!(f, "{notes}")
    }

    /// Returns what a person must decide before anything is sent.
    pub(crate) fn questions(&self) -> Vec<String> {
        let recent = self.recent.map(|recent| recent.to_string());
        let notes = self.scan.iter().flat_map(|scan| scan.notes.questions());
        recent.into_iter().chain(notes).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scan {
            Some(scan) => self.write_scan(f, scan)?,
            None => writeln!(
                f,
                "{}: records of {}, as many as come; {}",
                self.input,
                self.kind,
                self.pace.bound()
            )?,
        }
        write!(f, "to: {}", self.destination)?;
        match self.recent {
            None => Ok(()),
            Some(recent) => write!(f, "\ncampaigns: {recent}"),
        }
    }
}

// === impl Recent ===

impl fmt::Display for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events(events) => {
                let lie = counted(*events, "event lies", "events lie");
                write!(
                    f,
                    "{lie} in the last 72 hours and may trigger live campaigns"
                )
            }
            Self::Unknown => f.write_str(
                "events of the last 72 hours may trigger live campaigns; how many is unknown",
            ),
        }
    }
}

// === impl Pace ===

impl Pace {
    /// Returns how long so many requests with so many records take; what no duration can hold is
    /// the longest one.
    fn time(&self, requests: u64, records: u64) -> Duration {
        let seconds = |quota: Quota, count: u64| quota.spacing().as_secs_f64() * count as f64;
        let longest = seconds(self.limit, requests).max(seconds(self.record_limit, records));
        Duration::try_from_secs_f64(longest).unwrap_or(Duration::MAX)
    }

    /// Says which limit bounds the run: a rate, until answers take so long that all places are
    /// taken.
    fn bound(&self) -> String {
        let places = self.concurrency as u64;
        let (by_requests, answer) = (
            self.time(places, 0),
            self.time(places, places.saturating_mul(self.batch_items as u64)),
        );
        let (limit, counted) = if answer > by_requests {
            let limit = self.record_limit;
            (limit, counted::records(limit.limit().into()))
        } else {
            (self.limit, counted::requests(self.limit.limit().into()))
        };
        format!(
            "bounded by the limit of {counted} in {} while an answer takes less than {}, then by the {} in flight",
            shown(limit.window()),
            shown(answer),
            counted::requests(places)
        )
    }
}

/// Writes a duration for people: `120 ms`, `1.5 s`, `3 min 21 s`, `2 h 5 min`.
fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match seconds {
        _ if duration < Duration::from_secs(1) => format!("{} ms", duration.as_millis()),
        0..10 => format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{EventColumns, Moment};

    fn check(millis: u64, expected: &str) {
        assert_eq!(shown(Duration::from_millis(millis)), expected);
    }

    #[test]
    fn durations_are_written_for_people() {
        check(0, "0 ms");
        check(320, "320 ms");
        check(1_000, "1 s");
        check(1_540, "1.5 s");
        check(42_400, "42 s");
        check(59_900, "1 min 0 s");
        check(201_000, "3 min 21 s");
        check(7_500_000, "2 h 5 min");
    }

    #[test]
    fn the_plan_says_how_many_how_long_and_what_bounds_it() {
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
            pace: Pace {
                limit: Quota::per_second(100),
                record_limit: Quota::per_second(10_000),
                concurrency: 32,
                batch_items: 1,
                keeps_going: false,
            },
            scan: Some(scan),
            recent: Some(Recent::Events(2)),
        };
        let expected = "\
            a.csv: 20093 records of people, of which 3 cannot be sent\n\
            requests: about 20090, of up to 1 record\n\
            time: about 3 min 44 s; bounded by the limit of 100 requests in 1 s while an answer takes less than \
            356 ms, then by the 32 requests in flight\n\
            to: https://track.customer.io\n\
            campaigns: 2 events lie in the last 72 hours and may trigger live campaigns";
        assert_eq!(plan.to_string(), expected);
    }

    #[test]
    fn the_slower_of_two_limits_bounds() {
        let check = |requests, records, batch_items, time: &str, bound: &str| {
            let pace = Pace {
                limit: Quota::per_second(requests),
                record_limit: Quota::per_second(records),
                concurrency: 32,
                batch_items,
                keeps_going: false,
            };
            let found = (shown(pace.time(41, 20_093)), pace.bound());
            assert_eq!(found.0, time);
            assert!(found.1.contains(bound), "{}", found.1);
        };
        let by_records = "limit of 10000 records in 1 s while an answer takes less than 1.8 s,";
        check(1_000, 10_000, 500, "2.2 s", by_records);
        let by_requests = "limit of 10 requests in 1 s while an answer takes less than 3.9 s,";
        check(10, 10_000, 500, "5 s", by_requests);
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
            pace: Pace {
                limit: Quota::new(1, Duration::from_secs(1)).unwrap(),
                record_limit: Quota::per_second(10_000),
                concurrency: 1,
                batch_items: 2,
                keeps_going: false,
            },
            scan: Some(scan),
            recent: Some(Recent::Events(1)),
        };
        let said = plan.to_string();
        for words in [
            "a.csv: 1 record of events",
            "about 1, of up to 2 records",
            "limit of 1 request in 1 s",
            "by the 1 request in flight",
            "1 event lies in",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }

    #[test]
    fn only_events_trigger_campaigns_and_those_of_a_stream_are_unknown() {
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
        assert_eq!(recent(&events, scan(2)), Some(Recent::Events(2)));
        assert_eq!(recent(&events, scan(0)), None);
        assert_eq!(recent(&events, None), Some(Recent::Unknown));
        assert_eq!(recent(&Kind::People, scan(0)), None);
        assert_eq!(recent(&Kind::People, None), None);
    }
}
