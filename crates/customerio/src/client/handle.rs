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

use super::exchange::{BoxError, NotOfTheApi};
use super::ids::FreshIds;
use super::mask::masked;
use super::stack::{Layers, Stack};
use super::trail::{Departure, Trail};
use super::{BuildError, ClientBuilder, Error, Stats};
use crate::{
    AnonymousEvent, Attributes, Credentials, Delivery, Endpoint, Event, Failure, Operation,
    Outcome, Person, Region, Request, v1,
};

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

    /// Creates a person or updates their attributes.
    ///
    /// # Errors
    ///
    /// The operation was rejected, was not sent, or its fate is unknown.
    pub async fn identify(&self, person: &Person, attributes: &Attributes) -> Result<(), Error> {
        self.send_one(Operation::identify(person, attributes)?)
            .await
    }

    /// Reports what a person did. An event without an id gets a fresh one, so that it can be sent again safely.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn track(&self, person: &Person, event: &Event) -> Result<(), Error> {
        let operation = match event.id {
            Some(_) => Operation::event(person, event)?,
            None => Operation::event(person, &self.with_id(event))?,
        };
        self.send_one(operation).await
    }

    /// Reports what somebody did who is not identified yet. An event without an id gets a fresh one.
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
        self.send_one(request).await
    }

    /// Deletes a person and blocks their identifiers.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn suppress(&self, person: &Person) -> Result<(), Error> {
        self.send_one(Operation::suppress(person)?).await
    }

    /// Deletes a person. A later operation about them may create them again.
    ///
    /// # Errors
    ///
    /// As for [`identify`](Self::identify).
    pub async fn delete(&self, person: &Person) -> Result<(), Error> {
        self.send_one(Operation::delete(person)?).await
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
            let mut request = request.to_http(&self.0.endpoint);
            if let Some(departure) = &departure {
                request.extensions_mut().insert(departure.clone());
            }
            self.exchange(request, &mut delivery).await;
        }
        delivery.into_outcomes()
    }

    async fn send_one(&self, request: impl Into<Request>) -> Result<(), Error> {
        let mut outcomes = self.send(request).await;
        Error::check(outcomes.pop().expect("one operation has one outcome"))
    }

    /// Sends one request with all its attempts, and tells the delivery how it ended.
    async fn exchange(&self, mut request: http::Request<Full<Bytes>>, delivery: &mut Delivery) {
        let trail = Trail::default();
        request.extensions_mut().insert(trail.clone());
        let result = self.0.stack.clone().oneshot(request).await;
        if trail.may_have_arrived() {
            delivery.attempt_may_have_arrived();
        }
        match result {
            Ok(response) => {
                delivery.answer(&masked(whole(response).await, &self.0.endpoint));
            }
            Err(error) => settle_error(error, delivery),
        }
    }

    fn with_id(&self, event: &Event) -> Event {
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
