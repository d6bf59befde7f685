use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use customerio::{Client, Outcome, Request};

/// Sends one request and tells the outcome of each of its operations, in order.
pub(crate) trait Api: Clone + Send + 'static {
    /// Sets `has_left` in the poll in which the request leaves; a future that is dropped before has
    /// sent nothing.
    fn send(
        &self,
        request: Request,
        has_left: Arc<AtomicBool>,
    ) -> impl Future<Output = Vec<Outcome>> + Send;

    /// Returns for how long the server asked that nothing leaves, if it did.
    fn asked(&self) -> Option<Asked>;
}

/// A wait that the server asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) remaining: Duration,
    /// The name of the field that asked for it; nothing where the wait is our own, after a 429 that
    /// named no time.
    pub(crate) field: Option<String>,
}

impl Api for Client {
    async fn send(&self, request: Request, has_left: Arc<AtomicBool>) -> Vec<Outcome> {
        self.send_watched(request, &has_left).await
    }

    fn asked(&self) -> Option<Asked> {
        self.server_pause().map(|hold| Asked {
            remaining: hold.remaining,
            field: hold.field,
        })
    }
}
