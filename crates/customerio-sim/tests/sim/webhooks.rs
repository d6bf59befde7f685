//! Reporting webhooks: their events, their signatures and their retries.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use customerio_sim::{Builder, Simulator, Webhook};
use hyper::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::client::Client;

const EMAIL: &str = r#"{"to":"a@b.co","identifiers":{"id":"u1"},"transactional_message_id":44,"subject":"Hi","from":"f@b.co","body":"b"}"#;

/// The answer of the receiver to an attempt.
#[derive(Clone, Copy)]
enum Answer {
    Status(u16),
    Late(Duration),
}

use Answer::{Late, Status};

#[derive(Debug)]
struct Attempt {
    at: Duration,
    timestamp: String,
    signature: String,
    event: Value,
}

/// A receiver that answers as told, then with 200, and records the attempts.
#[derive(Clone)]
struct Receiver(Arc<Mutex<(VecDeque<Answer>, Vec<Attempt>)>>, Instant);

impl Receiver {
    fn new(answers: &[Answer]) -> Self {
        let answers = answers.iter().copied().collect();
        Self(Arc::new(Mutex::new((answers, Vec::new()))), now())
    }

    fn router(&self) -> Router {
        let receiver = self.clone();
        let handler = post(move |headers: HeaderMap, body: Bytes| async move {
            receiver.receive(&headers, &body).await
        });
        Router::new().route("/hooks", handler)
    }

    async fn receive(&self, headers: &HeaderMap, body: &[u8]) -> StatusCode {
        let header = |name| headers[name].to_str().unwrap().to_owned();
        let answer = {
            let (answers, attempts) = &mut *self.0.lock().unwrap();
            attempts.push(Attempt {
                at: now() - self.1,
                timestamp: header("x-cio-timestamp"),
                signature: header("x-cio-signature"),
                event: serde_json::from_slice(body).unwrap(),
            });
            answers.pop_front().unwrap_or(Status(200))
        };
        match answer {
            Status(status) => StatusCode::from_u16(status).unwrap(),
            Late(time) => {
                tokio::time::sleep(time).await;
                StatusCode::OK
            }
        }
    }

    fn attempts(&self) -> Vec<Attempt> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    /// Returns the seconds of each attempt, and the id of its event.
    fn times(&self) -> Vec<(u64, String)> {
        let attempts = self.attempts().into_iter();
        let shown = |attempt: Attempt| {
            let id = attempt.event["event_id"].as_str().unwrap().to_owned();
            (attempt.at.as_secs(), id)
        };
        attempts.map(shown).collect()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test looks at its own virtual time"
)]
fn now() -> Instant {
    Instant::now()
}

/// Starts a simulator that delivers to `receiver`.
async fn start(receiver: &Receiver, configure: fn(Webhook) -> Webhook) -> (Simulator, Client) {
    let webhook = Webhook::to_router(receiver.router(), "/hooks", "secret");
    run(Simulator::builder().webhook(configure(webhook))).await
}

async fn run(settings: Builder) -> (Simulator, Client) {
    let simulator = settings.build();
    let client = Client::pipe(&simulator).await;
    let deliveries = simulator.clone();
    tokio::spawn(async move { deliveries.deliver_webhooks().await });
    (simulator, client)
}

async fn send_email(client: &mut Client) -> Value {
    let sent = client.app(Method::POST, "/v1/send/email", EMAIL).await;
    sent.json()["delivery_id"].clone()
}

