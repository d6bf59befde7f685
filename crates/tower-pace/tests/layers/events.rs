//! The events of the feature `tracing`: what happened to a limit, and nothing of any request.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};
use tower_pace::{Adaptive, ConcurrencyLayer, Quota, RateLimitLayer};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::server::{Server, get, millis, status, status_with_retry_after};

/// Notes each event as its level and its fields.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Notes {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let note = (*event.metadata().level(), text.0);
        self.0.lock().unwrap().push(note);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The texts of a level that came from this crate while requests went through `service`.
async fn notes_of<S>(level: Level, service: S, requests: usize) -> Vec<String>
where
    S: Service<Request<String>> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
{
    let notes = Notes::default();
    let listening = tracing::subscriber::set_default(notes.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..requests {
        tasks.spawn(service.clone().oneshot(get()));
    }
    tasks.join_all().await;
    drop(listening);
    let notes = notes.0.lock().unwrap();
    let wanted = notes.iter().filter(|(found, _)| *found == level);
    wanted.map(|(_, text)| text.clone()).collect()
}

async fn notes(level: Level, quota: Quota, server: Server, requests: usize) -> Vec<String> {
    notes_of(level, RateLimitLayer::new(quota).layer(server), requests).await
}

#[tokio::test(start_paused = true)]
async fn each_change_of_a_limit_that_adapts_is_told() {
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 200));
    let server = Server::new(millis(100), |_| status(200));
    // The first ten lead to a trial with twenty, and these to one with forty.
    let told = notes_of(Level::DEBUG, layer.layer(server), 30).await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("before=10 after=20"), "{told:?}");
    assert!(told[1].contains("before=20 after=40"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_once() {
    let server = Server::new(millis(0), |n| match n {
        0 => status_with_retry_after(429, 7),
        _ => status(200),
    });
    let told = notes(Level::INFO, Quota::per_second(100), server, 3).await;
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("time=7s"), "{told:?}");
}

/// Two requests of thirty seconds each at a time: ten of them take 150 s.
#[tokio::test(start_paused = true)]
async fn slow_answers_that_take_the_limit_are_warned_of_once_a_minute() {
    let server = Server::new(Duration::from_secs(30), |_| status(200));
    let quota = Quota::per_second(2).counted_until_answered();
    let told = notes(Level::WARN, quota, server, 10).await;
    assert!((2..=3).contains(&told.len()), "{}", told.len());
    assert!(told[0].contains("counted_until_answered"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn slow_answers_that_take_none_of_the_limit_are_nothing_to_warn_of() {
    let server = Server::new(Duration::from_secs(30), |_| status(200));
    let told = notes(Level::WARN, Quota::per_second(2), server, 10).await;
    assert!(told.is_empty(), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn prompt_answers_are_nothing_to_warn_of() {
    let server = Server::new(millis(50), |_| status(200));
    let told = notes(Level::WARN, Quota::per_second(2), server, 50).await;
    assert!(told.is_empty(), "{told:?}");
}
