use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Request, StatusCode};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::settings::{Target, Webhook};
use super::signature::signature;
use crate::records::WebhookEvent;
use crate::shared::Shared;

/// Delivers the events of all webhooks, each webhook in an order of its own. Ends only if there is
/// no webhook.
pub(crate) async fn deliver_all(shared: &Shared) {
    let webhooks = shared.webhooks.iter().enumerate();
    let mut deliveries: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
    for (index, webhook) in webhooks {
        deliveries.push(Box::pin(deliver(shared, index, webhook)));
    }
    poll_fn(|cx| {
        let mut is_pending = false;
        for delivery in &mut deliveries {
            is_pending |= delivery.as_mut().poll(cx).is_pending();
        }
        match is_pending {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    })
    .await;
}

/// Delivers the events of one webhook, forever. Later events wait while one is tried again.
async fn deliver(shared: &Shared, index: usize, webhook: &Webhook) {
    loop {
        // Before the queue is read: an event that is added in between wakes this.
        let mut added = pin!(shared.webhook_events.notified());
        added.as_mut().enable();
        let Some(event) = shared.store(|store| store.webhook_event(index)) else {
            added.await;
            continue;
        };
        let is_delivered = deliver_event(shared, webhook, &event).await;
        if is_delivered && webhook.repeats(event.number) {
            let repetition = Signed::new(shared, webhook, &event);
            let _ignored = attempt(webhook, &event, &repetition).await;
        }
        shared.store(|store| store.webhook_event_done(index, is_delivered));
    }
}

/// Returns whether an event was delivered before its time was over.
async fn deliver_event(shared: &Shared, webhook: &Webhook, event: &WebhookEvent) -> bool {
    let mut retries = Retries::default();
    let mut signed = Signed::new(shared, webhook, event);
    loop {
        let Some(failure) = attempt(webhook, event, &signed).await else {
            return true;
        };
        shared.store(|store| store.counts().webhook_failures += 1);
        let wait = retries.wait(webhook, failure);
        let age = shared.clock.unix_seconds().saturating_sub(event.created);
        let age = Duration::from_secs(u64::try_from(age).unwrap_or(0));
        if age.saturating_add(wait) >= webhook.give_up {
            return false;
        }
        sleep(wait).await;
        if webhook.is_resigned {
            signed = Signed::new(shared, webhook, event);
        }
    }
}

/// The time and the signature of an attempt.
struct Signed {
    timestamp: String,
    signature: String,
}

impl Signed {
    fn new(shared: &Shared, webhook: &Webhook, event: &WebhookEvent) -> Self {
        let timestamp = shared.clock.unix_seconds().to_string();
        Self {
            signature: signature(&webhook.key, &timestamp, &event.body),
            timestamp,
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// One of the documented failures, after which the next attempt waits for an hour.
    Listed,
    Other,
}

#[derive(Default)]
struct Retries {
    has_paused: bool,
    backoffs: u32,
}

impl Retries {
    /// Returns the time until the next attempt. The first listed failure of an event pauses it; all
    /// other waits grow.
    fn wait(&mut self, webhook: &Webhook, failure: Failure) -> Duration {
        if failure == Failure::Listed && !self.has_paused {
            self.has_paused = true;
            return webhook.pause;
        }
        let factor = 2_u32.saturating_pow(self.backoffs);
        self.backoffs += 1;
        let wait = webhook.first_backoff.saturating_mul(factor);
        wait.min(webhook.longest_backoff)
    }
}

impl Webhook {
    fn repeats(&self, number: u64) -> bool {
        let every = self.repeat_every.map(|every| u64::from(every.get()));
        every.is_some_and(|every| number.is_multiple_of(every))
    }
}

/// Sends an event once. Returns why it failed, if it did.
async fn attempt(webhook: &Webhook, event: &WebhookEvent, signed: &Signed) -> Option<Failure> {
    let request = request(webhook, event, signed);
    match timeout(webhook.timeout, send(&webhook.target, request)).await {
        Ok(Ok(status)) if status.is_success() => None,
        Ok(Ok(status)) if LISTED.contains(&status.as_u16()) => Some(Failure::Listed),
        // A connection that is refused, reset or ended is in the list too.
        Ok(Err(_)) => Some(Failure::Listed),
        Ok(Ok(_)) | Err(_) => Some(Failure::Other),
    }
}

fn request(webhook: &Webhook, event: &WebhookEvent, signed: &Signed) -> Request<Body> {
    let (host, path) = match &webhook.target {
        Target::Url { host, path, .. } => (host.as_str(), path),
        Target::Router { path, .. } => ("localhost", path),
    };
    let mut request = Request::new(Body::from(event.body.clone()));
    *request.method_mut() = axum::http::Method::POST;
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    let value = |text: &str| HeaderValue::try_from(text).expect("visible ASCII is a header value");
    headers.insert(HOST, value(host));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-cio-timestamp", value(&signed.timestamp));
    headers.insert("x-cio-signature", value(&signed.signature));
    request
}

async fn send(target: &Target, request: Request<Body>) -> io::Result<StatusCode> {
    let response = match target {
        Target::Router { router, .. } => {
            let Ok(response) = router.clone().oneshot(request).await;
            return Ok(response.status());
        }
        Target::Url { address, .. } => {
            let stream = TcpStream::connect((address.0.as_str(), address.1)).await?;
            let (mut sender, connection) = handshake(TokioIo::new(stream))
                .await
                .map_err(io::Error::other)?;
            // A connection for each event: its task is this future.
            tokio::select! {
                biased;
                response = sender.send_request(request) => response,
                ended = connection => return Err(ended.map_or_else(io::Error::other, |()| {
                    io::ErrorKind::UnexpectedEof.into()
                })),
            }
        }
    };
    response
        .map(|response| response.status())
        .map_err(io::Error::other)
}

/// The documented statuses after which the next attempt waits for an hour.
const LISTED: [u16; 11] = [400, 401, 402, 403, 404, 405, 410, 429, 500, 502, 521];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_failure_pauses_once_and_other_waits_grow() {
        let webhook = Webhook::to_url("http://localhost/", "key").unwrap();
        let webhook = webhook.backoff(Duration::from_secs(10), Duration::from_secs(60));
        let mut retries = Retries::default();
        let failures = [
            (Failure::Other, 10),
            (Failure::Listed, 3_600),
            (Failure::Listed, 20),
            (Failure::Other, 40),
            (Failure::Other, 60),
        ];
        for (failure, expected) in failures {
            assert_eq!(retries.wait(&webhook, failure).as_secs(), expected);
        }
        retries.backoffs = u32::MAX - 1;
        assert_eq!(retries.wait(&webhook, Failure::Other).as_secs(), 60);
    }
}
