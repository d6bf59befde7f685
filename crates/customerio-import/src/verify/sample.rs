//! Reads people of the file back, and compares them with it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use anyhow::{Result, bail};
use customerio::Person;
use customerio::app::AppRequest;
use customerio::client::{App, Error};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::display;
use crate::input::{is_same_number, parse_json};

/// What is expected of a person of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The person exists, with the attributes of the record.
    Attributes,
    /// The person exists.
    Exists,
    /// The person does not exist.
    Gone,
}

/// People that are chosen while the file is read: each as likely as any other.
#[derive(Debug)]
pub(super) struct Sample {
    size: usize,
    seed: u64,
    /// The chosen records, the one with the highest rank on top.
    chosen: BinaryHeap<Chosen>,
}

/// A record that is read back.
#[derive(Debug)]
pub(super) struct Chosen {
    rank: u64,
    pub(super) line: u64,
    pub(super) person: Person,
    /// The attributes of the record. `null` removes one.
    pub(super) attributes: Map<String, Value>,
}

/// What was found in Customer.io.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) people: u64,
    /// People who are as expected.
    pub(super) equal: u64,
    /// People who do not exist, or who exist and should not.
    pub(super) wrong_existence: u64,
    /// People with other attributes.
    pub(super) different: u64,
    /// The attributes that differ, each with the number of people.
    pub(super) attributes: BTreeMap<String, u64>,
    /// The line of the first person who is not as expected.
    pub(super) first_line: Option<u64>,
}

/// The most attributes that are told apart. A file may have a thousand columns, and all of them may
/// differ.
const MAX_ATTRIBUTES: usize = 20;

// === impl Expected ===

impl Expected {
    /// Returns the expectation after the command with this name.
    ///
    /// # Errors
    ///
    /// Fails if a record of this kind says nothing about its person.
    pub(super) fn of_kind(kind: &str) -> Result<Self> {
        match kind {
            "people" => Ok(Self::Attributes),
            "events" | "devices" | "relationships" => Ok(Self::Exists),
            "delete" | "suppress" => Ok(Self::Gone),
            kind => bail!(
                "--sample: a record of {} does not say whether its person exists; leave it out",
                display::escaped(kind)
            ),
        }
    }
}

// === impl Sample ===

impl Sample {
    pub(super) fn new(size: usize, seed: u64) -> Self {
        Self {
            size,
            seed,
            chosen: BinaryHeap::new(),
        }
    }

    /// Offers the record at a position of the file. `chosen` is called if it may be chosen, and
    /// returns nothing for a record that cannot be.
    pub(super) fn offer(
        &mut self,
        position: u64,
        line: u64,
        chosen: impl FnOnce() -> Option<(Person, Map<String, Value>)>,
    ) {
        let rank = mixed(self.seed, position);
        let is_full = self.chosen.len() == self.size;
        if is_full && self.chosen.peek().is_some_and(|last| last.rank <= rank) {
            return;
        }
        let Some((person, attributes)) = chosen() else {
            return;
        };
        if is_full {
            self.chosen.pop();
        }
        self.chosen.push(Chosen {
            rank,
            line,
            person,
            attributes,
        });
    }

    /// Returns the chosen records in the order of the file.
    pub(super) fn finish(self) -> Vec<Chosen> {
        let mut chosen = self.chosen.into_vec();
        chosen.sort_by_key(|chosen| chosen.line);
        chosen
    }
}

