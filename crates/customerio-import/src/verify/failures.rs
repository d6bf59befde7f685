//! Collects failed and skipped activities, and finds their people in the file of the import.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};

use customerio::app::{Activity, Identifiers};
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock;
use crate::mapping::Identifier;

/// The most failures that are kept, to be found in the file and written. Each takes some hundred
/// bytes; the others are counted.
const MAX_KEPT: usize = 20_000;

/// The longest data of a failure that is kept, in bytes. An event has up to 32,000, and all of
/// those together would take 640 MB.
const MAX_DATA: usize = 1_000;

/// The most types that are told apart. The API has six for people; the types of objects are open.
const MAX_TYPES: usize = 50;

/// The failed and skipped activities of a run.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    kept: Vec<Failure>,
    /// The ids of those that are kept: an activity may come twice while pages are read.
    ids: HashSet<String>,
    /// The failures above [`MAX_KEPT`].
    more: u64,
    by_type: BTreeMap<String, TypeCount>,
}

/// An activity that is kept.
#[derive(Debug)]
struct Failure {
    activity: Activity,
    /// The line of the first record of its person, if the file has one.
    line: Option<u64>,
}

/// The failures of one type. The names of the fields are public: scripts read them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct TypeCount {
    pub(super) failures: u64,
    /// Failures whose person is in the file.
    pub(super) in_file: u64,
    /// The first line with such a person.
    pub(super) line: Option<u64>,
}

/// Finds the people of failures in the file.
#[derive(Debug)]
pub(super) struct Finder {
    /// The failures of each person that was not found so far.
    sought: HashMap<String, Vec<usize>>,
    found: Vec<(usize, u64)>,
}

/// How many failures are about the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attribution {
    pub(super) in_file: u64,
    pub(super) of_others: u64,
    /// Failures without an identifier of the file's kind, and those above [`MAX_KEPT`].
    pub(super) unknown: u64,
}

// === impl FailureLog ===

impl FailureLog {
    pub(super) fn add(&mut self, mut activity: Activity) {
        if activity.id.as_ref().is_some_and(|id| self.ids.contains(id)) {
            return;
        }
        let name = activity.activity_type.to_string();
        let name = match self.by_type.len() < MAX_TYPES || self.by_type.contains_key(&name) {
            true => name,
            false => "other types".to_owned(),
        };
        self.by_type.entry(name).or_default().failures += 1;
        if self.kept.len() == MAX_KEPT {
            self.more += 1;
            return;
        }
        if activity.data.to_string().len() > MAX_DATA {
            activity.data = Value::Null;
        }
        self.ids.extend(activity.id.clone());
        self.kept.push(Failure {
            activity,
            line: None,
        });
    }

    pub(super) fn len(&self) -> u64 {
        self.kept.len() as u64 + self.more
    }

    pub(super) fn by_type(&self) -> &BTreeMap<String, TypeCount> {
        &self.by_type
    }

    /// Returns the people to look for in a file whose column has this kind of identifier.
    pub(super) fn finder(&self, identifier: Identifier) -> Finder {
        let mut sought: HashMap<_, Vec<_>> = HashMap::new();
        for (index, failure) in self.kept.iter().enumerate() {
            if let Some(key) = key(&failure.activity, identifier) {
                sought.entry(key).or_default().push(index);
            }
        }
        Finder {
            sought,
            found: Vec::new(),
        }
    }

    /// Notes the lines of the people who were found. Returns how many failures are about the file.
    pub(super) fn attribute(&mut self, finder: Finder) -> Attribution {
        let others = finder.sought.values().map(Vec::len).sum::<usize>() as u64;
        let in_file = finder.found.len() as u64;
        for (index, line) in finder.found {
            self.kept[index].line = Some(line);
            let name = self.kept[index].activity.activity_type.to_string();
            let Some(count) = self.by_type.get_mut(&name) else {
                continue;
            };
            count.in_file += 1;
            count.line = Some(count.line.map_or(line, |first| first.min(line)));
        }
        Attribution {
            in_file,
            of_others: others,
            unknown: self.len() - in_file - others,
        }
    }

