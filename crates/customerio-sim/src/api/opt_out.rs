//! Opt-outs of the messages of one sender, in the App API.

use serde_json::{Map, Value};

use super::check;
use super::rejection::Rejection;

/// A sender of text messages, on one channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sender {
    /// `sms` or `whatsapp`.
    pub(crate) channel: String,
    pub(crate) from: String,
}

/// `PUT /v1/customers/{id}/optouts`. Returns each sender, with whether the person opts out.
pub(crate) fn changes(body: &[u8]) -> Result<Vec<(Sender, bool)>, Rejection> {
    let body = check::object(body)?;
    let entries = body.get("optouts").and_then(Value::as_array);
    let entries =
        entries.ok_or_else(|| Rejection::required("optouts", "optouts must be an array"))?;
    entries.iter().map(change).collect()
}

fn change(entry: &Value) -> Result<(Sender, bool), Rejection> {
    let invalid = |field, message| Rejection::invalid(field, message);
    let entry: &Map<_, _> = entry
        .as_object()
        .ok_or_else(|| invalid("optouts", "an opt-out must be an object"))?;
    let channel = match entry.get("channel") {
        None | Some(Value::Null) => "sms".to_owned(),
        Some(_) => check::one_of(entry, "channel", &["sms", "whatsapp"])?,
    };
    let from = check::required_string(entry, "from")?;
    let opts_out = entry.get("optout").and_then(Value::as_bool);
    let opts_out = opts_out.ok_or_else(|| invalid("optout", "optout must be a boolean"))?;
    Ok((Sender { channel, from }, opts_out))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_opt_out_names_a_sender_and_its_direction() {
        let check = |entry: Value, expected: Option<&str>| {
            let body = json!({"optouts": [entry]}).to_string();
            let field = changes(body.as_bytes()).err().map(|error| error.field);
            assert_eq!(field.as_deref(), expected, "{body}");
        };
        check(json!({"from": "+1", "optout": true}), None);
        check(
            json!({"from": "A", "optout": false, "channel": "whatsapp"}),
            None,
        );
        check(
            json!({"from": "+1", "optout": true, "channel": "email"}),
            Some("channel"),
        );
        check(json!({"from": "", "optout": true}), Some("from"));
        check(json!({"from": "+1"}), Some("optout"));
        check(json!("+1"), Some("optouts"));
        assert!(changes(b"{}").is_err() && changes(br#"{"optouts":[]}"#).is_ok());
    }
}
