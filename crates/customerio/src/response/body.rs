//! Reads the body of a response: the errors in it, in each format that the API uses, or raw text.
//!
//! Gateways before the API answer with bodies of their own, so nothing here relies on a format: a
//! member of an unexpected type counts as absent.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::text::{MAX_TEXT, sanitize};

/// How many items of an error list are read. A batch holds fewer operations: the shortest takes
/// more than 50 of its 500,000 bytes. With a higher bound, a hostile list costs more memory.
const MAX_ITEMS: usize = 10_000;

/// The errors in a JSON object from the API.
///
/// Its memory is bounded by a small multiple of the body's size.
#[derive(Debug, Default)]
pub(crate) struct ResponseBody {
    meta: Meta,
    errors: Option<ErrorList>,
}

/// The member `meta`, in which version 1 puts its errors.
#[derive(Debug, Default)]
struct Meta {
    error: Option<String>,
    errors: Option<ErrorList>,
}

/// The member `errors`: a list, or a value of another type.
#[derive(Debug, Default)]
pub(crate) struct ErrorList {
    is_list: bool,
    /// The message of the first item.
    first: Option<String>,
    /// The messages of all items, joined, until they reach [`MAX_TEXT`].
    joined: Option<String>,
    /// Position and message of each item; emptied when `has_unplaced` is set.
    items: Vec<(usize, String)>,
    /// Whether an item has no position, or there are more than [`MAX_ITEMS`].
    has_unplaced: bool,
}

/// One error: a string, or an object with a message and perhaps a reason and a field.
#[derive(Debug, Default)]
struct ErrorItem {
    text: Option<String>,
    message: Text,
    detail: Text,
    reason: Text,
    field: Text,
    position: Position,
}

/// The beginning of a string that is not empty.
#[derive(Debug, Default)]
struct Text(Option<String>);

#[derive(Debug, Default)]
struct Position(Option<u64>);

/// The names of members that are read.
#[derive(Debug, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    BatchIndex,
    Detail,
    Error,
    Errors,
    Field,
    Message,
    Meta,
    Reason,
    #[serde(other)]
    Other,
}

/// Returns the message in the body of an error: that of the API's formats, or else the raw text.
pub(super) fn message(body: &[u8]) -> String {
    match ResponseBody::read(body).and_then(ResponseBody::into_message) {
        Some(message) => sanitize(&message),
        None => {
            // Four bytes for each byte that is kept: enough even if each character takes four.
            let head = &body[..body.len().min(4 * MAX_TEXT)];
            sanitize(String::from_utf8_lossy(head).trim())
        }
    }
}

impl ResponseBody {
    /// Reads a body, if it is a JSON object.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let body = json.deserialize_map(LenientVisitor::new()).ok()?;
        // Text behind the object means that a gateway sent the body.
        json.end().ok()?;
        Some(body)
    }

    /// Returns the error list of version 2.
    pub(crate) fn into_errors(self) -> Option<ErrorList> {
        self.errors
    }

    /// Returns the message of `meta.error`, joined with that of `meta.errors` or else `errors`.
    fn into_message(self) -> Option<String> {
        let Meta { error, errors } = self.meta;
        let joined = errors.or(self.errors).and_then(|errors| errors.joined);
        let mut messages = error.into_iter().chain(joined);
        let first = messages.next()?;
        Some(messages.fold(first, |all, more| format!("{all}; {more}")))
    }
}

impl ErrorList {
    /// Returns the message of the first item, if there is one.
    pub(crate) fn into_first(self) -> Option<String> {
        self.first
    }

    /// Returns the error of each of `len` operations, if it has one.
    ///
    /// Returns `None` if the list cannot be assigned to operations: it is no list, an item has no
    /// position or one out of range, or there are more than [`MAX_ITEMS`].
    pub(crate) fn by_position(self, len: usize) -> Option<Vec<Option<String>>> {
        if !self.is_list || self.has_unplaced {
            return None;
        }
        let mut by_position = vec![None; len];
        for (position, message) in self.items {
            // The first error of an operation is kept.
            by_position.get_mut(position)?.get_or_insert(message);
        }
        Some(by_position)
    }

    fn add(&mut self, item: ErrorItem) {
        let position = item
            .position
            .0
            .and_then(|position| position.try_into().ok());
        let message = item.into_message();
        self.place(position, message.as_deref().unwrap_or_default());
        if let Some(message) = message {
            self.join(&message);
        }
    }

