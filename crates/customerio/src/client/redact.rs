//! Removes the credentials from responses and errors: an error page, a request id or the debug data
//! of an HTTP/2 GOAWAY may repeat the headers of the request.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Response};
use secrecy::zeroize::Zeroizing;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

use super::attempt::BoxError;
use crate::response::{REQUEST_ID, sanitize};

const REDACTED: &str = "[redacted]";

/// The length of the shortest secret that is redacted. Customer.io's keys have 20 characters. A
/// shorter secret, as in a test, would be found in any text by chance.
const MIN_SECRET: usize = 8;

/// Redacts the credentials in the body and the request id of a response.
///
/// Call it before the text is cut: half of a secret would no longer be found.
pub(super) fn redact_response(
    response: Response<Bytes>,
    secrets: &[Zeroizing<String>],
) -> Response<Bytes> {
    let (mut head, body) = response.into_parts();
    remove_id_with_secret(&mut head.headers, secrets);
    Response::from_parts(head, redact_body(body, secrets))
}

/// Removes a request id that contains a secret. The rest of it would identify nothing.
fn remove_id_with_secret(headers: &mut HeaderMap, secrets: &[Zeroizing<String>]) {
    let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    if id.is_some_and(|id| redact_text(id, secrets) != id) {
        headers.remove(REQUEST_ID);
    }
}

fn redact_body(body: Bytes, secrets: &[Zeroizing<String>]) -> Bytes {
    if body.len() < MIN_SECRET {
        return body;
    }
    let Ok(text) = str::from_utf8(&body) else {
        // Such a body is no JSON. Made UTF-8 it could become JSON, and so a response of the API:
        // the mark at its start prevents that.
        let text = redact_text(&String::from_utf8_lossy(&body), secrets);
        return format!("{}{text}", char::REPLACEMENT_CHARACTER).into();
    };
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => redact_strings(&body, secrets).into(),
        Err(_) => redact_text(text, secrets).into(),
    }
}

/// Redacts the strings of a JSON text and copies the rest. Strings are parsed first, since JSON may
/// write `/` as `\/`.
fn redact_strings(json: &[u8], secrets: &[Zeroizing<String>]) -> Vec<u8> {
    let mut redacted = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        let mut strings = Deserializer::from_slice(&rest[start..]).into_iter::<String>();
        let Some(Ok(text)) = strings.next() else {
            // Half of a surrogate pair is valid JSON but no Rust string. Redact the rest as raw
            // text.
            break;
        };
        let end = start + strings.byte_offset();
        let changed = redact_text(&text, secrets);
        if changed == text {
            redacted.extend_from_slice(&rest[..end]);
        } else {
            redacted.extend_from_slice(&rest[..start]);
            redacted.extend_from_slice(Value::from(changed).to_string().as_bytes());
        }
        rest = &rest[end..];
    }
    redacted.extend_from_slice(redact_text(&String::from_utf8_lossy(rest), secrets).as_bytes());
    redacted
}

fn redact_text(text: &str, secrets: &[Zeroizing<String>]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= MIN_SECRET);
    long.fold(text.to_owned(), |text, secret| {
        text.replace(secret.as_str(), REDACTED)
    })
}

/// Redacts the credentials in the text of an error, also where `Debug` escaped them as text or as
/// bytes, once or twice.
fn redact_error_text(text: &str, secrets: &[Zeroizing<String>]) -> String {
    let long = secrets.iter().filter(|secret| secret.len() >= MIN_SECRET);
    let quoted = long.flat_map(|secret| {
        let text = escaped(secret, |text| text.escape_debug().to_string());
        let bytes = escaped(secret, |text| text.as_bytes().escape_ascii().to_string());
        [secret.clone()].into_iter().chain(text).chain(bytes)
    });
    // The longest first: an escaped form may contain the plain one, and the rest of it would stay.
    let mut quoted: Vec<_> = quoted.collect();
    quoted.sort_by_key(|quoted| std::cmp::Reverse(quoted.len()));
    redact_text(text, &quoted)
}

fn escaped(secret: &str, escape: impl Fn(&str) -> String) -> [Zeroizing<String>; 2] {
    let once = Zeroizing::new(escape(secret));
    let twice = Zeroizing::new(once.as_str().escape_debug().to_string());
    [once, twice]
}

/// How many errors of a chain are kept. Real chains are shorter; the bound ends a chain in which an
/// error is its own source.
const MAX_CHAIN: usize = 16;

