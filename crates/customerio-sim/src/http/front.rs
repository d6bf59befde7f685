use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::DATE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;

use super::reply;
use crate::books::Arrival;
use crate::limit::Verdict;
use crate::weather::{Failure, Instead, Mishap, When};
use crate::world::World;

/// What every request to the API meets: the way in, the gateway, the counter, the API, the way out.
///
/// Its fate is drawn when its head arrives. It goes on its way once its body is whole, so that no
/// answer is sent while the client still writes.
pub(super) async fn front(
    State(world): State<Arc<World>>,
    request: Request,
    next: Next,
) -> Response {
    let fate = world.fate();
    let request = match timeout(SLOWEST_REQUEST, whole(request)).await {
        Ok(Some(request)) => request,
        Ok(None) => return reply::too_long(),
        Err(_) => return reply::too_slow(),
    };
    pass(fate.way_in).await;
    let mut response = match fate.mishap {
        Some(Mishap::Gateway) => bad_gateway(&world),
        Some(Mishap::Failure(failure)) => counted(&world, Some(failure), request, next).await,
        None => counted(&world, None, request, next).await,
    };
    response.headers_mut().insert(DATE, world.date());
    pass(fate.way_out).await;
    response
}

async fn whole(request: Request) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.ok()?;
    Some(Request::from_parts(parts, Body::from(body)))
}

/// A timer takes at least a millisecond; calm weather takes none.
async fn pass(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

fn bad_gateway(world: &World) -> Response {
    world.books(|books| books.tally().gateway += 1);
    reply::bad_gateway()
}

async fn counted(
    world: &World,
    failure: Option<Failure>,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let (at, verdict) = world.arrive();
    let response = match verdict {
        Verdict::Admitted => answered(world, failure, request, next).await,
        Verdict::Refused { wait } => throttled(world, wait),
    };
    world.record(|| arrival(at, &method, &uri, &response));
    response
}

fn throttled(world: &World, wait: Duration) -> Response {
    world.books(|books| books.tally().throttled += 1);
    world.throttle.refuse(wait)
}

async fn answered(
    world: &World,
    failure: Option<Failure>,
    request: Request,
    next: Next,
) -> Response {
    let Some(failure) = failure else {
        return api(world, request, next).await;
    };
    if failure.when == When::AfterEffect {
        let _lost = api(world, request, next).await;
    }
    failed(world, failure.instead)
}

async fn api(world: &World, request: Request, next: Next) -> Response {
    if !is_open(request.uri().path()) && !world.credentials.admit(request.headers()) {
        world.books(|books| books.tally().unauthorized += 1);
        return reply::unauthorized();
    }
    let response = next.run(request).await;
    if response.status().is_client_error() {
        world.books(|books| books.tally().rejected += 1);
    }
    response
}

/// Whether the specification asks for no credentials at this path.
fn is_open(path: &str) -> bool {
    matches!(path, "/api/v1/metrics" | "/api/v1/push/events") || path.starts_with("/unsubscribe/")
}

fn failed(world: &World, instead: Instead) -> Response {
    world.books(|books| match instead {
        Instead::Reset => books.tally().resets += 1,
        Instead::Status {
            status: StatusCode::TOO_MANY_REQUESTS,
            ..
        } => books.tally().throttled += 1,
        Instead::Garbage | Instead::Status { .. } => books.tally().errors += 1,
    });
    match instead {
        Instead::Garbage => reply::garbage(),
        Instead::Reset => reply::dropped(),
        Instead::Status {
            status,
            retry_after,
        } => reply::scripted(status, retry_after),
    }
}

fn arrival(at: Duration, method: &Method, uri: &Uri, response: &Response) -> Arrival {
    let status = (!reply::is_dropped(response)).then(|| response.status().as_u16());
    Arrival {
        at,
        method: method.to_string(),
        path: uri.path().to_owned(),
        status,
    }
}

/// How long a head may take to become whole, with the idle time before it, and then a body. Longer
/// than clients keep idle connections, which hyper does for 90 s; without it, half-sent requests
/// would hold all places of a server.
pub(crate) const SLOWEST_REQUEST: Duration = Duration::from_secs(5 * 60);

/// Over what any documented limit allows, and still small.
const MAX_BODY_BYTES: usize = 1024 * 1024;