async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(start_paused = true)]
async fn the_events_of_a_message_are_delivered_in_their_order_and_signed() {
    let receiver = Receiver::new(&[]);
    let (simulator, mut client) = start(&receiver, |webhook| webhook).await;
    client.put("u1").await;
    // A new person who is subscribed has changed nothing.
    let subscribed = json!({"unsubscribed": false});
    client
        .call(Method::PUT, "/api/v1/customers/u2", &subscribed)
        .await;
    let delivery = send_email(&mut client).await;
    let click = json!({"delivery_id": delivery, "metric": "clicked", "href": "https://a.co"});
    client.call(Method::POST, "/api/v1/metrics", &click).await;
    let bounce = json!({"delivery_id": delivery, "metric": "bounced", "reason": "full"});
    client.call(Method::POST, "/api/v1/metrics", &bounce).await;
    let preferences = json!({
        "unsubscribed": true, "cio_subscription_preferences": {"topics": {"topic_1": false}},
    });
    client
        .call(Method::PUT, "/api/v1/customers/u1", &preferences)
        .await;
    wait(Duration::from_secs(1)).await;
    let attempts = receiver.attempts();
    let names: Vec<_> = attempts.iter().map(|attempt| &attempt.event).collect();
    let names: Vec<_> = names
        .iter()
        .map(|event| format!("{}_{}", text(&event["object_type"]), text(&event["metric"])))
        .collect();
    let expected = "email_sent email_clicked email_bounced customer_unsubscribed \
        customer_cio_subscription_preferences_changed";
    let mut expected: Vec<_> = expected.split_whitespace().collect();
    // Two attributes of one update have no order.
    expected[3..].sort_unstable();
    let mut sorted = names.clone();
    sorted[3..].sort_unstable();
    assert_eq!(sorted, expected, "{names:?}");
    let sent = &attempts[0].event;
    assert_eq!(
        sent["data"],
        json!({
            "identifiers": {"id": "u1", "email": null, "cio_id": "03000001"}, "customer_id": "u1",
            "delivery_id": delivery, "transactional_message_id": 44, "recipient": "a@b.co",
            "subject": "Hi",
        })
    );
    assert_eq!(attempts[1].event["data"]["href"], "https://a.co");
    assert_eq!(attempts[2].event["data"]["failure_message"], "full");
    let ids: Vec<_> = attempts
        .iter()
        .map(|attempt| text(&attempt.event["event_id"]))
        .collect();
    assert!(ids.is_sorted() && ids[0] < ids[4]);
    assert!(attempts.iter().all(|attempt| attempt.signature.len() == 64));
    let totals = simulator.totals();
    assert_eq!((totals.webhooks, totals.webhook_failures), (5, 0));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_listed_status_pauses_the_webhook_for_an_hour_and_later_events_wait() {
    for status in [400, 401, 402, 403, 404, 405, 410, 429, 500, 502, 521] {
        let receiver = Receiver::new(&[Status(status), Status(503)]);
        let (simulator, mut client) = start(&receiver, |webhook| webhook).await;
        send_email(&mut client).await;
        send_email(&mut client).await;
        wait(DAY).await;
        let times = receiver.times();
        let first = times[0].1.clone();
        let seconds: Vec<_> = times.iter().map(|(at, _)| *at).collect();
        assert_eq!(seconds, [0, 3_600, 3_610, 3_610], "{status}");
        assert!(times[..3].iter().all(|(_, id)| *id == first) && times[3].1 != first);
        let totals = simulator.totals();
        assert_eq!((totals.webhooks, totals.webhook_failures), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_a_failure_so_an_event_comes_at_least_once() {
    let receiver = Receiver::new(&[Late(Duration::from_secs(5)), Status(302), Status(504)]);
    let (simulator, mut client) = start(&receiver, |webhook| webhook).await;
    send_email(&mut client).await;
    wait(DAY).await;
    // After 4 s the attempt has failed, though the receiver has the event.
    let seconds: Vec<_> = receiver.times().into_iter().map(|(at, _)| at).collect();
    assert_eq!(seconds, [0, 4 + 10, 4 + 10 + 20, 4 + 10 + 20 + 40]);
    assert_eq!(simulator.totals().webhook_failures, 3);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_given_up_after_seven_days_and_the_next_one_is_delivered() {
    let failures = [Status(503); 100];
    let receiver = Receiver::new(&failures);
    let (simulator, mut client) = start(&receiver, |webhook| {
        webhook.backoff(Duration::from_secs(60), Duration::from_secs(6 * 60 * 60))
    })
    .await;
    send_email(&mut client).await;
    wait(7 * DAY).await;
    let attempts = receiver.attempts();
    assert!(attempts.last().unwrap().at < 7 * DAY);
    assert!((30..50).contains(&attempts.len()), "{}", attempts.len());
    assert_eq!(simulator.totals().webhooks_dropped, 1);
    // The receiver is mended, and later events come.
    receiver.0.lock().unwrap().0.clear();
    // The first connection was idle for too long.
    let mut client = Client::pipe(&simulator).await;
    send_email(&mut client).await;
    wait(Duration::from_secs(1)).await;
    assert_eq!(receiver.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_has_the_first_signature_unless_it_is_signed_anew() {
    let settings: [fn(Webhook) -> Webhook; 2] = [|webhook| webhook, Webhook::resign_retries];
    for (index, configure) in settings.into_iter().enumerate() {
        let receiver = Receiver::new(&[Status(500)]);
        let (_, mut client) = start(&receiver, configure).await;
        send_email(&mut client).await;
        wait(DAY).await;
        let attempts = receiver.attempts();
        let of = |attempt: &Attempt| (attempt.timestamp.clone(), attempt.signature.clone());
        assert_eq!(of(&attempts[0]) == of(&attempts[1]), index == 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_can_be_delivered_twice() {
    let receiver = Receiver::new(&[]);
    let (simulator, mut client) = start(&receiver, |webhook| {
        webhook.repeat_every(NonZeroU32::new(2).unwrap())
    })
    .await;
    for _ in 0..4 {
        send_email(&mut client).await;
    }
    wait(Duration::from_secs(1)).await;
    let ids: Vec<_> = receiver.times().into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 6);
    assert!(ids[1] == ids[2] && ids[4] == ids[5]);
    assert_eq!(simulator.totals().webhooks, 4);
}

#[tokio::test]
async fn events_are_delivered_to_a_socket_and_a_closed_one_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let receiver = Receiver::new(&[]);
    let webhook = || {
        let webhook = Webhook::to_url(&format!("http://{address}/hooks"), "secret").unwrap();
        webhook.pause(Duration::from_millis(100))
    };
    drop(listener);
    let (simulator, mut client) = run(Simulator::builder().webhook(webhook())).await;
    send_email(&mut client).await;
    until(|| simulator.totals().webhook_failures > 0).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let router = receiver.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    until(|| simulator.totals().webhooks == 1).await;
    assert_eq!(receiver.attempts().len(), 1);
}

/// Waits for a condition, at most 20 s.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the condition was not met");
}
