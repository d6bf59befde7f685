use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::Service;
use tower_pace::{Adaptive, ConcurrencyLayer, RetryLayer, RetryPolicy};

use super::handle::Inner;
use super::ids::FreshIds;
use super::stack::{Layers, Stack, WaitBounds};
use super::transport::Transport;
use super::{Budget, BuildError, Client, Limits};
use crate::{Credentials, Endpoint, InvalidInput, Region};

/// As long as one wait that a quota obeys at most: a server may ask for that once, and not again
/// and again.
const MAX_HOLD: Duration = Duration::from_secs(60 * 60);

/// Collects the settings of a [`Client`].
///
/// ```
/// use customerio::client::Client;
/// use customerio::Credentials;
///
/// let insecure = Client::builder()
///     .credentials(Credentials::new("site", "key")?)
///     .base_url("http://example.com")
///     .build();
/// assert_eq!(insecure.unwrap_err().invalid_input().unwrap().field(), "base URL");
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    credentials: Option<Credentials>,
    region: Region,
    base_url: Option<String>,
    limits: Limits,
    retry: RetryPolicy,
    jitter_seed: Option<u64>,
    counts_retries: bool,
    bounds: WaitBounds,
    concurrency: Concurrency,
    timeout: Duration,
    deadline: Option<Duration>,
    max_hold: Option<Duration>,
    pub(super) transport: Transport,
}

