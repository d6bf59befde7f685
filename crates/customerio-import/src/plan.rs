//! The plan: counts, time and destination of a run, and questions for a person to confirm.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::console::Output;
use crate::destination::Destination;
use crate::display::{self, counted};
use crate::mapping::{ColumnUse, Kind, Mapping};
use crate::options::SendOptions;
use crate::reasons::ReasonJson;
use crate::reject::Column;
use crate::scan::{ColumnCount, ColumnCounts, Scan};
use crate::settings::Settings;

/// Events newer than this trigger live campaigns. With a shorter time, some of them would start
/// campaigns without a question.
const CAMPAIGN_WINDOW: Duration = Duration::from_secs(72 * 3600);

/// The plan of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    input: String,
    /// Whether the records come from the standard input, which cannot answer a question then.
    is_stdin: bool,
    mapping: Mapping,
    destination: String,
    options: SendOptions,
    /// None for a stream, which can be read only once.
    scan: Option<Scan>,
    /// The events that may trigger campaigns, if there are any.
    recent: Option<RecentEvents>,
    /// Whether a record is shown. It is a person's data, so it is left out where the question was
    /// answered beforehand: the plan is only kept in a log then.
    shows_example: bool,
}

/// How many events may trigger campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecentEvents {
    Count(u64),
    /// Events of a stream are not counted before they are sent.
    Unknown,
}

/// The plan as `--json` writes it. The names of the fields are public: scripts read them.
#[derive(Debug, Serialize)]
struct PlanJson<'a> {
    r#type: &'static str,
    input: &'a str,
    kind: &'static str,
    destination: &'a str,
    /// `null` for a stream, as are the other counts.
    records: Option<u64>,
    rejected: Option<u64>,
    /// The records that earlier runs have settled, and that this run does not send.
    settled: Option<u64>,
    rejected_by_reason: Vec<ReasonJson>,
    requests: Option<u64>,
    time_seconds: Option<f64>,
    limited_by: String,
    columns: Vec<ColumnJson<'a>>,
    set: &'a BTreeMap<String, Value>,
    example: Option<&'a RawValue>,
    /// `null` if the number is unknown.
    recent_events: Option<u64>,
    deletions: Option<u64>,
    warnings: Vec<String>,
    questions: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ColumnJson<'a> {
    name: &'a str,
    r#use: String,
    filled: u64,
}

/// The width of the lists of columns. Longer lines would be wrapped by a terminal in the middle of
/// a name.
const WIDTH: usize = 100;

/// The most characters of the example. A record has up to 32,000 bytes, which would scroll the rest
/// of the plan out of a terminal.
const MAX_EXAMPLE: usize = 2_000;

/// The most names in a list of columns. JSON lines may have many; `--json` shows all.
const MAX_NAMES: usize = 100;

/// Returns the time after which events trigger campaigns, in unix seconds.
pub(crate) fn campaigns_since(now: i64) -> i64 {
    now.saturating_sub_unsigned(CAMPAIGN_WINDOW.as_secs())
}

