use bytes::Bytes;
use http::{HeaderMap, Response};
use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use crate::Endpoint;
use crate::response::REQUEST_ID;

const HIDDEN: &str = "[redacted]";

/// What is shorter stands in any words by chance, and is no secret of Customer.io, whose keys have 20 characters.
const SHORTEST: usize = 8;

/// Hides the credentials in what the server says: an error page, or an id, may repeat the request's headers.
///
/// It must come before the words are cut to their bound, so that no half of a secret stays.
pub(super) fn masked(response: Response<Bytes>, endpoint: &Endpoint) -> Response<Bytes> {
    let secrets = endpoint.secrets();
    let (mut head, body) = response.into_parts();
    drop_telling_id(&mut head.headers, &secrets);
    Response::from_parts(head, in_body(body, &secrets))
}

/// Half an id is of no use to anyone, so one with a secret in it goes as a whole.
fn drop_telling_id(headers: &mut HeaderMap, secrets: &[Zeroizing<String>]) {
    let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    if id.is_some_and(|id| in_text(id, secrets) != id) {
        headers.remove(REQUEST_ID);
    }
}

fn in_body(body: Bytes, secrets: &[Zeroizing<String>]) -> Bytes {
    if body.len() < SHORTEST {
        return body;
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(value) => match in_value(value.clone(), secrets) {
            hidden if hidden == value => body,
            hidden => hidden.to_string().into(),
        },
        Err(_) => in_text(&String::from_utf8_lossy(&body), secrets).into(),
    }
}

/// Looks into strings after they are parsed, since `/` may be written as `\/`, and leaves the structure as it is.
fn in_value(value: Value, secrets: &[Zeroizing<String>]) -> Value {
    match value {
        Value::String(text) => in_text(&text, secrets).into(),
        Value::Array(items) => items
            .into_iter()
            .map(|item| in_value(item, secrets))
            .collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (in_text(&name, secrets), in_value(value, secrets)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn in_text(text: &str, secrets: &[Zeroizing<String>]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= SHORTEST);
    long.fold(text.to_owned(), |text, secret| {
        text.replace(secret.as_str(), HIDDEN)
    })
}
