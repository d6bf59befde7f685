use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::api::ImportRequest;

/// The files that imports can load, and the imports of them.
#[derive(Debug, Default)]
pub(super) struct Imports {
    files: HashMap<String, String>,
    /// How long an import takes.
    time: Duration,
    imports: Vec<Import>,
    /// How many imports have not ended.
    pending: usize,
}

#[derive(Debug)]
struct Import {
    request: ImportRequest,
    /// The rows of the file, or why there are none.
    rows: Result<Vec<Row>, &'static str>,
    /// When it began: since the simulator's start, and in Unix seconds.
    began: (Duration, i64),
    /// The rows that had an effect, once it has ended.
    imported: Option<u64>,
}

/// The values of a row by their columns. Empty ones are left out.
pub(super) type Row = Map<String, Value>;

impl Imports {
    pub(super) fn add_file(&mut self, url: String, csv: String) {
        self.files.insert(url, csv);
    }

    pub(super) fn set_time(&mut self, time: Duration) {
        self.time = time;
    }

    /// Begins an import and returns its number.
    pub(super) fn begin(&mut self, request: ImportRequest, now: Duration, date: i64) -> u64 {
        let file = self.files.get(&request.url).map(|csv| rows(csv));
        let rows = file.unwrap_or(Err("the file cannot be loaded"));
        let rows = rows.and_then(|rows| match &request.identifier {
            Some(column) if !rows.iter().any(|row| row.contains_key(column)) => {
                Err("the file has no column of the identifier")
            }
            _ => Ok(rows),
        });
        self.pending += 1;
        self.imports.push(Import {
            request,
            rows,
            began: (now, date),
            imported: None,
        });
        self.imports.len() as u64
    }

    pub(super) fn has_pending(&self) -> bool {
        self.pending > 0
    }

    /// Returns the next import that has ended by `now` and was not applied: its index, its request
    /// and its rows.
    pub(super) fn next_ended(&mut self, now: Duration) -> Option<(usize, ImportRequest, Vec<Row>)> {
        let time = self.time;
        let mut imports = self.imports.iter_mut().enumerate();
        let (index, import) = imports.find(|(_, import)| {
            import.imported.is_none() && now >= import.began.0.saturating_add(time)
        })?;
        // Taken: only their number is shown, and `imported` has it.
        let rows = match &mut import.rows {
            Ok(rows) => std::mem::take(rows),
            Err(_) => Vec::new(),
        };
        Some((index, import.request.clone(), rows))
    }

    pub(super) fn ended(&mut self, index: usize, imported: u64) {
        self.imports[index].imported = Some(imported);
        self.pending -= 1;
    }

    /// Returns an import as the App API shows it.
    pub(super) fn shown(&self, id: u64, now: Duration) -> Option<Value> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        let import = self.imports.get(index)?;
        let elapsed = now.saturating_sub(import.began.0);
        let age = i64::try_from(elapsed.min(self.time).as_secs()).unwrap_or(i64::MAX);
        let member = |name: &str| {
            import
                .request
                .members
                .get(name)
                .cloned()
                .unwrap_or_default()
        };
        let rows = import.rows.as_ref().map_or(0, |rows| rows.len() as u64);
        let mut shown = json!({
            "id": id,
            "name": member("name"),
            "description": member("description").as_str().unwrap_or_default(),
            "type": import.request.kind,
            "identifier": import.request.identifier,
            "object_type_id": member("object_type_id"),
            "data_to_process": import.request.data_to_process,
            "rows_to_import": import.imported.unwrap_or(rows),
            "rows_imported": import.imported.unwrap_or(0),
            "state": self.state(import, elapsed),
            "error": import.rows.as_ref().err().filter(|_| import.imported.is_some()),
            "created_at": import.began.1,
            "updated_at": import.began.1.saturating_add(age),
        });
        if matches!(import.request.kind.as_str(), "people" | "event") {
            shown["people_to_process"] = import.request.data_to_process.as_str().into();
        }
        Some(shown)
    }

    fn state(&self, import: &Import, elapsed: Duration) -> &'static str {
        match (&import.rows, import.imported) {
            (Err(_), Some(_)) => "failed",
            (Ok(_), Some(_)) => "imported",
            // The steps take equal parts of the time.
            (_, None) if elapsed < self.time / 5 => "preprocessing",
            (_, None) if elapsed < self.time / 5 * 2 => "preprocessed",
            (_, None) if elapsed < self.time / 5 * 3 => "validating",
            (_, None) if elapsed < self.time / 5 * 4 => "validated",
            (_, None) => "importing",
        }
    }
}

fn rows(csv: &str) -> Result<Vec<Row>, &'static str> {
    let invalid = |_| "the file is no CSV";
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns = reader.headers().map_err(invalid)?.clone();
    let records = reader.records().map(|record| {
        let record = record.map_err(invalid)?;
        let values = columns.iter().zip(record.iter());
        let values = values.filter(|(_, value)| !value.is_empty());
        Ok(values
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect())
    });
    records.collect()
}
