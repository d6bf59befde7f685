//! Reads bodies of every shape that the API and the machines before it send.

use serde_json::{Map, Value};

/// How many bytes of the server's words are kept.
const MAX_WORDS: usize = 1_000;

/// Returns `body` as a JSON object, which every success of the API is.
pub(super) fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

/// Returns what the server says in an error body: the messages of one of its envelopes, or else the raw text.
pub(super) fn words(body: &[u8]) -> String {
    let said = object(body).map_or_else(Vec::new, |body| messages(&body));
    if said.is_empty() {
        // Enough for the words even if every byte is part of a character.
        let head = &body[..body.len().min(4 * MAX_WORDS)];
        return bounded(String::from_utf8_lossy(head).trim());
    }
    bounded(&said.join("; "))
}

/// Tries `meta.error`, `meta.errors` and `errors`.
fn messages(body: &Map<String, Value>) -> Vec<String> {
    let meta = body.get("meta");
    let error = meta.and_then(|meta| meta.get("error"));
    let errors = meta
        .and_then(|meta| meta.get("errors"))
        .or_else(|| body.get("errors"));
    let items = errors.and_then(Value::as_array).into_iter().flatten();
    error.into_iter().chain(items).filter_map(message).collect()
}

/// Returns the words of one item: a string, or an object with a message and perhaps a reason and a field.
fn message(item: &Value) -> Option<String> {
    let text = |key| {
        item.get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let main = item
        .as_str()
        .or_else(|| text("message"))
        .or_else(|| text("detail"));
    let hints: Vec<_> = ["reason", "field"].into_iter().filter_map(text).collect();
    match (main, hints.join(", ")) {
        (None, hints) => Some(hints).filter(|hints| !hints.is_empty()),
        (Some(main), hints) if hints.is_empty() => Some(main.to_owned()),
        (Some(main), hints) => Some(format!("{main} ({hints})")),
    }
}

/// Maps the error items of a batch's response to positions: for each of `len` operations its error, if any.
///
/// Returns nothing if the list cannot be read or names a position out of range: then it says nothing about any operation.
pub(crate) fn item_errors(errors: &Value, len: usize) -> Option<Vec<Option<String>>> {
    let mut by_position = vec![None; len];
    for item in errors.as_array()? {
        let index = usize::try_from(item.get("batch_index")?.as_u64()?).ok()?;
        let words = bounded(&message(item).unwrap_or_default());
        by_position.get_mut(index)?.get_or_insert(words);
    }
    Some(by_position)
}

/// Returns the words of the first item of an error list, if it has one.
pub(crate) fn first_error(errors: &Value) -> Option<String> {
    let item = errors.as_array()?.first()?;
    Some(bounded(&message(item).unwrap_or_default()))
}

/// Cuts a text to [`MAX_WORDS`] bytes and escapes what would act on a terminal.
fn bounded(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        let before = kept.len();
        if is_active(character) {
            kept.extend(character.escape_default());
        } else {
            kept.push(character);
        }
        if kept.len() > MAX_WORDS {
            kept.truncate(before);
            break;
        }
    }
    kept
}

/// Returns whether a character controls a terminal or the direction of text.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check_words(body: &str, expected: &str) {
        assert_eq!(words(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn every_envelope_gives_its_words() {
        check_words(r#"{"meta":{"error":"a"}}"#, "a");
        check_words(r#"{"meta":{"errors":["a","b"]}}"#, "a; b");
        check_words(
            r#"{"errors":[{"reason":"invalid","field":"id","message":"a"}]}"#,
            "a (invalid, id)",
        );
        check_words(
            r#"{"errors":[{"detail":"a","status":"429"},{"detail":"b","status":422}]}"#,
            "a; b",
        );
        check_words(r#"{"errors":[{"reason":"invalid"}]}"#, "invalid");
        check_words(r#"{"errors":null}"#, r#"{"errors":null}"#);
        check_words(r#"{"code":1}"#, r#"{"code":1}"#);
        check_words("", "");
        check_words("[]", "[]");
        check_words("<html>Bad Gateway</html>\r\n", "<html>Bad Gateway</html>");
    }

    #[test]
    fn words_are_bounded_and_do_not_act() {
        check_words("a\u{1b}[2J\nb\u{202e}c\0", r"a\u{1b}[2J\nb\u{202e}c\u{0}");
        check_words(&"x".repeat(5_000), &"x".repeat(1_000));
        check_words(&"é".repeat(600), &"é".repeat(500));
        check_words(&format!("{}\u{1b}", "x".repeat(999)), &"x".repeat(999));
        assert_eq!(words(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn item_errors_go_to_their_positions() {
        let check = |errors: Value, expected: Option<[Option<&str>; 2]>| {
            let found = item_errors(&errors, 2);
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
        check(json!([{"message": "m"}]), None);
        check(json!(["m"]), None);
        check(json!({}), None);
        check(json!(null), None);
    }
}