/// Mixes two numbers: the last step of SplitMix64. The same seed chooses the same people, whatever
/// the order of the calls.
fn mixed(seed: u64, position: u64) -> u64 {
    let step = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut mixed = position.wrapping_add(1).wrapping_mul(step | 1);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

// === impl Chosen ===

impl Ord for Chosen {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Chosen {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Chosen {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Chosen {}

/// Reads a person, and compares it with the record.
pub(super) async fn compare(
    app: &App,
    chosen: &Chosen,
    expected: Expected,
    compared: &mut Compared,
) -> Result<(), Error> {
    let found = read(app, &chosen.person).await?;
    compared.add(chosen, expected, found.as_ref());
    Ok(())
}

/// Returns the attributes of a person, or nothing if it does not exist.
async fn read(app: &App, person: &Person) -> Result<Option<Map<String, Value>>, Error> {
    #[derive(Deserialize)]
    struct Reply {
        customer: Customer,
    }
    #[derive(Deserialize)]
    struct Customer {
        // A list may be `null` in place of empty.
        attributes: Option<Map<String, Value>>,
    }
    let request = AppRequest::of_person(Method::GET, person, "attributes")?;
    match app.execute(&request).await {
        Ok(response) => {
            let reply: Reply = response.json()?;
            Ok(Some(reply.customer.attributes.unwrap_or_default()))
        }
        Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

// === impl Compared ===

impl Compared {
    fn add(&mut self, chosen: &Chosen, expected: Expected, found: Option<&Map<String, Value>>) {
        self.people += 1;
        let differing = match (expected, found) {
            (Expected::Gone, None) | (Expected::Exists, Some(_)) => Vec::new(),
            (Expected::Attributes, Some(found)) => differing(&chosen.attributes, found),
            (Expected::Gone, Some(_)) | (Expected::Exists | Expected::Attributes, None) => {
                self.wrong_existence += 1;
                self.first_line.get_or_insert(chosen.line);
                return;
            }
        };
        if differing.is_empty() {
            self.equal += 1;
            return;
        }
        self.different += 1;
        self.first_line.get_or_insert(chosen.line);
        for name in differing {
            if self.attributes.len() < MAX_ATTRIBUTES || self.attributes.contains_key(name) {
                *self.attributes.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    pub(super) fn is_as_expected(&self) -> bool {
        self.equal == self.people
    }
}

/// Returns the names of the attributes that are not as expected.
fn differing<'a>(expected: &'a Map<String, Value>, found: &Map<String, Value>) -> Vec<&'a str> {
    let is_different = |(name, value): &(&String, &Value)| {
        // The API reads names with these beginnings as instructions, and stores others.
        let is_reserved = name.starts_with('_') || name.starts_with("cio_");
        !is_reserved && !is_same(value, found.get(*name))
    };
    let different = expected.iter().filter(is_different);
    different.map(|(name, _)| name.as_str()).collect()
}

/// Returns whether the API shows this value. It shows every value as text.
fn is_same(expected: &Value, found: Option<&Value>) -> bool {
    let removes = matches!(expected, Value::Null) || expected.as_str() == Some("");
    let Some(found) = found else { return removes };
    let text = match found {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match expected {
        Value::Null => text.is_empty(),
        Value::String(expected) => *expected == text,
        Value::Bool(expected) => expected.to_string() == text,
        Value::Number(expected) => is_number(expected, &text),
        Value::Array(_) | Value::Object(_) => {
            parse_json(&text).is_ok_and(|found| is_same_json(expected, &found))
        }
    }
}

/// Returns whether a text is the number: `2.50` is `2.5`, and `1.0` is `1`.
fn is_number(expected: &Number, found: &str) -> bool {
    if is_same_number(&expected.to_string(), found) {
        return true;
    }
    // A double has more than one decimal: `0.1` is also `0.1000000000000000055`. An integer that
    // the API keeps as one is exact: the next one is another number.
    let is_integer = found.parse::<u64>().is_ok() || found.parse::<i64>().is_ok();
    expected.is_f64() && !is_integer && expected.as_f64() == found.parse().ok()
}

/// Compares values inside of a list or an object.
fn is_same_json(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(expected), Value::Number(found)) => is_number(expected, &found.to_string()),
        (Value::Array(expected), Value::Array(found)) => {
            let mut pairs = expected.iter().zip(found);
            expected.len() == found.len() && pairs.all(|(one, other)| is_same_json(one, other))
        }
        (Value::Object(expected), Value::Object(found)) => {
            let is_in = |(name, value): (&String, &Value)| {
                let found = found.get(name);
                found.is_some_and(|found| is_same_json(value, found))
            };
            expected.len() == found.len() && expected.iter().all(is_in)
        }
        (expected, found) => expected == found,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chosen(seed: u64, size: usize, records: u64) -> Vec<u64> {
        let mut sample = Sample::new(size, seed);
        for position in 0..records {
            sample.offer(position, position + 2, || {
                Some((Person::id("1").unwrap(), Map::new()))
            });
        }
        sample.finish().iter().map(|chosen| chosen.line).collect()
    }

    #[test]
    fn a_sample_is_repeatable_and_spread_over_the_file() {
        assert_eq!(chosen(0, 50, 10_000), chosen(0, 50, 10_000));
        assert_ne!(chosen(0, 50, 10_000), chosen(1, 50, 10_000));
        assert_eq!(chosen(0, 9, 3), [2, 3, 4]);
        for seed in 0..20 {
            let lines = chosen(seed, 100, 10_000);
            assert_eq!(lines.len(), 100);
            // A half has 50 +- 5 of them; 4.4 standard deviations are never exceeded by chance.
            let first_half = lines.iter().filter(|line| **line <= 5_000).count();
            assert!((28..=72).contains(&first_half), "{seed}: {first_half}");
        }
    }

    #[test]
    fn a_record_that_cannot_be_sent_is_not_chosen() {
        let mut sample = Sample::new(2, 0);
        for position in 0..100 {
            let person = (position == 60).then(|| (Person::id("1").unwrap(), Map::new()));
            sample.offer(position, position + 2, || person);
        }
        let lines: Vec<_> = sample.finish().iter().map(|chosen| chosen.line).collect();
        assert_eq!(lines, [62]);
    }

    #[test]
    fn values_are_compared_as_the_api_shows_them() {
        let check = |expected: Value, found: Option<Value>, same: bool| {
            assert_eq!(
                is_same(&expected, found.as_ref()),
                same,
                "{expected} {found:?}"
            );
        };
        check(json!("a"), Some(json!("a")), true);
        check(json!("a"), Some(json!("b")), false);
        check(json!("a"), None, false);
        check(json!(7), Some(json!("7")), true);
        check(json!(2.5), Some(json!("2.50")), true);
        check(json!(7), Some(json!("seven")), false);
        check(json!(true), Some(json!("true")), true);
        // Both are 9007199254740992 as doubles.
        let big = 9_007_199_254_740_993_u64;
        check(json!(big), Some(json!("9007199254740993")), true);
        check(json!(big), Some(json!(big)), true);
        check(json!(big), Some(json!("9007199254740992")), false);
        check(json!(big), Some(json!("9007199254740993.0")), true);
        check(json!(big), Some(json!("9.007199254740992e+15")), false);
        check(
            json!(9_007_199_254_740_992.0),
            Some(json!("9007199254740993")),
            false,
        );
        check(json!(u64::MAX), Some(json!("18446744073709551615")), true);
        check(json!(u64::MAX), Some(json!("18446744073709551616")), false);
        check(json!(i64::MIN), Some(json!("-9223372036854775807")), false);
        check(json!(1), Some(json!("1.0")), true);
        check(json!(1.0), Some(json!("1")), true);
        check(json!(1e23), Some(json!("1e+23")), true);
        check(json!(1e23), Some(json!("99999999999999991611392")), true);
        check(json!(0.1), Some(json!("0.1000000000000000055")), true);
        check(json!(1), Some(json!("inf")), false);
        check(
            json!([1, [big]]),
            Some(json!("[1.0,[9007199254740993]]")),
            true,
        );
        check(
            json!([1, [big]]),
            Some(json!("[1.0,[9007199254740992]]")),
            false,
        );
        check(json!([1, 2]), Some(json!("[1]")), false);
        check(
            json!({"a": 1, "b": null}),
            Some(json!("{\"b\":null,\"a\":1.0}")),
            true,
        );
        check(json!({"a": 1}), Some(json!("{\"a\":1,\"b\":2}")), false);
        check(json!([1]), Some(json!([1])), true);
        check(json!([1, "a"]), Some(json!("[1,\"a\"]")), true);
        check(json!({"a": 1}), Some(json!("{\"a\":2}")), false);
        check(json!(null), None, true);
        check(json!(""), None, true);
        check(json!(""), Some(json!("x")), false);
    }

    #[test]
    fn people_are_counted_by_the_result() {
        let chosen = |line, attributes: Value| Chosen {
            rank: 0,
            line,
            person: Person::id("1").unwrap(),
            attributes: attributes.as_object().unwrap().clone(),
        };
        let found = json!({"a": "1", "b": "x"});
        let found = found.as_object();
        let mut compared = Compared::default();
        let record = chosen(2, json!({"a": 1, "_update": true, "cio_x": 1}));
        compared.add(&record, Expected::Attributes, found);
        assert!(compared.is_as_expected());
        compared.add(
            &chosen(3, json!({"a": 2, "b": "y"})),
            Expected::Attributes,
            found,
        );
        compared.add(&chosen(4, json!({})), Expected::Attributes, None);
        compared.add(&chosen(5, json!({})), Expected::Exists, found);
        compared.add(&chosen(6, json!({})), Expected::Gone, found);
        let expected = Compared {
            people: 5,
            equal: 2,
            wrong_existence: 2,
            different: 1,
            attributes: [("a".to_owned(), 1), ("b".to_owned(), 1)].into(),
            first_line: Some(3),
        };
        assert_eq!(compared, expected);
    }

    #[test]
    fn some_kinds_say_nothing_about_their_person() {
        assert_eq!(Expected::of_kind("delete").unwrap(), Expected::Gone);
        for kind in ["merges", "objects", "unsuppress"] {
            assert!(Expected::of_kind(kind).is_err(), "{kind}");
        }
        let error = Expected::of_kind("\u{1b}c").unwrap_err().to_string();
        assert!(error.contains("a record of \\u{1b}c does"), "{error}");
    }
}
