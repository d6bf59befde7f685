//! Lists of the App API, page by page.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use customerio::Client;
use customerio::app::Filter;
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
