use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use customerio::{Client, Outcome, Request};

/// Sends one request and tells the outcome of each of its operations, in order.
pub(crate) trait Api: Clone + Send + 'static {
    /// Sets `has_left` in the poll in which the request leaves; a future that is dropped before has sent nothing.
    fn send(
        &self,
        request: Request,
        has_left: Arc<AtomicBool>,
    ) -> impl Future<Output = Vec<Outcome>> + Send;
}

impl Api for Client {
    async fn send(&self, request: Request, has_left: Arc<AtomicBool>) -> Vec<Outcome> {
        self.send_watched(request, &has_left).await
    }
}
