use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use http_body_util::Full;
use serde::Serialize;

use super::AppEndpoint;
use super::route::{Kind, kind, route};
use crate::attributes::check_numbers;
use crate::error::{Problem, check_bytes};
use crate::person::{check_segment, encode};
use crate::request::USER_AGENT;
use crate::response::{Reading, read};
use crate::v1::Success;
use crate::{Failure, InvalidInput, Outcome, Person};

/// The longest path with its query, in bytes. An `http::Uri` holds 65,534 bytes; the rest is for
/// the base URL.
const MAX_PATH: usize = 32_000;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// One request to the App API, as a value.
///
/// Messages and triggers are turned into one by their `to_request`. Every other endpoint is reached
/// by [`AppRequest::new`]:
///
/// ```
/// use customerio::app::AppRequest;
/// use http::Method;
///
/// let search = AppRequest::new(Method::POST, "/v1/customers")?
///     .query("limit", 100)?
///     .json(&serde_json::json!({"filter": {"segment": {"id": 7}}}))?
///     .replay(true); // a search changes nothing
/// assert_eq!(search.path(), "/v1/customers?limit=100");
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// `Debug` shows method and route, and leaves out path and body: both hold personal data.
#[derive(Clone)]
#[must_use]
pub struct AppRequest {
    method: Method,
    route: String,
    path: String,
    content_type: HeaderValue,
    body: Option<Bytes>,
    may_replay: bool,
    kind: Kind,
}

impl AppRequest {
    /// Creates a request without a body. `path` begins with `/v1/`. Its values must be
    /// percent-encoded: see [`segment`](super::segment) and [`query`](Self::query). An encoded
    /// character that needs no encoding is decoded.
    ///
    /// A request of a method that is idempotent (GET, HEAD, PUT, DELETE, OPTIONS, TRACE) may be
    /// replayed, any other may not: see [`replay`](Self::replay).
    ///
    /// # Errors
    ///
    /// The path does not begin with `/v1/`, has a segment that is empty, `.` or `..`, contains a
    /// character that a path cannot hold, or takes more than 32,000 bytes.
    pub fn new(method: Method, path: &str) -> Result<Self, InvalidInput> {
        let path = with_plain_letters(path);
        check_path(&path)?;
        let route = route(&path);
        Ok(Self {
            kind: kind(&method, &route),
            may_replay: method.is_idempotent(),
            method,
            route,
            path,
            content_type: JSON,
            body: None,
        })
    }