/// Returns an error that is safe to show.
///
/// That is the error itself, unless a text in its chain contains the credentials, is too long, or
/// has characters that act on a terminal. Then the whole chain is replaced by its redacted texts,
/// since the original types would show the original text again.
pub(super) fn redact_error(error: BoxError, secrets: &[Zeroizing<String>]) -> BoxError {
    let first: &(dyn Error + 'static) = &*error;
    let chain = std::iter::successors(Some(first), |&error| error.source());
    let levels: Vec<_> = chain
        .take(MAX_CHAIN + 1)
        .map(|error| Level::of(error, secrets))
        .collect();
    if levels.len() <= MAX_CHAIN && levels.iter().all(|level| level.is_unchanged) {
        return error;
    }
    let levels = levels.into_iter().take(MAX_CHAIN).rev();
    let redacted = levels.fold(None, |source, level| {
        Some(Box::new(RedactedError {
            display: level.display,
            debug: level.debug,
            source,
        }))
    });
    redacted.map_or(error, |redacted| redacted as BoxError)
}

/// The texts of one error of a chain.
struct Level {
    display: String,
    debug: String,
    is_unchanged: bool,
}

impl Level {
    fn of(error: &dyn Error, secrets: &[Zeroizing<String>]) -> Self {
        let (display, debug) = (error.to_string(), format!("{error:?}"));
        let redact = |text: &str| sanitize(&redact_error_text(text, secrets));
        let level = Self {
            display: redact(&display),
            debug: redact(&debug),
            is_unchanged: false,
        };
        Self {
            is_unchanged: level.display == display && level.debug == debug,
            ..level
        }
    }
}

/// The redacted texts of another error.
struct RedactedError {
    display: String,
    debug: String,
    source: Option<Box<Self>>,
}

impl fmt::Display for RedactedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for RedactedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl Error for RedactedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const SECRET: &str = "pass\"word\\\u{e9}";

    fn redacted(error: impl Into<BoxError>) -> BoxError {
        redact_error(error.into(), &[Zeroizing::new(SECRET.to_owned())])
    }

    fn texts(error: &BoxError) -> String {
        let first: &(dyn Error + 'static) = &**error;
        let chain = std::iter::successors(Some(first), |&error| error.source());
        chain.map(|error| format!("{error} {error:?}\n")).collect()
    }

    /// An error that quotes what it received, as those of hyper do.
    #[derive(Debug)]
    struct Quoting(&'static [u8], Option<Box<Self>>);

    impl fmt::Display for Quoting {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "received: {:?}", Bytes::from_static(self.0))
        }
    }

    impl Error for Quoting {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1
                .as_deref()
                .map(|source| source as &(dyn Error + 'static))
        }
    }

    #[test]
    fn a_body_that_is_no_utf_8_does_not_become_json() {
        let secrets = [Zeroizing::new(SECRET.to_owned())];
        for body in [
            &b"{\"errors\":[\"\xff\"]}"[..],
            b"{\"\xff\":\"a long text\"}",
        ] {
            let redacted = redact_body(Bytes::from_static(body), &secrets);
            assert!(serde_json::from_slice::<Value>(&redacted).is_err());
        }
    }

    #[test]
    fn an_error_that_may_be_shown_keeps_its_type() {
        let error = redacted(io::Error::other("reset"));
        assert!(error.is::<io::Error>());
    }

    #[test]
    fn secrets_are_redacted_however_they_are_escaped() {
        for error in [
            redacted(SECRET),
            redacted(io::Error::other(SECRET)),
            redacted(Quoting(SECRET.as_bytes(), None)),
            redacted(Quoting(
                b"",
                Some(Box::new(Quoting(SECRET.as_bytes(), None))),
            )),
        ] {
            let texts = texts(&error);
            assert!(texts.contains("[redacted]"), "{texts}");
            assert!(
                !texts.contains("pass") && !texts.contains("word"),
                "{texts}"
            );
        }
    }

    #[test]
    fn texts_are_bounded_and_do_not_act_on_a_terminal() {
        let texts = texts(&redacted(format!("{}\u{1b}[2J", "x".repeat(100))));
        assert!(!texts.contains('\u{1b}'), "{texts}");
        assert!(texts.contains(r"\u{1b}"), "{texts}");
        let long = redacted("x".repeat(100_000));
        assert!(long.to_string().len() <= 1_000);
    }
}
