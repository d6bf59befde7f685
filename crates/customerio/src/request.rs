use std::collections::HashSet;

use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header};
use http_body_util::Full;

use crate::v1::{Call, Success};
use crate::{Batch, Endpoint, Lane, Operation};

const BATCH: &str = "/api/v2/batch";
const ENTITY: &str = "/api/v2/entity";
const USER_AGENT: &str = concat!("customerio-rust/", env!("CARGO_PKG_VERSION"));

/// Holds one request to the Track API as a value, apart from where it goes and who sends it.
///
/// An [`Operation`] goes to `/api/v2/entity`, a [`Batch`] to `/api/v2/batch`; [`v1`](crate::v1)
/// makes the rest. Cloning shares the bodies of operations.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Batch(Batch),
    Entity(Operation),
    V1(Call),
}

impl Request {
    /// Returns the HTTP request for `endpoint`, with the whole body in memory.
    ///
    /// The `Authorization` header is marked sensitive. With feature `client`, a request that
    /// [may be replayed](Self::may_replay) carries the mark by which `tower-pace` knows it, and a
    /// batch the number of its operations as its cost.
    #[must_use]
    pub fn to_http(&self, endpoint: &Endpoint) -> http::Request<Full<Bytes>> {
        let body = self.body();
        let mut request = http::Request::new(Full::new(body.clone().unwrap_or_default()));
        *request.method_mut() = self.method();
        *request.uri_mut() = self.uri(endpoint);
        let headers = request.headers_mut();
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
            Content::V1(call) => call.method.clone(),
        }
    }

    /// Returns the path, percent-encoded, with its query if it has one.
    #[must_use]
    pub fn path(&self) -> &str {
        match &self.content {
            Content::Batch(_) => BATCH,
            Content::Entity(_) => ENTITY,
            Content::V1(call) => &call.path,
        }
    }

    /// Returns the path with names in the place of values, such as `/api/v1/customers/{id}`.
    ///
    /// Unlike the path it names nobody, and there are few: it is fit for logs and metrics.
    #[must_use]
    pub fn route(&self) -> &'static str {
        match &self.content {
            Content::Batch(_) => BATCH,
            Content::Entity(_) => ENTITY,
            Content::V1(call) => call.route,
        }
    }

    /// Returns what a success of this request looks like.
    pub(crate) fn success(&self) -> Success {
        match &self.content {
            Content::Batch(_) | Content::Entity(_) => Success::default(),
            Content::V1(call) => call.success,
        }
    }

    /// Returns the JSON body, if there is one.
    #[must_use]
    pub fn body(&self) -> Option<Bytes> {
        match &self.content {
            Content::Batch(batch) => Some(batch.body()),
            Content::Entity(operation) => Some(operation.bytes()),
            Content::V1(call) => call.body.clone(),
        }
    }

    /// Returns whether sending it again changes nothing, so that an ambiguous failure may be
    /// followed by another attempt.
    #[must_use]
    pub fn may_replay(&self) -> bool {
        match &self.content {
            Content::Batch(_) => true,
            Content::Entity(operation) => operation.may_replay(),
            Content::V1(call) => call.may_replay,
        }
    }

    /// Returns the number of operations, each of which gets one outcome.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Batch(batch) => batch.len(),
            Content::Entity(_) | Content::V1(_) => 1,
        }
    }

    /// Keeps the operations for whose positions `keep` is true, counted from 0, in their order.
    ///
    /// For a request that carries one operation and loses it, an empty batch is left.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        match &mut self.content {
            Content::Batch(batch) => batch.retain(keep),
            Content::Entity(_) | Content::V1(_) if keep(0) => {}
            Content::Entity(_) | Content::V1(_) => self.content = Content::Batch(Batch::new()),
        }
    }

    /// Returns the lane of the one operation that it carries; version 1 and several operations have
    /// none.
    pub(crate) fn lane(&self) -> Option<Lane> {
        match self.operations() {
            [operation] => Some(operation.lane()),
            _ => None,
        }
    }

    /// Returns the lanes of its operations; version 1 has none.
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

    /// Returns whether there is nothing to send, as in an empty batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

impl From<Call> for Request {
    fn from(call: Call) -> Self {
        Self {
            content: Content::V1(call),
        }
    }
}
