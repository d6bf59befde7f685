use bytes::Bytes;
use http::{HeaderMap, Response};
use secrecy::zeroize::Zeroizing;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

use crate::Endpoint;
use crate::response::REQUEST_ID;

const HIDDEN: &str = "[redacted]";

/// What is shorter stands in any words by chance, and is no secret of Customer.io, whose keys have
/// 20 characters.
const SHORTEST: usize = 8;

/// Hides the credentials in what the server says: an error page, or an id, may repeat the request's
/// headers.
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
    match serde_json::from_slice::<IgnoredAny>(&body) {
        Ok(_) => in_strings(&body, secrets).into(),
        Err(_) => in_text(&String::from_utf8_lossy(&body), secrets).into(),
    }
}

/// Looks into the strings of JSON after they are parsed, since `/` may be written as `\/`, and
/// copies the rest as it is.
fn in_strings(json: &[u8], secrets: &[Zeroizing<String>]) -> Vec<u8> {
    let mut hidden = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        let mut strings = Deserializer::from_slice(&rest[start..]).into_iter::<String>();
        let Some(Ok(text)) = strings.next() else {
            // Half of a surrogate pair is JSON, and no text: what follows is looked at as it is.
            break;
        };
        let end = start + strings.byte_offset();
        let masked = in_text(&text, secrets);
        if masked == text {
            hidden.extend_from_slice(&rest[..end]);
        } else {
            hidden.extend_from_slice(&rest[..start]);
            hidden.extend_from_slice(Value::from(masked).to_string().as_bytes());
        }
        rest = &rest[end..];
    }
    hidden.extend_from_slice(in_text(&String::from_utf8_lossy(rest), secrets).as_bytes());
    hidden
}

fn in_text(text: &str, secrets: &[Zeroizing<String>]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= SHORTEST);
    long.fold(text.to_owned(), |text, secret| {
        text.replace(secret.as_str(), HIDDEN)
    })
}

/// Hides the credentials in the text of an error, where they may be quoted as `Debug` quotes text
/// or bytes, also twice.
pub(super) fn hidden(text: &str, secrets: &[Zeroizing<String>]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= SHORTEST);
    let quoted = long.flat_map(|secret| {
        let text = escaped(secret, |text| text.escape_debug().to_string());
        let bytes = escaped(secret, |text| text.as_bytes().escape_ascii().to_string());
        [secret.clone()].into_iter().chain(text).chain(bytes)
    });
    // The longest first: it holds the others, or a part of it would stay.
    let mut quoted: Vec<_> = quoted.collect();
    quoted.sort_by_key(|quoted| std::cmp::Reverse(quoted.len()));
    in_text(text, &quoted)
}

fn escaped(secret: &str, escape: impl Fn(&str) -> String) -> [Zeroizing<String>; 2] {
    let once = Zeroizing::new(escape(secret));
    let twice = Zeroizing::new(once.as_str().escape_debug().to_string());
    [once, twice]
}
