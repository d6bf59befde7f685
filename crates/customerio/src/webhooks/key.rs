use std::{env, fmt};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::InvalidInput;
use crate::credentials::check_printable;
use crate::error::Problem;

const SIGNING_KEY: &str = "CUSTOMERIO_WEBHOOK_SIGNING_KEY";

/// The secret key with which Customer.io signs the requests of one webhook.
///
/// The webhook's page in Customer.io shows it. There is no `Display` and no `Serialize`, `Debug`
/// shows nothing of the key, and the key is erased from memory on drop.
///
/// ```
/// use customerio::webhooks::SigningKey;
/// let key = SigningKey::new("top-secret")?;
/// assert!(!format!("{key:?}").contains("top-secret"));
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone)]
pub struct SigningKey(SecretString);

impl SigningKey {
    /// Creates a key from the text that Customer.io shows.
    ///
    /// # Errors
    ///
    /// The text is empty or contains a control character, such as the line end of a file.
    pub fn new(key: impl Into<SecretString>) -> Result<Self, InvalidInput> {
        let key = key.into();
        if key.expose_secret().is_empty() {
            return Err(InvalidInput::malformed(
                "webhook signing key",
                "is empty; copy it from the webhook's page in Customer.io",
            ));
        }
        // HMAC pads a short key with NUL: a key and the same key with a NUL are one key.
        check_printable("webhook signing key", key.expose_secret())?;
        Ok(Self(key))
    }

    /// Reads `CUSTOMERIO_WEBHOOK_SIGNING_KEY` from the environment.
    ///
    /// # Errors
    ///
    /// The variable is not set, is empty, is not Unicode or contains a control character.
    pub fn from_env() -> Result<Self, InvalidInput> {
        Self::from_env_var(SIGNING_KEY)
    }

    /// Reads another variable of the environment: for the previous key, or for a second webhook.
    ///
    /// # Errors
    ///
    /// The variable is not set, is empty, is not Unicode or contains a control character. The error
    /// names the variable.
    pub fn from_env_var(name: &str) -> Result<Self, InvalidInput> {
        Self::from_lookup(name, |name| env::var(name).ok())
    }

    fn from_lookup(
        name: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidInput> {
        let key = lookup(name).filter(|key| !key.is_empty()).ok_or_else(|| {
            InvalidInput::new(
                name.to_owned(),
                Problem::Malformed(
                    "is not set in the environment; set it to the webhook's signing key",
                ),
            )
        })?;
        Self::new(key)
    }

    /// Returns the signature of a body: the value of the header `x-cio-signature`.
    ///
    /// `timestamp` is the value of the header `x-cio-timestamp`, in unix seconds. Use it to test
    /// your own handler.
    ///
    /// ```
    /// use customerio::webhooks::SigningKey;
    /// let signature = SigningKey::new("secret")?.sign(1_700_000_000, br#"{"a":1}"#);
    /// assert_eq!(signature, "7d06e4dcbb54167f0033658ac8c45abe35b1fa257ff38a448e290762b595f902");
    /// # Ok::<(), customerio::InvalidInput>(())
    /// ```
    #[must_use]
    pub fn sign(&self, timestamp: u64, body: impl AsRef<[u8]>) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mac = self.mac(&timestamp.to_string(), body.as_ref()).finalize();
        let digits = mac.as_bytes().iter().flat_map(|&byte| {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            [char::from(DIGITS[high]), char::from(DIGITS[low])]
        });
        digits.collect()
    }

    /// Returns whether the signature is that of the body. Takes the same time for each signature.
    pub(super) fn matches(&self, signature: &[u8], timestamp: &str, body: &[u8]) -> bool {
        self.mac(timestamp, body).verify_slice(signature).is_ok()
    }

    fn mac(&self, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let key = self.0.expose_secret().as_bytes();
        Hmac::new_from_slice(key)
            .expect("HMAC has no limit on the length of a key")
            .chain_update(b"v0:")
            .chain_update(timestamp)
            .chain_update(b":")
            .chain_update(body)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_missing_in_the_environment_is_an_error_that_names_the_variable() {
        for missing in [None, Some("")] {
            let lookup = |_: &str| missing.map(str::to_owned);
            let error = SigningKey::from_lookup(SIGNING_KEY, lookup).unwrap_err();
            assert_eq!(error.field(), SIGNING_KEY);
            let error = SigningKey::from_lookup("PREVIOUS_KEY", lookup).unwrap_err();
            assert_eq!(error.field(), "PREVIOUS_KEY");
        }
    }

    #[test]
    fn a_key_is_read_from_its_variable() {
        let key = SigningKey::from_lookup("A", |name| Some(name.to_lowercase())).unwrap();
        assert_eq!(key.sign(1, ""), SigningKey::new("a").unwrap().sign(1, ""));
    }

    #[test]
    fn a_key_that_is_empty_or_has_a_control_character_is_an_error() {
        for key in ["", "secret\n", "secret\0", "\tsecret"] {
            assert!(SigningKey::new(key).is_err(), "{key:?}");
        }
    }
}
