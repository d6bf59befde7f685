use std::fmt;
use std::net::IpAddr;

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
#[cfg(feature = "client")]
use secrecy::zeroize::Zeroizing;

use crate::error::check_bytes;
use crate::{Credentials, InvalidInput, Region};

/// The longest base URL, in bytes. An `http::Uri` holds 65,534 bytes; the rest is for the path of a
/// request.
const MAX_BASE: usize = 8_000;

/// The address of the API: a base URL with the credentials that may be sent there.
#[derive(Clone)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    /// The path before `/api/..`: empty, or without a slash at its end.
    prefix: String,
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
        check_bytes("base URL", base_url.len(), MAX_BASE)?;
        let parts = base_url
            .parse::<Uri>()
            .map_err(|_| not_a_url())?
            .into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(not_a_url());
        };
        // Before the host is checked: "user@host" should be reported as a user name.
        check_transport(&scheme, &authority)?;
        if !is_host(&authority) {
            return Err(not_a_url());
        }
        let prefix = prefix(parts.path_and_query.as_ref())?;
        Ok(Self {
            scheme,
            authority,
            prefix,
            authorization: credentials.authorization(),
            credentials,
        })
    }

    pub(crate) fn uri(&self, path: &str) -> Uri {
        let path = format!("{}{path}", self.prefix).try_into();
        self.absolute(path.expect("the prefix was checked and the path is encoded"))
    }

    /// Returns the URI of a constant path, without a copy of the path if there is no prefix.
    pub(crate) fn fixed_uri(&self, path: &'static str) -> Uri {
        if self.prefix.is_empty() {
            self.absolute(PathAndQuery::from_static(path))
        } else {
            self.uri(path)
        }
    }

    fn absolute(&self, path: PathAndQuery) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).expect("scheme, authority and path make an absolute URI")
    }

    /// Returns whether the host is the loopback: `127.0.0.0/8`, `::1` or `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.authority.host())
    }

    #[cfg(feature = "client")]
    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Returns the region of the host, if it is one of Customer.io's.
    #[cfg(feature = "client")]
    pub(crate) fn region(&self) -> Option<Region> {
        Region::of_host(self.authority.host())
    }

    /// Returns the key of the workspace: the normalized base URL and the site id. Clients of one
    /// workspace share a rate limiter by it.
    #[cfg(feature = "client")]
    pub(crate) fn workspace(&self) -> String {
        let host = self.authority.host().to_ascii_lowercase();
        let usual = if self.is_https() { 443 } else { 80 };
        let port = self.authority.port_u16().unwrap_or(usual);
        format!(
            "{}://{host}:{port}{} {}",
            self.scheme,
            self.prefix,
            self.credentials.site_id()
        )
    }

    #[cfg(feature = "client")]
    pub(crate) fn secrets(&self) -> [Zeroizing<String>; 3] {
        self.credentials.secrets()
    }

    pub(crate) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }
}

fn not_a_url() -> InvalidInput {
    InvalidInput::malformed(
        "base URL",
        "is not a URL; give one like https://track.customer.io",
    )
}

fn check_transport(scheme: &Scheme, authority: &Authority) -> Result<(), InvalidInput> {
    if authority.as_str().contains('@') {
        return Err(InvalidInput::malformed(
            "base URL",
            "contains a user name; remove it, and give the credentials separately",
        ));
    }
    if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && is_loopback(authority.host())) {
        return Ok(());
    }
    Err(InvalidInput::malformed(
        "base URL",
        "is not https and its host is not the loopback, so others could read the API key; use \
         https",
    ))
}

/// Returns whether an authority is a host with a valid port or none. `http` reads an invalid port
/// as the default port of the scheme.
pub(crate) fn is_host(authority: &Authority) -> bool {
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host);
    !host.is_empty()
        && (port == Some("") || authority.port_u16().is_some_and(|port| port > 0))
        && !authority.as_str().contains('@')
}

fn is_loopback(host: &str) -> bool {
    // An IPv6 address has brackets in a URL.
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn prefix(path: Option<&PathAndQuery>) -> Result<String, InvalidInput> {
    let Some(path) = path else {
        return Ok(String::new());
    };
    if path.query().is_some() {
        return Err(InvalidInput::malformed(
            "base URL",
            "contains a query; remove `?` and the text after it",
        ));
    }
    Ok(path.path().trim_end_matches('/').to_owned())
}

impl fmt::Display for Endpoint {
    /// Writes the base URL, without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
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
