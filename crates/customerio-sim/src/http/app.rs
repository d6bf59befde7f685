//! The App API, under `/v1`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::path::Path;
use super::query::{Invalid, Query};
use super::{exports, imports, live_notifications, messages, people, reply, segments};
use crate::api::{Channel, Rejection, send, trigger};
use crate::shared::{ApiLimit, Shared, TriggerError};

/// The state of a handler.
type Handle = State<Arc<Shared>>;

pub(super) fn routes() -> Router<Arc<Shared>> {
    sends()
        .merge(of_people())
        .merge(of_segments_and_exports())
        .route("/activities", get(people::activities))
        .route("/imports", post(imports::create))
        .route("/imports/{import}", get(imports::status))
        .route("/campaigns/{broadcast}/triggers", post(trigger_broadcast))
        .route("/campaigns/{broadcast}/triggers/{trigger}", get(status))
        .route(
            "/campaigns/{broadcast}/triggers/{trigger}/errors",
            get(errors),
        )
        .fallback(not_found)
        // `max_body_bytes` holds instead.
        .layer(DefaultBodyLimit::disable())
}

/// Messages: what sends them, and what shows them.
fn sends() -> Router<Arc<Shared>> {
    Router::new()
        .route("/send/email", send_by(Channel::Email))
        .route("/send/in_app", send_by(Channel::InApp))
        .route("/send/inbox_message", send_by(Channel::Inbox))
        .route("/send/push", send_by(Channel::Push))
        .route("/send/sms", send_by(Channel::Sms))
        .route("/send/whatsapp", send_by(Channel::WhatsApp))
        .route("/messages", get(messages::all))
        .route("/messages/{message}", get(messages::one))
        .route(
            "/transactional/{template}/messages",
            get(messages::of_template),
        )
        .route("/live_notifications/start", post(live_notifications::start))
        .route(
            "/live_notifications/update",
            post(live_notifications::update),
        )
        .route("/live_notifications/end", post(live_notifications::end))
        .route(
            "/live_notifications/{instance}",
            get(live_notifications::one),
        )
}

fn of_people() -> Router<Arc<Shared>> {
    Router::new()
        .route("/customers", get(people::with_email).post(people::search))
        .route("/customers/attributes", post(people::attributes_of_many))
        .route(
            "/customers/{person}/activities",
            get(people::activities_of_person),
        )
        .route("/customers/{person}/attributes", get(people::attributes))
        .route("/customers/{person}/messages", get(messages::of_person))
        .route(
            "/customers/{person}/optouts",
            get(people::opt_outs).put(people::change_opt_outs),
        )
        .route(
            "/customers/{person}/relationships",
            get(people::relationships),
        )
        .route("/customers/{person}/segments", get(people::segments))
        .route(
            "/customers/{person}/subscription_preferences",
            get(people::subscription_preferences),
        )
        .route("/optouts", get(people::all_opt_outs))
}

fn of_segments_and_exports() -> Router<Arc<Shared>> {
    Router::new()
        .route("/segments", get(segments::all).post(segments::create))
        .route(
            "/segments/{segment}",
            get(segments::one).delete(segments::delete),
        )
        .route("/segments/{segment}/customer_count", get(segments::size))
        .route("/segments/{segment}/membership", get(segments::members))
        .route("/segments/{segment}/used_by", get(segments::used_by))
        .route("/exports", get(exports::all))
        .route("/exports/customers", post(exports::people))
        .route("/exports/deliveries", post(exports::deliveries))
        .route("/exports/{export}", get(exports::one))
        .route("/exports/{export}/download", get(exports::link))
}

/// Returns whether a path is one of the App API.
pub(super) fn is_app(path: &str) -> bool {
    path.starts_with("/v1/")
}

/// Returns whether a path is one of the endpoints that send messages.
pub(super) fn is_send(path: &str) -> bool {
    path.starts_with("/v1/send/")
}

/// Returns the limit under which a request counts.
pub(super) fn limit_of(method: &Method, path: &str) -> ApiLimit {
    if !is_app(path) || is_send(path) {
        return ApiLimit::Ingress;
    }
    let is_trigger = path.starts_with("/v1/campaigns/") && path.ends_with("/triggers");
    match is_trigger && method == Method::POST {
        true => ApiLimit::Triggers,
        false => ApiLimit::App,
    }
}

