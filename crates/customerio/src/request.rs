use std::collections::HashSet;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, Uri, header};
use http_body_util::Full;

use crate::settle::settle;
use crate::v1::{self, Success, V1Request};
use crate::{AnonymousEvent, Batch, Endpoint, Failure, Lane, Operation, Outcome, Settlement};

const BATCH: &str = "/api/v2/batch";
const ENTITY: &str = "/api/v2/entity";
pub(crate) const USER_AGENT: &str = concat!("customerio-rust/", env!("CARGO_PKG_VERSION"));

/// One request to the Track API, as a value.
///
/// An [`Operation`] goes to `/api/v2/entity` and a [`Batch`] to `/api/v2/batch`. Functions in
/// [`v1`](crate::v1) create all other requests. Cloning shares the bodies of operations.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Batch(Batch),
    Entity(Operation),
    V1(V1Request),
}

impl Request {
    /// Returns the HTTP request for `endpoint`, with the whole body in memory.
    ///
    /// The `Authorization` header is marked sensitive. With feature `client`, the extensions hold
    /// `tower_pace::Replay` if the request [may be replayed](Self::may_replay), and the number of
    /// operations of a batch as its `tower_pace::Cost`.
    #[must_use]
    pub fn to_http(&self, endpoint: &Endpoint) -> http::Request<Full<Bytes>> {
        let body = self.body();
        let mut request = http::Request::new(Full::new(body.clone().unwrap_or_default()));
        *request.method_mut() = self.method();
        *request.uri_mut() = self.uri(endpoint);
        let headers = request.headers_mut();
        // One allocation instead of two.
        headers.reserve(3);
        headers.insert(header::AUTHORIZATION, endpoint.authorization());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if body.is_some() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        #[cfg(feature = "client")]
        if self.may_replay() {
            request.extensions_mut().insert(tower_pace::Replay);
        }
        // A request without a cost counts as one operation.
        #[cfg(feature = "client")]
        if self.len() > 1 {
            let records = u32::try_from(self.len()).unwrap_or(u32::MAX);
            let cost = tower_pace::Cost::of(records);
            request.extensions_mut().insert(cost);
        }
        #[cfg(feature = "client")]
        if self.success() != Success::default() {
            request.extensions_mut().insert(self.success());
        }
        request
    }

    fn uri(&self, endpoint: &Endpoint) -> Uri {
        let (path, route) = (self.path(), self.route());
        if path == route {
            endpoint.fixed_uri(route)
        } else {
            endpoint.uri(path)
        }
    }

    /// Returns the HTTP method.
    #[must_use]
    pub fn method(&self) -> Method {
        match &self.content {
            Content::Batch(_) | Content::Entity(_) => Method::POST,
            Content::V1(request) => request.method.clone(),
        }
    }

    /// Returns the path, percent-encoded, with its query if it has one.
    #[must_use]
    pub fn path(&self) -> &str {
        match &self.content {
            Content::Batch(_) => BATCH,
            Content::Entity(_) => ENTITY,
            Content::V1(request) => &request.path,
        }
    }

