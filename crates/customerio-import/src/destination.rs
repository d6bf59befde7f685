//! Where records go, and the client that brings them there.

use std::fmt;

use anyhow::{Context, Result};
use customerio::{Credentials, Endpoint, Region};
use sha2::{Digest, Sha256};

use crate::args::CommonArgs;
use crate::mapping::hex;

/// Where records go.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Live(Live),
    /// A simulator in this process.
    Rehearsal,
}

/// A Customer.io on the network.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    endpoint: Endpoint,
    credentials: Credentials,
}

// === impl Destination ===

impl Destination {
    /// Takes the address from the command line, and the credentials from the environment.
    ///
    /// # Errors
    ///
    /// Fails where a credential is missing, or the address would betray it.
    pub(crate) fn new(common: &CommonArgs) -> Result<Self> {
        if common.rehearse {
            return Ok(Self::Rehearsal);
        }
        let credentials =
            Credentials::from_env().context("to try without credentials, add --rehearse")?;
        let endpoint = match &common.base_url {
            Some(url) => Endpoint::new(url, credentials.clone())?,
            None => Endpoint::for_region(region(common)?, credentials.clone()),
        };
        Ok(Self::Live(Live {
            endpoint,
            credentials,
        }))
    }
}

fn region(common: &CommonArgs) -> Result<Region> {
    common.region.map_or_else(|| Ok(Region::from_env()?), Ok)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(live) => live.endpoint.fmt(f),
            Self::Rehearsal => {
                f.write_str("a simulator in this process; nothing leaves the machine")
            }
        }
    }
}

// === impl Live ===

impl Live {
    pub(crate) fn base_url(&self) -> String {
        self.endpoint.to_string()
    }

    /// Returns a hash of the site id, which is half a credential.
    pub(crate) fn site(&self) -> String {
        hex(&Sha256::digest(self.credentials.site_id()))
    }
}