/// Returns the maximum length of the body of a request: the API documents 25 MB for triggers, and
/// for emails 1 MB with 2 MB of attachments, which are a third longer in base64. Every other
/// documented limit is below 1 MiB.
pub(super) fn max_body_bytes(path: &str) -> usize {
    match path {
        "/v1/send/email" => 4 * MIB,
        _ if path.starts_with("/v1/campaigns/") => 25 * MIB,
        _ => MIB,
    }
}

fn send_by(channel: Channel) -> MethodRouter<Arc<Shared>> {
    post(move |State(shared): Handle, body: Bytes| async move { sent(&shared, channel, &body) })
}

fn sent(shared: &Shared, channel: Channel, body: &[u8]) -> Response {
    let message = match send::message(channel, body, shared.clock.unix_seconds()) {
        Ok(message) => message,
        Err(rejection) => return reply::meta_error_with(status_of(&rejection), &rejection),
    };
    let message = shared.send(message);
    let mut body = json!({"delivery_id": message.delivery_id, "queued_at": message.queued_at});
    if let Some(send_at) = message.send_at {
        body["send_at"] = send_at.into();
    }
    reply::json(StatusCode::OK, &body)
}

async fn trigger_broadcast(
    State(shared): Handle,
    Path(broadcast): Path<u64>,
    body: Bytes,
) -> Response {
    if shared.store(|store| store.triggers(broadcast).is_none()) {
        return reply::app_not_found();
    }
    let trigger = match trigger::trigger(&body) {
        Ok(trigger) => trigger,
        Err(rejection) => return unprocessable(&rejection),
    };
    match shared.trigger(broadcast, trigger) {
        Ok(Some(id)) => reply::json(StatusCode::OK, &json!({"id": id})),
        Ok(None) => reply::app_not_found(),
        Err(TriggerError::Missing(rejection)) => unprocessable(&rejection),
        Err(TriggerError::QueueFull(wait)) => {
            let wait = (!shared.omits_retry_after).then_some(wait);
            reply::queue_full(wait)
        }
    }
}

async fn status(State(shared): Handle, Path((broadcast, trigger)): Path<(u64, u64)>) -> Response {
    let now = shared.clock.unix_seconds();
    let found = shared.store(|store| {
        let triggers = store.triggers(broadcast)?;
        triggers.iter().find(|known| known.id == trigger).cloned()
    });
    let Some(found) = found else {
        return reply::app_not_found();
    };
    let processed_at = (found.processed_at <= now).then_some(found.processed_at);
    let body = json!({
        "id": found.id,
        "broadcast_id": found.broadcast_id,
        "created_at": found.created_at,
        "processed_at": processed_at,
    });
    reply::json(StatusCode::OK, &body)
}

/// A trigger has no recipients here, and no errors either.
async fn errors(
    State(shared): Handle,
    Path((broadcast, trigger)): Path<(u64, u64)>,
    query: Query,
) -> Result<Response, Invalid> {
    query.limit(100, 1_000)?;
    let is_known = shared.store(|store| {
        let mut triggers = store.triggers(broadcast).unwrap_or_default().iter();
        triggers.any(|known| known.id == trigger)
    });
    Ok(match is_known {
        true => reply::json(StatusCode::OK, &json!({"errors": [], "next": ""})),
        false => reply::app_not_found(),
    })
}

async fn not_found() -> Response {
    reply::app_not_found()
}

fn status_of(rejection: &Rejection) -> StatusCode {
    match rejection.reason {
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// The envelope of a trigger that is rejected.
fn unprocessable(rejection: &Rejection) -> Response {
    let status = match status_of(rejection) {
        StatusCode::BAD_REQUEST => StatusCode::UNPROCESSABLE_ENTITY,
        other => other,
    };
    let mut error = Map::new();
    error.insert("detail".to_owned(), rejection.message.clone().into());
    error.insert("status".to_owned(), status.as_str().into());
    let pointer = format!("/data/attributes/{}", rejection.field);
    error.insert("source".to_owned(), json!({"pointer": pointer}));
    reply::json(status, &json!({"errors": [Value::from(error)]}))
}

const MIB: usize = 1024 * 1024;
