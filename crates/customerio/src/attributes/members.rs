use std::cmp::Ordering;

use serde::Serialize;
use serde_json::Value;

use super::numbers::check_numbers;
use crate::error::Problem;

/// The usual size of a person's attributes, in bytes, so that the buffer rarely grows.
const CAPACITY: usize = 256;

/// The members of one JSON object as text. They are written sorted by name, each name once.
#[derive(Clone, Default)]
pub(super) struct Members {
    /// The complete members as `"name":value`, in the order of insertion. Behind them may be a
    /// draft: a member that is being written.
    json: Vec<u8>,
    /// Where the complete members end and the draft begins.
    complete: usize,
    /// Where the name of the draft ends.
    colon: usize,
    /// The range of each complete member, sorted by name.
    ranges: Vec<MemberRange>,
}

/// The range of a member in the text: its name with the quotes, the colon, its value.
#[derive(Clone, Copy)]
struct MemberRange {
    start: usize,
    colon: usize,
    end: usize,
    /// The first eight bytes of the name. They decide most comparisons without reading the text.
    prefix: u64,
}

/// What to do with a value that would remove the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    Keep,
    LeaveOut,
}

/// One member. Both parts are JSON: the name has its quotes.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn reserve(&mut self, members: usize) {
        self.ranges.reserve(members);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Member<'_>> {
        self.ranges.iter().map(|range| self.member(range))
    }

    fn member(&self, range: &MemberRange) -> Member<'_> {
        Member {
            name: &self.json[range.start..range.colon],
            value: &self.json[range.colon + 1..range.end],
        }
    }

    /// Returns the number of bytes that [`write`](Self::write) appends.
    pub(super) fn size(&self) -> usize {
        let commas = self.len().saturating_sub(1);
        self.complete + commas + "{}".len()
    }

    /// Appends the object to `json`.
    pub(super) fn write(&self, json: &mut Vec<u8>) {
        json.push(b'{');
        for (index, range) in self.ranges.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&self.json[range.start..range.end]);
        }
        json.push(b'}');
    }

    /// Begins a member with its name. A draft from before is dropped.
    pub(super) fn name(&mut self, name: &str) {
        self.begin();
        append(&mut self.json, name).expect("text is JSON");
        self.end_name();
    }

    /// Begins a member with a name that may have another type than a string. Returns its length.
    pub(super) fn any_name<K: Serialize + ?Sized>(&mut self, name: &K) -> Result<usize, Problem> {
        self.begin();
        append(&mut self.json, name)?;
        self.quote_name()?;
        let length = text_len(self.draft());
        self.end_name();
        Ok(length)
    }

    fn begin(&mut self) {
        // A value that was an error leaves its draft behind.
        self.json.truncate(self.complete);
        if self.json.capacity() == 0 {
            self.json.reserve(CAPACITY);
        }
    }

    fn end_name(&mut self) {
        self.colon = self.json.len();
        self.json.push(b':');
    }

    /// Puts quotes around a number or a boolean, as `serde_json` does: in JSON each name is a
    /// string.
    fn quote_name(&mut self) -> Result<(), Problem> {
        match self.draft() {
            [b'"', ..] => Ok(()),
            [b'-' | b'0'..=b'9' | b't' | b'f', ..] => {
                self.json.insert(self.complete, b'"');
                self.json.push(b'"');
                Ok(())
            }
            _ => Err(Problem::NotSerializable),
        }
    }

    /// Returns the text of the draft.
    fn draft(&self) -> &[u8] {
        &self.json[self.complete..]
    }

    /// Returns the name of the draft, for an error.
    pub(super) fn last_name(&self) -> String {
        let name = self.json.get(self.complete..self.colon).unwrap_or_default();
        serde_json::from_slice(name).unwrap_or_default()
    }

    /// Completes the draft with a value. The member replaces one of the same name.
    pub(super) fn value<V: Serialize + ?Sized>(
        &mut self,
        value: &V,
        removal: Removal,
    ) -> Result<(), Problem> {
        // Before it is appended: serde_json writes NaN as `null`, which would remove the attribute.
        check_numbers(value)?;
        if self.draft().is_empty() {
            // A map that serializes a value without a name.
            return Err(Problem::NotSerializable);
        }
        append(&mut self.json, value)?;
        if removal == Removal::Keep || !is_removal(&self.json[self.colon + 1..]) {
            self.complete_draft();
        } else {
            // Drop the name too: the next value must follow a name of its own.
            self.json.truncate(self.complete);
        }
        Ok(())
    }

    /// Completes the draft with the value that `write` appends.
    pub(super) fn raw_value(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.json);
        self.complete_draft();
    }

    fn complete_draft(&mut self) {
        let range = MemberRange {
            start: self.complete,
            colon: self.colon,
            end: self.json.len(),
            prefix: prefix(text(&self.json[self.complete..self.colon])),
        };
        self.complete = range.end;
        match self
            .ranges
            .binary_search_by(|other| self.order(other, &range))
        {
            Ok(index) => self.replace(index, range),
            Err(index) => self.ranges.insert(index, range),
        }
    }

    /// Compares the names of two members.
    fn order(&self, one: &MemberRange, other: &MemberRange) -> Ordering {
        let name = |range| text(self.member(range).name);
        let prefixes = one.prefix.cmp(&other.prefix);
        prefixes.then_with(|| name(one).cmp(name(other)))
    }

    /// Replaces a member and removes its old text, so that memory does not grow with each insert.
    fn replace(&mut self, index: usize, range: MemberRange) {
        let old = std::mem::replace(&mut self.ranges[index], range);
        // The new text is behind the old one, so its range moves, too.
        let bytes = old.end - old.start;
        self.json.drain(old.start..old.end);
        self.complete -= bytes;
        for range in self
            .ranges
            .iter_mut()
            .filter(|range| range.start > old.start)
        {
            range.start -= bytes;
            range.colon -= bytes;
            range.end -= bytes;
        }
    }
}

impl Member<'_> {
    pub(super) fn name(&self) -> String {
        serde_json::from_slice(self.name).unwrap_or_default()
    }

    /// Returns the value, or `None` if it holds a number that no Rust type can hold.
    pub(super) fn value(&self) -> Option<Value> {
        serde_json::from_slice(self.value).ok()
    }

    /// Returns the size of the value as the API counts it, in bytes: a string without its quotes, a
    /// list or an object as JSON.
    pub(super) fn counted(&self) -> usize {
        match self.value {
            [b'"', ..] => text_len(self.value),
            [b'[' | b'{', ..] => self.value.len(),
            _ => 0,
        }
    }
}

/// Compares the parsed values if the text differs: the names inside a value may have any order, as
/// those of a hash map do.
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

/// Returns the first eight bytes of a name as a number that sorts as the name does. Zeros pad a
/// shorter name; JSON text has no zero byte.
fn prefix(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = name.len().min(bytes.len());
    bytes[..length].copy_from_slice(&name[..length]);
    u64::from_be_bytes(bytes)
}

/// Returns the text between the quotes.
fn text(string: &[u8]) -> &[u8] {
    &string[1..string.len() - 1]
}

/// Returns the size of a JSON string without quotes and escapes, in bytes.
fn text_len(string: &[u8]) -> usize {
    let text = text(string);
    if !text.contains(&b'\\') {
        return text.len();
    }
    serde_json::from_slice(string).map_or(text.len(), |text: String| text.len())
}
