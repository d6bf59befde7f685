use std::cmp::Ordering;

use serde::Serialize;
use serde_json::Value;

use super::finite::check_numbers;
use crate::error::Problem;

/// What the attributes of a person take, most of the time.
const CAPACITY: usize = 256;

/// Holds the members of one JSON object as the text that is sent, in the order of their names, each name once.
#[derive(Clone, Default)]
pub(super) struct Members {
    /// The kept members as `"name":value`, in the order in which they came, and behind them perhaps one that is not kept.
    json: Vec<u8>,
    /// How much of `json` is kept.
    kept: usize,
    /// Where the name ends that was written last.
    colon: usize,
    /// Where the kept members stand, in the order of their names.
    places: Vec<Place>,
}

/// Where a member stands: its name with the quotes, the colon, its value.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    colon: usize,
    end: usize,
    /// How the name begins, with zeros behind it: most names are told apart by that, without a look at the text.
    head: u64,
}

/// What becomes of a value that is the order to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    Keep,
    LeaveOut,
}

/// One member: both parts are JSON, the name with its quotes.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn reserve(&mut self, members: usize) {
        self.places.reserve(members);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Member<'_>> {
        self.places.iter().map(|place| self.member(place))
    }

    fn member(&self, place: &Place) -> Member<'_> {
        Member {
            name: &self.json[place.start..place.colon],
            value: &self.json[place.colon + 1..place.end],
        }
    }

    /// Returns the bytes of [`write`](Self::write).
    pub(super) fn size(&self) -> usize {
        let commas = self.len().saturating_sub(1);
        self.kept + commas + "{}".len()
    }

    /// Writes the object behind what is in `json`.
    pub(super) fn write(&self, json: &mut Vec<u8>) {
        json.push(b'{');
        for (index, place) in self.places.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&self.json[place.start..place.end]);
        }
        json.push(b'}');
    }

    /// Writes the name of a member that is not kept yet, in the place of any other that was not.
    pub(super) fn name(&mut self, name: &str) {
        self.begin();
        append(&mut self.json, name).expect("text is JSON");
        self.end_name();
    }

    /// Writes a name that may be of another type than text. Returns its length.
    pub(super) fn any_name<K: Serialize + ?Sized>(&mut self, name: &K) -> Result<usize, Problem> {
        self.begin();
        append(&mut self.json, name)?;
        self.quote_name()?;
        let length = text_len(self.draft());
        self.end_name();
        Ok(length)
    }

    fn begin(&mut self) {
        self.json.truncate(self.kept);
        if self.json.capacity() == 0 {
            self.json.reserve(CAPACITY);
        }
    }

    fn end_name(&mut self) {
        self.colon = self.json.len();
        self.json.push(b':');
    }

    /// JSON has strings as names only; a number or a truth becomes one, as in `serde_json`.
    fn quote_name(&mut self) -> Result<(), Problem> {
        match self.draft() {
            [b'"', ..] => Ok(()),
            [b'-' | b'0'..=b'9' | b't' | b'f', ..] => {
                self.json.insert(self.kept, b'"');
                self.json.push(b'"');
                Ok(())
            }
            _ => Err(Problem::NotSerializable),
        }
    }

    /// What was written and is not kept.
    fn draft(&self) -> &[u8] {
        &self.json[self.kept..]
    }

    /// Returns the name that was written last and is not kept, for an error.
    pub(super) fn last_name(&self) -> String {
        let name = self.json.get(self.kept..self.colon).unwrap_or_default();
        serde_json::from_slice(name).unwrap_or_default()
    }

    /// Writes the value behind the name that was written last, and keeps the member, in the place of one of that name.
    pub(super) fn value<V: Serialize + ?Sized>(
        &mut self,
        value: &V,
        removal: Removal,
    ) -> Result<(), Problem> {
        check_numbers(value)?;
        if self.draft().is_empty() {
            // A map that gives a value before its name.
            return Err(Problem::NotSerializable);
        }
        append(&mut self.json, value)?;
        if removal == Removal::Keep || !is_removal(&self.json[self.colon + 1..]) {
            self.keep();
        } else {
            // The name is spent: another value has to come behind a name of its own.
            self.json.truncate(self.kept);
        }
        Ok(())
    }

    /// Keeps a member with the value that `write` appends.
    pub(super) fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.json);
        self.keep();
    }

    fn keep(&mut self) {
        let place = Place {
            start: self.kept,
            colon: self.colon,
            end: self.json.len(),
            head: head(text(&self.json[self.kept..self.colon])),
        };
        self.kept = place.end;
        match self
            .places
            .binary_search_by(|other| self.order(other, &place))
        {
            Ok(index) => self.replace(index, place),
            Err(index) => self.places.insert(index, place),
        }
    }

    /// Compares two names.
    fn order(&self, one: &Place, other: &Place) -> Ordering {
        let name = |place| text(self.member(place).name);
        let heads = one.head.cmp(&other.head);
        heads.then_with(|| name(one).cmp(name(other)))
    }

    /// Cuts the text of a member that is replaced, so that replacing does not let memory grow.
    fn replace(&mut self, index: usize, place: Place) {
        let old = std::mem::replace(&mut self.places[index], place);
        let bytes = old.end - old.start;
        self.json.drain(old.start..old.end);
        self.kept -= bytes;
        for place in self
            .places
            .iter_mut()
            .filter(|place| place.start > old.start)
        {
            place.start -= bytes;
            place.colon -= bytes;
            place.end -= bytes;
        }
    }
}

impl Member<'_> {
    pub(super) fn name(&self) -> String {
        serde_json::from_slice(self.name).unwrap_or_default()
    }

    /// Returns the value, or nothing if it holds a number that Rust has no type for.
    pub(super) fn value(&self) -> Option<Value> {
        serde_json::from_slice(self.value).ok()
    }

    /// Returns the bytes of the value as the API counts them: a string without its quotes, a list or an object as JSON.
    pub(super) fn counted(&self) -> usize {
        match self.value {
            [b'"', ..] => text_len(self.value),
            [b'[' | b'{', ..] => self.value.len(),
            _ => 0,
        }
    }
}

/// Names inside a value may stand in any order, as those of a hash map do.
impl PartialEq for Member<'_> {
    fn eq(&self, other: &Self) -> bool {
        let is_equal = |value: Value| other.value().is_some_and(|other| value == other);
        self.name == other.name && (self.value == other.value || self.value().is_some_and(is_equal))
    }
}

fn append<T: Serialize + ?Sized>(json: &mut Vec<u8>, value: &T) -> Result<(), Problem> {
    serde_json::to_writer(&mut *json, value).map_err(|_| Problem::NotSerializable)
}

fn is_removal(value: &[u8]) -> bool {
    matches!(value, b"null" | br#""""#)
}

/// Returns the first eight bytes of a name as a number that sorts as they do: there is no zero in JSON.
fn head(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = name.len().min(bytes.len());
    bytes[..length].copy_from_slice(&name[..length]);
    u64::from_be_bytes(bytes)
}

/// Returns what stands between the quotes.
fn text(string: &[u8]) -> &[u8] {
    &string[1..string.len() - 1]
}

/// Returns the bytes of a JSON string without quotes and escapes.
fn text_len(string: &[u8]) -> usize {
    let text = text(string);
    if !text.contains(&b'\\') {
        return text.len();
    }
    serde_json::from_slice(string).map_or(text.len(), |text: String| text.len())
}
