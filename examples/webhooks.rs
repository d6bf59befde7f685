//! An axum server that receives reporting webhooks of Customer.io.
//!
//! Run it with `cargo run --example webhooks`. It needs no network: it sends signed requests to
//! itself. The signature is verified before the handler runs. The handler enqueues the event and
//! answers; a worker acts on it afterwards. Copies are dropped by their `event_id`. When the server
//! stops, the worker first empties the queue.

use std::collections::{HashSet, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use customerio::webhooks::{
    EventMetric, ObjectType, Rejection, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, Verified,
    Verifier, VerifyLayer, WebhookEvent,
};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tower_http::timeout::TimeoutLayer;

/// Events that wait for the worker. One more is answered with 503, and comes again later. A real
/// server takes a greater one, such as 10,000: an event of 1 KB takes a few KB here.
const QUEUE: usize = 2;

/// Ids that are remembered, about 100 bytes each. A copy of an older event is handled twice. If
/// that matters, record the ids in a database, for the seven days in which copies may arrive.
const SEEN_IDS: usize = 100_000;

/// An event takes about 1 KB without the content of its message, which a webhook may report too.
const MAX_BODY: usize = 64 * 1024;

/// Customer.io waits this long for a response. A body that arrives more slowly is of no use.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The ids of the newest events.
struct SeenIds {
    ids: HashSet<Arc<str>>,
    oldest_first: VecDeque<Arc<str>>,
    capacity: usize,
}

impl SeenIds {
    fn new(capacity: usize) -> Self {
        Self {
            ids: HashSet::new(),
            oldest_first: VecDeque::new(),
            capacity,
        }
    }

    /// Records an id. Returns whether it is new.
    fn insert(&mut self, id: &str) -> bool {
        let id: Arc<str> = id.into();
        if !self.ids.insert(Arc::clone(&id)) {
            return false;
        }
        self.oldest_first.push_back(id);
        if self.oldest_first.len() > self.capacity
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

/// The state of the handler. The last clone that is dropped closes the queue.
#[derive(Clone)]
struct Inbox {
    seen: Arc<Mutex<SeenIds>>,
    queue: mpsc::Sender<WebhookEvent>,
}

impl Inbox {
    /// Enqueues an event unless it is a copy.
    fn enqueue(&self, event: WebhookEvent) -> StatusCode {
        // The place comes first: an id must not be recorded for an event that was not enqueued,
        // since its next copy would be dropped.
        let Ok(place) = self.queue.try_reserve() else {
            return StatusCode::SERVICE_UNAVAILABLE;
        };
        let mut seen = self.seen.lock().expect("no thread panics with the lock");
        if seen.insert(event.event_id()) {
            place.send(event);
        }
        StatusCode::NO_CONTENT
    }
}

/// The proof as an argument makes the handler fail if the layer is missing.
async fn receive(State(inbox): State<Inbox>, _: Extension<Verified>, body: Bytes) -> StatusCode {
    match WebhookEvent::from_slice(&body) {
        Ok(event) => inbox.enqueue(event),
        Err(error) => {
            // A 4xx would hold back all later events for an hour.
            eprintln!("skipped a webhook: {error}");
            StatusCode::NO_CONTENT
        }
    }
}

async fn log_rejection(response: Response) -> Response {
    if let Some(rejection) = response.extensions().get::<Rejection>() {
        eprintln!("webhook rejected with {}: {rejection}", rejection.status());
    }
    response
}

/// The last layer is the outermost.
fn app(key: SigningKey, inbox: Inbox) -> Router {
    Router::new()
        .route("/webhooks/customerio", post(receive))
        .layer(VerifyLayer::new(Verifier::new(key)).max_body(MAX_BODY))
        .layer(map_response(log_rejection))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            TIMEOUT,
        ))
        .with_state(inbox)
}

/// Acts on each event until the queue is closed and empty. Returns the names of the events.
async fn work(mut queue: mpsc::Receiver<WebhookEvent>) -> Vec<String> {
    let mut done = Vec::new();
    while let Some(event) = queue.recv().await {
        match (event.object_type(), event.metric()) {
            (ObjectType::Email, EventMetric::Bounced) => { /* send no more to this address */ }
            _ => { /* an event of another kind, or one that is new */ }
        }
        println!("{} {}", event.event_id(), event.name());
        done.push(event.name());
    }
    done
}

fn event(id: &str, object_type: &str, metric: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","object_type":"{object_type}","metric":"{metric}",
            "timestamp":1700000000,"data":{{"recipient":"jane@example.com"}}}}"#
    )
}

/// Sends requests as Customer.io does.
struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    key: SigningKey,
}

impl Sender {
    /// Sends a body with the signature of the text `signed`. Returns the status of the response.
    async fn send(&self, signed: &str, body: &str) -> Result<u16, Box<dyn Error>> {
        let timestamp = 1_700_000_000;
        let request = Request::post(&self.url)
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SIGNATURE_HEADER, self.key.sign(timestamp, signed))
            .body(Full::from(body.to_owned()))?;
        Ok(self.client.request(request).await?.status().as_u16())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = SigningKey::new("top-secret")?; // or `SigningKey::from_env()`
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let sender = Sender {
        client: Client::builder(TokioExecutor::new()).build_http(),
        url: format!("http://{}/webhooks/customerio", listener.local_addr()?),
        key: key.clone(),
    };
    let (queue, events) = mpsc::channel(QUEUE);
    let seen = Arc::new(Mutex::new(SeenIds::new(SEEN_IDS)));
    let app = app(key, Inbox { seen, queue });
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(async {
        axum::serve(listener, app)
            .with_graceful_shutdown(async { drop(stopped.await) }) // or `tokio::signal::ctrl_c()`
            .await
    });

    let bounced = event("1", "email", "bounced");
    assert_eq!(sender.send(&bounced, &bounced).await?, 204);
    assert_eq!(sender.send(&bounced, &bounced).await?, 204, "a copy");
    let forged = event("2", "email", "bounced");
    assert_eq!(sender.send(&bounced, &forged).await?, 401);
    let huge = "x".repeat(MAX_BODY + 1);
    assert_eq!(sender.send(&huge, &huge).await?, 413);
    assert_eq!(sender.send("[]", "[]").await?, 204, "no event");
    let new = event("3", "fax", "sent");
    assert_eq!(sender.send(&new, &new).await?, 204);

    // The worker is slow, so the queue is full. The event comes again later.
    let clicked = event("4", "email", "clicked");
    assert_eq!(sender.send(&clicked, &clicked).await?, 503);
    let worker = tokio::spawn(work(events));
    tokio::task::yield_now().await;
    assert_eq!(sender.send(&clicked, &clicked).await?, 204);

    // First the server answers what it has received, then the worker empties the queue.
    drop(stop);
    server.await??;
    let done = worker.await?;
    assert_eq!(done, ["email_bounced", "fax_sent", "email_clicked"]);

    let mut seen = SeenIds::new(2);
    assert!(["1", "2", "3"].iter().all(|id| seen.insert(id)));
    assert!(!seen.insert("3") && seen.insert("1") && seen.ids.len() == 2);
    Ok(())
}
