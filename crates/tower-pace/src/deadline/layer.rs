use std::time::Duration;

use tower_layer::{Identity, Layer};

use super::Deadlined;

/// Applies [`Deadlined`] outside the services of `L`: each call ends within a time.
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_pace::{DeadlineLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
///
/// // In place of a client: its server never answers.
/// let client = service_fn(|_: http::Request<String>| {
///     std::future::pending::<Result<http::Response<String>, io::Error>>()
/// });
/// let api = ServiceBuilder::new()
///     .layer(DeadlineLayer::new(Duration::from_secs(30)))
///     .layer(RetryLayer::new(RetryPolicy::default()))
///     .layer(RateLimitLayer::new(Quota::per_second(100)).max_wait(Duration::from_secs(10)))
///     .service(client);
///
/// let error = api.oneshot(http::Request::default()).await.unwrap_err();
/// assert!(error.is_elapsed() && !error.is_rejected());
/// assert!(tower_pace::was_sent(&error), "the server may have processed it");
/// # }
/// ```
///
/// The error is an [`Error`](crate::Error) around the one of the limit. Its questions look into
/// both.
#[derive(Clone, Debug)]
pub struct DeadlineLayer<L = Identity> {
    layer: L,
    within: Duration,
}

impl DeadlineLayer {
    /// Returns a layer whose calls end within `within`, or at the [`Deadline`](super::Deadline) of
    /// their request if that is sooner.
    #[must_use]
    pub const fn new(within: Duration) -> Self {
        Self {
            layer: Identity::new(),
            within,
        }
    }
}

impl<L> DeadlineLayer<L> {
    pub(crate) const fn over(layer: L, within: Duration) -> Self {
        Self { layer, within }
    }
}

impl<S, L: Layer<S>> Layer<S> for DeadlineLayer<L> {
    type Service = Deadlined<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadlined::new(self.layer.layer(inner), self.within)
    }
}
