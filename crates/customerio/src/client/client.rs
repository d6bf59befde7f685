use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::Full;
use tower::Service;
use tower_pace::rate::Snapshot;

use super::call::Call;
use super::disabled;
use super::ids::FreshIds;
use super::progress::DepartureFlag;
use super::stack::{Layers, Stacks};
use super::{ApiLimit, BuildError, ClientBuilder, Error, ServerPause, Stats};
use crate::app::AppEndpoint;
use crate::response::not_json;
use crate::v1::{self, Account};
use crate::{
    AnonymousEvent, Attributes, Cause, Delivery, Device, Endpoint, Event, Operation, Outcome,
    Person, Request,
};

/// A client for the Track API, and for the App API by [`app`](Self::app).
///
/// ```
/// use customerio::{Attributes, Client, Person};
///
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
/// # fn main() { simulated(async {
/// let client = Client::from_env()?;
/// client.identify(&Person::id("u1")?, &Attributes::new()).await?;
/// # Ok(()) }) }
/// ```
///
/// Cloning is cheap. Clones share limits, connections and statistics.
///
/// # Runtime
///
/// The methods need a tokio runtime with I/O and time.
///
/// # Cancellation
///
/// Dropping a future stops its work and releases its position in the wait queue. A request that
/// has departed may still be applied.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

#[derive(Clone)]
pub(super) struct Inner {
    /// The Track API, or `None` if the client has no credentials for it.
    pub(super) track: Option<Endpoint>,
    /// The App API, or `None` if the client has no credentials for it.
    pub(super) app: Option<AppEndpoint>,
    pub(super) layers: Layers,
    pub(super) ids: Arc<FreshIds>,
    pub(super) stacks: Stacks,
    pub(super) deadline: Option<Duration>,
    pub(super) max_server_pause: Option<Duration>,
}

/// Creating a client.
impl Client {
    /// Returns a builder with the documented limits.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Creates a client from the environment.
    ///
    /// | variable | what it sets |
    /// |---|---|
    /// | `CUSTOMERIO_SITE_ID`, `CUSTOMERIO_TRACK_API_KEY` | the credentials of the Track API |
    /// | `CUSTOMERIO_APP_API_KEY` | the credentials of the [App API](Self::app) |
    /// | `CUSTOMERIO_REGION` | the region: `us`, the default, or `eu` |
    /// | `CUSTOMERIO_BASE_URL` | the [base URL](ClientBuilder::base_url) of both APIs |
    ///
    /// One of both credentials is enough. A request to the other API is then not sent, with an
    /// error that names the variable: see [`Error::is_credentials`]. The client uses the proxy of
    /// [`HTTPS_PROXY`](ClientBuilder::proxy_from_env), if it is set.
    ///
    /// # Errors
    ///
    /// A variable is invalid, none of the credentials is set, one half of the Track API's is
    /// missing, or [`ClientBuilder::build`] fails.
    pub fn from_env() -> Result<Self, BuildError> {
        let lookup = |name: &str| std::env::var(name).ok();
        ClientBuilder::from_lookup(lookup)?.proxy_from_env().build()
    }

