use std::fmt;
use std::net::IpAddr;

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
#[cfg(feature = "client")]
use secrecy::zeroize::Zeroizing;

use crate::error::check_bytes;
use crate::{Credentials, InvalidInput, Region};

/// The most that a base URL takes. An `http::Uri` holds 65,534 bytes; the rest is for the path of a request.
const MAX_BASE: usize = 8_000;

/// Says where requests go, and as whom: a base URL with the credentials that may be sent there.
#[derive(Clone)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    /// What stands before `/api/..`: empty, or a path without a slash at its end.
    prefix: String,
    #[cfg_attr(
        not(feature = "client"),
        expect(
            dead_code,
            reason = "only the client tells workspaces apart and hides secrets"
        )
    )]
    credentials: Credentials,
    /// What every request carries of the credentials. Like a request, it is not wiped from memory.
    authorization: HeaderValue,
}

impl Endpoint {
    /// Returns the Track API of `region`.
    #[must_use]
    pub fn for_region(region: Region, credentials: Credentials) -> Self {
        Self::new(region.track_url(), credentials).expect("a region's URL is valid")
    }

    /// Takes a base URL such as a simulator's or a proxy's.
    ///
    /// # Errors
    ///
    /// The URL is no `http` or `https` URL, is longer than 8,000 bytes, carries a query or user name, or is `http` to a
    /// host that is not the loopback (`127.0.0.0/8`, `::1`, `localhost`): the key would be readable on the way.
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
        self.absolute(path.expect("a prefix is checked and a path encoded"))
    }

    /// Returns the URI of a path that is the same for all requests, which need not be copied for each.
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
        Uri::from_parts(parts).expect("it has all that an absolute URI needs")
    }

    /// Returns whether requests stay on this machine: the host is in `127.0.0.0/8`, `::1` or `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.authority.host())
    }

    #[cfg(feature = "client")]
    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Returns the region whose host this is, if it is one.
    #[cfg(feature = "client")]
    pub(crate) fn region(&self) -> Option<Region> {
        Region::of_host(self.authority.host())
    }

    /// Returns what tells workspaces apart: where they are, however it is written, and their site ids.
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
        "is no URL; give one like https://track.customer.io",
    )
}

fn check_transport(scheme: &Scheme, authority: &Authority) -> Result<(), InvalidInput> {
    if authority.as_str().contains('@') {
        return Err(InvalidInput::malformed(
            "base URL",
            "carries a user name; leave it out and give the credentials apart",
        ));
    }
    if *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && is_loopback(authority.host())) {
        return Ok(());
    }
    Err(InvalidInput::malformed(
        "base URL",
        "is not https and its host is not the loopback, so the API key could be read on the way; use https",
    ))
}

/// Returns whether it is a host, perhaps with a port, and no more. `http` takes a port that is none for the scheme's own.
pub(crate) fn is_host(authority: &Authority) -> bool {
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host);
    !host.is_empty()
        && (port == Some("") || authority.port_u16().is_some_and(|port| port > 0))
        && !authority.as_str().contains('@')
}

fn is_loopback(host: &str) -> bool {
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
            "carries a query; leave out what follows `?`",
        ));
    }
    Ok(path.path().trim_end_matches('/').to_owned())
}

impl fmt::Display for Endpoint {
    /// Writes the base URL; the credentials stay out.
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
    fn a_base_url_that_could_leak_the_key_is_refused() {
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
    fn what_is_no_base_url_is_refused() {
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
