use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceExt};
use tower_pace::concurrency::PermitBody;
use tower_pace::was_sent;

use super::disabled;
use super::exchange::{BoxError, NotOfTheApi};
use super::ids::FreshIds;
use super::mask::masked;
use super::stack::{Layers, Stack};
use super::trace::Trace;
use super::trail::{Departure, Trail};
use super::{BuildError, ClientBuilder, Error, Stats};
use crate::v1::{self, Account};
use crate::{Cause, Credentials, Delivery, Endpoint, Event, Failure, Outcome, Region, Request};

/// Sends operations to Customer.io.
///
/// A clone is cheap, and shares everything: limits, connections, statistics. The methods need a tokio runtime with I/O
/// and time. Dropping a future stops its work and gives its turn back; a request that has left may still be applied.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    layers: Layers,
    ids: Arc<FreshIds>,
    stack: Stack,
}

impl Client {
    /// Returns a builder with the documented limits.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Returns a client for `CUSTOMERIO_SITE_ID`, `CUSTOMERIO_TRACK_API_KEY` and, if it is set, `CUSTOMERIO_REGION`.
    ///
    /// # Errors
    ///
    /// A variable is missing or wrong, or [`ClientBuilder::build`] fails.
    pub fn from_env() -> Result<Self, BuildError> {
        let (credentials, region) = (Credentials::from_env()?, Region::from_env()?);
        Self::builder()
            .credentials(credentials)
            .region(region)
            .build()
    }

    /// Returns a client that accepts everything and sends nothing, for a program that is to run without Customer.io.
    ///
    /// Nothing is paced, and the statistics count what would have been sent.
    #[must_use]
    pub fn disabled() -> Self {
        let layers = Layers::disabled();
        let stack = layers.over_nothing();
        let ids = Arc::new(FreshIds::fixed());
        Self::new(disabled::endpoint(), layers, ids, stack)
    }

    pub(super) fn new(
        endpoint: Endpoint,
        layers: Layers,
        ids: Arc<FreshIds>,
        stack: Stack,
    ) -> Self {
        Self(Arc::new(Inner {
            endpoint,
            layers,
            ids,
            stack,
        }))
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
        let Inner {
            endpoint,
            layers,
            ids,
            ..
        } = &*self.0;
        Self::new(
            endpoint.clone(),
            layers.clone(),
            Arc::clone(ids),
            layers.over(service),
        )
    }

    /// Sends a request and returns one outcome for each of its operations, in their order.
    ///
    /// A batch that is refused as a whole is halved until the guilty operation stands alone, and one whose answer says
    /// nothing of its operations is sent one by one. After a part whose fate is unknown, the rest is not sent.
    pub async fn send(&self, request: impl Into<Request>) -> Vec<Outcome> {
        self.carry(Delivery::new(request), None).await
    }

    /// Sends a request as [`send`](Self::send) does, and sets `has_left` in the poll in which its first attempt leaves.
    ///
    /// While it is not set, the request waits for its turn, and dropping the future means that it was not sent.
    pub async fn send_watched(
        &self,
        request: impl Into<Request>,
        has_left: &Arc<AtomicBool>,
    ) -> Vec<Outcome> {
        let departure = Departure(Arc::clone(has_left));
        self.carry(Delivery::new(request), Some(departure)).await
    }

    async fn carry(&self, mut delivery: Delivery, departure: Option<Departure>) -> Vec<Outcome> {
        while let Some(request) = delivery.request() {
            let trace = Trace::start(request);
            let mut request = request.to_http(&self.0.endpoint);
            if let Some(departure) = &departure {
                request.extensions_mut().insert(departure.clone());
            }
            let response = trace.cover(self.exchange(request, &mut delivery)).await;
            trace.end(response.as_ref());
        }
        delivery.into_outcomes()
    }

    /// Asks for the account's region, and so whether the credentials and the region are right.
    ///
    /// # Errors
    ///
    /// The credentials were refused, the account is held in another region (see [`Error::region`]), or no answer came.
    pub async fn check(&self) -> Result<Account, Error> {
        let mut delivery = Delivery::new(v1::region());
        let request = v1::region().to_http(&self.0.endpoint);
        let response = self.exchange(request, &mut delivery).await;
        let mut outcomes = delivery.into_outcomes();
        Error::check(outcomes.pop().expect("one request has one outcome"))?;
        let account = response.as_ref().and_then(Account::from_response);
        let account = account.ok_or_else(|| Error::not_sent(Cause::no_account()))?;
        match self.0.endpoint.region() {
            Some(region) if region != account.region => {
                Err(Error::not_sent(Cause::other_region(account.region)))
            }
            Some(_) | None => Ok(account),
        }
    }

    /// Sends one request with all its attempts, and tells the delivery how it ended. Returns the answer, if one came.
    async fn exchange(
        &self,
        mut request: http::Request<Full<Bytes>>,
        delivery: &mut Delivery,
    ) -> Option<Response<Bytes>> {
        let trail = Trail::default();
        request.extensions_mut().insert(trail.clone());
        let result = self.0.stack.clone().oneshot(request).await;
        if trail.may_have_arrived() {
            delivery.attempt_may_have_arrived();
        }
        match result {
            Ok(response) => {
                let response = masked(whole(response).await, &self.0.endpoint);
                delivery.answer(&response);
                Some(response)
            }
            Err(error) => {
                settle_error(error, delivery);
                None
            }
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
}

/// Takes the body, which was read before already, and so gives the permit back.
async fn whole(response: Response<PermitBody<Full<Bytes>>>) -> Response<Bytes> {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await;
    Response::from_parts(head, body.to_bytes())
}

fn settle_error(error: BoxError, delivery: &mut Delivery) {
    match error.downcast::<NotOfTheApi>() {
        Ok(not_of_the_api) => delivery.answer(&not_of_the_api.0),
        Err(error) => delivery.fail(Failure::boxed(was_sent(&error), error)),
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
