//! Servers that behave like well-known APIs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::server::serve;

/// How long after the start a limit of GitHub's kind is reset, in seconds.
const UNTIL_RESET: u64 = 1_200;

/// A server of GitHub's kind: 5,000 requests an hour, stated in every response. It throttles
/// one request by a 403, if asked to.
#[derive(Debug)]
pub struct GitHub {
    /// Where it listens.
    pub url: String,
    requests: Arc<AtomicU32>,
}

impl GitHub {
    /// Serves on a free port. `now` is the time in seconds after 1970. The request of the number
    /// `throttled` gets the 403, counted from zero.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub async fn serve(now: u64, throttled: Option<u32>) -> Self {
        let requests = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&requests);
        let app = Router::new().fallback(any(move || {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            let response = github(number, now + UNTIL_RESET, throttled == Some(number));
            async move { response }
        }));
        let url = serve(app).await;
        Self { url, requests }
    }

    /// Returns the number of requests so far.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn github(number: u32, reset: u64, is_throttled: bool) -> Response {
    if is_throttled {
        return (StatusCode::FORBIDDEN, [("retry-after", "1")]).into_response();
    }
    let fields = [
        ("x-ratelimit-limit", String::from("5000")),
        ("x-ratelimit-remaining", (4_999 - number).to_string()),
        ("x-ratelimit-reset", reset.to_string()),
    ];
    (fields, "{}").into_response()
}

/// A server of Stripe's kind: it applies a request with a known `Idempotency-Key` once. The
/// response to the first request is lost in a gateway.
#[derive(Debug)]
pub struct Stripe {
    /// Where it listens.
    pub url: String,
    requests: Arc<Mutex<HashMap<String, u32>>>,
}

impl Stripe {
    /// Serves on a free port.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub async fn serve() -> Self {
        let requests = Arc::default();
        let app = Router::new().fallback(any(stripe));
        let url = serve(app.with_state(Arc::clone(&requests))).await;
        Self { url, requests }
    }

    /// Returns the number of requests with each key.
    ///
    /// # Panics
    ///
    /// Never: the lock is not poisoned.
    #[must_use]
    pub fn requests_by_key(&self) -> Vec<u32> {
        let requests = self.requests.lock().expect("no holder panics");
        requests.values().copied().collect()
    }
}

async fn stripe(
    State(requests): State<Arc<Mutex<HashMap<String, u32>>>>,
    headers: HeaderMap,
) -> Response {
    let Some(key) = headers.get("idempotency-key") else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let key = String::from_utf8_lossy(key.as_bytes()).into_owned();
    let mut requests = requests.lock().expect("no holder panics");
    let is_first = requests.is_empty();
    *requests.entry(key).or_default() += 1;
    match is_first {
        true => StatusCode::BAD_GATEWAY.into_response(),
        false => Json(json!({ "object": "charge" })).into_response(),
    }
}

/// A server of a language model: 30,000 tokens a minute. Each answer takes 150 of them.
#[derive(Debug)]
pub struct LanguageModel {
    /// Where it listens.
    pub url: String,
}

impl LanguageModel {
    /// Serves on a free port.
    ///
    /// # Panics
    ///
    /// If no port is free.
    pub async fn serve() -> Self {
        let used = Arc::new(AtomicU32::new(0));
        let app = Router::new().fallback(any(language_model)).with_state(used);
        let url = serve(app).await;
        Self { url }
    }
}

async fn language_model(State(used): State<Arc<AtomicU32>>, Json(_): Json<Value>) -> Response {
    let used = 150 + used.fetch_add(150, Ordering::Relaxed);
    if used > 30_000 {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let fields = [
        ("x-ratelimit-limit-tokens", String::from("30000")),
        ("x-ratelimit-remaining-tokens", (30_000 - used).to_string()),
        // 500 tokens a second.
        ("x-ratelimit-reset-tokens", format!("{}ms", used * 2)),
    ];
    (fields, Json(json!({ "usage": { "total_tokens": 150 } }))).into_response()
}
