//! The webhooks that the simulator signs and delivers, received by the layer.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use customerio::webhooks::{Verified, Verifier, VerifyLayer, WebhookEvent};
use customerio_sim::{Builder, Simulator, Webhook};
use http::{Request, StatusCode};
use tokio::time::sleep;
use tower::ServiceExt;

use super::key;
use crate::support::KEY;

const EMAIL: &str = r#"{"to":"a@b.co","identifiers":{"id":"u1"},"transactional_message_id":44}"#;

type Inbox = Arc<Mutex<Vec<WebhookEvent>>>;

/// A handler that fails on its first events, and a receiver that records them all.
fn receiver(inbox: &Inbox, failures: usize) -> Router {
    let inbox = Arc::clone(inbox);
    let handler = move |_: Extension<Verified>, body: Bytes| async move {
        let mut inbox = inbox.lock().unwrap();
        inbox.push(WebhookEvent::from_slice(&body).unwrap());
        match inbox.len() > failures {
            true => StatusCode::OK,
            false => StatusCode::INTERNAL_SERVER_ERROR,
        }
    };
    let layer = VerifyLayer::new(Verifier::new(key()));
    Router::new().route("/hooks", post(handler)).layer(layer)
}

fn start(settings: Builder) -> Simulator {
    let simulator = settings.build();
    let deliveries = simulator.clone();
    tokio::spawn(async move { deliveries.deliver_webhooks().await });
    simulator
}

async fn send_emails(simulator: &Simulator, count: usize) {
    for _ in 0..count {
        let request = Request::post("/v1/send/email")
            .header("authorization", "Bearer key")
            .body(Body::from(EMAIL));
        let response = simulator.router().oneshot(request.unwrap()).await;
        assert_eq!(response.unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_the_simulator_are_verified_and_repetitions_have_one_id() {
    let inbox = Inbox::default();
    let every_second = NonZeroU32::new(2).unwrap();
    // A retry has the signature of an hour ago.
    let webhook = Webhook::to_router(receiver(&inbox, 1), "/hooks", KEY);
    let simulator = start(Simulator::builder().webhook(webhook.repeat_every(every_second)));
    send_emails(&simulator, 4).await;
    sleep(Duration::from_secs(3_601)).await;
    let events = inbox.lock().unwrap();
    let ids: HashSet<_> = events.iter().map(WebhookEvent::event_id).collect();
    // One retry and two repetitions.
    assert_eq!((events.len(), ids.len()), (7, 4));
    assert_eq!(events[0].event_id(), events[1].event_id());
    for event in &*events {
        assert_eq!(event.name(), "email_sent");
        let data = event.data();
        assert_eq!(data.recipient(), Some("a@b.co"));
        let delivery = simulator.message(data.delivery_id().unwrap());
        assert_eq!(delivery.unwrap().channel, "email");
    }
    assert_eq!(simulator.totals().webhooks, 4);
}

#[tokio::test(start_paused = true)]
async fn events_that_are_signed_with_another_key_reach_no_handler() {
    let inbox = Inbox::default();
    let webhook = Webhook::to_router(receiver(&inbox, 0), "/hooks", "another key");
    let simulator = start(Simulator::builder().webhook(webhook));
    send_emails(&simulator, 1).await;
    sleep(Duration::from_secs(60)).await;
    assert!(inbox.lock().unwrap().is_empty());
    assert_eq!(simulator.totals().webhook_failures, 1);
}
