use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::Service;
use tower_pace::{Adaptive, ConcurrencyLayer, RetryLayer, RetryPolicy};

use super::client::Inner;
use super::ids::FreshIds;
use super::proxy::{Proxy, Route};
use super::roots::{RootCertificates, Roots};
use super::stack::{Layers, Stacks, WaitBounds};
use super::transport::Transport;
use super::{BuildError, Client, Limits};
use crate::app::{AppCredentials, AppEndpoint};
use crate::base_url::BaseUrl;
use crate::credentials::SITE_ID;
use crate::region::REGION;
use crate::{Credentials, Endpoint, InvalidInput, Region};

/// The default number of requests in flight. With it, the documented 1,000 requests per second are
/// reached if a response takes 64 ms on average. More would open more connections with HTTP/1.1.
const CONCURRENCY: usize = 64;

/// The default timeout of an attempt: long enough for a slow response, short enough that a dead
/// connection costs seconds and not minutes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The default bound on the pauses of one call: the longest pause that a quota keeps by default. A
/// server may ask for that once, but not again and again.
const MAX_SERVER_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The default time for which an endpoint is closed after its daily quota is used up. A day would
/// be safe, and too long if the quota resets in an hour; a minute would send a thousand requests in
/// vain until tomorrow.
const DAILY_QUOTA_PAUSE: Duration = Duration::from_secs(60 * 60);

const BASE_URL: &str = "CUSTOMERIO_BASE_URL";

/// A builder of a [`Client`].
///
/// ```
/// use std::time::Duration;
///
/// use customerio::Credentials;
/// use customerio::client::{Client, Limits, Quota};
///
/// let client = Client::builder()
///     .credentials(Credentials::new("site", "key")?) // or `app_credentials`
///     .limits(Limits::documented().ingress(Quota::per_second(100)))
///     .deadline(Duration::from_secs(60))
///     .build()?;
/// # let _ = client;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Times and their bounds
///
/// | setting | bounds | default |
/// |---|---|---|
/// | [`connect_timeout`](Self::connect_timeout) | connecting, in one attempt | half of `timeout` |
/// | [`timeout`](Self::timeout) | one attempt, from its departure | 10 s |
/// | [`max_wait`](Self::max_wait) | one wait for a departure | none |
/// | [`max_server_pause`](Self::max_server_pause) | all server pauses of one call | 1 hour |
/// | [`deadline`](Self::deadline) | one call: waits, attempts and retries | none |
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    credentials: Option<Credentials>,
    app_credentials: Option<AppCredentials>,
    region: Region,
    base_url: Option<String>,
    app_base_url: Option<String>,
    daily_quota_pause: Duration,
    limits: Limits,
    retry: RetryPolicy,
    jitter_seed: Option<u64>,
    sends_retry_count: bool,
    bounds: WaitBounds,
    concurrency: Concurrency,
    timeout: Duration,
    deadline: Option<Duration>,
    max_server_pause: Option<Duration>,
    transport: Transport,
}

#[derive(Clone, Copy, Debug)]
enum Concurrency {
    Adaptive(Adaptive),
    Fixed(usize),
}