    /// Returns the path with names in place of values, such as `/api/v1/customers/{id}`.
    ///
    /// It holds no personal data and there are few of them, so it suits logs and metrics.
    #[must_use]
    pub fn route(&self) -> &'static str {
        match &self.content {
            Content::Batch(_) => BATCH,
            Content::Entity(_) => ENTITY,
            Content::V1(request) => request.route,
        }
    }

    /// Returns the body that a success of this request has.
    pub(crate) fn success(&self) -> Success {
        match &self.content {
            Content::Batch(_) | Content::Entity(_) => Success::default(),
            Content::V1(request) => request.success,
        }
    }

    /// Returns the JSON body, if there is one.
    #[must_use]
    pub fn body(&self) -> Option<Bytes> {
        match &self.content {
            Content::Batch(batch) => Some(batch.body()),
            Content::Entity(operation) => Some(operation.bytes()),
            Content::V1(request) => request.body.clone(),
        }
    }

    /// Returns whether sending the request again changes nothing. If so, it may be sent again after
    /// a failure that leaves open whether it arrived.
    #[must_use]
    pub fn may_replay(&self) -> bool {
        match &self.content {
            Content::Batch(_) => true,
            Content::Entity(operation) => operation.may_replay(),
            Content::V1(request) => request.may_replay,
        }
    }

    /// Returns the number of operations. Each gets one outcome.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Batch(batch) => batch.len(),
            Content::Entity(_) | Content::V1(_) => 1,
        }
    }

    /// Keeps the operations at the positions for which `keep` returns true, counted from 0, in
    /// their order.
    ///
    /// A request of one operation that loses it becomes an empty batch.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        match &mut self.content {
            Content::Batch(batch) => batch.retain(keep),
            Content::Entity(_) | Content::V1(_) if keep(0) => {}
            Content::Entity(_) | Content::V1(_) => self.content = Content::Batch(Batch::new()),
        }
    }

    /// Returns the lane of the operation, if the request has exactly one. A request of version 1
    /// has no lane.
    pub(crate) fn lane(&self) -> Option<Lane> {
        match self.operations() {
            [operation] => Some(operation.lane()),
            _ => None,
        }
    }

    /// Returns the lanes of the operations. A request of version 1 has none.
    pub(crate) fn lanes(&self) -> HashSet<Lane> {
        self.operations().iter().map(Operation::lane).collect()
    }

    /// Returns the positions of the operations of a lane.
    pub(crate) fn positions_of(&self, lane: Lane) -> impl Iterator<Item = usize> {
        let lanes = self.operations().iter().map(Operation::lane).enumerate();
        lanes.filter_map(move |(position, other)| (other == lane).then_some(position))
    }

    fn operations(&self) -> &[Operation] {
        match &self.content {
            Content::Batch(batch) => batch.operations(),
            Content::Entity(operation) => std::slice::from_ref(operation),
            Content::V1(_) => &[],
        }
    }

    /// Returns whether the request has no operation, as an empty batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads a response to this request, with its whole body.
    ///
    /// If the API rejects a batch as a whole (400, 413), the result is its two halves, to be sent
    /// again until the rejected operation is alone. If the item errors of a batch cannot be read,
    /// the result is one request for each operation.
    ///
    /// ```
    /// use customerio::{Attributes, Operation, Outcome, Person, Request, Settlement};
    /// let request: Request = Operation::identify(&Person::id("u1")?, &Attributes::new())?.into();
    /// let body = r#"{"errors":[{"message":"no"}]}"#.into();
    /// let rejected = http::Response::builder().status(400).body(body)?;
    /// let Settlement::Settled(outcomes) = request.settle(&rejected) else { unreachable!() };
    /// let [Outcome::Rejected(rejection)] = &outcomes[..] else { unreachable!() };
    /// assert_eq!(rejection.reason(), "no");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn settle(self, response: &Response<Bytes>) -> Settlement {
        settle(self, response)
    }

    /// Returns the outcomes of a request that got no response and is not sent again.
    #[must_use]
    pub fn settle_failure(self, failure: Failure) -> Vec<Outcome> {
        let Failure {
            may_have_been_sent,
            cause,
        } = failure;
        let outcome = if may_have_been_sent {
            Outcome::Unknown(cause)
        } else {
            Outcome::NotSent(cause)
        };
        vec![outcome; self.len()]
    }
}

impl From<Operation> for Request {
    fn from(operation: Operation) -> Self {
        Self {
            content: Content::Entity(operation),
        }
    }
}

impl From<Batch> for Request {
    fn from(batch: Batch) -> Self {
        Self {
            content: Content::Batch(batch),
        }
    }
}

impl From<V1Request> for Request {
    fn from(request: V1Request) -> Self {
        Self {
            content: Content::V1(request),
        }
    }
}

impl From<&AnonymousEvent> for Request {
    fn from(event: &AnonymousEvent) -> Self {
        v1::anonymous_event(event)
    }
}

impl From<AnonymousEvent> for Request {
    fn from(event: AnonymousEvent) -> Self {
        v1::anonymous_event(&event)
    }
}
