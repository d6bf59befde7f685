use std::fmt;
use std::net::IpAddr;

use http::Uri;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};

use crate::InvalidInput;
#[cfg(feature = "client")]
use crate::Region;
use crate::error::check_bytes;

/// The longest base URL, in bytes. An `http::Uri` holds 65,534 bytes; the rest is for the path of a
/// request.
const MAX_BASE: usize = 8_000;

/// The base URL of an API: https, or http to the loopback.
#[derive(Clone)]
pub(crate) struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// The path before `/api/..` or `/v1/..`: empty, or without a slash at its end.
    prefix: String,
}

impl BaseUrl {
    pub(crate) fn new(base_url: &str) -> Result<Self, InvalidInput> {
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
        })
    }

    /// Returns the URI of a path that is percent-encoded.
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
    pub(crate) fn is_loopback(&self) -> bool {
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

    /// Returns the URL in its normal form, so that two spellings of one address are equal.
    #[cfg(feature = "client")]
    pub(crate) fn normalized(&self) -> String {
        let host = self.authority.host().to_ascii_lowercase();
        let usual = if self.is_https() { 443 } else { 80 };
        let port = self.authority.port_u16().unwrap_or(usual);
        format!("{}://{host}:{port}{}", self.scheme, self.prefix)
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

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}