    /// Creates a client that accepts every operation and sends none, to run a program without
    /// Customer.io.
    ///
    /// No rate limit applies. The statistics count as if requests were sent.
    #[must_use]
    pub fn disabled() -> Self {
        let layers = Layers::disabled();
        Self::new(Inner {
            track: Some(disabled::endpoint()),
            app: Some(disabled::app_endpoint()),
            stacks: layers.disabled_stacks(),
            layers,
            ids: Arc::new(FreshIds::fixed()),
            deadline: None,
            max_server_pause: None,
        })
    }

    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Returns a client with the same settings, limits and statistics that sends through `service`.
    ///
    /// See [`ClientBuilder::build_with`] for what the service may do.
    #[must_use]
    pub fn with_service<S, B>(&self, service: S) -> Self
    where
        S: Service<http::Request<Full<Bytes>>, Response = Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        Self::new(Inner {
            stacks: self.0.layers.over(service),
            ..(*self.0).clone()
        })
    }

    /// Returns a client that shares everything with this one, but bounds neither the time nor the
    /// server's pauses of a call.
    #[cfg(feature = "queue")]
    pub(crate) fn without_bounds(&self) -> Self {
        Self::new(Inner {
            deadline: None,
            max_server_pause: None,
            ..(*self.0).clone()
        })
    }

    /// Returns the normalized base URL and the site id, if the client has credentials for the Track
    /// API.
    #[cfg(feature = "spool")]
    pub(crate) fn workspace(&self) -> Option<(String, String)> {
        let track = self.0.track.as_ref()?;
        Some((track.base_url().normalized(), track.site_id().to_owned()))
    }

    /// Returns a client that shares everything with this one, but has another deadline for its
    /// calls.
    ///
    /// See [`ClientBuilder::deadline`]. If `call` is zero or too short, nothing is sent.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use customerio::{Attributes, Client, Person};
    ///
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
    /// # use customerio_sim::{Faults, Simulator};
    /// # fn main() {
    /// # let slow = Faults::none().latency(Duration::from_secs(60));
    /// # simulated_by(Simulator::builder().faults(slow), async {
    /// let client = Client::from_env()?.with_deadline(Duration::from_secs(2));
    /// let error = client.identify(&Person::id("u1")?, &Attributes::new()).await.unwrap_err();
    /// assert!(error.is_deadline() && error.may_have_been_applied()); // the API was too slow
    /// # Ok(()) }) }
    /// ```
    #[must_use]
    pub fn with_deadline(&self, call: Duration) -> Self {
        Self::new(Inner {
            deadline: Some(call),
            ..(*self.0).clone()
        })
    }
}

/// Single operations; [`submit`](Client::submit) sends any other.
impl Client {
    /// Creates a person or updates their attributes.
    ///
    /// # Errors
    ///
    /// The operation was rejected or not sent, or its outcome is unknown.
    pub async fn identify(&self, person: &Person, attributes: &Attributes) -> Result<(), Error> {
        self.submit(Operation::identify(person, attributes)?).await
    }

    /// Reports an event of a person. An event without an id gets a new one, so that it can be sent
    /// again safely.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn track(&self, person: &Person, event: &Event) -> Result<(), Error> {
        let operation = match event.id {
            Some(_) => Operation::event(person, event)?,
            None => Operation::event(person, &self.with_id(event))?,
        };
        self.submit(operation).await
    }

    /// Reports an event of an anonymous visitor. An event without an id gets a new one.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn track_anonymous(&self, event: &AnonymousEvent) -> Result<(), Error> {
        let request = match event.event.id {
            Some(_) => v1::anonymous_event(event),
            None => v1::anonymous_event(&AnonymousEvent {
                anonymous_id: event.anonymous_id.clone(),
                event: self.with_id(&event.event),
            }),
        };
        self.submit(request).await
    }

    pub(crate) fn with_id(&self, event: &Event) -> Event {
        event.clone().id(self.0.ids.fresh(event.timestamp))
    }

    /// Adds a device to a person, or updates it.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn add_device(&self, person: &Person, device: &Device) -> Result<(), Error> {
        self.submit(Operation::add_device(person, device)?).await
    }

    /// Removes a device from a person.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn delete_device(&self, person: &Person, token: &str) -> Result<(), Error> {
        self.submit(Operation::delete_device(person, token)?).await
    }

    /// Merges `secondary` into `primary`. The request is not sent again after a failure that leaves
    /// open whether it arrived.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn merge(&self, primary: &Person, secondary: &Person) -> Result<(), Error> {
        self.submit(Operation::merge(primary, secondary)?).await
    }

    /// Deletes a person and blocks their identifiers.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn suppress(&self, person: &Person) -> Result<(), Error> {
        self.submit(Operation::suppress(person)?).await
    }

    /// Unblocks a person's identifiers.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn unsuppress(&self, person: &Person) -> Result<(), Error> {
        self.submit(Operation::unsuppress(person)?).await
    }

    /// Deletes a person. A later operation on them may create them again.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn delete(&self, person: &Person) -> Result<(), Error> {
        self.submit(Operation::delete(person)?).await
    }

    /// Sends any operation of version 2 or request of version 1.
    ///
    /// It adds no id to an event. An event without one is not sent again after a failure that
    /// leaves open whether it arrived. [`track`](Self::track) and
    /// [`track_anonymous`](Self::track_anonymous) add an id.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify). For a batch, the error is that of the first operation
    /// that was not accepted; [`send`](Self::send) returns all outcomes.
    pub async fn submit(&self, request: impl Into<Request>) -> Result<(), Error> {
        let outcomes = self.send(request).await;
        outcomes.into_iter().try_for_each(Error::check)
    }

    /// Asks the API for the region of the account. Call it at the start of a program, to check
    /// credentials and region.
    ///
    /// # Errors
    ///
    /// The API rejected the credentials, the account is in another region (see [`Error::region`]),
    /// or no response came.
    pub async fn check(&self) -> Result<Account, Error> {
        let mut delivery = Delivery::new(v1::region());
        let response = Call::new(&self.0, None).send_next(&mut delivery).await;
        let mut outcomes = delivery.into_outcomes();
        Error::check(outcomes.pop().expect("one request has one outcome"))?;
        let response = response.expect("an accepted request has a response");
        self.account(&response).map_err(Error::not_sent)
    }

    /// Reads the account in a response, if it is in the region of this client's endpoint.
    fn account(&self, response: &Response<Bytes>) -> Result<Account, Cause> {
        let account = Account::from_response(response).ok_or_else(|| not_json(response))?;
        // Both hosts answer for each account, so a wrong region shows here only. A base URL of
        // another host, such as a simulator, has no region to compare with.
        match self.0.track.as_ref().and_then(Endpoint::region) {
            Some(region) if region != account.region => {
                Err(Cause::other_region(response, account.region))
            }
            Some(_) | None => Ok(account),
        }
    }
}

