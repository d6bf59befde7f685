use axum::extract::{FromRequestParts, OriginalUri, Path as AxumPath};
use axum::http::request::Parts;
use axum::response::Response;
use serde::de::DeserializeOwned;

use super::{app, reply};
use crate::api::Rejection;

/// The parameters of a path. One that cannot be read is rejected in the envelope of its endpoint,
/// where axum's own extractor responds with a text of axum.
pub(super) struct Path<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        if let Ok(AxumPath(parameters)) = AxumPath::from_request_parts(parts, state).await {
            return Ok(Self(parameters));
        }
        let original = parts.extensions.get::<OriginalUri>();
        if original.is_some_and(|uri| app::is_app(uri.path())) {
            return Err(reply::app_not_found());
        }
        Err(rejected(parts.uri.path()))
    }
}

/// Responds as the endpoint of the Track API or of the records does that `path` names. It is the
/// rest after the prefix under which the routes are nested.
fn rejected(path: &str) -> Response {
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let unreadable = Rejection::invalid("path", "path must be percent-encoded UTF-8");
    match segments.as_slice() {
        ["segments", _, _] => reply::meta_errors(&Rejection::invalid(
            "segment_id",
            "segment_id must be an integer",
        )),
        ["forms", _, _] | ["customers", _, "devices" | "events", ..] => {
            reply::meta_errors(&unreadable)
        }
        ["customers", ..] | ["unsubscribe", _] => reply::meta_error(&unreadable),
        // All others are paths of records, and no record has such an identifier.
        _ => reply::no_such_record(),
    }
}