    /// Creates a request about one person: `/v1/customers/{id}/{what}`, with the kind of their
    /// identifier as `id_type`.
    ///
    /// ```
    /// use customerio::Person;
    /// use customerio::app::AppRequest;
    /// use http::Method;
    ///
    /// let request = AppRequest::of_person(Method::GET, &Person::email("a@b.co")?, "attributes")?;
    /// assert_eq!(request.path(), "/v1/customers/a%40b.co/attributes?id_type=email");
    /// assert_eq!(request.route(), "/v1/customers/{}/attributes");
    /// # Ok::<(), customerio::InvalidInput>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn of_person(method: Method, person: &Person, what: &str) -> Result<Self, InvalidInput> {
        let path = format!("/v1/customers/{}/{what}", person.app_segment());
        Self::new(method, &path)?.query("id_type", person.key())
    }

    /// Adds a parameter to the query. Name and value are percent-encoded.
    ///
    /// # Errors
    ///
    /// The path with its query takes more than 32,000 bytes.
    pub fn query(mut self, name: &str, value: impl fmt::Display) -> Result<Self, InvalidInput> {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        let (name, value) = (encode(name), value.to_string());
        self.path += &format!("{separator}{name}={}", encode(&value));
        // An URI cannot hold a longer one.
        check_bytes("path", self.path.len(), MAX_PATH)?;
        Ok(self)
    }

    /// Sets the body to a value, serialized as JSON.
    ///
    /// # Errors
    ///
    /// The value cannot be written as JSON, or contains NaN or an infinity.
    pub fn json(self, body: &(impl Serialize + ?Sized)) -> Result<Self, InvalidInput> {
        let invalid = |problem| InvalidInput::new("body", problem);
        check_numbers(body).map_err(invalid)?;
        let json = serde_json::to_vec(body).map_err(|_| invalid(Problem::NotSerializable))?;
        Ok(self.with_json(json.into()))
    }

    /// Sets a body that is not JSON, such as the multipart form of an upload.
    ///
    /// # Errors
    ///
    /// The content type is not a valid header value.
    pub fn body(self, content_type: &str, body: impl Into<Bytes>) -> Result<Self, InvalidInput> {
        let content_type = HeaderValue::from_str(content_type).map_err(|_| {
            InvalidInput::malformed(
                "content type",
                "is not a header value; give one like `multipart/form-data; boundary=x`",
            )
        })?;
        Ok(Self {
            content_type,
            ..self.with_json(body.into())
        })
    }

    pub(super) fn with_json(self, json: Bytes) -> Self {
        Self {
            body: Some(json),
            ..self
        }
    }

    /// Sets whether the request may be sent again after a failure that leaves open whether it
    /// arrived, in place of the default by its method.
    ///
    /// It has no effect on messages and on triggers, which reach people a second time.
    pub fn replay(self, may_replay: bool) -> Self {
        Self { may_replay, ..self }
    }

    /// Returns the HTTP request for `endpoint`, with the whole body in memory.
    ///
    /// The `Authorization` header is marked sensitive. With feature `client`, the extensions hold
    /// `tower_pace::Replay` if the request [may be replayed](Self::may_replay).
    #[must_use]
    pub fn to_http(&self, endpoint: &AppEndpoint) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::new(self.body.clone().unwrap_or_default()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = endpoint.uri(&self.path);
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, endpoint.authorization());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if self.body.is_some() {
            headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        }
        #[cfg(feature = "client")]
        {
            if self.may_replay() {
                request.extensions_mut().insert(tower_pace::Replay);
            }
            request.extensions_mut().insert(self.success());
        }
        request
    }

    /// Returns the HTTP method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the path, percent-encoded, with its query if it has one.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path without its query and with `{}` in place of values, such as
    /// `/v1/customers/{}/attributes`.
    ///
    /// It holds only words of the API and no personal data, so it suits logs and metrics.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// Returns the body, if there is one.
    #[must_use]
    pub fn content(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// Returns whether the request may be sent again after a failure that leaves open whether it
    /// arrived. It never is for messages and triggers.
    #[must_use]
    pub fn may_replay(&self) -> bool {
        self.may_replay && self.kind == Kind::Other
    }

    #[cfg(feature = "client")]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the body that a success of this request has.
    fn success(&self) -> Success {
        match self.kind {
            Kind::Message | Kind::Trigger => Success::Object,
            Kind::Other => Success::JsonOrNothing,
        }
    }

    /// Reads a response to this request, with its whole body.
    ///
    /// ```
    /// use customerio::Person;
    /// use customerio::app::{Message, Sent, Sms};
    ///
    /// let request = Sms::new("otp", &Person::id("u1")?, "+15551234567").to_request()?;
    /// let body = r#"{"delivery_id":"RPILAgABcRhIBqSp","queued_at":1700000000}"#;
    /// let response = http::Response::new(body.into());
    /// assert!(request.settle(&response).is_accepted());
    /// assert_eq!(Sent::from_response(&response).unwrap().delivery_id, "RPILAgABcRhIBqSp");
    /// # Ok::<(), customerio::InvalidInput>(())
    /// ```
    #[must_use]
    pub fn settle(&self, response: &Response<Bytes>) -> Outcome {
        match read(response, self.success()) {
            Reading::Accepted(_) => Outcome::Accepted,
            Reading::Rejected(rejection) => Outcome::Rejected(rejection),
            Reading::Unknown(cause) => Outcome::Unknown(cause),
            Reading::NotSent(cause) => Outcome::NotSent(cause),
        }
    }

    /// Returns the outcome of a request that got no response and is not sent again.
    #[must_use]
    pub fn settle_failure(&self, failure: Failure) -> Outcome {
        match failure.may_have_been_sent {
            true => Outcome::Unknown(failure.cause),
            false => Outcome::NotSent(failure.cause),
        }
    }
}

/// Returns a path in which letters, digits and `-._~` are not encoded. A server reads both forms as
/// the same path, so an encoded letter must not hide the limit or a dot segment. The query stays.
fn with_plain_letters(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut pieces = path.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let byte = piece
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let letter = byte.map(char::from).filter(|letter| {
            letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_' | '~')
        });
        match letter {
            Some(letter) => {
                plain.push(letter);
                plain.push_str(&piece[2..]);
            }
            None => {
                plain.push('%');
                plain.push_str(piece);
            }
        }
    }
    plain + query
}

