use serde_json::{Map, Value};

use super::check;
use super::rejection::Rejection;

// The limits that the API documents.
const MAX_EVENT_NAME_BYTES: usize = 100;
const MAX_EVENT_BYTES: usize = 100_000;

/// The event in an operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrackedEvent {
    /// The ULID by which the API ignores repetitions, in upper case. `None` if the event has
    /// another id or none.
    pub(crate) id: Option<String>,
    /// `event`, `page` or `screen`.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) timestamp: Option<i64>,
    pub(crate) attributes: Map<String, Value>,
}

/// The kinds of events.
pub(super) const KINDS: [&str; 3] = ["event", "page", "screen"];

/// Reads an event whose data is at the key `payload`: `data` in v1, `attributes` in v2.
pub(super) fn tracked(
    kind: &str,
    mut from: Map<String, Value>,
    payload: &str,
) -> Result<TrackedEvent, Rejection> {
    let mut kinds = KINDS.into_iter();
    let kind = kinds
        .find(|known| *known == kind)
        .ok_or_else(|| Rejection::invalid("type", "type must be one of event, page, screen"))?;
    let name = check::optional_string(&from, "name")?
        .unwrap_or_default()
        .trim()
        .to_owned();
    if name.is_empty() {
        return Err(Rejection::required("name", "event name must not be blank"));
    }
    if name.len() > MAX_EVENT_NAME_BYTES {
        let message = format!("event name cannot be longer than {MAX_EVENT_NAME_BYTES} bytes");
        return Err(Rejection::invalid("name", message));
    }
    let attributes = check::optional_object(&mut from, payload, "event data")?;
    if check::size(&attributes) > MAX_EVENT_BYTES {
        let message = format!("event data cannot be longer than {MAX_EVENT_BYTES} bytes");
        return Err(Rejection::invalid(payload, message));
    }
    Ok(TrackedEvent {
        id: check::optional_string(&from, "id")?.and_then(|id| ulid(&id)),
        kind,
        name,
        timestamp: check::optional_integer(&from, "timestamp")?,
        attributes,
    })
}

/// Returns `text` in upper case if it is a ULID: 26 characters of Crockford's base 32, which stand
/// for 128 bits.
pub(crate) fn ulid(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let is_symbol = |byte: u8| match byte {
        b'0'..=b'9' => true,
        // The alphabet leaves out the letters that are easily misread.
        b'I' | b'L' | b'O' | b'U' => false,
        _ => byte.is_ascii_uppercase(),
    };
    // 26 symbols have 130 bits. The first one must leave the two highest unset.
    let fits = upper.as_bytes().first().is_some_and(|first| *first <= b'7');
    (upper.len() == 26 && fits && upper.bytes().all(is_symbol)).then_some(upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ulid_has_26_symbols_and_128_bits() {
        let id = "01HB4HBDKTFWYZCK01DMRSWRFD";
        assert_eq!(ulid(id).as_deref(), Some(id));
        assert_eq!(ulid(&id.to_lowercase()).as_deref(), Some(id));
        assert!(ulid("7ZZZZZZZZZZZZZZZZZZZZZZZZZ").is_some());
        for other in [
            "",
            "42",
            "01HB4HBDKTFWYZCK01DMRSWRF",
            "01HB4HBDKTFWYZCK01DMRSWRFDD",
            "81HB4HBDKTFWYZCK01DMRSWRFD",
            "01HB4HBDKTFWYZCK01DMRSWRFU",
            "01HB4HBDKTFWYZCK01DMRSWR-D",
        ] {
            assert_eq!(ulid(other), None, "{other}");
        }
    }
}
