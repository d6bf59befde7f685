//! Reads a file once before it is sent, for the plan: counts its records and finds damage.

use std::collections::{HashMap, HashSet};

use anyhow::{Error, Result, anyhow, bail};
use customerio::{Batch, Operation};

use crate::display::counted;
use crate::input::{BrokenInput, Header, Row, Rows};
use crate::mapping::{ImportId, Mapping, Record};
use crate::ranges::Ranges;
use crate::reasons::Reasons;
use crate::reject::Reject;
use crate::repeats::{self, RepeatFinder};
use crate::warnings::Warnings;

/// The content of a file, counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    pub(crate) records: u64,
    pub(crate) rejected: u64,
    /// The records that can be sent and that earlier runs have settled. This run does not send
    /// them.
    pub(crate) settled: u64,
    /// The fewest requests for these records. The run sends more if operations of one person must
    /// wait for each other.
    pub(crate) requests: u64,
    /// Events that are new enough to trigger campaigns.
    pub(crate) recent: u64,
    pub(crate) columns: ColumnCounts,
    /// The first record that can be sent, as JSON.
    pub(crate) example: Option<String>,
    /// Why records cannot be sent.
    pub(crate) reasons: Reasons,
    pub(crate) warnings: Warnings,
}

/// The columns of a file, in its order, and how many of their values are not empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColumnCounts {
    pub(crate) columns: Vec<ColumnCount>,
    index: HashMap<String, usize>,
    /// Whether there are more columns than are counted.
    pub(crate) has_more: bool,
    /// Whether the columns are those of a header. Their values are text then.
    pub(crate) is_csv: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnCount {
    pub(crate) name: String,
    pub(crate) filled: u64,
}

/// Counts the content of a file. Events after `since`, in unix seconds, count as recent. Records in
/// `settled` are not sent.
///
/// # Errors
///
/// Fails if the file cannot be read to its end, if it is uncertain where its records begin and end,
/// and if a column of the mapping is in no record.
pub(crate) fn scan(
    mut rows: Rows,
    mapping: &Mapping,
    import: &ImportId,
    batch_items: usize,
    since: i64,
    settled: &Ranges,
) -> Result<Scan> {
    let mut settled_records = settled.cursor();
    let mut scan = Scan {
        columns: ColumnCounts::of(rows.header()),
        ..Scan::default()
    };
    let mut missing = MissingColumns::of(mapping);
    let mut requests = Requests::new(batch_items);
    let mut repeats = RepeatFinder::new(repeats::MAX_RECORDS);
    let mut damage = DamageReport::default();
    for row in rows.by_ref() {
        scan.records += 1;
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                damage.add_broken(error)?;
                continue;
            }
        };
        let record = row.and_then(|row| {
            missing.observe(&row);
            scan.columns.observe(&row, mapping);
            mapping.noted_record(import, row)
        });
        match record {
            Ok((record, notes)) => {
                let is_settled = settled_records.contains(scan.records);
                let is_sent = !is_settled;
                scan.settled += u64::from(is_settled);
                scan.recent += u64::from(is_sent && is_recent(mapping, &record, since));
                if let Some(subject) = notes.subject {
                    repeats.add(subject, record.line);
                }
                scan.warnings.add(record.line, notes);
                if scan.example.is_none() {
                    let json = String::from_utf8_lossy(record.operation.json());
                    scan.example = Some(json.into_owned());
                }
                if is_sent {
                    requests.add(record.operation);
                }
            }
            Err(reject) => {
                scan.rejected += 1;
                damage.add_rejected(&reject);
                let error = &reject.error;
                scan.reasons
                    .add(error.column.as_ref(), &error.reason, reject.line);
            }
        }
    }
    // Damage first: it may be the reason why a column is missing.
    damage.check()?;
    missing.check()?;
    scan.warnings.line_breaks = rows.line_breaks();
    scan.warnings.repeats = repeats.finish();
    scan.requests = requests.total();
    Ok(scan)
}

fn is_recent(mapping: &Mapping, record: &Record, since: i64) -> bool {
    match record.timestamp {
        Some(timestamp) => timestamp.seconds() > since,
        None => mapping.is_now(),
    }
}

/// Collects the places at which a file is damaged, so that the user can correct them all at once.
#[derive(Debug, Default)]
struct DamageReport {
    broken: Vec<String>,
    rejected: Vec<String>,
    /// The number of broken places, shown or not.
    places: u64,
}

/// The most places that are shown. More lines would scroll the first ones out of a terminal.
const MAX_SHOWN: usize = 20;

