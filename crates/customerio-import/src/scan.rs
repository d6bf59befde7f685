//! Reads a file once before it is sent: what the plan says, and what would stop the run, is known before the first
//! request.

use std::collections::HashSet;

use anyhow::{Result, bail};

use crate::input::Rows;
use crate::mapping::{ImportId, Mapping, Record};

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) records: u64,
    pub(crate) rejected: u64,
    /// Requests that the records fill; a person's operations that must wait for each other can make it more.
    pub(crate) requests: u64,
    /// Events after the moment from which on they may trigger campaigns.
    pub(crate) recent: u64,
}

/// What one request may carry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

/// Counts what a file holds; `since` is in unix seconds.
///
/// # Errors
///
/// Fails where the file cannot be read to its end, or no record at all has a column that the mapping names.
pub(crate) fn scan(
    rows: Rows,
    mapping: &Mapping,
    import: &ImportId,
    capacity: Capacity,
    since: i64,
) -> Result<Scan> {
    let mut scan = Scan::default();
    let mut missing: HashSet<&str> = mapping.columns().into_iter().collect();
    let mut readable = false;
    let mut filling = Filling {
        capacity,
        items: 0,
        bytes: 0,
    };
    for row in rows {
        let row = row?;
        scan.records += 1;
        if let Ok(row) = &row {
            missing.retain(|column| !row.fields.contains_key(*column));
            readable = true;
        }
        match row.and_then(|row| mapping.record(import, row)) {
            Ok(record) => {
                scan.recent += u64::from(is_recent(&record, since));
                scan.requests += u64::from(filling.starts_a_request(record.operation.size()));
            }
            Err(_) => scan.rejected += 1,
        }
    }
    match missing.into_iter().next() {
        Some(column) if readable => bail!("no record has a column {column:?}; name another"),
        _ => Ok(scan),
    }
}

fn is_recent(record: &Record, since: i64) -> bool {
    record
        .timestamp
        .is_some_and(|timestamp| timestamp.seconds() > since)
}

/// The request that the next operation would join.
struct Filling {
    capacity: Capacity,
    items: usize,
    bytes: usize,
}

impl Filling {
    fn starts_a_request(&mut self, size: usize) -> bool {
        let joins = self.items > 0
            && self.items < self.capacity.items
            && self.bytes + size <= self.capacity.bytes;
        (self.items, self.bytes) = if joins {
            (self.items + 1, self.bytes + size)
        } else {
            (1, size)
        };
        !joins
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::input::{Format, Input};
    use crate::mapping::{EventColumns, Identifier, Kind, Moment, PersonColumn};

    const CAPACITY: Capacity = Capacity {
        items: 2,
        bytes: 500_000,
    };

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
        let rows = Input::new(file.path(), Some(format))
            .unwrap()
            .rows()
            .unwrap();
        scan(rows, &mapping(kind), &ImportId::new("i"), CAPACITY, 1000)
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
                recent: 0
            }
        );
    }

    #[test]
    fn requests_are_bounded_by_bytes_too() {
        let mut filling = Filling {
            capacity: Capacity {
                items: 9,
                bytes: 10,
            },
            items: 0,
            bytes: 0,
        };
        let starts: Vec<_> = [4, 6, 1, 12, 1]
            .map(|size| filling.starts_a_request(size))
            .into();
        assert_eq!(starts, [true, false, true, true, true]);
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
    fn a_column_that_no_json_line_has_is_fatal_and_one_that_some_have_is_not() {
        let error = run("{\"ID\":1}\n{}\n", Format::Jsonl, Kind::People).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"no record has a column "id"; name another"#
        );
        assert_eq!(
            run("{}\n{\"id\":1}\n", Format::Jsonl, Kind::People)
                .unwrap()
                .rejected,
            1
        );
        assert_eq!(
            run("{\"id\":\"\"}\n", Format::Jsonl, Kind::People)
                .unwrap()
                .rejected,
            1
        );
        assert_eq!(run("7\n", Format::Jsonl, Kind::People).unwrap().rejected, 1);
        assert_eq!(
            run("", Format::Jsonl, Kind::People).unwrap(),
            Scan::default()
        );
    }
}