    fn place(&mut self, position: Option<usize>, message: &str) {
        if self.first.is_none() {
            self.first = Some(sanitize(message));
        }
        match position {
            Some(position) if !self.has_unplaced && self.items.len() < MAX_ITEMS => {
                self.items.push((position, sanitize(message)));
            }
            // One item without a position makes the whole list useless for single operations.
            _ => {
                self.has_unplaced = true;
                self.items = Vec::new();
            }
        }
    }

    fn join(&mut self, message: &str) {
        match &mut self.joined {
            None => self.joined = Some(message.to_owned()),
            Some(joined) if joined.len() <= MAX_TEXT => {
                joined.push_str("; ");
                joined.push_str(message);
            }
            Some(_) => {}
        }
    }
}

impl ErrorItem {
    fn into_message(self) -> Option<String> {
        let main = self.text.or(self.message.0).or(self.detail.0);
        let hints: Vec<_> = [self.reason.0, self.field.0]
            .into_iter()
            .flatten()
            .collect();
        match (main, hints.join(", ")) {
            (None, hints) => Some(hints).filter(|hints| !hints.is_empty()),
            (Some(main), hints) if hints.is_empty() => Some(main),
            (Some(main), hints) => Some(format!("{main} ({hints})")),
        }
    }
}

/// Reads the expected parts of any JSON value, and skips the rest.
///
/// A value of another type than expected leaves `Self::default()`; only text that is not JSON is an
/// error.
trait Lenient: Default {
    fn text(&mut self, _: &str) {}

    fn number(&mut self, _: u64) {}

    /// Reads the value of the member whose name was read.
    fn member<'de, A: MapAccess<'de>>(&mut self, _: Name, map: &mut A) -> Result<(), A::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }

    /// Reads the next element, and returns whether there was one.
    fn element<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        Ok(list.next_element::<IgnoredAny>()?.is_some())
    }
}

/// A value that was read leniently.
struct LenientValue<T>(T);

impl<'de, T: Lenient> Deserialize<'de> for LenientValue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(LenientVisitor::new())
            .map(Self)
    }
}

struct LenientVisitor<T>(PhantomData<T>);

impl<T> LenientVisitor<T> {
    fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Lenient> Visitor<'de> for LenientVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let mut value = T::default();
        value.number(number);
        Ok(value)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let mut value = T::default();
        value.text(text);
        Ok(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut value = T::default();
        while value.element(&mut list)? {}
        Ok(value)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut value = T::default();
        while let Some(name) = map.next_key()? {
            value.member(name, &mut map)?;
        }
        Ok(value)
    }
}