/// The account, the limits and the retries.
impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            credentials: None,
            app_credentials: None,
            region: Region::default(),
            base_url: None,
            app_base_url: None,
            daily_quota_pause: DAILY_QUOTA_PAUSE,
            limits: Limits::documented(),
            retry: RetryPolicy::default(),
            jitter_seed: None,
            sends_retry_count: false,
            bounds: WaitBounds::default(),
            concurrency: Concurrency::Fixed(CONCURRENCY),
            timeout: TIMEOUT,
            deadline: None,
            max_server_pause: Some(MAX_SERVER_PAUSE),
            transport: Transport::default(),
        }
    }

    /// Reads credentials, region and base URL from variables.
    pub(super) fn from_lookup(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidInput> {
        let variable = |name| lookup(name).filter(|value| !value.is_empty());
        let credentials = Credentials::optional(&lookup)?;
        let app_credentials = AppCredentials::optional(&lookup)?;
        if credentials.is_none() && app_credentials.is_none() {
            return Err(InvalidInput::malformed(
                SITE_ID,
                "is not set in the environment, and neither is CUSTOMERIO_APP_API_KEY; \
                 set the credentials of one API",
            ));
        }
        let region = variable(REGION).map(|region| region.parse());
        Ok(Self {
            credentials,
            app_credentials,
            region: region.transpose()?.unwrap_or_default(),
            base_url: variable(BASE_URL),
            ..Self::new()
        })
    }

    /// Sets the credentials of the Track API. These or [`app_credentials`](Self::app_credentials)
    /// are required.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets the credentials of the App API.
    pub fn app_credentials(mut self, credentials: AppCredentials) -> Self {
        self.app_credentials = Some(credentials);
        self
    }

    /// Sets the region of the account; by default [`Region::Us`].
    pub fn region(mut self, region: Region) -> Self {
        self.region = region;
        self
    }

    /// Sets the base URL of both APIs; by default those of the region. It is an https URL, or http
    /// to the loopback.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Sets the base URL of the App API; by default [`base_url`](Self::base_url).
    pub fn app_base_url(mut self, url: impl Into<String>) -> Self {
        self.app_base_url = Some(url.into());
        self
    }

    /// Sets the limits; by default [`Limits::documented`]. Clients built with clones of one value
    /// share them.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the number of attempts and the backoff between them; by default
    /// [`RetryPolicy::default`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets the seed of the random part of the backoff, so that a test always has the same waits;
    /// by default the seed comes from the system.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = Some(seed);
        self
    }

    /// Sends the header `X-Retry-Count` with each attempt but the first; by default it is not sent.
    pub fn send_retry_count(mut self) -> Self {
        self.sends_retry_count = true;
        self
    }

    /// Sets how many requests may be in flight at once; by default 64.
    pub fn concurrency(mut self, limit: usize) -> Self {
        self.concurrency = Concurrency::Fixed(limit);
        self
    }

    /// Learns from the responses how many requests may be in flight at once, within `bounds`.
    pub fn adaptive_concurrency(mut self, bounds: Adaptive) -> Self {
        self.concurrency = Concurrency::Adaptive(bounds);
        self
    }
}

/// The bounds on waits and times.
impl ClientBuilder {
    /// Sets the longest wait for a departure of the rate limiter; by default there is no bound.
    ///
    /// A request is rejected at once if its departure is expected later than `time` from now, and
    /// otherwise once it has waited for `time`. The wait for a permit counts. Each attempt has a
    /// wait of its own. A rejected attempt was not sent: see [`Error::is_wait_rejected`].
    ///
    /// [`Error::is_wait_rejected`]: super::Error::is_wait_rejected
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.bounds.max_wait = Some(time);
        self
    }

    /// Sets how many requests may be queued. A request that would have to wait behind `others` is
    /// rejected; by default there is no bound.
    ///
    /// With zero, each request that cannot depart at once is rejected. That includes the first,
    /// since a rate limiter starts with a short wait.
    pub fn max_queued(mut self, others: usize) -> Self {
        self.bounds.max_queued = Some(others);
        self
    }

    /// Sets the timeout of one attempt, from its departure to the last byte of the response; by
    /// default 10 s.
    ///
    /// The wait for the departure does not count.
    pub fn timeout(mut self, attempt: Duration) -> Self {
        self.timeout = attempt;
        self
    }

    /// Sets the deadline of a call: all waits, attempts and parts of a batch together; by default
    /// there is none.
    ///
    /// A retry that could not end before the deadline is not made. When the deadline passes, a
    /// request in the queue or without a connection was not sent; one in flight may have been
    /// applied.
    ///
    /// With [`max_wait`](Self::max_wait) or [`max_queued`](Self::max_queued), a request whose
    /// departure is expected after the deadline is rejected at once. [`Client::with_deadline`] sets
    /// another deadline for single calls.
    pub fn deadline(mut self, call: Duration) -> Self {
        self.deadline = Some(call);
        self
    }

    /// Sets for how long an endpoint of the App API is closed once its daily quota is used up; by
    /// default one hour, at most a day.
    ///
    /// The API does not say when a quota resets. After this time one request asks again. Until
    /// then, requests to that endpoint fail at once: see [`Error::is_daily_quota`]. Other
    /// endpoints go on. If a response says when the quota resets, that time counts instead.
    ///
    /// [`Error::is_daily_quota`]: super::Error::is_daily_quota
    pub fn daily_quota_pause(mut self, time: Duration) -> Self {
        self.daily_quota_pause = time;
        self
    }

    /// Sets for how long the server may pause a call, by `Retry-After` or by the `RateLimit`
    /// fields; by default one hour. All parts of a batch count together. `None` sets no bound.
    ///
    /// The call ends once it was paused for `time`, or at once if the server asks for a longer
    /// pause than is left. The call then settles the rest of its operations as not sent: see
    /// [`Error::is_paused_too_long`].
    ///
    /// [`Error::is_paused_too_long`]: super::Error::is_paused_too_long
    pub fn max_server_pause(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.max_server_pause = time.into();
        self
    }
}

