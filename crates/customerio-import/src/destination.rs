//! Where records are sent, and the client that sends them.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use customerio::client::{Client, ClientBuilder, Limits, Quota, RetryPolicy};
use customerio::{Credentials, Endpoint, Region};
use customerio_sim::{Limit, Model, Records, Server, Simulator};
use sha2::{Digest, Sha256};

use crate::args::CommonArgs;
use crate::mapping::hex;
use crate::options::SendOptions;
use crate::report::Traffic;
use crate::shared_limit::SharedLimit;

/// The longest time to ask for the workspace. A server that is down delays the run by as much; with
/// a shorter time, a slow one would not name its workspace.
const CHECK_TIME: Duration = Duration::from_secs(5);

/// Where records are sent.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Live(Box<Live>),
    /// A simulator in this process.
    Rehearsal,
    /// Nowhere: a dry run ends with the plan.
    DryRun,
}

/// A Customer.io on the network.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    endpoint: Endpoint,
    credentials: Credentials,
    shared_limit: Option<SharedLimit>,
}

/// A client, and the simulator that it sends to, if it does.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// The requests without records, which do not count.
    uncounted: Traffic,
    /// The simulator stops when it is dropped, so it lives as long as the client.
    _simulator: Option<Server>,
}

// === impl Destination ===

impl Destination {
    /// Reads the address from the command line, and the credentials from the environment.
    ///
    /// # Errors
    ///
    /// Fails if a credential is missing, and if the address would send it unencrypted.
    pub(crate) fn new(common: &CommonArgs) -> Result<Self> {
        if common.rehearse {
            return Ok(Self::Rehearsal);
        }
        if common.dry_run {
            return Ok(Self::DryRun);
        }
        let credentials = Credentials::from_env().map_err(|error| {
            anyhow!("{error}; to try the import without credentials, add --rehearse")
        })?;
        let endpoint = match &common.base_url {
            Some(url) => Endpoint::new(url, credentials.clone())?,
            None => Endpoint::for_region(region(common)?, credentials.clone()),
        };
        Ok(Self::Live(Box::new(Live {
            endpoint,
            credentials,
            shared_limit: SharedLimit::new(common.shared_limit.clone())?,
        })))
    }

    /// Returns the client. For a rehearsal, starts the simulator first.
    pub(crate) async fn connect(&self, options: &SendOptions) -> Result<Connection> {
        match self {
            Self::Live(live) => {
                let mut limits = limits(options);
                if let Some(shared_limit) = &live.shared_limit {
                    // Boxed: few runs share their limits, and the future of all would be larger.
                    let shared = Box::pin(shared_limit.connect()).await?;
                    limits = limits.shared(&shared);
                }
                let credentials = live.credentials.clone();
                let mut builder = builder(&live.base_url(), credentials, limits, options);
                // A proxy cannot reach the loopback of this machine.
                if !live.endpoint.is_loopback() {
                    builder = builder.proxy_from_env();
                }
                Ok(Connection {
                    client: builder.build()?,
                    uncounted: Traffic::default(),
                    _simulator: None,
                })
            }
            Self::Rehearsal => {
                let simulator = start_simulator(options.limit).await?;
                let credentials = Credentials::new("rehearsal", "rehearsal")?;
                Ok(Connection {
                    client: builder(&simulator.url(), credentials, limits(options), options)
                        .build()?,
                    uncounted: Traffic::default(),
                    _simulator: Some(simulator),
                })
            }
            Self::DryRun => unreachable!("a dry run ends with the plan"),
        }
    }
}

fn region(common: &CommonArgs) -> Result<Region> {
    common.region.map_or_else(|| Ok(Region::from_env()?), Ok)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(live) => {
                live.endpoint.fmt(f)?;
                match &live.shared_limit {
                    None => Ok(()),
                    Some(shared_limit) => write!(f, "; limits shared through {shared_limit}"),
                }
            }
            Self::Rehearsal => {
                f.write_str("a simulator in this process; nothing leaves this machine")
            }
            Self::DryRun => f.write_str("none; nothing is sent (--dry-run)"),
        }
    }
}

// === impl Live ===

impl Live {
    pub(crate) fn base_url(&self) -> String {
        self.endpoint.to_string()
    }

    /// Returns a hash of the site id, which is half of the credentials.
    pub(crate) fn site(&self) -> String {
        hex(&Sha256::digest(self.credentials.site_id()))
    }
}

// === impl Connection ===

impl Connection {
    /// Asks the API for the number of the workspace. Returns nothing if it does not name one within
    /// [`CHECK_TIME`]: whether it accepts records is found out by sending them.
    pub(crate) async fn environment(&mut self) -> Option<u64> {
        let account = self.client.with_deadline(CHECK_TIME).check().await;
        self.uncounted = self.all_traffic();
        account.ok()?.environment_id
    }

    /// Returns the number of requests with records so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let all = self.all_traffic();
        Traffic {
            requests: all.requests - self.uncounted.requests,
            retries: all.retries - self.uncounted.retries,
            throttled: all.throttled - self.uncounted.throttled,
        }
    }

    fn all_traffic(&self) -> Traffic {
        let stats = self.client.stats();
        Traffic {
            requests: stats.requests,
            retries: stats.retries,
            throttled: stats.throttled,
        }
    }
}

/// Starts a simulator on the loopback. It enforces the same limit as the run, by a sliding counter,
/// which is the hardest model to keep. It accepts any credentials and runs until it is dropped. It
/// keeps no records: those of a million people would take a gigabyte.
async fn start_simulator(quota: Quota) -> Result<Server> {
    let limit = Limit::new(quota.limit(), quota.window())?.model(Model::SlidingCounter);
    let simulator = Simulator::builder()
        .limit(limit)
        .records(Records::CountsOnly)
        .build();
    Server::bind("127.0.0.1:0", simulator)
        .await
        .context("the simulator cannot listen on 127.0.0.1; check the loopback interface")
}

fn limits(options: &SendOptions) -> Limits {
    Limits::documented()
        .ingress(options.limit)
        .records(options.record_limit)
}

fn builder(
    base_url: &str,
    credentials: Credentials,
    limits: Limits,
    options: &SendOptions,
) -> ClientBuilder {
    Client::builder()
        .credentials(credentials)
        .base_url(base_url)
        .limits(limits)
        // A request carries hundreds of records, so each one gets all of its attempts, even if
        // many fail.
        .retry(RetryPolicy::default().without_budget())
        // `--max-wait` bounds the total of all waits instead.
        .max_server_pause(None)
        .concurrency(options.concurrency)
}
