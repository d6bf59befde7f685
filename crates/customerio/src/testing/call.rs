use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Method;
use serde_json::Value;

/// One request that a client sent. Each retry is a request of its own.
///
/// `Debug` shows the method only: path and body may be confidential even in a test.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Bytes,
}

impl Call {
    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the path with its query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the body as JSON, or `null` if there is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// The record of the requests of a client. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    /// Returns all requests in the order of their departure.
    ///
    /// Memory grows with each request.
    #[must_use]
    pub fn all(&self) -> Vec<Call> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.clone()
    }

    /// Returns the number of requests.
    #[must_use]
    pub fn count(&self) -> usize {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.len()
    }

    pub(super) fn record(&self, call: Call) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
    }
}
