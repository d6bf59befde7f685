use std::fmt;

use http::{HeaderValue, Uri};
#[cfg(feature = "client")]
use secrecy::zeroize::Zeroizing;

use super::AppCredentials;
use crate::base_url::BaseUrl;
use crate::{InvalidInput, Region};

/// The address of the App API: a base URL with the credentials that may be sent there.
#[derive(Clone)]
pub struct AppEndpoint {
    base_url: BaseUrl,
    #[cfg_attr(
        not(feature = "client"),
        expect(dead_code, reason = "only the client needs workspaces and secrets")
    )]
    credentials: AppCredentials,
    /// The header of each request. Like a request, it is not erased from memory.
    authorization: HeaderValue,
}

impl AppEndpoint {
    /// Creates the endpoint of a region's App API.
    #[must_use]
    pub fn for_region(region: Region, credentials: AppCredentials) -> Self {
        Self::new(region.app_url(), credentials).expect("a region's URL is valid")
    }

    /// Creates an endpoint from a base URL, such as that of a simulator or a proxy.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::new`](crate::Endpoint::new).
    pub fn new(base_url: &str, credentials: AppCredentials) -> Result<Self, InvalidInput> {
        Ok(Self {
            base_url: BaseUrl::new(base_url)?,
            authorization: credentials.authorization(),
            credentials,
        })
    }

    pub(super) fn uri(&self, path: &str) -> Uri {
        self.base_url.uri(path)
    }

    pub(super) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }

    #[cfg(feature = "client")]
    pub(crate) fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// Returns the key of the workspace: the normalized base URL and a hash of the API key.
    #[cfg(feature = "client")]
    pub(crate) fn workspace(&self) -> String {
        let base_url = self.base_url.normalized();
        format!("{base_url} app {:?}", self.credentials.digest())
    }

    #[cfg(feature = "client")]
    pub(crate) fn secrets(&self) -> [Zeroizing<String>; 1] {
        [self.credentials.secret()]
    }
}

impl fmt::Display for AppEndpoint {
    /// Writes the base URL, without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.base_url.fmt(f)
    }
}

impl fmt::Debug for AppEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppEndpoint({self})")
    }
}
