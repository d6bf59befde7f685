use http::Request;

use super::Handle;

/// Says which limit a request falls under: the one of its layer ([`Single`]), or one of several
/// ([`Keyed`](super::Keyed)).
pub trait Scope<B>: Clone {
    /// Returns the limit of a request; `common` is the one that is always there.
    fn limit(&self, request: &Request<B>, common: &Handle) -> Handle;
}

/// All requests fall under one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Single;

impl<B> Scope<B> for Single {
    fn limit(&self, _: &Request<B>, common: &Handle) -> Handle {
        common.clone()
    }
}
