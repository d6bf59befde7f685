use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

use super::headers::SignatureHeaders;
use super::{SignatureError, SigningKey};

/// Verifies the signature of a request, with one signing key or several.
///
/// ```
/// use customerio::webhooks::{SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, Verifier};
/// use http::{HeaderMap, HeaderValue};
///
/// let verifier = Verifier::new(SigningKey::new("secret")?); // or `SigningKey::from_env()`
/// let mut headers = HeaderMap::new();
/// headers.insert(TIMESTAMP_HEADER, HeaderValue::from_static("1700000000"));
/// headers.insert(SIGNATURE_HEADER, HeaderValue::from_static(
///     "7d06e4dcbb54167f0033658ac8c45abe35b1fa257ff38a448e290762b595f902",
/// ));
/// assert!(verifier.verify(&headers, br#"{"a":1}"#).is_ok());
/// assert!(verifier.verify(&headers, br#"{"a":2}"#).unwrap_err().is_mismatch());
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// `verify` takes the bytes of the body as they were received. The bytes of JSON that was parsed
/// and written again differ.
///
/// # Rotation of keys
///
/// No header names the key. While Customer.io may still use the previous one, give both:
///
/// ```
/// use customerio::webhooks::{SigningKey, Verifier};
/// # fn verifier() -> Result<Verifier, customerio::InvalidInput> {
/// let verifier = Verifier::new(SigningKey::from_env()?)
///     .also(SigningKey::from_env_var("PREVIOUS_SIGNING_KEY")?);
/// # Ok(verifier)
/// # }
/// # let _ = verifier();
/// ```
///
/// [`Verified::key_index`] shows which key a request was signed with.
///
/// # Constant time
///
/// Signatures are compared in constant time, and each key is tried for each request. The time
/// depends only on the length of the body and the number of keys.
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<SigningKey>,
}

impl Verifier {
    /// Creates a verifier with one key.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self { keys: vec![key] }
    }

    /// Adds a key: a request is valid if it is signed with any of the keys.
    ///
    /// Each key takes the time of one more SHA-256 over the body.
    #[must_use]
    pub fn also(mut self, key: SigningKey) -> Self {
        self.keys.push(key);
        self
    }

    /// Verifies the signature in the headers over the bytes of the body.
    ///
    /// A timestamp of any age is valid, since it is not documented that a retry is signed anew, and
    /// retries continue for seven days. [`Verified::check_age`] bounds the age. A repeated request
    /// is recognized by the id of its [event](super::WebhookEvent::event_id).
    ///
    /// # Errors
    ///
    /// A header is absent, repeated or malformed, or no key matches.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<Verified, SignatureError> {
        self.verify_body(&SignatureHeaders::from_map(headers)?, body)
    }

    /// Verifies the values of the two headers over the bytes of the body: for servers whose headers
    /// are no [`HeaderMap`].
    ///
    /// # Errors
    ///
    /// A value is malformed, or no key matches.
    pub fn verify_values(
        &self,
        timestamp: impl AsRef<[u8]>,
        signature: impl AsRef<[u8]>,
        body: &[u8],
    ) -> Result<Verified, SignatureError> {
        let headers = SignatureHeaders::from_values(timestamp.as_ref(), signature.as_ref())?;
        self.verify_body(&headers, body)
    }

    pub(super) fn verify_body(
        &self,
        headers: &SignatureHeaders,
        body: &[u8],
    ) -> Result<Verified, SignatureError> {
        let mut matching = None;
        // Each key is tried: a loop that ends at the first match would show by its time which key
        // is in use.
        for (key_index, key) in self.keys.iter().enumerate() {
            if key.matches(&headers.signature, &headers.timestamp, body) {
                matching.get_or_insert(key_index);
            }
        }
        let verified = |key_index| Verified {
            key_index,
            timestamp: headers.seconds,
        };
        matching
            .map(verified)
            .ok_or_else(|| SignatureError::mismatch(self.keys.len()))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("keys", &self.keys.len())
            .finish()
    }
}

/// The proof that a signature was verified.
///
/// Only [`Verifier`] creates it. [`VerifyLayer`](super::VerifyLayer) adds it to the extensions of
/// each request that it passes on, so that a handler can require it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    key_index: usize,
    timestamp: u64,
}

impl Verified {
    /// Returns the index of the key: 0 is the key of [`Verifier::new`], 1 the first of
    /// [`Verifier::also`].
    #[must_use]
    pub const fn key_index(&self) -> usize {
        self.key_index
    }

    /// Returns the time of the signature, in unix seconds.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// Checks that the signature was made at most `max_age` before or after `now`.
    ///
    /// A captured request can be sent again within `max_age`, so an application that must not act
    /// twice keeps the ids of events in any case. A `max_age` under seven days may reject retries
    /// that still have the timestamp of the first attempt.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use customerio::webhooks::{SigningKey, Verifier};
    ///
    /// let key = SigningKey::new("secret")?;
    /// let signature = key.sign(1_700_000_000, "{}");
    /// let verified = Verifier::new(key).verify_values("1700000000", signature, b"{}").unwrap();
    ///
    /// let now = UNIX_EPOCH + Duration::from_secs(1_700_000_300); // or `SystemTime::now()`
    /// assert!(verified.check_age(now, Duration::from_secs(300)).is_ok());
    /// assert!(verified.check_age(now, Duration::from_secs(299)).unwrap_err().is_stale());
    /// # Ok::<(), customerio::InvalidInput>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The signature is older, or further in the future.
    pub fn check_age(&self, now: SystemTime, max_age: Duration) -> Result<(), SignatureError> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        // The header has whole seconds, so a fraction of the current second is no age.
        let age = now.as_secs().abs_diff(self.timestamp);
        match Duration::from_secs(age) <= max_age {
            true => Ok(()),
            false => Err(SignatureError::stale(max_age)),
        }
    }
}
