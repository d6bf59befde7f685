use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::DATE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;

use super::{app, reply};
use crate::fault::{Failure, FailurePoint, Fault, Replacement};
use crate::limit::Decision;
use crate::records::Arrival;
use crate::shared::{ApiLimit, Shared};

/// Takes a request through delay, gateway, counter, API and delay, in this order.
///
/// The plan is drawn when the head arrives, and the first delay begins when the body is complete:
/// no response is sent while the client still writes.
pub(super) async fn simulate(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let plan = shared.next_plan();
    let max_bytes = app::max_body_bytes(request.uri().path());
    let request = match timeout(REQUEST_TIMEOUT, with_whole_body(request, max_bytes)).await {
        Ok(Some(request)) => request,
        Ok(None) => return reply::too_long(),
        Err(_) => return reply::too_slow(),
    };
    delay(plan.inbound).await;
    // A gateway responds before the counter. Every other request is counted, and can be throttled
    // before its fault applies.
    let mut response = match plan.fault {
        Some(Fault::Gateway) => bad_gateway(&shared),
        Some(Fault::Failure(failure)) => counted(&shared, Some(failure), request, next).await,
        None => counted(&shared, None, request, next).await,
    };
    response.headers_mut().insert(DATE, shared.date());
    delay(plan.outbound).await;
    response
}

/// Returns `None` if the body is longer than `max_bytes`, or breaks off.
async fn with_whole_body(request: Request, max_bytes: usize) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, max_bytes).await.ok()?;
    Some(Request::from_parts(parts, Body::from(body)))
}

async fn delay(delay: Duration) {
    // tokio rounds a sleep up to whole milliseconds, so that even one of zero can take time.
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

fn bad_gateway(shared: &Shared) -> Response {
    shared.store(|store| store.counts().gateway += 1);
    reply::bad_gateway()
}

async fn counted(
    shared: &Shared,
    failure: Option<Failure>,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    // One lock for time, record and decision: arrivals are recorded in the order of decisions.
    let api = app::limit_of(&method, uri.path());
    let (at, decision) = shared.count(api);
    let response = match decision {
        Decision::Admitted => admitted(shared, failure, request, next).await,
        Decision::Throttled { wait } => throttled(shared, api, wait),
    };
    shared.record(|| arrival(at, &method, &uri, &response));
    response
}

fn throttled(shared: &Shared, api: ApiLimit, wait: Duration) -> Response {
    shared.store(|store| store.counts().throttled += 1);
    let wait = (!shared.omits_retry_after).then_some(wait);
    reply::throttled(shared.limits.get(api), wait)
}

async fn admitted(
    shared: &Shared,
    failure: Option<Failure>,
    request: Request,
    next: Next,
) -> Response {
    let Some(failure) = failure else {
        return api(shared, request, next).await;
    };
    if failure.point == FailurePoint::AfterEffect {
        // The response is dropped: the client never learns that the API applied the request.
        let _lost = api(shared, request, next).await;
    }
    failed(shared, failure.replacement)
}

async fn api(shared: &Shared, request: Request, next: Next) -> Response {
    if !is_authenticated(shared, &request) {
        shared.store(|store| store.counts().unauthorized += 1);
        return reply::unauthorized();
    }
    let response = next.run(request).await;
    // A batch with rejected operations gets 207, and `Shared::apply_batch` has counted them.
    match response.status() {
        // The queue of triggers is full.
        StatusCode::TOO_MANY_REQUESTS => shared.store(|store| store.counts().throttled += 1),
        status if status.is_client_error() => shared.store(|store| store.counts().rejected += 1),
        _ => {}
    }
    response
}

fn is_authenticated(shared: &Shared, request: &Request) -> bool {
    let (path, headers) = (request.uri().path(), request.headers());
    if app::is_app(path) {
        return shared.credentials.accept_app(headers, app::is_send(path));
    }
    is_public(path) || shared.credentials.accept(headers)
}

/// Returns whether the API's specification declares no authentication at this path.
fn is_public(path: &str) -> bool {
    matches!(
        path,
        "/api/v1/metrics" | "/api/v1/push/events" | "/push/events"
    ) || path.starts_with("/unsubscribe/")
}

fn failed(shared: &Shared, replacement: Replacement) -> Response {
    shared.store(|store| match replacement {
        Replacement::Reset => store.counts().resets += 1,
        Replacement::Status {
            status: StatusCode::TOO_MANY_REQUESTS,
            ..
        } => store.counts().throttled += 1,
        Replacement::Garbage | Replacement::Status { .. } => store.counts().errors += 1,
    });
    match replacement {
        Replacement::Garbage => reply::garbage(),
        Replacement::Reset => reply::dropped(),
        Replacement::Status {
            status,
            retry_after,
        } => reply::fault(status, retry_after),
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

/// The time for the head of a request, with the idle time before it; and then again for its body.
///
/// Longer than clients keep idle connections (hyper: 90 s). Without it, half-sent requests would
/// hold all connections of a server.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5 * 60);
