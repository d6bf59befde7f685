use http::{Response, StatusCode};
use http_body::Body;

use super::PermitBody;
use super::permit::Permit;

/// Until when a request is in flight: [`BodyEnd`] or [`ResponseHead`].
///
/// It is a type parameter of the layer, since it decides what body a response has. It cannot be implemented outside
/// this crate.
pub trait Until<C> {
    /// The response's body.
    type Body;

    /// Lets a response hold the permit for as long as it must.
    fn hold(response: Response<C>, permit: Permit) -> Response<Self::Body>;
}

/// In flight until the body has ended, failed or is dropped. A body that is known to be at its end with the head of the
/// response holds nothing, and neither does that of a 101: it is another protocol's.
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

/// In flight until the head of the response has come: for bodies that are read at leisure, or never end. They are not
/// bounded then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead;

impl<C> Until<C> for ResponseHead {
    type Body = C;

    #[inline]
    fn hold(response: Response<C>, _: Permit) -> Response<C> {
        response
    }
}