/// Connections. These settings do not apply to [`build_with`](ClientBuilder::build_with).
impl ClientBuilder {
    /// Sets the timeout of connecting, with the proxy and the TLS handshake; by default half of the
    /// attempt's [`timeout`](Self::timeout).
    ///
    /// Keep it shorter than the attempt's timeout. If connecting times out first, the request was
    /// certainly not sent; if the attempt does, it may have been.
    pub fn connect_timeout(mut self, connecting: Duration) -> Self {
        self.transport.connect_timeout = Some(connecting);
        self
    }

    /// Sets the idle time before TCP checks whether the other side is still there; by default 60 s.
    ///
    /// Whole seconds from 1 to 32,767 are possible; fractions are dropped. `None` disables the
    /// check. If a firewall then drops an idle connection, the next request on it has an unknown
    /// outcome.
    pub fn tcp_keepalive(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.transport.keepalive = idle.into();
        self
    }

    /// Sets the time without a frame before an HTTP/2 connection is pinged, idle or not; by default
    /// 20 s. The connection is closed if the answer takes longer than the same time.
    ///
    /// `None` disables pings. Each request on a dead connection then takes a whole attempt's
    /// timeout.
    pub fn http2_ping(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.transport.ping = silence.into();
        self
    }

    /// Connects through an HTTP proxy; by default without one.
    ///
    /// Plain http, which is possible to the loopback only, does not use the proxy: it could read
    /// the API key.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.transport.route = Route::Through(proxy);
        self
    }

    /// Connects through the proxy of `HTTPS_PROXY` or `ALL_PROXY`, unless `NO_PROXY` matches the
    /// API's host. Names in lower case work, too. [`build`](ClientBuilder::build) reads them.
    ///
    /// `NO_PROXY` is a comma-separated list of hosts (which match their subdomains), addresses,
    /// networks such as `10.0.0.0/8`, or `*`. If the proxy cannot be used,
    /// [`build`](ClientBuilder::build) returns an error; the client never connects without it.
    pub fn proxy_from_env(mut self) -> Self {
        self.transport.route = Route::FromEnv;
        self
    }

    /// Trusts these certificate authorities in addition to those of the platform; by default only
    /// the platform's.
    pub fn extra_roots(mut self, roots: RootCertificates) -> Self {
        self.transport.roots = Roots::PlatformAnd(roots);
        self
    }

    /// Trusts these certificate authorities and no others, for a system that has none.
    pub fn only_roots(mut self, roots: RootCertificates) -> Self {
        self.transport.roots = Roots::Only(roots);
        self
    }
}

/// Building.
impl ClientBuilder {
    /// Creates a client that sends over pooled connections, by HTTP/2 or HTTP/1.1. It needs no
    /// runtime yet.
    ///
    /// # Errors
    ///
    /// - The credentials are missing.
    /// - [`Endpoint::new`] rejects the base URL.
    /// - The concurrency or a time is zero.
    /// - The TCP keep-alive is not between 1 s and 32,767 s.
    /// - The environment names a proxy that cannot be used.
    /// - The system has no certificates for TLS, or no source of randomness.
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
    pub fn build(self) -> Result<Client, BuildError> {
        let transport = self.transport.clone();
        self.assemble(|to, layers| transport.stacks(layers, to))
    }

