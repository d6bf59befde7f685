use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use customerio::{Client, Outcome, Request};

/// Sends a request and returns the outcome of each of its operations, in order.
pub(crate) trait Api: Clone + Send + 'static {
    /// Sends a request. Sets `departed` in the poll in which the request departs; a future that is
    /// dropped before that has sent nothing.
    fn send(
        &self,
        request: Request,
        departed: Arc<AtomicBool>,
    ) -> impl Future<Output = Vec<Outcome>> + Send;

    /// Returns the wait during which no request departs, if there is one.
    fn current_wait(&self) -> Option<CurrentWait>;
}

/// A wait during which no request departs.
#[derive(Clone, Debug)]
pub(crate) struct CurrentWait {
    pub(crate) remaining: Duration,
    /// The header field by which the server asked for the wait. None if the server named no time,
    /// as after a plain 429: then the client has chosen it.
    pub(crate) field: Option<String>,
}

impl Api for Client {
    async fn send(&self, request: Request, departed: Arc<AtomicBool>) -> Vec<Outcome> {
        self.send_watched(request, &departed).await
    }

    fn current_wait(&self) -> Option<CurrentWait> {
        self.server_pause().map(|hold| CurrentWait {
            remaining: hold.remaining,
            field: hold.field,
        })
    }
}