/// The columns of the mapping that no record had so far.
struct MissingColumns<'a> {
    columns: HashSet<&'a str>,
    rows: u64,
}

/// Counts the requests for operations, each filled before the next one.
struct Requests {
    batch: Batch,
    batch_items: usize,
    full: u64,
}

/// The most names of JSON lines that are counted: each object may have names of its own.
const MAX_COLUMNS: usize = 1_000;

/// The longest name of JSON lines that is counted, in bytes. The API accepts 150; a name may be as
/// long as a line, and a thousand of them would fill the memory.
const MAX_NAME: usize = 1_000;

// === impl Scan ===

impl Scan {
    /// Returns the number of records that this run sends.
    pub(crate) fn sent(&self) -> u64 {
        self.records - self.rejected - self.settled
    }
}

// === impl ColumnCounts ===

impl ColumnCounts {
    /// Returns the columns of a header. Those of JSON lines are added as they are found.
    pub(crate) fn of(header: Option<&Header>) -> Self {
        let mut counts = Self {
            is_csv: header.is_some(),
            ..Self::default()
        };
        for name in header.into_iter().flat_map(|header| &header.columns) {
            counts.push(name);
        }
        counts
    }

    fn push(&mut self, name: &str) -> usize {
        self.columns.push(ColumnCount {
            name: name.to_owned(),
            filled: 0,
        });
        self.index.insert(name.to_owned(), self.columns.len() - 1);
        self.columns.len() - 1
    }

    fn observe(&mut self, row: &Row, mapping: &Mapping) {
        for (name, value) in &row.fields {
            let index = match self.index.get(name) {
                Some(index) => *index,
                None if self.columns.len() < MAX_COLUMNS && name.len() <= MAX_NAME => {
                    self.push(name)
                }
                None => {
                    self.has_more = true;
                    continue;
                }
            };
            self.columns[index].filled += u64::from(mapping.values.has_value(value));
        }
    }
}

// === impl DamageReport ===

impl DamageReport {
    /// Keeps a broken place. Returns any other error: nothing can be read after it.
    fn add_broken(&mut self, error: Error) -> Result<()> {
        if !error.is::<BrokenInput>() {
            return Err(error);
        }
        self.places += 1;
        if self.broken.len() < MAX_SHOWN {
            self.broken.push(error.to_string());
        }
        Ok(())
    }

    fn add_rejected(&mut self, reject: &Reject) {
        if self.rejected.len() < MAX_SHOWN {
            self.rejected.push(format!("line {reject}"));
        }
    }

    fn check(&self) -> Result<()> {
        if self.places == 0 {
            return Ok(());
        }
        let room = MAX_SHOWN - self.broken.len();
        let shown: Vec<_> = self
            .broken
            .iter()
            .chain(self.rejected.iter().take(room))
            .map(String::as_str)
            .collect();
        let places = counted(self.places, "place", "places");
        Err(anyhow!(
            "the file is damaged in {places}, so it is uncertain where its rows begin; nothing was \
             sent; correct the file:\n{}",
            shown.join("\n")
        ))
    }
}

// === impl MissingColumns ===

impl<'a> MissingColumns<'a> {
    fn of(mapping: &'a Mapping) -> Self {
        Self {
            columns: mapping.columns().into_iter().collect(),
            rows: 0,
        }
    }

    fn observe(&mut self, row: &Row) {
        self.rows += 1;
        self.columns
            .retain(|column| !row.fields.contains_key(*column));
    }

    /// Fails if no row has a column of the mapping; a single row may lack one.
    fn check(&self) -> Result<()> {
        let missing = self.columns.iter().next().filter(|_| self.rows > 0);
        match missing {
            Some(column) => {
                bail!("no record has a column {column:?}; name a column of the records")
            }
            None => Ok(()),
        }
    }
}

// === impl Requests ===

impl Requests {
    fn new(batch_items: usize) -> Self {
        Self {
            batch: Batch::with_capacity(batch_items),
            batch_items,
            full: 0,
        }
    }

    fn add(&mut self, operation: Operation) {
        if operation.goes_alone() {
            self.full += 1;
            return;
        }
        if let Err(not_added) = self.batch.push(operation) {
            self.full += 1;
            self.batch = Batch::with_capacity(self.batch_items);
            self.batch
                .push(not_added.into_operation())
                .expect("an empty batch takes any operation with an id");
        }
    }

