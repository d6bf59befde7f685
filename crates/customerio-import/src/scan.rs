//! Reads a file once before it is sent: what the plan says, and what would stop the run, is known
//! before the first request.

use std::collections::HashSet;

use anyhow::{Error, Result, anyhow, bail};
use customerio::{Batch, Operation};

use crate::counted::counted;
use crate::input::{Broken, Row, Rows};
use crate::mapping::{ImportId, Mapping, Record};
use crate::notes::{Note, Notes};
use crate::reject::Reject;

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) records: u64,
    pub(crate) rejected: u64,
    /// Requests that the records fill; a person's operations that must wait for each other can make
    /// it more.
    pub(crate) requests: u64,
    /// Events after the moment from which on they may trigger campaigns.
    pub(crate) recent: u64,
    pub(crate) notes: Notes,
}

/// Counts what a file holds; `since` is in unix seconds.
///
/// # Errors
///
/// Fails where the file cannot be read to its end, where it is in doubt what its records are, and
/// where no record at all has a column that the mapping names.
pub(crate) fn scan(
    mut rows: Rows,
    mapping: &Mapping,
    import: &ImportId,
    batch_items: usize,
    since: i64,
) -> Result<Scan> {
    let mut scan = Scan::default();
    let mut presence = Presence::of(mapping);
    let mut requests = Requests::new(batch_items);
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
            presence.see(&row);
            let note = Note::of(mapping, &row);
            mapping.record(import, row).map(|record| (record, note))
        });
        match record {
            Ok((record, note)) => {
                scan.recent += u64::from(is_recent(mapping, &record, since));
                scan.notes.add(note);
                requests.add(record.operation);
            }
            Err(reject) => {
                scan.rejected += 1;
                damage.add_rejected(&reject);
            }
        }
    }
    damage.check()?;
    presence.check()?;
    scan.notes.line_breaks = rows.line_breaks();
    Ok(Scan {
        requests: requests.total(),
        ..scan
    })
}

fn is_recent(mapping: &Mapping, record: &Record, since: i64) -> bool {
    match record.timestamp {
        Some(timestamp) => timestamp.seconds() > since,
        None => mapping.is_now(),
    }
}

/// Where a file is damaged so that nothing of it can be sent. It tells of several places, so that
/// one look at the file is enough to mend it.
#[derive(Debug, Default)]
struct DamageReport {
    broken: Vec<String>,
    rejected: Vec<String>,
    /// The number of broken places, told or not.
    places: u64,
}

/// More lines would push the first out of sight.
const MAX_TOLD: usize = 20;

/// Which of the columns that the mapping names were in no record yet.
struct Presence<'a> {
    missing: HashSet<&'a str>,
    rows: u64,
}

/// Counts the requests that operations fill one after the other.
struct Requests {
    batch: Batch,
    batch_items: usize,
    full: u64,
}

// === impl DamageReport ===

impl DamageReport {
    /// Keeps the error and lets the scan go on, unless it is one after which nothing can be read.
    fn add_broken(&mut self, error: Error) -> Result<()> {
        if !error.is::<Broken>() {
            return Err(error);
        }
        self.places += 1;
        if self.broken.len() < MAX_TOLD {
            self.broken.push(error.to_string());
        }
        Ok(())
    }

    fn add_rejected(&mut self, reject: &Reject) {
        if self.rejected.len() < MAX_TOLD {
            self.rejected.push(format!("line {reject}"));
        }
    }

    fn check(&self) -> Result<()> {
        if self.places == 0 {
            return Ok(());
        }
        let room = MAX_TOLD - self.broken.len();
        let told: Vec<_> = self
            .broken
            .iter()
            .chain(self.rejected.iter().take(room))
            .map(String::as_str)
            .collect();
        let places = counted(
            self.places,
            "place is damaged so that rows cannot be told apart",
            "places are damaged so that rows cannot be told apart",
        );
        Err(anyhow!("{places}; nothing was sent:\n{}", told.join("\n")))
    }
}

// === impl Presence ===

impl<'a> Presence<'a> {
    fn of(mapping: &'a Mapping) -> Self {
        Self {
            missing: mapping.columns().into_iter().collect(),
            rows: 0,
        }
    }

    fn see(&mut self, row: &Row) {
        self.rows += 1;
        self.missing
            .retain(|column| !row.fields.contains_key(*column));
    }

    /// Refuses a column that none of the rows has; a single record may lack one.
    fn check(&self) -> Result<()> {
        let missing = self.missing.iter().next().filter(|_| self.rows > 0);
        match missing {
            Some(column) => bail!("no record has a column {column:?}; name another"),
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
        if let Err(refused) = self.batch.push(operation) {
            self.full += 1;
            self.batch = Batch::with_capacity(self.batch_items);
            self.batch
                .push(refused.into_operation())
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
    use crate::mapping::{EventColumns, Identifier, Kind, Moment, PersonColumn};

    fn mapping(kind: Kind) -> Mapping {
        Mapping {
            person: PersonColumn {
                column: "id".into(),
                identifier: Identifier::Id,
            },
            kind,
        }
    }

    fn run(content: &str, format: Format, kind: Kind) -> Result<Scan> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let rows = Input::open(file.path(), Some(format))
            .unwrap()
            .rows()
            .unwrap();
        scan(rows, &mapping(kind), &ImportId::new("i"), 2, 1000)
    }

    #[test]
    fn records_and_the_requests_that_they_fill_are_counted() {
        let found = run("id\n1\n2\n\n.\n3\n", Format::Csv, Kind::People).unwrap();
        assert_eq!(
            found,
            Scan {
                records: 4,
                rejected: 1,
                requests: 2,
                ..Scan::default()
            }
        );
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
    fn events_after_the_given_moment_are_recent() {
        let moment = Moment::Column {
            column: "t".into(),
            format: "unix".parse().unwrap(),
        };
        let kind = Kind::Events(EventColumns {
            name: "n".into(),
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
            name: "n".into(),
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
            r#"no record has a column "id"; name another"#
        );
    }

    #[test]
    fn a_column_that_some_json_lines_lack_is_not() {
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