/// Batches.
impl Client {
    /// Sends a request and returns one outcome for each of its operations, in their order.
    ///
    /// It adds no id to an event, as [`submit`](Self::submit).
    ///
    /// # Batches that fail as a whole
    ///
    /// - If the API rejects a batch as a whole, the batch is halved until the rejected operation is
    ///   alone.
    /// - If the response to a batch does not say how its operations ended, each is sent alone.
    /// - If a batch gets a 500 after all attempts while other requests of this client succeed, it
    ///   is halved: one of its operations makes the server fail.
    /// - After a part with another unknown outcome, the rest is not sent.
    pub async fn send(&self, request: impl Into<Request>) -> Vec<Outcome> {
        let call = Call::new(&self.0, None);
        call.deliver(Delivery::new(request)).await
    }

    /// Sends a request as [`send`](Self::send) does, and sets `has_departed` when an attempt
    /// departs.
    ///
    /// The flag is cleared again if each attempt so far was throttled or not sent, until the next
    /// one departs. While it is clear, no attempt is in flight: a future that is dropped then has
    /// sent nothing.
    pub async fn send_watched(
        &self,
        request: impl Into<Request>,
        has_departed: &Arc<AtomicBool>,
    ) -> Vec<Outcome> {
        let departure = DepartureFlag::new(has_departed);
        let call = Call::new(&self.0, Some(departure));
        call.deliver(Delivery::new(request)).await
    }
}

/// Monitoring.
impl Client {
    /// Returns the statistics of this client and its clones.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.layers.counters.stats()
    }

    /// Returns the state of the rate limit, which all clients of the workspace share: the number of
    /// queued requests, the current rate, and the reason if it is lower than the quota.
    #[must_use]
    pub fn limit(&self) -> Snapshot {
        self.0.layers.limit.handle().snapshot()
    }

    /// Returns the state of any limit, as [`limit`](Self::limit) does for that of the Track API.
    #[must_use]
    pub fn limit_of(&self, limit: ApiLimit) -> Snapshot {
        let layers = &self.0.layers;
        let limiter = match limit {
            // One rate limiter keeps both.
            ApiLimit::Ingress | ApiLimit::Records => &layers.limit,
            ApiLimit::App => &layers.app.app,
            ApiLimit::Trigger => &layers.app.trigger,
        };
        limiter.handle().snapshot()
    }

    /// Returns the pause of the Track API that the server asked for, if one lasts: how long no
    /// request departs, and which field of a response asked for it. Messages pause with it.
    ///
    /// One pause lasts at most [`Quota::max_retry_after`](crate::client::Quota::max_retry_after),
    /// an hour by default. Then one request departs and learns whether the server still asks for a
    /// wait.
    #[must_use]
    pub fn server_pause(&self) -> Option<ServerPause> {
        let gate = self.limit().gate?;
        Some(self.0.layers.last_pause_field.pause(gate))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("track", &self.0.track)
            .field("app", &self.0.app)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
