use http::{Response, StatusCode};
use http_body::Body;

use super::PermitBody;
use super::permit::Permit;

/// When a request stops being in flight: [`BodyEnd`] or [`ResponseHead`].
///
/// It is a type parameter of the layer, since the body of a response depends on it. It cannot be
/// implemented outside this crate.
pub trait Until<C> {
    /// The response's body.
    type Body;

    /// Lets the response hold the permit, or releases it.
    fn hold(response: Response<C>, permit: Permit) -> Response<Self::Body>;
}

/// In flight until the body has ended, has failed or is dropped.
///
/// A body that is at its end with the head of the response holds no permit. The body of a 101 holds
/// none either: its connection belongs to another protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyEnd;

impl<C: Body> Until<C> for BodyEnd {
    type Body = PermitBody<C>;

    #[inline]
    fn hold(response: Response<C>, permit: Permit) -> Response<PermitBody<C>> {
        let is_upgrade = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        response.map(|body| match is_upgrade {
            true => PermitBody::free(body),
            false => PermitBody::holding(body, permit),
        })
    }
}

/// In flight until the head of the response is there.
///
/// Use it for bodies that are read slowly or never end. The number of such bodies is not bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead;

impl<C> Until<C> for ResponseHead {
    type Body = C;

    #[inline]
    fn hold(response: Response<C>, _: Permit) -> Response<C> {
        response
    }
}