    /// Creates a client that sends through `service` in place of hyper's client.
    ///
    /// The service must not retry, queue or follow redirects: the rate limiter counts each request
    /// that it hands to the service once.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build), without the errors about connections.
    pub fn build_with<S, B>(self, service: S) -> Result<Client, BuildError>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.assemble(move |_, layers| Ok(layers.over(service.clone())))
    }

    fn assemble(
        self,
        stacks: impl Fn(&BaseUrl, &Layers) -> Result<Stacks, BuildError>,
    ) -> Result<Client, BuildError> {
        let (track, app) = (self.endpoint()?, self.app_endpoint()?);
        let layers = self.layers(track.as_ref(), app.as_ref())?;
        let (deadline, max_server_pause) = (self.deadline, self.max_server_pause);
        let ids = Arc::new(FreshIds::from_system().map_err(BuildError::randomness)?);
        let stacks = match (&track, &app) {
            // The APIs may be reached in different ways: by http or https, with a proxy or without.
            (Some(track), Some(app)) => Stacks {
                ingress: stacks(track.base_url(), &layers)?.ingress,
                ..stacks(app.base_url(), &layers)?
            },
            (Some(track), None) => stacks(track.base_url(), &layers)?,
            (None, Some(app)) => stacks(app.base_url(), &layers)?,
            (None, None) => return Err(missing_credentials().into()),
        };
        Ok(Client::new(Inner {
            track,
            app,
            layers,
            ids,
            stacks,
            deadline,
            max_server_pause,
        }))
    }

    fn layers(
        &self,
        track: Option<&Endpoint>,
        app: Option<&AppEndpoint>,
    ) -> Result<Layers, BuildError> {
        if let Concurrency::Fixed(0) = self.concurrency {
            let rule = "is 0, so no request could be sent; give at least 1";
            return Err(InvalidInput::malformed("concurrency", rule).into());
        }
        check_time("timeout", Some(self.timeout))?;
        check_time("connect timeout", self.transport.connect_timeout)?;
        check_time("deadline", self.deadline)?;
        check_time("HTTP/2 ping", self.transport.ping)?;
        check_time("daily quota pause", Some(self.daily_quota_pause))?;
        check_keepalive(self.transport.keepalive)?;
        let (track, app) = (
            track.map(Endpoint::workspace),
            app.map(AppEndpoint::workspace),
        );
        // Without the credentials of one API, the name of the other serves for both.
        let name = |first: &Option<String>, second: &Option<String>| {
            let name = first.as_ref().or(second.as_ref());
            name.cloned().ok_or_else(missing_credentials)
        };
        Ok(Layers {
            retry: self.retry_layer(self.retry),
            // In the App API, the mark of a request replaces the rule by its method.
            app_retry: self.retry_layer(self.retry.replays(|_| false)),
            limit: self.limits.layer(&name(&track, &app)?)?,
            app: self.limits.app_limiters(&name(&app, &track)?)?,
            quota_pause: self.daily_quota_pause,
            bounds: self.bounds,
            concurrency: match self.concurrency {
                Concurrency::Fixed(limit) => ConcurrencyLayer::new(limit),
                Concurrency::Adaptive(bounds) => ConcurrencyLayer::adaptive(bounds),
            },
            timeout: self.timeout,
            counters: Arc::default(),
            last_pause_field: Arc::default(),
        })
    }

    fn retry_layer(&self, policy: RetryPolicy) -> RetryLayer {
        let mut retry = RetryLayer::new(policy);
        if let Some(seed) = self.jitter_seed {
            retry = retry.seed(seed);
        }
        match self.sends_retry_count {
            true => retry.send_retry_count(),
            false => retry,
        }
    }

    fn endpoint(&self) -> Result<Option<Endpoint>, InvalidInput> {
        let Some(credentials) = self.credentials.clone() else {
            return Ok(None);
        };
        Ok(Some(match &self.base_url {
            Some(url) => Endpoint::new(url, credentials)?,
            None => Endpoint::for_region(self.region, credentials),
        }))
    }

    fn app_endpoint(&self) -> Result<Option<AppEndpoint>, InvalidInput> {
        let Some(credentials) = self.app_credentials.clone() else {
            return Ok(None);
        };
        Ok(Some(
            match self.app_base_url.as_ref().or(self.base_url.as_ref()) {
                Some(url) => AppEndpoint::new(url, credentials)?,
                None => AppEndpoint::for_region(self.region, credentials),
            },
        ))
    }
}

