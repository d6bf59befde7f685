//! Lists of the App API, page by page.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use customerio::app::{FailureQuery, Filter};
use customerio::{Client, Timestamp};
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::service_fn;

use crate::app::app_builder;
use crate::scripted_service::{Reply, ScriptedService, now};

const PEOPLE: usize = 10_000;
const PAGE: usize = 1_000;

fn page(start: usize) -> Value {
    let people = (start..PEOPLE.min(start + PAGE))
        .map(|number| json!({"cio_id": format!("{number}"), "id": "", "email": null, "x": 1}));
    let next = match start + PAGE {
        next if next < PEOPLE => next.to_string(),
        _ => String::new(),
    };
    json!({"identifiers": people.collect::<Vec<_>>(), "ids": [], "next": next})
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_people_are_read_page_by_page_at_the_limit() {
    let (read, pages) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let api = {
        let (read, pages) = (Arc::clone(&read), Arc::clone(&pages));
        service_fn(move |request: Request<Full<Bytes>>| {
            let number = pages.fetch_add(1, Relaxed);
            let query = request.uri().query().unwrap().to_owned();
            let start = query.strip_prefix("limit=1000").unwrap();
            let start = start
                .strip_prefix("&start=")
                .map_or(0, |start| start.parse().unwrap());
            // A page is in memory only once the one before was read.
            assert_eq!((start, read.load(Relaxed)), (number * PAGE, number * PAGE));
            let body = Full::new(Bytes::from(page(start).to_string()));
            async move { Ok::<_, io::Error>(Response::new(body)) }
        })
    };
    let client = app_builder().build_with(api).unwrap();
    let started = now();
    let mut people = client.app().search(&Filter::segment(7));
    while let Some(person) = people.next().await {
        let person = person.unwrap();
        let number = read.fetch_add(1, Relaxed);
        assert_eq!(
            (person.cio_id.as_str(), person.id),
            (number.to_string().as_str(), None)
        );
    }
    assert_eq!(
        (read.load(Relaxed), pages.load(Relaxed)),
        (PEOPLE, PEOPLE / PAGE)
    );
    assert!(
        now() - started < Duration::from_secs(3),
        "ten pages at 10 per second"
    );
    assert!(people.next().await.is_none());
}

fn scripted(replies: impl IntoIterator<Item = Reply>) -> (Client, ScriptedService) {
    let service = ScriptedService::new(replies);
    (app_builder().build_with(service.clone()).unwrap(), service)
}

#[tokio::test(start_paused = true)]
async fn a_list_ends_without_a_next_page() {
    for end in [
        r#"{"identifiers":[{"cio_id":"1"}],"next":""}"#,
        r#"{"identifiers":[{"cio_id":"1"}],"next":null}"#,
        r#"{"identifiers":[{"cio_id":"1"}]}"#,
    ] {
        let (client, service) = scripted([
            Reply::Answer(200, r#"{"identifiers":null,"next":"MDox"}"#),
            Reply::Answer(200, end),
        ]);
        let mut people = client.app().search(&Filter::segment(7));
        assert_eq!(people.next().await.unwrap().unwrap().cio_id, "1", "{end}");
        assert!(people.next().await.is_none());
        assert_eq!(service.seen().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_ends_the_list_and_leaves_its_position() {
    for error in [
        Reply::Answer(400, ""),
        Reply::Answer(200, r#"{"people":[]}"#),
        Reply::Answer(200, r#"{"identifiers":[{"id":"jane-doe"}]}"#),
        Reply::Answer(200, r#"{"identifiers":[],"next":"MDox"}"#),
        Reply::Answer(200, "[]"),
    ] {
        let first = r#"{"identifiers":[{"cio_id":"1"}],"next":"MDox"}"#;
        let last = Reply::Answer(200, r#"{"identifiers":[{"cio_id":"2"}]}"#);
        let (client, _) = scripted([Reply::Answer(200, first), error, last]);
        let mut people = client.app().search(&Filter::segment(7));
        assert!(people.next().await.unwrap().is_ok());
        let error = people.next().await.unwrap().unwrap_err();
        let printed = format!("{error} {error:?} {people:?}");
        assert!(!printed.contains("jane-doe"), "{printed}");
        assert!(people.next().await.is_none());
        let rest = client.app().search(&Filter::segment(7));
        let mut rest = rest.start(people.next_page().unwrap());
        assert_eq!(rest.next().await.unwrap().unwrap().cio_id, "2");
    }
}

#[tokio::test(start_paused = true)]
async fn people_are_found_by_email() {
    let found = r#"{"results":[{"email":"a+b@c.co","id":"u1","cio_id":"03"}]}"#;
    let (client, _) = scripted([
        Reply::Answer(200, found),
        Reply::Answer(200, r#"{"results":null}"#),
    ]);
    let found = client.app().people_with_email("a+b@c.co").await.unwrap();
    assert_eq!((found.len(), found[0].id.as_deref()), (1, Some("u1")));
    assert!(found[0].person().is_ok());
    assert!(
        client
            .app()
            .people_with_email("a+b@c.co")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn pages_that_lead_back_to_an_earlier_one_end_with_an_error() {
    for (tail, cycle) in [(0, 1), (0, 2), (1, 1), (3, 2), (5, 40), (40, 5)] {
        let pages = Arc::new(AtomicUsize::new(0));
        let api = {
            let pages = Arc::clone(&pages);
            service_fn(move |_: Request<Full<Bytes>>| {
                let number = pages.fetch_add(1, Relaxed);
                // The position of the page that follows.
                let next = match number.checked_sub(tail) {
                    Some(in_cycle) => tail + in_cycle % cycle,
                    None => number,
                };
                let page = json!({"identifiers": [{"cio_id": "1"}], "next": format!("p{next}")});
                let body = Full::new(Bytes::from(page.to_string()));
                async move { Ok::<_, io::Error>(Response::new(body)) }
            })
        };
        let client = app_builder().build_with(api).unwrap();
        let mut people = client.app().search(&Filter::segment(7));
        let error = loop {
            if let Err(error) = people.next().await.unwrap() {
                break error;
            }
            assert!(pages.load(Relaxed) < 1_000, "{tail} {cycle}: it never ends");
        };
        let cause = std::error::Error::source(error.cause().unwrap()).unwrap();
        let cause = cause.to_string();
        assert!(cause.contains("lead back"), "{cause}");
        let most = 3 * (tail + cycle) + 2;
        assert!(pages.load(Relaxed) <= most, "{tail} {cycle}: {pages:?}");
        assert!(people.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_continues_at_the_page_that_failed() {
    let (client, service) = scripted([
        Reply::Answer(200, r#"{"identifiers":[{"cio_id":"1"}],"next":"a"}"#),
        Reply::Answer(400, ""),
        Reply::Answer(200, r#"{"identifiers":[{"cio_id":"2"}],"next":""}"#),
    ]);
    let mut people = client.app().search(&Filter::segment(7));
    assert!(people.next().await.unwrap().is_ok());
    assert!(people.next().await.unwrap().is_err());
    assert!(people.next().await.is_none());
    people.resume();
    assert_eq!(people.next().await.unwrap().unwrap().cio_id, "2");
    assert!(people.next().await.is_none());
    people.resume();
    assert!(people.next().await.is_none(), "the list has ended");
    assert_eq!(service.seen().len(), 3);
}

/// A log of 250 failed events, the newest first, one in each second down from `NEWEST`.
const NEWEST: usize = 1_700_000_250;

fn failed_events(request: &Request<Full<Bytes>>) -> Value {
    let query = request.uri().query().unwrap();
    if !query.contains("type=failed_event") {
        return json!({"activities": null, "next": null});
    }
    let start = query.split_once("&start=").map_or("0", |(_, start)| start);
    let start: usize = start.parse().unwrap();
    let activities = (start..250.min(start + 100)).map(
        |age| json!({"id": format!("{age}"), "type": "failed_event", "timestamp": NEWEST - age}),
    );
    let activities: Vec<_> = activities.collect();
    let next = if start + 100 < 250 {
        (start + 100).to_string()
    } else {
        String::new()
    };
    json!({"activities": activities, "next": next})
}

/// Returns the number of failures since a moment, and of requests.
async fn count(query: FailureQuery) -> (usize, usize) {
    let pages = Arc::new(AtomicUsize::new(0));
    let api = {
        let pages = Arc::clone(&pages);
        service_fn(move |request: Request<Full<Bytes>>| {
            pages.fetch_add(1, Relaxed);
            let body = Full::new(Bytes::from(failed_events(&request).to_string()));
            async move { Ok::<_, io::Error>(Response::new(body)) }
        })
    };
    let client = app_builder().build_with(api).unwrap();
    let mut failures = client.app().failures(&query);
    let mut count = 0;
    while let Some(failure) = failures.next().await {
        assert_eq!(failure.unwrap().id.unwrap(), count.to_string());
        count += 1;
    }
    assert!(failures.next().await.is_none());
    (count, pages.load(Relaxed))
}

#[tokio::test(start_paused = true)]
async fn failures_since_a_moment_are_read_no_further_than_one_page_of_older_ones() {
    let since = |age: usize| {
        let time = i64::try_from(NEWEST - age).unwrap();
        FailureQuery::since(Timestamp::new(time).unwrap()).clock_skew(Duration::ZERO)
    };
    // Four lists are empty, and that of the failed events has three pages.
    assert_eq!(count(since(0)).await, (1, 4 + 2));
    assert_eq!(count(since(99)).await, (100, 4 + 2));
    assert_eq!(count(since(0).stop_after(1)).await, (1, 4 + 1));
    assert_eq!(count(since(0).stop_after(usize::MAX)).await, (1, 4 + 3));
    assert_eq!(
        count(since(0).clock_skew(Duration::from_secs(9))).await,
        (10, 4 + 2)
    );
    assert_eq!(count(since(1_000)).await, (250, 4 + 3));
    let (count, _) = count(since(1_000).types(["skipped_update".parse().unwrap()])).await;
    assert_eq!(count, 0);
}

#[tokio::test(start_paused = true)]
async fn failures_continue_at_the_page_that_failed() {
    let (client, service) = scripted([
        Reply::Answer(400, ""),
        Reply::Answer(
            200,
            r#"{"activities":[{"id":"jane-doe","type":"failed_event"}]}"#,
        ),
        Reply::Answer(200, r#"{"activities":[]}"#),
    ]);
    let types = [
        "failed_event".parse().unwrap(),
        "skipped_update".parse().unwrap(),
    ];
    let query = FailureQuery::since(Timestamp::new(1_700_000_000).unwrap()).types(types);
    let mut failures = client.app().failures(&query);
    assert!(failures.next().await.unwrap().is_err());
    assert!(failures.next().await.is_none());
    failures.resume();
    let failure = failures.next().await.unwrap().unwrap();
    assert_eq!(failure.id.as_deref(), Some("jane-doe"));
    assert!(!format!("{failures:?} {failure:?}").contains("jane-doe"));
    assert!(failures.next().await.is_none());
    assert_eq!(service.seen().len(), 3);
}
