//! The events of the feature `tracing`: they describe the limit, and contain no data of a request.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};
use tower_pace::retry::RetryBudget;
use tower_pace::{Adaptive, ConcurrencyLayer, Deadline, Quota, RateLimitLayer};
use tower_pace::{RetryLayer, RetryPolicy};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::subscribe::subscribe;
use crate::support::{Server, get, millis, post, status, status_with_retry_after};

/// Records the level and the fields of each event.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Events {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let recorded = (*event.metadata().level(), text.0);
        self.0.lock().unwrap().push(recorded);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Returns the texts of the events of a level while `requests` calls go through `service`.
async fn events_of<S>(level: Level, service: S, requests: usize) -> Vec<String>
where
    S: Service<Request<String>> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
{
    let events = Events::default();
    let subscribed = subscribe(events.clone());
    let mut tasks = JoinSet::new();
    for _ in 0..requests {
        tasks.spawn(service.clone().oneshot(get()));
    }
    tasks.join_all().await;
    drop(subscribed);
    let events = events.0.lock().unwrap();
    let wanted = events.iter().filter(|(found, _)| *found == level);
    wanted.map(|(_, text)| text.clone()).collect()
}

async fn rate_events(level: Level, quota: Quota, server: Server, requests: usize) -> Vec<String> {
    events_of(level, RateLimitLayer::new(quota).layer(server), requests).await
}

#[tokio::test(start_paused = true)]
async fn each_change_of_an_adaptive_limit_is_an_event() {
    let layer = ConcurrencyLayer::adaptive(Adaptive::between(1, 200));
    let server = Server::new(millis(100), |_| status(200));
    // The first ten calls lead to a trial with twenty, and these to one with forty.
    let events = events_of(Level::DEBUG, layer.layer(server), 30).await;
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[0].contains("before=10 after=20"), "{events:?}");
    assert!(events[1].contains("before=20 after=40"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_response_is_one_event() {
    let server = Server::new(millis(0), |n| match n {
        0 => status_with_retry_after(429, 7),
        _ => status(200),
    });
    let events = rate_events(Level::INFO, Quota::per_second(100), server, 3).await;
    assert_eq!(events.len(), 1);
    assert!(events[0].contains("time=7s"), "{events:?}");
}

/// Two requests of thirty seconds each at a time: ten of them take 150 s.
#[tokio::test(start_paused = true)]
async fn slow_answers_that_use_up_the_limit_cause_one_warning_per_minute() {
    let server = Server::new(Duration::from_secs(30), |_| status(200));
    let quota = Quota::per_second(2).counted_until_answered();
    let events = rate_events(Level::WARN, quota, server, 10).await;
    assert!((2..=3).contains(&events.len()), "{}", events.len());
    assert!(events[0].contains("counted_until_answered"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn slow_answers_that_leave_the_limit_free_cause_no_warning() {
    let server = Server::new(Duration::from_secs(30), |_| status(200));
    let events = rate_events(Level::WARN, Quota::per_second(2), server, 10).await;
    assert!(events.is_empty(), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn prompt_answers_cause_no_warning() {
    let server = Server::new(millis(50), |_| status(200));
    let events = rate_events(Level::WARN, Quota::per_second(2), server, 50).await;
    assert!(events.is_empty(), "{events:?}");
}

/// Returns the events of one call through a retry, of the level at which it says what it does.
async fn retry_events(policy: RetryPolicy, mut request: Request<String>) -> Vec<String> {
    request
        .extensions_mut()
        .insert(Deadline::within(Duration::from_secs(60)));
    let events = Events::default();
    let subscribed = subscribe(events.clone());
    let server = Server::new(millis(0), |_| status_with_retry_after(503, 50));
    let retry = RetryLayer::new(policy).seed(1);
    retry.layer(server).oneshot(request).await.unwrap();
    drop(subscribed);
    let events = events.0.lock().unwrap();
    assert!(events.iter().all(|(level, _)| *level == Level::DEBUG));
    events.iter().map(|(_, text)| text.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_made_and_one_that_is_not_made_are_events() {
    let policy = RetryPolicy::default();
    let events = retry_events(policy, get()).await;
    let [made, not_made] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(
        made.contains("attempt=2") && made.contains("sent again"),
        "{made}"
    );
    let expected = [
        "reason=Deadline",
        "attempts=2",
        "status=503",
        "not sent again",
    ];
    for text in expected {
        assert!(not_made.contains(text), "{not_made}");
    }
    let frugal = policy.budget(RetryBudget::new(0, 1));
    for (policy, request, reason) in [
        (frugal, get(), "reason=Budget"),
        (policy, post(), "reason=NotReplayable"),
        (policy.attempts(1), get(), "reason=Attempts"),
    ] {
        let events = retry_events(policy, request).await;
        assert!(
            events.len() == 1 && events[0].contains(reason),
            "{events:?}"
        );
    }
}
