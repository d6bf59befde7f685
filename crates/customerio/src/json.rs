use bytes::Bytes;
use serde::Serialize;

/// A writer of one JSON object: first the members of a struct, then members that are JSON already.
pub(crate) struct JsonObject<'a>(&'a mut Vec<u8>);

impl<'a> JsonObject<'a> {
    /// Begins an object at the end of `json`, with the members of the struct `head`.
    pub(crate) fn open(json: &'a mut Vec<u8>, head: &impl Serialize) -> Self {
        serde_json::to_writer(&mut *json, head).expect(INFALLIBLE);
        Self::reopen(json)
    }

    /// Continues the object at the end of `json`.
    pub(crate) fn reopen(json: &'a mut Vec<u8>) -> Self {
        // Drop the closing brace; `close` appends it again.
        json.pop();
        Self(json)
    }

    /// Adds a member. `write` appends its value.
    pub(crate) fn member(self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let Self(json) = self;
        if !json.ends_with(b"{") {
            json.push(b',');
        }
        json.push(b'"');
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(b"\":");
        write(json);
        Self(json)
    }

    pub(crate) fn close(self) {
        self.0.push(b'}');
    }
}

/// Appends a list. `write` appends each item.
pub(crate) fn list<T>(json: &mut Vec<u8>, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
    json.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write(item, json);
    }
    json.push(b']');
}

/// Serializes a body of this crate, which cannot fail.
pub(crate) fn to_bytes(body: &impl Serialize) -> Bytes {
    to_vec(body).into()
}

/// Serializes a body of this crate that is not complete yet.
pub(crate) fn to_vec(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect(INFALLIBLE)
}

const INFALLIBLE: &str = "keys are strings and every value was checked";
