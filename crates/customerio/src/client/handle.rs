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

use super::disabled;
use super::ids::FreshIds;
use super::stack::{Layers, Stack};
use super::trail::Departure;
use super::{BuildError, ClientBuilder, Error, Hold, Stats};
use crate::response::not_json;
use crate::v1::{self, Account};
use crate::{Cause, Credentials, Delivery, Endpoint, Event, Outcome, Region, Request};

/// Sends operations to Customer.io.
///
/// A clone is cheap, and shares everything: limits, connections, statistics. The methods need a
/// tokio runtime with I/O and time. Dropping a future stops its work and gives its turn back; a
/// request that has left may still be applied.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Inner>);

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) endpoint: Endpoint,
    pub(super) layers: Layers,
    pub(super) ids: Arc<FreshIds>,
    pub(super) stack: Stack,
    pub(super) deadline: Option<Duration>,
    pub(super) max_hold: Option<Duration>,
}

impl Client {
    /// Returns a builder with the documented limits.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Returns a client for `CUSTOMERIO_SITE_ID`, `CUSTOMERIO_TRACK_API_KEY` and, if it is set,
    /// `CUSTOMERIO_REGION`.
    ///
    /// It goes through the proxy that [`HTTPS_PROXY`](ClientBuilder::proxy_from_env) names, if it
    /// is set.
    ///
    /// # Errors
    ///
    /// A variable is missing or wrong, or [`ClientBuilder::build`] fails.
    pub fn from_env() -> Result<Self, BuildError> {
        let (credentials, region) = (Credentials::from_env()?, Region::from_env()?);
        Self::builder()
            .credentials(credentials)
            .region(region)
            .proxy_from_env()
            .build()
    }

    /// Returns a client that accepts everything and sends nothing, for a program that is to run
    /// without Customer.io.
    ///
    /// Nothing is paced, and the statistics count what would have been sent.
    #[must_use]
    pub fn disabled() -> Self {
        let layers = Layers::disabled();
        Self::new(Inner {
            endpoint: disabled::endpoint(),
            stack: layers.over_nothing(),
            layers,
            ids: Arc::new(FreshIds::fixed()),
            deadline: None,
            max_hold: None,
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
            stack: self.0.layers.over(service),
            ..(*self.0).clone()
        })
    }

    /// Returns a client that shares everything, and whose calls end within another time than this
    /// one's.
    ///
    /// See [`ClientBuilder::deadline`]. Zero or too little sends nothing.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use customerio::{Attributes, Client, Person};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::disabled().with_service(tower::service_fn(|_| {
    ///     std::future::pending::<std::io::Result<http::Response<String>>>()
    /// }));
    /// let hurried = client.with_deadline(Duration::from_secs(2));
    /// let error = hurried.identify(&Person::id("u1")?, &Attributes::new()).await.unwrap_err();
    /// assert!(error.is_deadline() && error.may_have_been_applied());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_deadline(&self, call: Duration) -> Self {
        Self::new(Inner {
            deadline: Some(call),
            ..(*self.0).clone()
        })
    }

    /// Sends a request and returns one outcome for each of its operations, in their order.
    ///
    /// A batch that is refused as a whole is halved until the guilty operation stands alone, and
    /// one whose answer says nothing of its operations is sent one by one. So is halved a batch
    /// that ends in 500 after all its attempts, while other requests of this client succeed: one
    /// operation breaks the server then. After a part whose fate is otherwise unknown, the rest is
    /// not sent. An event without an id is sent as [`submit`](Self::submit) does.
    pub async fn send(&self, request: impl Into<Request>) -> Vec<Outcome> {
        self.carry(Delivery::new(request), None).await
    }

    /// Sends a request as [`send`](Self::send) does, and sets `has_left` in the poll in which an
    /// attempt leaves.
    ///
    /// It is cleared again where each attempt so far was answered with 429 or never reached the
    /// server, until the next one leaves. While it is not set, the request waits for its turn, and
    /// dropping the future means that it was not sent.
    pub async fn send_watched(
        &self,
        request: impl Into<Request>,
        has_left: &Arc<AtomicBool>,
    ) -> Vec<Outcome> {
        let departure = Departure::new(has_left);
        self.carry(Delivery::new(request), Some(departure)).await
    }

    /// Asks for the account's region, and so whether the credentials and the region are right.
    ///
    /// # Errors
    ///
    /// The credentials were refused, the account is held in another region (see [`Error::region`]),
    /// or no answer came.
    pub async fn check(&self) -> Result<Account, Error> {
        let mut delivery = Delivery::new(v1::region());
        let mut call = self.call(None);
        let response = self.part(&mut delivery, &mut call).await;
        let mut outcomes = delivery.into_outcomes();
        Error::check(outcomes.pop().expect("one request has one outcome"))?;
        let response = response.expect("what was accepted was answered");
        self.account(&response).map_err(Error::not_sent)
    }

    /// Reads the account that an answer tells of, if it is held where this client sends.
    fn account(&self, response: &Response<Bytes>) -> Result<Account, Cause> {
        let account = Account::from_response(response).ok_or_else(|| not_json(response))?;
        match self.0.endpoint.region() {
            Some(region) if region != account.region => {
                Err(Cause::other_region(response, account.region))
            }
            Some(_) | None => Ok(account),
        }
    }

    pub(super) fn with_id(&self, event: &Event) -> Event {
        event.clone().id(self.0.ids.fresh(event.timestamp))
    }

    /// Returns what this client, with its clones, has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.layers.counters.stats()
    }

    /// Returns for how long the server lets nothing of this client leave, and which field of a
    /// response asked for that.
    ///
    /// The longest that a quota obeys is an hour, unless it says otherwise; then the server is
    /// asked again.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        let gate = self.limit().gate?;
        Some(self.0.layers.last_field.hold(gate))
    }

    /// Returns the state of the limit that this client keeps, with all who share it: how many wait,
    /// at which rate the rest leaves, and what holds it back.
    #[must_use]
    pub fn limit(&self) -> Snapshot {
        self.0.layers.limit.handle().snapshot()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.0.endpoint)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
