//! People and their activities, asked through the App API of the simulator.

use std::time::Duration;

use customerio::app::{
    ActivityQuery, ActivityType, AppCredentials, FailureQuery, Filter, PersonActivity,
};
use customerio::{Client, Event, Identify, Operation, Person, Timestamp};
use customerio_sim::{Builder, Limit, Simulator};

use crate::scripted_service::{builder, now};
use crate::support::{attributes, person};

/// The simulator's clock starts here, in unix seconds.
const START: i64 = 1_767_225_600;

fn simulated(settings: Builder) -> (Client, Simulator) {
    let simulator = settings.build();
    let client = builder()
        .app_credentials(AppCredentials::new("key").unwrap())
        .build_with(simulator.router());
    (client.unwrap(), simulator)
}

fn time(since_start: i64) -> Timestamp {
    Timestamp::new(START + since_start).unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_a_200_has_dropped_is_found_after_the_lag() {
    let lag = Duration::from_secs(120);
    let (client, _) = simulated(Simulator::builder().activity_lag(lag));
    let unknown = Person::cio_id("99").unwrap();
    let update = attributes(r#"{"plan":"pro"}"#);
    client.identify(&person("u1"), &update).await.unwrap();
    client.identify(&unknown, &update).await.unwrap();
    client
        .track(&unknown, &Event::new("paid").unwrap())
        .await
        .unwrap();
    let update = Identify::new(person("u2"), update).update_only();
    client
        .submit(Operation::identify_with(&update).unwrap())
        .await
        .unwrap();

    let query = FailureQuery::since(time(0)).lag(lag);
    let app = client.app();
    assert!(
        app.failures(&query).next().await.is_none(),
        "they are not in the log yet"
    );
    let wait = query.complete_at(time(1)).seconds() - START;
    tokio::time::advance(Duration::from_secs(wait.unsigned_abs())).await;
    let (mut failures, mut found) = (app.failures(&query), Vec::new());
    while let Some(failure) = failures.next().await {
        let failure = failure.unwrap();
        let identifiers = failure.customer_identifiers.unwrap();
        let known = identifiers.cio_id.or(identifiers.id).unwrap();
        found.push((failure.activity_type.to_string(), known, failure.name));
    }
    let expected = [
        ("failed_attribute_change", "99", None),
        ("failed_event", "99", Some("paid")),
        ("skipped_update", "u2", None),
    ];
    let expected = expected
        .map(|(kind, known, name)| (kind.to_owned(), known.to_owned(), name.map(str::to_owned)));
    assert_eq!(found, expected);
    let later = FailureQuery::since(time(wait)).clock_skew(Duration::ZERO);
    assert!(app.failures(&later).next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_failures_are_read_page_by_page_at_the_limit() {
    const FAILURES: usize = 10_000;
    let (client, simulator) = simulated(Simulator::builder());
    let unknown = Person::cio_id("99").unwrap();
    for _ in 0..FAILURES {
        client.identify(&unknown, &attributes("{}")).await.unwrap();
    }
    let started = now();
    let mut failures = client.app().failures(&FailureQuery::since(time(0)));
    let mut count = 0;
    while let Some(failure) = failures.next().await {
        assert!(failure.unwrap().activity_type.is_not_applied());
        count += 1;
    }
    assert_eq!((count, simulator.totals().throttled), (FAILURES, 0));
    // 104 pages at 10 per second.
    assert!(
        now() - started < Duration::from_secs(13),
        "{:?}",
        now() - started
    );
}

#[tokio::test(start_paused = true)]
async fn activities_of_a_person_are_read_by_type_and_name() {
    let settings = Simulator::builder().app_limit(Limit::per_second(1_000));
    let (client, _) = simulated(settings);
    let jane = person("u1");
    for name in ["paid", "seen", "paid"] {
        client
            .track(&jane, &Event::new(name).unwrap())
            .await
            .unwrap();
    }
    let count = async |query: ActivityQuery| {
        let (mut pages, mut count) = (client.app().activities(&query), 0);
        while let Some(activity) = pages.next().await {
            activity.unwrap();
            count += 1;
        }
        count
    };
    let events = ActivityQuery::of(&jane)
        .activity_type(PersonActivity::Event)
        .page_size(2);
    assert_eq!(count(events.clone()).await, 3);
    assert_eq!(count(events.name("paid")).await, 2);
    assert_eq!(
        count(ActivityQuery::of(&person("u2")).deleted(true)).await,
        0
    );
    client
        .submit(Operation::delete(&jane).unwrap())
        .await
        .unwrap();
    let deleted = ActivityQuery::all().activity_type(ActivityType::from(PersonActivity::Event));
    assert_eq!(count(deleted.clone()).await, 0);
    assert_eq!(count(deleted.deleted(true)).await, 3);
}

#[tokio::test(start_paused = true)]
async fn people_are_searched_and_found_by_address() {
    let (client, _) = simulated(Simulator::builder());
    let jane = attributes(r#"{"email":"a+b@c.co","plan":"pro"}"#);
    client.identify(&person("u1"), &jane).await.unwrap();
    let found = client.app().people_with_email("a+b@c.co").await.unwrap();
    assert_eq!(found[0].id.as_deref(), Some("u1"));
    let filter = Filter::attribute_is("plan", "pro").unwrap();
    let mut people = client.app().search(&filter);
    assert_eq!(people.next().await.unwrap().unwrap(), found[0]);
    assert!(people.next().await.is_none());
}