fn recent(kind: &Kind, scan: Option<&Scan>) -> Option<RecentEvents> {
    match (scan, kind) {
        (Some(Scan { recent: 0, .. }), _) => None,
        (Some(Scan { recent, .. }), _) => Some(RecentEvents::Count(*recent)),
        (None, Kind::Events(_)) => Some(RecentEvents::Unknown),
        (None, _) => None,
    }
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(settings: &Settings, scan: Option<Scan>) -> Self {
        let is_live = matches!(settings.destination, Destination::Live(_));
        Self {
            input: settings.input.to_string(),
            is_stdin: settings.input.path().is_none(),
            mapping: settings.mapping.clone(),
            destination: settings.destination.to_string(),
            options: settings.options,
            recent: recent(&settings.mapping.kind, scan.as_ref()),
            scan,
            shows_example: !is_live || !settings.confirmed,
        }
    }

    pub(crate) fn is_stdin(&self) -> bool {
        self.is_stdin
    }

    pub(crate) fn into_scan(self) -> Option<Scan> {
        self.scan
    }

    /// Returns the plan as text or as a line of JSON.
    pub(crate) fn written(&self, output: Output) -> String {
        match output {
            Output::Text => self.to_string(),
            Output::Json => serde_json::to_string(&self.json()).expect("a plan can be serialized"),
        }
    }

    fn json(&self) -> PlanJson<'_> {
        let scan = self.scan.as_ref();
        let columns = scan.iter().flat_map(|scan| &scan.columns.columns);
        let column = |column| self.column_json(column);
        let example = self.example().map(serde_json::from_str);
        PlanJson {
            r#type: "plan",
            input: &self.input,
            kind: self.mapping.kind(),
            destination: &self.destination,
            records: scan.map(|scan| scan.records),
            rejected: scan.map(|scan| scan.rejected),
            settled: scan.map(|scan| scan.settled),
            rejected_by_reason: scan.map(|scan| scan.reasons.json()).unwrap_or_default(),
            requests: scan.map(|scan| scan.requests),
            time_seconds: scan.map(|scan| self.time(scan).as_secs_f64()),
            limited_by: self.options.slowest_limit(),
            columns: columns.map(column).collect(),
            set: &self.mapping.values.constants,
            example: example.transpose().expect("an operation is JSON"),
            recent_events: match (self.recent, scan) {
                (Some(RecentEvents::Count(events)), _) => Some(events),
                (Some(RecentEvents::Unknown), _) | (None, None) => None,
                (None, Some(_)) => Some(0),
            },
            deletions: scan.map(|scan| match self.mapping.kind.deletion() {
                Some(_) => scan.sent(),
                None => 0,
            }),
            warnings: scan.map(|scan| scan.warnings.all()).unwrap_or_default(),
            questions: self.questions(),
        }
    }

    fn column_json<'a>(&self, column: &'a ColumnCount) -> ColumnJson<'a> {
        ColumnJson {
            name: &column.name,
            r#use: self.mapping.column_use(&column.name).to_string(),
            filled: column.filled,
        }
    }

    fn example(&self) -> Option<&str> {
        let scan = self.scan.as_ref().filter(|_| self.shows_example)?;
        scan.example.as_deref()
    }

    fn time(&self, scan: &Scan) -> Duration {
        self.options.time(scan.requests, scan.sent())
    }

    fn write_scan(&self, f: &mut fmt::Formatter<'_>, scan: &Scan) -> fmt::Result {
        let Self { input, options, .. } = self;
        let Scan {
            records,
            rejected,
            settled,
            requests,
            warnings,
            reasons,
            ..
        } = scan;
        writeln!(
            f,
            "{input}: {} of {}, {rejected} of them cannot be sent",
            display::records(*records),
            self.mapping.kind.noun()
        )?;
        write!(f, "{reasons}")?;
        if *settled > 0 {
            let settled = display::records(*settled);
            writeln!(
                f,
                "journal: {settled} settled by earlier runs, not sent again"
            )?;
        }
        self.write_columns(f, &scan.columns)?;
        if let Some(example) = self.example() {
            write_example(f, example)?;
        }
        writeln!(
            f,
            "requests: about {requests}, each with up to {}",
            display::records(options.batch_items as u64)
        )?;
        writeln!(
            f,
            "time: about {}, {}",
            display::estimate(self.time(scan)),
            options.slowest_limit()
        )?;
        write!(f, "{warnings}")
    }

    /// Writes the use of each column: a list for each use, in the order of the file.
    fn write_columns(&self, f: &mut fmt::Formatter<'_>, counts: &ColumnCounts) -> fmt::Result {
        if counts.columns.is_empty() {
            return Ok(());
        }
        writeln!(f, "columns:")?;
        let mut lists: Vec<(String, Vec<String>)> = Vec::new();
        for ColumnCount { name, filled } in &counts.columns {
            let column_use = self.mapping.column_use(name);
            let label = match (&column_use, *filled) {
                (ColumnUse::Attribute { .. }, 0) => "always empty".to_owned(),
                (ColumnUse::Attribute { value_type, .. }, _) => {
                    let is_text = value_type.is_none() && counts.is_csv;
                    let text = if is_text { " as text" } else { "" };
                    format!("{column_use}{text}")
                }
                _ => column_use.to_string(),
            };
            let name = Column::Name(name.clone()).to_string();
            match lists.iter_mut().find(|(of, _)| *of == label) {
                Some((_, names)) => names.push(name),
                None => lists.push((label, vec![name])),
            }
        }
        for (label, names) in &lists {
            write_list(f, label, names)?;
        }
        if counts.has_more {
            writeln!(f, "  and more names")?;
        }
        let set = &self.mapping.values.constants;
        let names: Vec<_> = set
            .keys()
            .map(|name| Column::Name(name.clone()).to_string())
            .collect();
        match names.is_empty() {
            true => Ok(()),
            false => write_list(f, "the same in each record", &names),
        }
    }

    /// Returns the questions of the plan, beside the one whether to send at all.
    pub(crate) fn questions(&self) -> Vec<String> {
        let recent = self.recent.map(|recent| recent.to_string());
        let scan = self.scan.as_ref();
        let warnings = scan.map(|scan| scan.warnings.questions());
        let warnings = warnings.into_iter().flatten();
        recent
            .into_iter()
            .chain(self.deletion())
            .chain(warnings)
            .collect()
    }

    /// Returns how many people or objects are deleted, if they are.
    fn deletion(&self) -> Option<String> {
        let (one, many) = self.mapping.kind.deletion()?;
        match self.scan.as_ref().map(Scan::sent) {
            Some(0) => None,
            Some(records) => Some(counted(records, one, many)),
            None => Some(format!(
                "{many}; the input is a stream, so their number is unknown"
            )),
        }
    }
}

