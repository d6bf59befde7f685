use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess};

use super::body::{MAX_WORDS, bounded};
use super::take::{Take, Taken, Taking};

/// More errors than a batch can hold operations: the shortest takes more than 50 of its 500,000 bytes.
const MAX_ITEMS: usize = 10_000;

/// What is read of a JSON object from the API: its errors. What they take of memory is bounded by what the body does.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    meta: Meta,
    errors: Option<Errors>,
}

/// Where version 1 says its errors.
#[derive(Debug, Default)]
struct Meta {
    error: Option<String>,
    errors: Option<Errors>,
}

/// A list of errors, or what stands in its place.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    is_list: bool,
    /// The words of the first item.
    first: Option<String>,
    /// The words of all, as long as there is room for more.
    said: Option<String>,
    /// The words of each with its position, until one has none, or there are too many.
    items: Vec<(usize, String)>,
    is_unplaced: bool,
}

/// One error: a string, or an object with a message and perhaps a reason and a field.
#[derive(Debug, Default)]
struct Item {
    text: Option<String>,
    message: Text,
    detail: Text,
    reason: Text,
    field: Text,
    position: Position,
}

/// The beginning of a string, if it says something.
#[derive(Debug, Default)]
struct Text(Option<String>);

#[derive(Debug, Default)]
struct Position(Option<u64>);

/// The names that are known.
#[derive(Debug, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
pub(super) enum Name {
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

impl Answer {
    /// Reads a body, if it is a JSON object.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let answer = json.deserialize_map(Taking::new()).ok()?;
        json.end().ok()?;
        Some(answer)
    }

    /// Returns the list of errors of version 2.
    pub(crate) fn into_errors(self) -> Option<Errors> {
        self.errors
    }

    /// Returns the words of `meta.error`, and of `meta.errors` or else `errors`.
    pub(super) fn into_words(self) -> Option<String> {
        let Meta { error, errors } = self.meta;
        let said = errors.or(self.errors).and_then(|errors| errors.said);
        let mut words = error.into_iter().chain(said);
        let first = words.next()?;
        Some(words.fold(first, |all, more| format!("{all}; {more}")))
    }
}

impl Errors {
    /// Returns the words of the first item, if there is one.
    pub(crate) fn into_first(self) -> Option<String> {
        self.first
    }

    /// Returns for each of `len` operations its error, if any.
    ///
    /// Returns nothing if it is no list, an item has no position or one out of range, or there are more than 10,000:
    /// then it says nothing about any operation.
    pub(crate) fn by_position(self, len: usize) -> Option<Vec<Option<String>>> {
        if !self.is_list || self.is_unplaced {
            return None;
        }
        let mut by_position = vec![None; len];
        for (position, words) in self.items {
            by_position.get_mut(position)?.get_or_insert(words);
        }
        Some(by_position)
    }

    fn add(&mut self, item: Item) {
        let position = item
            .position
            .0
            .and_then(|position| position.try_into().ok());
        let words = item.into_words();
        self.place(position, words.as_deref().unwrap_or_default());
        if let Some(words) = words {
            self.say(&words);
        }
    }

    fn place(&mut self, position: Option<usize>, words: &str) {
        if self.first.is_none() {
            self.first = Some(bounded(words));
        }
        match position {
            Some(position) if !self.is_unplaced && self.items.len() < MAX_ITEMS => {
                self.items.push((position, bounded(words)));
            }
            _ => {
                self.is_unplaced = true;
                self.items = Vec::new();
            }
        }
    }

    fn say(&mut self, words: &str) {
        match &mut self.said {
            None => self.said = Some(words.to_owned()),
            Some(said) if said.len() <= MAX_WORDS => {
                said.push_str("; ");
                said.push_str(words);
            }
            Some(_) => {}
        }
    }
}

impl Item {
    fn into_words(self) -> Option<String> {
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

impl Take for Answer {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: Name, map: &mut A) -> Result<(), A::Error> {
        match name {
            Name::Meta => self.meta = taken(map)?,
            Name::Errors => self.errors = Some(taken(map)?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Take for Meta {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: Name, map: &mut A) -> Result<(), A::Error> {
        match name {
            Name::Error => self.error = taken::<Item, _>(map)?.into_words(),
            Name::Errors => self.errors = Some(taken(map)?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Take for Errors {
    fn element<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        self.is_list = true;
        let Some(Taken(item)) = list.next_element()? else {
            return Ok(false);
        };
        self.add(item);
        Ok(true)
    }
}

impl Take for Item {
    fn text(&mut self, text: &str) {
        self.text = Some(head(text).to_owned());
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: Name, map: &mut A) -> Result<(), A::Error> {
        match name {
            Name::BatchIndex => self.position = taken(map)?,
            Name::Detail => self.detail = taken(map)?,
            Name::Field => self.field = taken(map)?,
            Name::Message => self.message = taken(map)?,
            Name::Reason => self.reason = taken(map)?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Take for Text {
    fn text(&mut self, text: &str) {
        self.0 = Some(head(text).to_owned()).filter(|text| !text.is_empty());
    }
}

impl Take for Position {
    fn number(&mut self, number: u64) {
        self.0 = Some(number);
    }
}

fn taken<'de, T: Take, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    map.next_value().map(|Taken(value)| value)
}

/// Returns the beginning of a text, of which no more is shown than that.
fn head(text: &str) -> &str {
    let end = (MAX_WORDS..text.len()).find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn item_errors_go_to_their_positions() {
        let check = |errors: Value, expected: Option<[Option<&str>; 2]>| {
            let answer = Answer::read(json!({"errors": errors}).to_string().as_bytes());
            let found = answer.unwrap().into_errors().unwrap().by_position(2);
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
    fn what_is_unknown_is_stepped_over() {
        let check = |body: &str, expected: Option<&str>| {
            let words = Answer::read(body.as_bytes()).and_then(Answer::into_words);
            assert_eq!(words.as_deref(), expected, "{body}");
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
}