impl Lenient for ResponseBody {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: Name, map: &mut A) -> Result<(), A::Error> {
        match name {
            Name::Meta => self.meta = lenient(map)?,
            Name::Errors => self.errors = Some(lenient(map)?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Lenient for Meta {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: Name, map: &mut A) -> Result<(), A::Error> {
        match name {
            Name::Error => self.error = lenient::<ErrorItem, _>(map)?.into_message(),
            Name::Errors => self.errors = Some(lenient(map)?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Lenient for ErrorList {
    fn element<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        self.is_list = true;
        let Some(LenientValue(item)) = list.next_element()? else {
            return Ok(false);
        };
        self.add(item);
        Ok(true)
    }
}

impl Lenient for ErrorItem {
    fn text(&mut self, text: &str) {
        self.text = Some(head(text).to_owned());
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: Name, map: &mut A) -> Result<(), A::Error> {
        match name {
            Name::BatchIndex => self.position = lenient(map)?,
            Name::Detail => self.detail = lenient(map)?,
            Name::Field => self.field = lenient(map)?,
            Name::Message => self.message = lenient(map)?,
            Name::Reason => self.reason = lenient(map)?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Lenient for Text {
    fn text(&mut self, text: &str) {
        self.0 = Some(head(text).to_owned()).filter(|text| !text.is_empty());
    }
}

impl Lenient for Position {
    fn number(&mut self, number: u64) {
        self.0 = Some(number);
    }
}

fn lenient<'de, T: Lenient, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    map.next_value().map(|LenientValue(value)| value)
}

/// Returns the beginning of a text: at least as much of it as is shown.
fn head(text: &str) -> &str {
    let end = (MAX_TEXT..text.len()).find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn item_errors_are_assigned_to_their_positions() {
        let check = |errors: Value, expected: Option<[Option<&str>; 2]>| {
            let body = ResponseBody::read(json!({"errors": errors}).to_string().as_bytes());
            let found = body.unwrap().into_errors().unwrap().by_position(2);
            let found = found
                .as_ref()
                .map(|found| [found[0].as_deref(), found[1].as_deref()]);
            assert_eq!(found, expected, "{errors}");
        };
        check(json!([]), Some([None, None]));
        check(
            json!([{"batch_index": 1, "message": "m"}]),
            Some([None, Some("m")]),
        );
        check(
            json!([{"batch_index": 0, "message": "m"}, {"batch_index": 0, "message": "n"}]),
            Some([Some("m"), None]),
        );
        check(json!([{"batch_index": 1}]), Some([None, Some("")]));
        check(json!([{"batch_index": 2, "message": "m"}]), None);
        check(json!([{"batch_index": -1}]), None);
        check(json!([{"batch_index": "0"}]), None);
        check(json!([{"batch_index": 0.5}]), None);
        check(json!([{"batch_index": 0}, {"message": "m"}]), None);
        check(json!([{"message": "m"}]), None);
        check(json!(["m"]), None);
        check(json!({}), None);
        check(json!(null), None);
        check(
            json!(vec![json!({"batch_index": 0}); MAX_ITEMS]),
            Some([Some(""), None]),
        );
        check(json!(vec![json!({"batch_index": 0}); MAX_ITEMS + 1]), None);
    }

    #[test]
    fn unknown_members_are_skipped() {
        let check = |body: &str, expected: Option<&str>| {
            let message = ResponseBody::read(body.as_bytes()).and_then(ResponseBody::into_message);
            assert_eq!(message.as_deref(), expected, "{body}");
        };
        check(
            r#"{"a":[{"errors":["b"]}],"errors":[null,1,-1,0.5,true,["c"],{"d":{}},"e"]}"#,
            Some("e"),
        );
        check(
            r#"{"meta":[1],"errors":[{"message":{"a":1},"detail":["b"],"reason":7,"field":"c"}]}"#,
            Some("c"),
        );
        check(
            r#"{"meta":"x","errors":[{"message":"","detail":"a"}]}"#,
            Some("a"),
        );
        check(
            r#"{"meta":{"error":"a","errors":["b"]},"errors":["c"]}"#,
            Some("a; b"),
        );
        check(r#"{"errors":["a"],"errors":["b"]}"#, Some("b"));
        check(r#"{"\u0065rrors":["a"]}"#, Some("a"));
        check(r#"{"errors":["a"]} b"#, None);
        check(r#"{"errors":["a"]"#, None);
        check(r#"["a"]"#, None);
    }

    fn check_message(body: &str, expected: &str) {
        assert_eq!(message(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn every_error_format_gives_its_message() {
        check_message(r#"{"meta":{"error":"a"}}"#, "a");
        check_message(r#"{"meta":{"errors":["a","b"]}}"#, "a; b");
        check_message(
            r#"{"errors":[{"reason":"invalid","field":"id","message":"a"}]}"#,
            "a (invalid, id)",
        );
        check_message(
            r#"{"errors":[{"detail":"a","status":"429"},{"detail":"b","status":422}]}"#,
            "a; b",
        );
        check_message(r#"{"errors":[{"reason":"invalid"}]}"#, "invalid");
        check_message(r#"{"errors":null}"#, r#"{"errors":null}"#);
        check_message(r#"{"code":1}"#, r#"{"code":1}"#);
        check_message("", "");
        check_message("[]", "[]");
        check_message("<html>Bad Gateway</html>\r\n", "<html>Bad Gateway</html>");
    }

    #[test]
    fn a_raw_body_is_bounded_and_does_not_act_on_a_terminal() {
        check_message("a\u{1b}[2J\nb\u{202e}c\0", r"a\u{1b}[2J\nb\u{202e}c\u{0}");
        check_message(&"x".repeat(5_000), &"x".repeat(1_000));
        check_message(&"é".repeat(600), &"é".repeat(500));
        check_message(&format!("{}\u{1b}", "x".repeat(999)), &"x".repeat(999));
        assert_eq!(message(b"a\xffb"), "a\u{fffd}b");
    }
}