/// Writes a record, at most [`MAX_EXAMPLE`] characters of it.
fn write_example(f: &mut fmt::Formatter<'_>, example: &str) -> fmt::Result {
    // The terminal would obey control characters; JSON escapes only some of them.
    let escaped = display::escaped(example);
    match escaped.char_indices().nth(MAX_EXAMPLE) {
        None => writeln!(f, "example: {escaped}"),
        Some((end, _)) => {
            let size = example.len();
            writeln!(
                f,
                "example: {}.. ({size} bytes; --json shows all)",
                &escaped[..end]
            )
        }
    }
}

/// Writes names after a label, wrapped at [`WIDTH`].
fn write_list(f: &mut fmt::Formatter<'_>, label: &str, names: &[String]) -> fmt::Result {
    let mut line = format!("  {label}:");
    let shown = names.iter().take(MAX_NAMES).enumerate();
    for (index, name) in shown {
        let comma = if index + 1 < names.len() { "," } else { "" };
        if line.chars().count() + 1 + name.chars().count() + comma.len() > WIDTH {
            writeln!(f, "{line}")?;
            line = "   ".to_owned();
        }
        line += &format!(" {name}{comma}");
    }
    if names.len() > MAX_NAMES {
        line += &format!(" and {} more", names.len() - MAX_NAMES);
    }
    writeln!(f, "{line}")
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scan {
            Some(scan) => self.write_scan(f, scan)?,
            None => writeln!(
                f,
                "{}: records of {}, not counted because the input is a stream\ntime: {}",
                self.input,
                self.mapping.kind.noun(),
                self.options.slowest_limit()
            )?,
        }
        write!(f, "destination: {}", self.destination)?;
        if self.mapping.values.update_only {
            write!(f, "\npeople: updated, never created (--update-only)")?;
        }
        if let Some(deletion) = self.deletion() {
            write!(f, "\ndeletions: {deletion}")?;
        }
        match (self.recent, &self.mapping.kind) {
            (Some(recent), _) => write!(f, "\ncampaigns: {recent}"),
            (None, Kind::People) => {
                write!(
                    f,
                    "\ncampaigns: changes of attributes may trigger live campaigns"
                )
            }
            (None, _) => Ok(()),
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
    use serde_json::json;

    use super::*;
    use crate::input::Header;
    use crate::mapping::{
        EventColumns, Identifier, Moment, PersonColumn, Selection, Source, ValueRules, ValueType,
    };

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

    fn mapping(kind: Kind) -> Mapping {
        Mapping {
            person: Some(PersonColumn {
                column: "id".into(),
                identifier: Identifier::Id,
            }),
            kind,
            values: ValueRules::default(),
            rejects_suspects: false,
        }
    }

    fn events() -> Kind {
        Kind::Events(EventColumns {
            name: Source::Column("n".into()),
            moment: Moment::Now,
            event_id: None,
        })
    }

    fn plan(mapping: Mapping, scan: Option<Scan>) -> Plan {
        Plan {
            input: "a.csv".into(),
            is_stdin: false,
            recent: recent(&mapping.kind, scan.as_ref()),
            mapping,
            destination: "https://track.customer.io".into(),
            options: options(),
            scan,
            shows_example: true,
        }
    }

    fn header(names: &[&str]) -> ColumnCounts {
        let mut columns = ColumnCounts::of(Some(&Header {
            line: 1,
            columns: names.iter().map(|&name| name.to_owned()).collect(),
        }));
        for column in &mut columns.columns {
            column.filled = 1;
        }
        columns
    }

    #[test]
    fn the_plan_shows_the_use_of_each_column() {
        let mut mapping = mapping(Kind::People);
        mapping.values = ValueRules {
            types: [("age".to_owned(), ValueType::Int)].into(),
            names: [("tier".to_owned(), "plan".to_owned())].into(),
            selection: Selection::Except(["notes".to_owned()].into()),
            constants: [("source".to_owned(), "shop".into())].into(),
            ..ValueRules::default()
        };
        let mut columns = header(&["id", "first", "age", "last", "tier", "notes", "empty"]);
        columns.columns[6].filled = 0;
        let scan = Scan {
            records: 1,
            requests: 1,
            columns,
            example: Some("{\"a\":\"\u{9b}\"}".into()),
            ..Scan::default()
        };
        let shown = plan(mapping, Some(scan)).to_string();
        let expected = "\
            a.csv: 1 record of people, 0 of them cannot be sent\n\
            columns:\n  \
            the person's id: \"id\"\n  \
            attribute as text: \"first\", \"last\"\n  \
            attribute as int: \"age\"\n  \
            attribute \"plan\" as text: \"tier\"\n  \
            left out (--only, --except): \"notes\"\n  \
            always empty: \"empty\"\n  \
            the same in each record: \"source\"\n\
            example: {\"a\":\"\\u{9b}\"}\n\
            requests:";
        assert!(shown.starts_with(expected), "{shown}");
    }

    #[test]
    fn lists_of_columns_are_wrapped_and_bounded() {
        let names: Vec<_> = (0..110).map(|n| format!("column{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let scan = Scan {
            columns: header(&names),
            ..Scan::default()
        };
        let shown = plan(mapping(Kind::People), Some(scan)).to_string();
        let lists = || {
            shown
                .lines()
                .skip(2)
                .take_while(|line| line.starts_with("  "))
        };
        assert!(lists().all(|line| line.len() <= WIDTH), "{shown}");
        assert!(
            lists().count() > 10 && shown.contains(" and 10 more\n"),
            "{shown}"
        );
    }

    #[test]
    fn a_long_example_is_cut() {
        let long = "ü".repeat(3_000);
        let scan = Scan {
            example: Some(long),
            ..Scan::default()
        };
        let shown = plan(mapping(Kind::People), Some(scan)).to_string();
        let line = shown.lines().nth(1).unwrap();
        assert!(
            line.ends_with("ü.. (6000 bytes; --json shows all)"),
            "{line}"
        );
        assert_eq!(line.matches('ü').count(), MAX_EXAMPLE);
    }

    #[test]
    fn deletions_are_counted_and_asked_about() {
        let scan = Scan {
            records: 3,
            rejected: 1,
            requests: 2,
            ..Scan::default()
        };
        let shown = plan(mapping(Kind::Delete), Some(scan));
        let expected = "2 people are deleted, which cannot be undone";
        assert_eq!(shown.questions(), [expected]);
        let shown = shown.to_string();
        assert!(
            shown.ends_with(&format!("deletions: {expected}")),
            "{shown}"
        );
        let stream = plan(mapping(Kind::Suppress), None).to_string();
        assert!(stream.contains("so their number is unknown"), "{stream}");
        assert!(plan(mapping(Kind::Unsuppress), None).questions().is_empty());
    }

    #[test]
    fn the_plan_as_json_has_exactly_the_documented_fields() {
        let scan = Scan {
            records: 2,
            requests: 1,
            columns: header(&["id", "a"]),
            example: Some(r#"{"type":"person"}"#.into()),
            ..Scan::default()
        };
        let plan = plan(mapping(Kind::People), Some(scan));
        let mut json: Value = serde_json::from_str(&plan.written(Output::Json)).unwrap();
        let time = json["time_seconds"].take().as_f64().unwrap();
        assert!((0.01..0.02).contains(&time), "{time}");
        let expected = json!({
            "type": "plan", "input": "a.csv", "kind": "people",
            "destination": "https://track.customer.io", "records": 2, "rejected": 0, "settled": 0,
            "rejected_by_reason": [], "requests": 1, "time_seconds": null,
            "limited_by": plan.options.slowest_limit(),
            "columns": [
                {"name": "id", "use": "the person's id", "filled": 1},
                {"name": "a", "use": "attribute", "filled": 1},
            ],
            "set": {}, "example": {"type": "person"}, "recent_events": 0, "deletions": 0,
            "warnings": [], "questions": [],
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn the_plan_shows_counts_time_limit_and_destination() {
        let scan = Scan {
            records: 20_093,
            rejected: 3,
            requests: 20_090,
            recent: 2,
            ..Scan::default()
        };
        let plan = plan(mapping(events()), Some(scan));
        let expected = "\
            a.csv: 20093 records of events, 3 of them cannot be sent\n\
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
            options: SendOptions {
                limit: Quota::new(1, Duration::from_secs(1)).unwrap(),
                concurrency: 1,
                batch_items: 2,
                ..options()
            },
            ..plan(mapping(events()), Some(scan))
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
        let scan = |recent| Scan {
            recent,
            ..Scan::default()
        };
        let count = |kind: &Kind, recent| super::recent(kind, Some(&scan(recent)));
        assert_eq!(count(&events(), 2), Some(RecentEvents::Count(2)));
        assert_eq!(count(&events(), 0), None);
        assert_eq!(recent(&events(), None), Some(RecentEvents::Unknown));
        assert_eq!(count(&Kind::People, 0), None);
        assert_eq!(recent(&Kind::People, None), None);
    }
}