fn check_path(path: &str) -> Result<(), InvalidInput> {
    check_bytes("path", path.len(), MAX_PATH)?;
    let malformed = |why| Err(InvalidInput::malformed("path", why));
    let Some(rest) = path.strip_prefix("/v1/") else {
        return malformed("does not begin with `/v1/`; give the path of the documentation");
    };
    let is_uri = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !br##""#<>\^`{|}"##.contains(&byte));
    if !is_uri {
        return malformed("contains a character that must be percent-encoded; use `app::segment`");
    }
    let segments = rest.split('?').next().unwrap_or_default().split('/');
    for segment in segments {
        if segment.is_empty() {
            return malformed("has an empty segment; is a value empty?");
        }
        check_segment("path", segment)?;
    }
    Ok(())
}

impl fmt::Debug for AppRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppRequest")
            .field("method", &self.method)
            .field("route", &self.route)
            .field("may_replay", &self.may_replay())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppCredentials;

    #[test]
    fn a_path_that_is_not_encoded_is_an_error() {
        let check = |path: &str, expected| {
            let request = AppRequest::new(Method::GET, path);
            assert_eq!(request.is_ok(), expected, "{path}");
        };
        check("/v1/exports", true);
        check("/v1/customers?email=a%2Bb%40c.co", true);
        check("/v2/exports", false);
        check("v1/exports", false);
        check("https://example.com/v1/exports", false);
        check("/v1/customers/a b", false);
        check("/v1/customers/ü/attributes", false);
        check("/v1/customers//attributes", false);
        check("/v1/customers/../exports", false);
        check("/v1/exports#a", false);
        check("/v1/exports\r\n", false);
        check(&format!("/v1/{}", "x".repeat(MAX_PATH)), false);
    }

    #[test]
    fn an_encoded_path_has_the_limit_of_the_plain_one() {
        let check = |path: &str, expected: &str, kind: Kind| {
            let request = AppRequest::new(Method::POST, path).unwrap();
            assert_eq!((request.path(), request.kind), (expected, kind), "{path}");
        };
        check("/v1/se%6ed/%65mail", "/v1/send/email", Kind::Message);
        check("/v1/se%6Ed/sms?a=%61", "/v1/send/sms?a=%61", Kind::Message);
        let triggers = "/v1/campaigns/5/triggers";
        check("/v1/campaigns/%35/%74riggers", triggers, Kind::Trigger);
        check("/v1/%7ea%2Db/%2f", "/v1/~a-b/%2f", Kind::Other);
        check("/v1/a%2/b%zz/c%", "/v1/a%2/b%zz/c%", Kind::Other);
        for hidden in [
            "/v1/customers/%2e%2E/exports",
            "/v1/customers/%2e",
            "/v1/.%2e/exports",
        ] {
            assert!(AppRequest::new(Method::GET, hidden).is_err(), "{hidden}");
        }
    }

    #[test]
    fn every_path_that_is_accepted_is_a_uri() {
        let credentials = AppCredentials::new("key").unwrap();
        let endpoint = AppEndpoint::new("https://example.com/a", credentials).unwrap();
        for letter in (0..=255_u8).map(char::from) {
            for path in [format!("/v1/{letter}x"), format!("/v1/x?{letter}")] {
                if let Ok(request) = AppRequest::new(Method::GET, &path) {
                    let uri = request.to_http(&endpoint).uri().to_string();
                    assert!(uri.starts_with("https://example.com/a/v1/"), "{uri}");
                }
            }
        }
        let longest = |bytes: usize| {
            let request = AppRequest::new(Method::GET, "/v1/x").unwrap();
            request.query("a", "x".repeat(bytes))
        };
        let longest_fits = longest(MAX_PATH - "/v1/x?a=".len()).unwrap();
        assert_eq!(longest_fits.to_http(&endpoint).uri().path(), "/a/v1/x");
        assert!(longest(MAX_PATH).is_err());
    }

    #[test]
    fn messages_and_triggers_are_never_replayed() {
        let check = |method, path: &str, expected| {
            let request = AppRequest::new(method, path).unwrap();
            assert_eq!(request.may_replay(), expected, "{path}");
            request
        };
        let _ = check(Method::GET, "/v1/exports", true);
        let _ = check(Method::DELETE, "/v1/segments/1", true);
        let search = check(Method::POST, "/v1/customers", false);
        assert!(search.replay(true).may_replay());
        let put = check(Method::PUT, "/v1/snippets", true);
        assert!(!put.replay(false).may_replay());
        let message = check(Method::POST, "/v1/send/email", false);
        assert!(!message.replay(true).may_replay());
        let trigger = check(Method::POST, "/v1/campaigns/5/triggers", false);
        assert!(!trigger.replay(true).may_replay());
    }
}
