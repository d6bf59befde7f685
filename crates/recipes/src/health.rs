//! gRPC's health service, from a server that fails on request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::Notify;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::{ErrorDetails, StatusExt};

use crate::server::serve;

/// A server whose every fifth call gets `UNAVAILABLE`.
#[derive(Debug)]
pub struct Flaky {
    url: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: AtomicUsize,
    /// The delay that the next call is told to wait, if any.
    throttle: Mutex<Option<Duration>>,
    throttled: Notify,
}

impl Flaky {
    /// Serves on a free port.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub async fn serve() -> Self {
        let state = Arc::new(State::default());
        let routes = Routes::new(HealthServer::new(Service(Arc::clone(&state))));
        let url = serve(routes.into_axum_router()).await;
        Self { url, state }
    }

    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns the number of calls so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// Responds to the next call with `RESOURCE_EXHAUSTED`, and with a `RetryInfo` of this delay.
    ///
    /// # Panics
    ///
    /// Never: the lock is not poisoned.
    pub fn throttle_next_for(&self, delay: Duration) {
        *self.state.throttle.lock().expect("no holder panics") = Some(delay);
    }

    /// Waits for the call that is responded to like that.
    pub async fn throttled(&self) {
        self.state.throttled.notified().await;
    }
}

/// The service of a [`Flaky`].
#[derive(Debug)]
struct Service(Arc<State>);

#[tonic::async_trait]
impl Health for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let call = self.0.calls.fetch_add(1, Ordering::Relaxed);
        let throttle = self.0.throttle.lock().expect("no holder panics").take();
        if let Some(delay) = throttle {
            self.0.throttled.notify_one();
            let details = ErrorDetails::with_retry_info(Some(delay));
            let status = Status::with_error_details(Code::ResourceExhausted, "slow down", details);
            return Err(status);
        }
        if call % 5 == 4 {
            return Err(Status::unavailable("the fifth call"));
        }
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("this server streams nothing"))
    }
}
