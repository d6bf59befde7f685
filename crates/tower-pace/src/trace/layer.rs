use tower_layer::Layer;

use super::Spanned;

/// Applies [`Spanned`]: a span of the crate `tracing` for each call; see the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanLayer(());

impl SpanLayer {
    /// Returns the layer. It has no state.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for SpanLayer {
    type Service = Spanned<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Spanned::new(inner)
    }
}
