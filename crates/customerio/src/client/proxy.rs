use std::ffi::OsString;
use std::{env, fmt};

use http::uri::Scheme;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;

use crate::InvalidInput;
use crate::base_url::is_host;

/// The variables that name a proxy, in order of precedence. As for curl, but without `http_proxy`:
/// plain http is sent to the loopback only.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// The variables that name hosts without a proxy, in order of precedence.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// An HTTP proxy, through which a client opens tunnels (`CONNECT`, RFC 9110, section 9.3.6).
///
/// TLS goes through the tunnel and ends at the API. The proxy sees the API's host and the amount of
/// data, but not the API key or a person's data. `Debug` leaves out user and password.
///
/// ```
/// use customerio::client::Proxy;
///
/// let proxy = Proxy::new("http://user:top-secret@proxy.example.com:3128")?;
/// assert_eq!(format!("{proxy:?}"), "Proxy(http://proxy.example.com:3128/)");
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    uri: Uri,
    /// Marked sensitive.
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Creates a proxy from a URL such as `http://user:password@proxy.example.com:3128`. The
    /// default port is 80. User and password are percent-decoded.
    ///
    /// # Errors
    ///
    /// The URL is invalid, its scheme is not `http`, or user or password contain an `@` that is not
    /// percent-encoded. Proxies over TLS and SOCKS are not supported.
    pub fn new(url: &str) -> Result<Self, InvalidInput> {
        Self::named("proxy", url)
    }

    fn named(field: &'static str, url: &str) -> Result<Self, InvalidInput> {
        let any_host = Uri::from_static("https://example.com");
        // The matcher parses the URL; with no exceptions it matches any host.
        let found = Matcher::builder().https(url).build().intercept(&any_host);
        let found = found.filter(|found| is_usable(found.uri()));
        let found = found.ok_or_else(|| {
            InvalidInput::malformed(
                field,
                "is not a proxy that can be used; \
                 give a URL like http://proxy.example.com:3128, and percent-encode user and \
                 password",
            )
        })?;
        Ok(Self {
            uri: found.uri().clone(),
            authorization: found.basic_auth().cloned(),
        })
    }

    fn from_variables(
        variable: impl Fn(&str) -> Option<OsString>,
        to: &Uri,
    ) -> Result<Option<Self>, InvalidInput> {
        let first = |names: &[&'static str]| {
            let set = names
                .iter()
                .filter_map(|name| Some((*name, variable(name)?)));
            let mut set = set.map(|(name, value)| (name, value.to_string_lossy().into_owned()));
            set.find(|(_, value)| !value.is_empty())
        };
        let Some((name, url)) = first(&PROXIES) else {
            return Ok(None);
        };
        // Even if the host is an exception: a wrong variable is an error now, not with the next
        // host.
        let proxy = Self::named(name, &url)?;
        let exceptions = first(&EXCEPTIONS).map_or_else(String::new, |(_, hosts)| hosts);
        let matcher = Matcher::builder().https(url).no(exceptions).build();
        Ok(matcher.intercept(to).map(|_| proxy))
    }

    pub(super) fn tunnel<C>(self, connector: C) -> Tunnel<C> {
        let tunnel = Tunnel::new(self.uri, connector);
        match self.authorization {
            Some(authorization) => tunnel.with_auth(authorization),
            None => tunnel,
        }
    }
}

/// Returns whether a proxy has scheme `http` and a valid host. An `@` in it comes from a password
/// that is not percent-encoded; `Debug` would show the first part of that password.
fn is_usable(proxy: &Uri) -> bool {
    proxy.scheme() == Some(&Scheme::HTTP) && proxy.authority().is_some_and(is_host)
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.uri)
    }
}

/// The way of connections to the API.
#[derive(Clone, Debug, Default)]
pub(super) enum Route {
    #[default]
    Direct,
    FromEnv,
    Through(Proxy),
}

impl Route {
    /// Returns the proxy for connections to a URL, if there is one.
    pub(super) fn proxy(&self, to: &Uri) -> Result<Option<Proxy>, InvalidInput> {
        match self {
            Self::Direct => Ok(None),
            Self::FromEnv => Proxy::from_variables(|name| env::var_os(name), to),
            Self::Through(proxy) => Ok(Some(proxy.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "http://proxy.example.com:3128";
    const SHOWN: &str = "http://proxy.example.com:3128/";

    fn check(variables: &[(&str, &str)], expected: Result<Option<&str>, &str>) {
        let variable = |name: &str| {
            let set = variables.iter().find(|(set, _)| *set == name);
            set.map(|(_, value)| value.into())
        };
        let to = Uri::from_static("https://track.customer.io/api/v2/entity");
        let found = Proxy::from_variables(variable, &to);
        let uri = found
            .as_ref()
            .map(|proxy| proxy.as_ref().map(|proxy| proxy.uri.to_string()));
        let uri = uri.as_ref().map(Option::as_deref);
        assert_eq!(
            uri.map_err(|error| error.field()),
            expected,
            "{variables:?}"
        );
    }

    #[test]
    fn the_environment_names_a_proxy_and_its_exceptions() {
        check(&[], Ok(None));
        check(&[("HTTPS_PROXY", "")], Ok(None));
        check(&[("HTTPS_PROXY", PROXY)], Ok(Some(SHOWN)));
        check(
            &[("https_proxy", "proxy.example.com:3128")],
            Ok(Some(SHOWN)),
        );
        check(&[("ALL_PROXY", PROXY)], Ok(Some(SHOWN)));
        check(&[("HTTP_PROXY", PROXY)], Ok(None));
        for exception in ["*", "customer.io", "10.0.0.0/8, .customer.io"] {
            check(&[("HTTPS_PROXY", PROXY), ("NO_PROXY", exception)], Ok(None));
        }
        check(
            &[("HTTPS_PROXY", PROXY), ("no_proxy", "notcustomer.io")],
            Ok(Some(SHOWN)),
        );
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_and_not_ignored() {
        check(
            &[("HTTPS_PROXY", "socks5://proxy:1080")],
            Err("HTTPS_PROXY"),
        );
        check(&[("all_proxy", "https://proxy:443")], Err("all_proxy"));
        check(&[("HTTPS_PROXY", "http://")], Err("HTTPS_PROXY"));
        check(&[("HTTPS_PROXY", "http://:3128")], Err("HTTPS_PROXY"));
        check(&[("HTTPS_PROXY", "http://proxy:")], Err("HTTPS_PROXY"));
        check(&[("HTTPS_PROXY", "http://proxy:99999")], Err("HTTPS_PROXY"));
    }

    #[test]
    fn a_password_that_is_not_encoded_is_an_error_and_not_shown() {
        for url in [
            "http://user:pass@top-secret@proxy:3128",
            "user@top-secret@proxy",
        ] {
            let shown = format!("{:?}", Proxy::new(url));
            assert!(
                shown.starts_with("Err") && !shown.contains("secret"),
                "{shown}"
            );
        }
    }

    #[test]
    fn the_password_of_a_proxy_is_kept_and_not_shown() {
        let proxy = Proxy::new("http://us%40er:top-secret@proxy.example.com").unwrap();
        let header = proxy.authorization.clone().unwrap();
        assert_eq!(header, "Basic dXNAZXI6dG9wLXNlY3JldA==");
        assert!(header.is_sensitive());
        let shown = format!("{proxy:?} {:?}", Route::Through(proxy.clone()));
        assert!(
            !shown.contains("secret") && !shown.contains("dXN"),
            "{shown}"
        );
    }
}