fn missing_credentials() -> InvalidInput {
    InvalidInput::malformed(
        "credentials",
        "are missing; give a site id and a Track API key, or an App API key",
    )
}

/// Checks the range that operating systems accept. A value outside of it would be ignored, and
/// connections would have no keep-alive.
fn check_keepalive(idle: Option<Duration>) -> Result<(), InvalidInput> {
    if idle.is_some_and(|idle| !(1..=32_767).contains(&idle.as_secs())) {
        return Err(InvalidInput::malformed(
            "TCP keep-alive",
            "is under 1 s or over 32,767 s, which systems do not accept; give 60 s, or `None`",
        ));
    }
    Ok(())
}

fn check_time(field: &'static str, time: Option<Duration>) -> Result<(), InvalidInput> {
    if time.is_some_and(|time| time.is_zero()) {
        return Err(InvalidInput::malformed(
            field,
            "is 0, so no request could be sent; give some seconds",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<ClientBuilder, InvalidInput> {
        let value = |name: &str| variables.iter().find(|(own, _)| *own == name);
        ClientBuilder::from_lookup(|name| value(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_gives_the_credentials_of_one_api_or_of_both() {
        const APP: (&str, &str) = ("CUSTOMERIO_APP_API_KEY", "app-key");
        const SITE: (&str, &str) = ("CUSTOMERIO_SITE_ID", "site");
        const TRACK: (&str, &str) = ("CUSTOMERIO_TRACK_API_KEY", "key");
        let check = |variables: &[_], expected: Result<(bool, bool), &str>| {
            let found = from(variables);
            let found = match &found {
                Ok(builder) => {
                    let track = builder.credentials.is_some();
                    Ok((track, builder.app_credentials.is_some()))
                }
                Err(error) => Err(error.field()),
            };
            assert_eq!(found, expected, "{variables:?}");
        };
        check(&[APP], Ok((false, true)));
        check(&[SITE, TRACK], Ok((true, false)));
        check(&[SITE, TRACK, APP], Ok((true, true)));
        check(&[], Err("CUSTOMERIO_SITE_ID"));
        check(&[SITE, APP], Err("CUSTOMERIO_TRACK_API_KEY"));
        check(&[TRACK, APP], Err("CUSTOMERIO_SITE_ID"));
        check(&[APP, ("CUSTOMERIO_REGION", "moon")], Err("region"));
        check(
            &[SITE, TRACK, ("CUSTOMERIO_APP_API_KEY", "")],
            Ok((true, false)),
        );
    }

    #[test]
    fn one_base_url_is_that_of_both_apis() {
        let variables = [
            ("CUSTOMERIO_SITE_ID", "site"),
            ("CUSTOMERIO_TRACK_API_KEY", "key"),
            ("CUSTOMERIO_APP_API_KEY", "app-key"),
            ("CUSTOMERIO_BASE_URL", "http://127.0.0.1:8080"),
        ];
        let builder = from(&variables).unwrap();
        let shown = |builder: &ClientBuilder| {
            let (track, app) = (builder.endpoint(), builder.app_endpoint());
            [
                track.unwrap().unwrap().to_string(),
                app.unwrap().unwrap().to_string(),
            ]
        };
        assert_eq!(shown(&builder), ["http://127.0.0.1:8080"; 2]);
        let apart = builder.clone().app_base_url("https://example.com");
        assert_eq!(
            shown(&apart),
            ["http://127.0.0.1:8080", "https://example.com"]
        );
        let remote = builder.base_url("http://example.com").build();
        assert_eq!(
            remote.unwrap_err().invalid_input().unwrap().field(),
            "base URL"
        );
        let region = from(&[variables[2], ("CUSTOMERIO_REGION", "eu")]).unwrap();
        let app = region.app_endpoint().unwrap().unwrap();
        assert_eq!(app.to_string(), "https://api-eu.customer.io");
    }
}