#[derive(Clone, Copy, Debug)]
enum Concurrency {
    Adaptive(Adaptive),
    Fixed(usize),
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            credentials: None,
            region: Region::default(),
            base_url: None,
            limits: Limits::documented(),
            retry: RetryPolicy::default(),
            jitter_seed: None,
            counts_retries: false,
            bounds: WaitBounds::default(),
            concurrency: Concurrency::Fixed(64),
            timeout: Duration::from_secs(10),
            deadline: None,
            max_hold: Some(MAX_HOLD),
            transport: Transport::default(),
        }
    }

    /// Sets as whom to send. There is no default.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets the region of the account; by default [`Region::Us`].
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// Sets another base URL than that of the region: https, or http to the loopback.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Sets the limits; by default [`Limits::documented`]. Clients made from clones of one value
    /// share them.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how often a request is sent again, and after which wait; by default
    /// [`RetryPolicy::default`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Seeds the jitter of the waits between attempts, so that a test sees the same ones each time;
    /// by default the system does.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = Some(seed);
        self
    }

    /// Tells the server with the header `X-Retry-Count` of every attempt but the first which it is;
    /// by default it is not told.
    pub fn send_retry_count(mut self) -> Self {
        self.counts_retries = true;
        self
    }

    /// Refuses a request whose turn is further away than `time` by the forecast, or when it has
    /// waited for so long; by default it waits as long as it takes.
    ///
    /// Waiting for one of those in flight to end counts. What is refused was not sent: see
    /// [`Error::is_wait_rejected`].
    ///
    /// [`Error::is_wait_rejected`]: super::Error::is_wait_rejected
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.bounds.time = Some(time);
        self
    }

    /// Refuses a request that would have to wait while `others` wait already; by default any number
    /// may wait.
    ///
    /// Zero refuses whatever cannot leave at once, and so the very first: a limiter starts with a
    /// short wait.
    pub fn max_queued(mut self, others: usize) -> Self {
        self.bounds.others = Some(others);
        self
    }

    /// Sets how many requests may be in flight at once; by default 64.
    pub fn concurrency(mut self, limit: usize) -> Self {
        self.concurrency = Concurrency::Fixed(limit);
        self
    }

    /// Learns from the answers how many requests may be in flight at once, within bounds.
    pub fn adaptive_concurrency(mut self, bounds: Adaptive) -> Self {
        self.concurrency = Concurrency::Adaptive(bounds);
        self
    }

    /// Sets how long one attempt may take, from its departure to the last byte of the answer; by
    /// default 10 s.
    ///
    /// Waiting for a turn does not count.
    pub fn timeout(mut self, attempt: Duration) -> Self {
        self.timeout = attempt;
        self
    }

    /// Sets how long a call may take as a whole, waits for turns, retries and all parts of a batch
    /// together; by default as long as it takes.
    ///
    /// A call ends by then, and no retry is begun that could not end before. What waited, or had no
    /// connection yet, was not sent; what was in flight may have been applied. With
    /// [`max_wait`](Self::max_wait) or [`max_queued`](Self::max_queued), a turn beyond the deadline
    /// is refused at once. [`Client::with_deadline`] sets another deadline for single calls.
    pub fn deadline(mut self, call: Duration) -> Self {
        self.deadline = Some(call);
        self
    }

    /// Sets how long the server may hold a call back in all, by `Retry-After` or by what it says of
    /// its limit, for all parts of a batch together; by default one hour.
    ///
    /// Then, or at once where it asks for longer than what is left of that, the call ends: see
    /// [`Error::is_paused_too_long`]. What was not sent before ends as not sent. `None` waits for as
    /// long as it takes.
    ///
    /// [`Error::is_paused_too_long`]: super::Error::is_paused_too_long
    pub fn max_hold(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.max_hold = time.into();
        self
    }

    /// Returns a client that sends by HTTP/2 or HTTP/1.1 over pooled connections. No runtime is
    /// needed yet.
    ///
    /// # Errors
    ///
    /// There are no credentials, the base URL is refused by [`Endpoint::new`], the concurrency or a
    /// time is zero, the TCP keep-alive is not of 1 s to 32,767 s, the environment names a proxy
    /// that cannot be used, or the system offers no certificates for TLS or no randomness.
    pub fn build(self) -> Result<Client, BuildError> {
        let transport = self.transport.clone();
        self.assemble(|endpoint, layers| transport.under(layers, endpoint))
    }

    /// Returns a client that sends through `service`, which stands where hyper's client stands
    /// otherwise.
    ///
    /// The service must not retry, queue or follow redirects: the limit holds for what it is given.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build), except for what concerns connections.
    pub fn build_with<S, B>(self, service: S) -> Result<Client, BuildError>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.assemble(|_, layers| Ok(layers.over(service)))
    }

    fn assemble(
        self,
        stack: impl FnOnce(&Endpoint, &Layers) -> Result<Stack, BuildError>,
    ) -> Result<Client, BuildError> {
        let endpoint = self.endpoint()?;
        let layers = self.layers(&endpoint)?;
        let (deadline, max_hold) = (self.deadline, self.max_hold);
        let ids = Arc::new(FreshIds::from_system().map_err(BuildError::randomness)?);
        let stack = stack(&endpoint, &layers)?;
        Ok(Client::new(Inner {
            endpoint,
            layers,
            ids,
            stack,
            deadline,
            max_hold,
        }))
    }

    fn layers(&self, endpoint: &Endpoint) -> Result<Layers, InvalidInput> {
        if let Concurrency::Fixed(0) = self.concurrency {
            return Err(InvalidInput::malformed(
                "concurrency",
                "is 0, which lets nothing through; give at least 1",
            ));
        }
        check_time("timeout", Some(self.timeout))?;
        check_time("connect timeout", self.transport.connect_timeout)?;
        check_time("deadline", self.deadline)?;
        check_time("HTTP/2 ping", self.transport.ping)?;
        check_keepalive(self.transport.keepalive)?;
        Ok(Layers {
            retry: self.retry_layer(),
            limit: self.limits.layer(Budget::Ingress, &endpoint.workspace()),
            bounds: self.bounds,
            concurrency: match self.concurrency {
                Concurrency::Fixed(limit) => ConcurrencyLayer::new(limit),
                Concurrency::Adaptive(bounds) => ConcurrencyLayer::adaptive(bounds),
            },
            timeout: self.timeout,
            counters: Arc::default(),
            last_field: Arc::default(),
        })
    }

    fn retry_layer(&self) -> RetryLayer {
        let mut retry = RetryLayer::new(self.retry);
        if let Some(seed) = self.jitter_seed {
            retry = retry.seed(seed);
        }
        match self.counts_retries {
            true => retry.send_retry_count(),
            false => retry,
        }
    }

    fn endpoint(&self) -> Result<Endpoint, InvalidInput> {
        let credentials = self.credentials.clone().ok_or_else(|| {
            InvalidInput::malformed(
                "credentials",
                "are missing; give a site id and a Track API key",
            )
        })?;
        match &self.base_url {
            Some(url) => Endpoint::new(url, credentials),
            None => Ok(Endpoint::for_region(self.region, credentials)),
        }
    }
}

/// Refuses what no system takes: it would be passed over, and connections stay without.
fn check_keepalive(idle: Option<Duration>) -> Result<(), InvalidInput> {
    if idle.is_some_and(|idle| !(1..=32_767).contains(&idle.as_secs())) {
        return Err(InvalidInput::malformed(
            "TCP keep-alive",
            "is under 1 s or over 32,767 s, which systems do not take; give a minute, or `None`",
        ));
    }
    Ok(())
}

fn check_time(field: &'static str, time: Option<Duration>) -> Result<(), InvalidInput> {
    if time.is_some_and(|time| time.is_zero()) {
        return Err(InvalidInput::malformed(
            field,
            "is 0, in which nothing can be sent; give some seconds",
        ));
    }
    Ok(())
}
