use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use pacing::retry::RetryPolicy;
use rand::RngExt;

use crate::random;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header field by which a server recognizes a request that it has already processed:
/// `Idempotency-Key`, of the IETF's draft, Stripe and many others.
///
/// A layer with this setting takes each request with such a key as safe to replay. Then a 409
/// means that the server still processes an earlier attempt, and the request is sent again. A 422
/// says that the key belongs to another request, and is returned.
///
/// ```
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_pace::retry::IdempotencyKeys;
/// use tower_pace::{RetryLayer, RetryPolicy};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let retry = RetryLayer::new(RetryPolicy::default());
/// let retry = retry.idempotency_keys(IdempotencyKeys::generated());
/// # let client = service_fn(|request: http::Request<String>| async move {
/// #     let is_first = request.extensions().get::<tower_pace::Attempt>().is_none();
/// #     let response = http::Response::builder().status(if is_first { 503 } else { 200 });
/// #     let response = response.header("key", &request.headers()["idempotency-key"]);
/// #     Ok::<_, std::convert::Infallible>(response.body(String::new()).unwrap())
/// # });
/// let post = http::Request::post("/charges").body(String::new()).unwrap();
/// let response = retry.layer(client).oneshot(post).await.unwrap();
/// assert_eq!(response.status(), 200, "after a 503, which an unmarked POST does not survive");
/// # assert_eq!(response.headers()["key"].len(), 36);
/// # }
/// ```
///
/// Use it only with a server that keeps keys, for as long as a call may last with all its attempts.
///
/// The layer clones a request with its key, so all attempts have the same one. Another call of the
/// service is another request, with another key. A caller that makes several calls for one effect
/// sets the key itself.
#[derive(Clone)]
pub struct IdempotencyKeys {
    header: HeaderName,
    is_quoted: bool,
    /// Makes 128 random bits. `None` if the layer makes no keys.
    random: Option<Random>,
}

/// The lock is held for one call of the generator, outside of any other lock.
type Random = Arc<Mutex<dyn FnMut() -> u128 + Send>>;

impl IdempotencyKeys {
    /// Takes the keys that the caller sets, and makes none.
    #[must_use]
    pub fn of_requests() -> Self {
        Self {
            header: IDEMPOTENCY_KEY,
            is_quoted: false,
            random: None,
        }
    }

    /// Makes a key for each request that has none and whose method is not safe to replay: for POST
    /// and PATCH, by default. The key is a random UUID of version 4.
    ///
    /// The system seeds the generator once. A call of `fork` copies it, so that both processes
    /// would make the same keys.
    ///
    /// # Panics
    ///
    /// Panics if the system has no randomness: a constant seed would give the same keys to the
    /// requests of different processes, and the server would drop all but the first.
    #[must_use]
    pub fn generated() -> Self {
        let mut rng = random::try_seeded_by_system().expect("the system has randomness");
        Self::generated_by(move || rng.random())
    }

    /// The same with 128 random bits of `random` for each key.
    ///
    /// They must not come again, in this process or another one with the same account: the server
    /// would take the second request for a replay of the first. A constant seed is for tests.
    #[must_use]
    pub fn generated_by(random: impl FnMut() -> u128 + Send + 'static) -> Self {
        Self {
            random: Some(Arc::new(Mutex::new(random))),
            ..Self::of_requests()
        }
    }

    /// Sets another name of the header field, such as `PayPal-Request-Id`.
    #[must_use]
    pub fn header(self, header: HeaderName) -> Self {
        Self { header, ..self }
    }

    /// Puts the keys that are made in quotation marks, as a structured field (RFC 9651) has them.
    /// The IETF's draft demands it; most servers expect a key without them.
    #[must_use]
    pub fn quoted(self) -> Self {
        Self {
            is_quoted: true,
            ..self
        }
    }

    /// Adds a key to a request, if it needs one.
    pub(super) fn add_to<B>(&self, request: &mut Request<B>, policy: &RetryPolicy) {
        let Some(random) = &self.random else { return };
        let is_safe = policy.may_replay(request.method().as_str());
        if !is_safe && !has_value(request.headers(), &self.header) {
            // A generator that panics leaves it as it was, so a poisoned lock hides no damage.
            let bits = random.lock().unwrap_or_else(PoisonError::into_inner)();
            request
                .headers_mut()
                .insert(&self.header, key(bits, self.is_quoted));
        }
    }
}

/// Returns whether a request has a key, in the header field of `keys` or in the usual one.
pub(super) fn has_key(headers: &HeaderMap, keys: Option<&IdempotencyKeys>) -> bool {
    has_value(headers, keys.map_or(&IDEMPOTENCY_KEY, |keys| &keys.header))
}

/// Returns whether a field has a value. A server may take an empty key for none.
fn has_value(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get(name).is_some_and(|value| !value.is_empty())
}

/// Returns a UUID of version 4 (RFC 9562, section 5.4) with these random bits.
fn key(bits: u128, is_quoted: bool) -> HeaderValue {
    let bits = bits & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    let quote = if is_quoted { "\"" } else { "" };
    let key = format!("{quote}{a}-{b}-{c}-{d}-{e}{quote}");
    HeaderValue::try_from(key).expect("hexadecimal digits are a header value")
}

impl fmt::Debug for IdempotencyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyKeys")
            .field("header", &self.header)
            .field("is_quoted", &self.is_quoted)
            .field("is_generated", &self.random.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_uuid_of_version_4() {
        assert_eq!(key(0, false), "00000000-0000-4000-8000-000000000000");
        assert_eq!(
            key(u128::MAX, false),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        let bits = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
        assert_eq!(key(bits, true), "\"01234567-89ab-4def-bedc-ba9876543210\"");
    }

    #[test]
    fn a_key_is_made_only_for_a_request_that_needs_one() {
        fn check(keys: &IdempotencyKeys, mut request: Request<()>, expected: Option<&str>) {
            keys.add_to(&mut request, &RetryPolicy::default());
            let key = request.headers().get(&keys.header);
            assert_eq!(key.map(|key| key.to_str().unwrap()), expected, "{keys:?}");
        }
        let request = |method: &str| Request::builder().method(method).uri("/");
        let bare = |method| request(method).body(()).unwrap();
        let zero = Some("00000000-0000-4000-8000-000000000000");
        let keys = IdempotencyKeys::generated_by(|| 0);
        check(&keys, bare("POST"), zero);
        check(&keys, bare("PATCH"), zero);
        check(&keys, bare("GET"), None);
        check(&keys, bare("PUT"), None);
        let keyed = request("POST").header("idempotency-key", "own");
        check(&keys, keyed.body(()).unwrap(), Some("own"));
        check(&IdempotencyKeys::of_requests(), bare("POST"), None);
        let named = keys.header(HeaderName::from_static("paypal-request-id"));
        check(&named, bare("POST"), zero);
    }

    #[test]
    fn two_generated_keys_differ() {
        let made = || {
            let keys = IdempotencyKeys::generated();
            let key = || {
                let mut request = Request::post("/").body(()).unwrap();
                keys.add_to(&mut request, &RetryPolicy::default());
                request.headers()["idempotency-key"].clone()
            };
            [key(), key()]
        };
        let [[a, b], [c, d]] = [made(), made()];
        assert!(a != b && a != c && a != d && b != c && b != d && c != d);
    }
}