    /// Writes the failures that are kept, one JSON object per line.
    pub(super) fn write(&self, mut file: impl Write) -> io::Result<()> {
        for Failure { activity, line } in &self.kept {
            let identifiers = activity.customer_identifiers.as_ref();
            let of = |get: fn(&Identifiers) -> &Option<String>| {
                identifiers.and_then(|identifiers| get(identifiers).clone())
            };
            let timestamp = activity
                .timestamp
                .map(|time| clock::rfc3339(time.seconds()));
            let failure = json!({
                "line": line,
                "type": activity.activity_type.to_string(),
                "timestamp": timestamp,
                "id": of(|person| &person.id).or_else(|| activity.customer_id.clone()),
                "email": of(|person| &person.email),
                "cio_id": of(|person| &person.cio_id),
                "name": activity.name,
                "data": activity.data,
            });
            serde_json::to_writer(&mut file, &failure)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}

/// Returns the identifier of the activity's person, in the form of [`PersonColumn::take`].
///
/// [`PersonColumn::take`]: crate::mapping::PersonColumn
fn key(activity: &Activity, identifier: Identifier) -> Option<String> {
    let known = activity.customer_identifiers.as_ref();
    match identifier {
        Identifier::Id => known
            .and_then(|known| known.id.clone())
            .or_else(|| activity.customer_id.clone()),
        Identifier::Email => known?
            .email
            .as_ref()
            .map(|email| email.to_ascii_lowercase()),
        Identifier::CioId => {
            let id = known?.cio_id.as_deref()?;
            Some(id.strip_prefix("cio_").unwrap_or(id).to_owned())
        }
        // The log has no phone numbers.
        Identifier::Phone => None,
    }
}

// === impl Finder ===

impl Finder {
    /// Returns whether each person that was looked for is found.
    pub(super) fn is_done(&self) -> bool {
        self.sought.is_empty()
    }

    /// Looks for the person of a record, by the key that is equal for the same person.
    pub(super) fn observe(&mut self, key: &str, line: u64) {
        for index in self.sought.remove(key).unwrap_or_default() {
            self.found.push((index, line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(value: Value) -> Activity {
        serde_json::from_value(value).unwrap()
    }

    fn failed(id: &str, person: &Value) -> Activity {
        let (kind, time) = ("failed_attribute_change", 1_700_000_000);
        activity(json!({"id": id, "type": kind, "timestamp": time, "customer_identifiers": person}))
    }

    fn log() -> FailureLog {
        let mut log = FailureLog::default();
        for id in ["a", "b", "b"] {
            log.add(failed(
                id,
                &json!({"id": "7", "email": "Ada@Example.com", "cio_id": "cio_03"}),
            ));
        }
        log.add(failed("c", &json!({"id": "8"})));
        log.add(failed("d", &Value::Null));
        log.add(activity(
            json!({"id": "e", "type": "skipped_update", "customer_id": "9"}),
        ));
        log
    }

    #[test]
    fn failures_are_counted_once_and_found_in_the_file() {
        let mut log = log();
        assert_eq!(log.len(), 5);
        let mut finder = log.finder(Identifier::Id);
        for (key, line) in [("6", 2), ("7", 3), ("9", 4), ("7", 5)] {
            finder.observe(key, line);
        }
        assert!(!finder.is_done(), "8 is not in the file");
        let expected = Attribution {
            in_file: 3,
            of_others: 1,
            unknown: 1,
        };
        assert_eq!(log.attribute(finder), expected);
        let changes = &log.by_type()["failed_attribute_change"];
        assert_eq!(
            (changes.failures, changes.in_file, changes.line),
            (4, 2, Some(3))
        );
        let skipped = &log.by_type()["skipped_update"];
        assert_eq!(
            (skipped.failures, skipped.in_file, skipped.line),
            (1, 1, Some(4))
        );
    }

    #[test]
    fn each_kind_of_identifier_is_found_in_the_form_of_the_file() {
        for (identifier, key, found) in [
            (Identifier::Email, "ada@example.com", 2),
            (Identifier::CioId, "03", 2),
            (Identifier::CioId, "cio_03", 0),
            (Identifier::Phone, "+15551234567", 0),
        ] {
            let mut log = log();
            let mut finder = log.finder(identifier);
            finder.observe(key, 2);
            assert_eq!(log.attribute(finder).in_file, found, "{key}");
        }
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_left_out_of_the_counts() {
        let mut log = FailureLog::default();
        for n in 0..MAX_KEPT + 500 {
            let kind = format!("_o:{n}:failed_attribute_change");
            log.add(activity(json!({"id": n, "type": kind, "customer_id": "1"})));
        }
        assert_eq!(log.kept.len(), MAX_KEPT);
        assert_eq!(log.by_type().len(), MAX_TYPES + 1);
        let failures: u64 = log.by_type().values().map(|count| count.failures).sum();
        assert_eq!((failures, log.len()), (20_500, 20_500));
        let finder = log.finder(Identifier::Id);
        let attribution = log.attribute(finder);
        assert_eq!((attribution.of_others, attribution.unknown), (20_000, 500));
    }

    #[test]
    fn long_data_is_left_out() {
        let mut log = FailureLog::default();
        for length in [MAX_DATA - 2, MAX_DATA] {
            let data = "x".repeat(length);
            log.add(activity(
                json!({"id": length, "type": "failed_event", "data": data}),
            ));
        }
        let kept = [0, 1].map(|index: usize| !log.kept[index].activity.data.is_null());
        assert_eq!(kept, [true, false]);
    }

    #[test]
    fn failures_are_written_with_their_lines() {
        let mut log = log();
        let mut finder = log.finder(Identifier::Id);
        finder.observe("7", 3);
        log.attribute(finder);
        let mut written = Vec::new();
        log.write(&mut written).unwrap();
        let lines: Vec<Value> = String::from_utf8(written)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(
            lines[0],
            json!({
                "line": 3, "type": "failed_attribute_change", "timestamp": "2023-11-14T22:13:20Z",
                "id": "7", "email": "Ada@Example.com", "cio_id": "cio_03", "name": null,
                "data": null,
            })
        );
        assert_eq!(
            (&lines[4]["id"], &lines[4]["line"]),
            (&json!("9"), &Value::Null)
        );
    }
}
