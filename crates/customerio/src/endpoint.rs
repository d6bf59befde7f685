use std::fmt;

use http::{HeaderValue, Uri};
#[cfg(feature = "client")]
use secrecy::zeroize::Zeroizing;

use crate::base_url::BaseUrl;
use crate::{Credentials, InvalidInput, Region};

/// The address of the Track API: a base URL with the credentials that may be sent there.
#[derive(Clone)]
pub struct Endpoint {
    base_url: BaseUrl,
    #[cfg_attr(
        not(feature = "client"),
        expect(dead_code, reason = "only the client needs workspaces and secrets")
    )]
    credentials: Credentials,
    /// The header of each request. Like a request, it is not erased from memory.
    authorization: HeaderValue,
}

impl Endpoint {
    /// Creates the endpoint of a region's Track API.
    #[must_use]
    pub fn for_region(region: Region, credentials: Credentials) -> Self {
        Self::new(region.track_url(), credentials).expect("a region's URL is valid")
    }

    /// Creates an endpoint from a base URL, such as that of a simulator or a proxy.
    ///
    /// # Errors
    ///
    /// - The URL is invalid, or its scheme is not `http` or `https`.
    /// - It is longer than 8,000 bytes, or has a query or a user name.
    /// - It is `http` to a host other than the loopback (`127.0.0.0/8`, `::1`, `localhost`). Others
    ///   on the network could read the API key.
    ///
    /// ```
    /// use customerio::{Credentials, Endpoint};
    /// let credentials = Credentials::new("site", "key")?;
    /// assert!(Endpoint::new("http://127.0.0.1:8080", credentials.clone()).is_ok());
    /// assert!(Endpoint::new("http://example.com", credentials).is_err());
    /// # Ok::<(), customerio::InvalidInput>(())
    /// ```
    pub fn new(base_url: &str, credentials: Credentials) -> Result<Self, InvalidInput> {
        Ok(Self {
            base_url: BaseUrl::new(base_url)?,
            authorization: credentials.authorization(),
            credentials,
        })
    }

    pub(crate) fn uri(&self, path: &str) -> Uri {
        self.base_url.uri(path)
    }

    /// Returns the URI of a constant path, without a copy of the path if there is no prefix.
    pub(crate) fn fixed_uri(&self, path: &'static str) -> Uri {
        self.base_url.fixed_uri(path)
    }

    /// Returns whether the host is the loopback: `127.0.0.0/8`, `::1` or `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.base_url.is_loopback()
    }

    #[cfg(feature = "client")]
    pub(crate) fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// Returns the region of the host, if it is one of Customer.io's.
    #[cfg(feature = "client")]
    pub(crate) fn region(&self) -> Option<Region> {
        self.base_url.region()
    }

    /// Returns the key of the workspace: the normalized base URL and the site id. Clients of one
    /// workspace share a rate limiter by it.
    #[cfg(feature = "client")]
    pub(crate) fn workspace(&self) -> String {
        let base_url = self.base_url.normalized();
        format!("{base_url} {}", self.credentials.site_id())
    }

    #[cfg(feature = "spool")]
    pub(crate) fn site_id(&self) -> &str {
        self.credentials.site_id()
    }

    #[cfg(feature = "client")]
    pub(crate) fn secrets(&self) -> [Zeroizing<String>; 3] {
        self.credentials.secrets()
    }

    pub(crate) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }
}

impl fmt::Display for Endpoint {
    /// Writes the base URL, without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base_url.fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, expected: Option<&str>) {
        let endpoint = Endpoint::new(base, Credentials::new("s", "k").unwrap());
        let uri = endpoint
            .ok()
            .map(|endpoint| endpoint.fixed_uri("/api/v2/entity").to_string());
        assert_eq!(uri.as_deref(), expected, "{base}");
    }

    #[test]
    fn a_base_url_is_https_or_the_loopback() {
        check(
            "https://example.com",
            Some("https://example.com/api/v2/entity"),
        );
        check(
            "https://example.com/",
            Some("https://example.com/api/v2/entity"),
        );
        check(
            "https://example.com/a/b/",
            Some("https://example.com/a/b/api/v2/entity"),
        );
        check(
            "http://127.0.0.1:1",
            Some("http://127.0.0.1:1/api/v2/entity"),
        );
        check("http://127.8.9.10", Some("http://127.8.9.10/api/v2/entity"));
        check("http://[::1]:80", Some("http://[::1]:80/api/v2/entity"));
        check("http://LOCALHOST", Some("http://LOCALHOST/api/v2/entity"));
    }

    #[test]
    fn a_base_url_that_could_leak_the_key_is_an_error() {
        check("http://example.com", None);
        check("http://127.0.0.1.example.com", None);
        check("http://localhost.example.com", None);
        check("http://127.0.0.1@example.com", None);
        check("https://user@example.com", None);
        check("http://[::2]", None);
        check("http://0.0.0.0", None);
        check("ftp://127.0.0.1", None);
    }

    #[cfg(feature = "client")]
    #[test]
    fn a_workspace_is_the_same_however_its_url_is_written() {
        let workspace = |base| {
            let endpoint = Endpoint::new(base, Credentials::new("s", "k").unwrap());
            endpoint.unwrap().workspace()
        };
        let plain = workspace("https://example.com");
        for same in ["https://EXAMPLE.com/", "https://example.com:443"] {
            assert_eq!(workspace(same), plain, "{same}");
        }
        for other in ["https://example.com:444", "https://example.com/a"] {
            assert_ne!(workspace(other), plain, "{other}");
        }
        assert_ne!(
            workspace("http://localhost:443"),
            workspace("https://localhost")
        );
        assert_eq!(
            workspace("http://localhost:80"),
            workspace("http://localhost")
        );
    }

    #[test]
    fn an_invalid_base_url_is_an_error() {
        check("", None);
        check("example.com", None);
        check("/api", None);
        check("https://example.com?a=b", None);
        check("https://example.com:99999", None);
        check("https://example.com:", None);
        check("https://:443", None);
        check(&format!("https://example.com/{}", "x".repeat(8_000)), None);
    }
}
