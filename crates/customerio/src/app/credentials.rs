use std::{env, fmt};

use http::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::InvalidInput;
use crate::credentials::{check_printable, variable};

pub(crate) const APP_API_KEY: &str = "CUSTOMERIO_APP_API_KEY";

/// The App API key of one workspace.
///
/// There is no `Display` and no `Serialize`, and `Debug` does not show the key. It is erased from
/// memory on drop.
///
/// ```
/// use customerio::app::AppCredentials;
/// let credentials = AppCredentials::new("top-secret")?;
/// assert!(!format!("{credentials:?}").contains("top-secret"));
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone)]
pub struct AppCredentials {
    key: SecretString,
}

impl AppCredentials {
    /// Creates credentials from an App API key.
    ///
    /// # Errors
    ///
    /// The key is empty, or contains a character other than visible ASCII.
    pub fn new(key: impl Into<SecretString>) -> Result<Self, InvalidInput> {
        let key = key.into();
        check_printable("App API key", key.expose_secret())?;
        let is_visible = key.expose_secret().bytes().all(|b| b.is_ascii_graphic());
        if key.expose_secret().is_empty() || !is_visible {
            return Err(InvalidInput::malformed(
                "App API key",
                "is empty or contains a space or a letter outside of ASCII; \
                 copy it from the workspace's API credentials",
            ));
        }
        Ok(Self { key })
    }

    /// Reads `CUSTOMERIO_APP_API_KEY` from the environment.
    ///
    /// # Errors
    ///
    /// The variable is not set, is empty or is not Unicode.
    pub fn from_env() -> Result<Self, InvalidInput> {
        Self::new(variable(APP_API_KEY, |name| env::var(name).ok())?)
    }

    /// Reads the variable as [`from_env`](Self::from_env) does. Returns `None` if it is not set.
    #[cfg(feature = "client")]
    pub(crate) fn optional(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, InvalidInput> {
        let key = lookup(APP_API_KEY).filter(|key| !key.is_empty());
        key.map(Self::new).transpose()
    }

    /// Returns the `Authorization` header, marked sensitive.
    pub(crate) fn authorization(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.key.expose_secret()));
        let mut header = HeaderValue::from_str(&text).expect("the key is visible ASCII");
        header.set_sensitive(true);
        header
    }

    /// Returns the text to redact.
    #[cfg(feature = "client")]
    pub(crate) fn secret(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.expose_secret().to_owned())
    }

    /// Returns a hash of the key, by which clients of one workspace share their limits.
    #[cfg(feature = "client")]
    pub(crate) fn digest(&self) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        Sha256::digest(self.key.expose_secret()).into()
    }
}

impl fmt::Debug for AppCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppCredentials([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_sensitive_and_a_key_that_it_cannot_carry_is_an_error() {
        let header = AppCredentials::new("key").unwrap().authorization();
        assert_eq!(header, "Bearer key");
        assert!(header.is_sensitive());
        for key in ["", "a b", "key\n", "schlüssel"] {
            assert!(AppCredentials::new(key).is_err(), "{key:?}");
        }
    }
}
