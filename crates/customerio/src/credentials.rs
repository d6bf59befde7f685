use std::{env, fmt};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::InvalidInput;

const SITE_ID: &str = "CUSTOMERIO_SITE_ID";
const API_KEY: &str = "CUSTOMERIO_TRACK_API_KEY";

/// The site id and the Track API key of one workspace.
///
/// There is no `Display` and no `Serialize`, and `Debug` shows neither part. The key is erased from
/// memory on drop.
///
/// ```
/// use customerio::Credentials;
/// let credentials = Credentials::new("site", "top-secret")?;
/// assert!(!format!("{credentials:?}").contains("top-secret"));
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone)]
pub struct Credentials {
    site_id: String,
    api_key: SecretString,
}

impl Credentials {
    /// Creates credentials from a site id and a Track API key.
    ///
    /// # Errors
    ///
    /// Either is empty or contains a control character, or the site id contains `:`, which HTTP
    /// Basic cannot carry (RFC 7617, section 2).
    pub fn new(
        site_id: impl Into<String>,
        api_key: impl Into<SecretString>,
    ) -> Result<Self, InvalidInput> {
        let (site_id, api_key) = (site_id.into(), api_key.into());
        if site_id.is_empty() || site_id.contains(':') {
            return Err(InvalidInput::malformed(
                "site id",
                "is empty or contains `:`; copy it from the workspace's API credentials",
            ));
        }
        if api_key.expose_secret().is_empty() {
            return Err(InvalidInput::malformed(
                "Track API key",
                "is empty; copy it from the workspace's API credentials",
            ));
        }
        check_printable("site id", &site_id)?;
        check_printable("Track API key", api_key.expose_secret())?;
        Ok(Self { site_id, api_key })
    }

    /// Reads `CUSTOMERIO_SITE_ID` and `CUSTOMERIO_TRACK_API_KEY` from the environment.
    ///
    /// # Errors
    ///
    /// A variable is not set, is empty or is not Unicode.
    pub fn from_env() -> Result<Self, InvalidInput> {
        Self::from_lookup(|name| env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidInput> {
        let variable = |name| {
            lookup(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| {
                    InvalidInput::malformed(
                        name,
                        "is not set in the environment; set it to the workspace's value",
                    )
                })
        };
        Self::new(variable(SITE_ID)?, variable(API_KEY)?)
    }

    /// Returns the site id, which identifies the workspace.
    #[must_use]
    pub fn site_id(&self) -> &str {
        &self.site_id
    }

    /// Returns the `Authorization` header, marked sensitive.
    pub(crate) fn authorization(&self) -> HeaderValue {
        let encoded = Zeroizing::new(format!("Basic {}", *self.encoded()));
        let mut header = HeaderValue::from_str(&encoded).expect("base64 is visible ASCII");
        header.set_sensitive(true);
        header
    }

    /// Returns the texts to redact: the pair as HTTP Basic encodes it, the key and the site id.
    ///
    /// The pair has no padding, since a page may escape `=`.
    #[cfg(feature = "client")]
    pub(crate) fn secrets(&self) -> [Zeroizing<String>; 3] {
        let pair = Zeroizing::new(self.encoded().trim_end_matches('=').to_owned());
        let key = Zeroizing::new(self.api_key.expose_secret().to_owned());
        [pair, key, Zeroizing::new(self.site_id.clone())]
    }

    fn encoded(&self) -> Zeroizing<String> {
        let pair = Zeroizing::new(format!("{}:{}", self.site_id, self.api_key.expose_secret()));
        Zeroizing::new(STANDARD.encode(pair.as_bytes()))
    }
}

/// Rejects control characters, such as the line end of a file with a secret. The API would only
/// answer that the credentials are wrong.
pub(crate) fn check_printable(field: &'static str, text: &str) -> Result<(), InvalidInput> {
    if text.contains(char::is_control) {
        return Err(InvalidInput::malformed(
            field,
            "contains a control character, such as the line end of a file; remove it",
        ));
    }
    Ok(())
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_gives_both_parts_or_the_error_names_the_missing_one() {
        let credentials = Credentials::from_lookup(|name| Some(name.to_lowercase())).unwrap();
        assert_eq!(credentials.site_id(), "customerio_site_id");
        let missing =
            Credentials::from_lookup(|name| (name == SITE_ID).then(|| "s".into())).unwrap_err();
        assert_eq!(missing.field(), API_KEY);
    }

    #[test]
    fn authorization_is_standard_base64_and_sensitive() {
        let header = Credentials::new("site", "key").unwrap().authorization();
        assert_eq!(header, "Basic c2l0ZTprZXk=");
        assert!(header.is_sensitive());
    }

    #[test]
    fn credentials_that_basic_cannot_carry_are_errors() {
        for (site, key) in [
            ("", "k"),
            ("a:b", "k"),
            ("s", ""),
            ("s\r\n", "k"),
            ("s", "k\n"),
        ] {
            assert!(Credentials::new(site, key).is_err(), "{site:?} {key:?}");
        }
    }
}