    fn total(&self) -> u64 {
        self.full + u64::from(!self.batch.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use customerio::{Attributes, Person};

    use super::*;
    use crate::input::{Format, Input};
    use crate::mapping::{
        EventColumns, Identifier, Kind, Moment, PersonColumn, Source, ValueRules,
    };

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

    fn run(content: &str, format: Format, kind: Kind) -> Result<Scan> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let rows = Input::open(file.path(), Some(format))
            .unwrap()
            .rows()
            .unwrap();
        scan(
            rows,
            &mapping(kind),
            &ImportId::new("i"),
            2,
            1000,
            &Ranges::default(),
        )
    }

    #[test]
    fn records_and_their_requests_are_counted() {
        let found = run("id\n1\n2\n\n.\n3\n", Format::Csv, Kind::People).unwrap();
        assert_eq!((found.records, found.rejected, found.requests), (4, 1, 2));
        let example = r#"{"type":"person","action":"identify","identifiers":{"id":"1"}}"#;
        assert_eq!(found.example.as_deref(), Some(example));
    }

    #[test]
    fn operations_that_go_alone_take_a_request_each() {
        let found = run("id\n1\n2\n3\n", Format::Csv, Kind::Delete).unwrap();
        assert_eq!((found.records, found.requests), (3, 3));
    }

    #[test]
    fn columns_are_counted_in_the_order_of_the_file() {
        let columns = |content: &str, format| {
            let found = run(content, format, Kind::People).unwrap().columns.columns;
            let pairs = found.into_iter().map(|column| (column.name, column.filled));
            pairs.collect::<Vec<_>>()
        };
        let expected = [("z", 1), ("id", 2), ("a", 0)].map(|(name, filled)| (name.into(), filled));
        assert_eq!(columns("z,id,a\n,1,\nx,2,\n", Format::Csv), expected);
        let expected = [("id", 1), ("b", 1)].map(|(name, filled)| (name.into(), filled));
        let found = columns("{\"id\":1}\n{\"b\":false,\"id\":null}\n", Format::Jsonl);
        assert_eq!(found, expected);
    }

    #[test]
    fn names_of_json_lines_are_counted_up_to_a_bound() {
        let lines: String = (0..1_100)
            .map(|n| format!("{{\"id\":1,\"n{n}\":1}}\n"))
            .collect();
        let found = run(&lines, Format::Jsonl, Kind::People).unwrap();
        assert_eq!(found.columns.columns.len(), MAX_COLUMNS);
        assert!(found.columns.has_more);
        let long = format!("{{\"id\":1,\"{}\":1}}\n", "x".repeat(MAX_NAME + 1));
        let found = run(&long, Format::Jsonl, Kind::People).unwrap();
        assert_eq!(found.columns.columns.len(), 1);
        assert!(found.columns.has_more);
    }

    #[test]
    fn requests_are_bounded_by_bytes_too() {
        let person = Person::id("a").unwrap();
        let mut attributes = Attributes::new();
        for name in 0..30 {
            attributes
                .insert(name.to_string(), "x".repeat(1000))
                .unwrap();
        }
        let mut requests = Requests::new(500);
        for _ in 0..33 {
            requests.add(Operation::identify(&person, &attributes).unwrap());
        }
        assert_eq!(requests.total(), 3);
    }

    #[test]
    fn events_after_the_given_time_are_recent() {
        let moment = Moment::Column {
            column: "t".into(),
            format: "unix".parse().unwrap(),
        };
        let kind = Kind::Events(EventColumns {
            name: Source::Column("n".into()),
            moment,
            event_id: None,
        });
        let found = run(
            "id,n,t\n1,a,1000\n1,a,1001\n1,a,-5\n1,a,x\n",
            Format::Csv,
            kind,
        )
        .unwrap();
        assert_eq!((found.recent, found.rejected), (1, 1));
    }

    #[test]
    fn events_that_happen_as_they_arrive_are_recent() {
        let kind = Kind::Events(EventColumns {
            name: Source::Column("n".into()),
            moment: Moment::Now,
            event_id: None,
        });
        let found = run("id,n\n1,a\n.,a\n", Format::Csv, kind).unwrap();
        assert_eq!((found.recent, found.rejected), (1, 1));
    }

    #[test]
    fn a_column_that_no_json_line_has_is_fatal() {
        let error = run("{\"ID\":1}\n{}\n", Format::Jsonl, Kind::People).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"no record has a column "id"; name a column of the records"#
        );
    }

    #[test]
    fn a_column_that_some_json_lines_lack_is_not_fatal() {
        let check = |content: &str, expected: u64| {
            let found = run(content, Format::Jsonl, Kind::People).unwrap();
            assert_eq!(found.rejected, expected, "{content}");
        };
        check("{}\n{\"id\":1}\n", 1);
        check("{\"id\":\"\"}\n", 1);
        check("7\n", 1);
        check("", 0);
    }
}
