//! Where records go, and the client that brings them there.

use std::fmt;

use anyhow::{Context, Result};
use customerio::client::{Client, ClientBuilder, Limits, RetryPolicy};
use customerio::{Credentials, Endpoint, Region};
use customerio_sim::Server;
use sha2::{Digest, Sha256};

use crate::args::CommonArgs;
use crate::mapping::hex;
use crate::pace::Pace;
use crate::rehearse;
use crate::report::Traffic;

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

/// A client, and what must live as long as it does.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Serves until it is dropped.
    _simulator: Option<Server>,
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

    /// Makes the client; for a rehearsal, starts the simulator first.
    pub(crate) async fn connect(&self, pace: &Pace) -> Result<Connection> {
        match self {
            Self::Live(live) => {
                let mut builder = builder(&live.base_url(), live.credentials.clone(), pace);
                if !live.endpoint.is_loopback() {
                    builder = builder.proxy_from_env();
                }
                Ok(Connection {
                    client: builder.build()?,
                    _simulator: None,
                })
            }
            Self::Rehearsal => {
                let simulator = rehearse::start(pace.limit).await?;
                let credentials = Credentials::new("rehearsal", "rehearsal")?;
                Ok(Connection {
                    client: builder(&simulator.url(), credentials, pace).build()?,
                    _simulator: Some(simulator),
                })
            }
        }
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

// === impl Connection ===

impl Connection {
    /// Returns what went over the wire so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let stats = self.client.stats();
        Traffic {
            requests: stats.requests,
            retries: stats.retries,
            throttled: stats.throttled,
        }
    }
}

fn builder(base_url: &str, credentials: Credentials, pace: &Pace) -> ClientBuilder {
    let limits = Limits::documented()
        .ingress(pace.limit)
        .records(pace.record_limit);
    Client::builder()
        .credentials(credentials)
        .base_url(base_url)
        .limits(limits)
        // A request carries hundreds of records: what the server has trouble with is worth all its
        // attempts.
        .retry(RetryPolicy::default().without_budget())
        // The run bounds all waits together.
        .max_server_pause(None)
        .concurrency(pace.concurrency)
}
