use std::time::Duration;

use tower_layer::{Identity, Layer};

use super::Deadlined;

/// Applies [`Deadlined`] outside the services of `L`: each call ends within a time.
///
/// ```
/// use std::time::Duration;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_pace::{RetryLayer, RetryPolicy};
/// # use std::convert::Infallible;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
///
/// let never = service_fn(|_: http::Request<String>| {
///     std::future::pending::<Result<http::Response<String>, Infallible>>()
/// });
/// let layer = RetryLayer::new(RetryPolicy::default()).deadline(Duration::from_secs(5));
/// let error = layer.layer(never).oneshot(http::Request::default()).await.unwrap_err();
/// assert!(error.is_elapsed());
/// # }
/// ```
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
