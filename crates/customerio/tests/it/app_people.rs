//! People and their activities, asked through the App API of the simulator.

use std::fmt::Debug;
use std::time::Duration;

use customerio::app::{
    Activity, ActivityQuery, ActivityType, AppCredentials, Customer, CustomerDevice, Export,
    ExportStatus, FailureQuery, Filter, Import, ImportIdentifier, ImportState, MessageQuery,
    MessageRecord, ObjectRelationship, OptOut, PersonActivity, PersonOptOuts,
    SubscriptionPreferences,
};
use customerio::{Client, Event, Identify, Operation, Person, Timestamp};
use customerio_sim::{Builder, Limit, Simulator};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::scripted_service::{Reply, ScriptedService, builder, now};
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
async fn operations_without_effect_are_found_after_the_lag() {
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

#[tokio::test(start_paused = true)]
async fn attributes_of_people_are_read_one_by_one_and_together() {
    let (client, _) = simulated(Simulator::builder());
    for (id, plan) in [("u1", "pro"), ("u2", "free")] {
        let update = attributes(&format!(r#"{{"plan":"{plan}","seats":3}}"#));
        client.identify(&person(id), &update).await.unwrap();
    }
    let app = client.app();
    let jane = app.customer(&person("u1")).await.unwrap();
    assert_eq!(
        (jane.attribute("plan"), jane.attribute("seats")),
        (Some("pro"), Some("3"))
    );
    let cio_id = Person::cio_id(&jane.identifiers.unwrap().cio_id.unwrap()).unwrap();
    let same = app.customers(&[cio_id]).await.unwrap();
    assert_eq!(same[0].id.as_deref(), Some("u1"));
    let people = ["u1", "unknown", "u2"].map(person);
    let found = app.customers(&people).await.unwrap();
    let plans: Vec<_> = found
        .iter()
        .map(|found| found.attribute("plan").unwrap())
        .collect();
    assert_eq!(plans, ["pro", "free"]);
    let unknown = app.customer(&person("unknown")).await.unwrap_err();
    assert!(unknown.is_rejected() && unknown.status().unwrap() == 404);
    let mixed = [person("u1"), Person::email("a@b.co").unwrap()];
    for invalid in [&[] as &[Person], &mixed, &vec![person("u1"); 101]] {
        assert!(
            app.customers(invalid)
                .await
                .unwrap_err()
                .invalid_input()
                .is_some()
        );
    }
}

fn scripted(reply: Reply) -> (Client, ScriptedService) {
    let service = ScriptedService::new([reply]);
    let key = AppCredentials::new("key").unwrap();
    let client = builder().app_credentials(key).build_with(service.clone());
    (client.unwrap(), service)
}

#[tokio::test(start_paused = true)]
async fn lists_about_a_person_may_be_null() {
    let lists = r#"{"segments":null,"optouts":null,"cio_relationships":null,"exports":null}"#;
    let reply = || Reply::Answer(200, lists);
    let jane = person("u1");
    let app = |reply| scripted(reply).0.app();
    assert!(app(reply()).segments_of(&jane).await.unwrap().is_empty());
    assert!(app(reply()).segments().await.unwrap().is_empty());
    assert!(app(reply()).opt_outs(&jane).await.unwrap().is_empty());
    assert!(app(reply()).exports().await.unwrap().is_empty());
    assert!(app(reply()).relationships_of(&jane).next().await.is_none());
    // A reply without the list has another structure.
    assert!(
        app(Reply::Answer(200, "{}"))
            .segments_of(&jane)
            .await
            .is_err()
    );
    let query = MessageQuery::all();
    assert!(app(reply()).messages(&query).next().await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn relationships_and_preferences_are_read_in_the_formats_of_the_api() {
    let page = r#"{"cio_relationships":[{"object_type_id":"1","identifiers":{"object_id":"acme",
        "cio_object_id":"ob1"},"attributes":{"role":"admin"},"timestamps":{}}],"next":""}"#;
    let (client, _) = scripted(Reply::Answer(200, page));
    let related = client.app().relationships_of(&person("u1")).next().await;
    let related = related.unwrap().unwrap();
    assert_eq!(related.object_type_id.as_deref(), Some("1"));
    assert_eq!(
        related.identifiers.unwrap().object_id.as_deref(),
        Some("acme")
    );
    assert_eq!(related.attributes["role"], "admin");
    let preferences = r#"{"customer":{"id":"u1","unsubscribed":false,"header":{"title":"t"},
        "topics":[{"id":1,"name":"News","subscribed":true}]}}"#;
    let (client, _) = scripted(Reply::Answer(200, preferences));
    let found = client
        .app()
        .subscription_preferences(&person("u1"), None)
        .await
        .unwrap();
    assert_eq!(
        (found.topics[0].id, found.topics[0].subscribed),
        (Some(1), true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_person_opts_out_of_senders_and_back_in() {
    let sender = [OptOut::whatsapp("+15551234567")];
    for optout in [true, false] {
        let (client, service) = scripted(Reply::Answer(204, ""));
        let (app, jane) = (client.app(), person("u1"));
        match optout {
            true => app.opt_out(&jane, &sender).await.unwrap(),
            false => app.opt_in(&jane, &sender).await.unwrap(),
        }
        let seen = &service.seen()[0];
        assert_eq!(seen.line, "PUT /v1/customers/u1/optouts");
        let expected = json!({"channel": "whatsapp", "from": "+15551234567", "optout": optout});
        assert_eq!(seen.body, json!({"optouts": [expected]}));
        assert!(
            app.opt_out(&jane, &[])
                .await
                .unwrap_err()
                .invalid_input()
                .is_some()
        );
    }
    let page = r#"{"optouts":[{"cio_id":"cio_03","customer_id":"u1",
        "optouts":[{"channel":"sms","from":"+1"}]}],"next":""}"#;
    let (client, _) = scripted(Reply::Answer(200, page));
    let mut people = client.app().all_opt_outs(Some("+1"));
    let found = people.next().await.unwrap().unwrap();
    assert_eq!(found.optouts, [OptOut::sms("+1")]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_creates_something_is_sent_once() {
    // After a reset, the outcome is unknown: a second request would create a second one.
    let (client, service) = scripted(Reply::Reset);
    let created = client.app().create_segment("S", None).await;
    assert!(created.unwrap_err().may_have_been_applied());
    assert_eq!(service.seen().len(), 1);
    // A question is asked again, also one that is a POST.
    let (client, service) = scripted(Reply::Reset);
    let unread = client.app().customers(&[person("u1")]).await;
    assert!(unread.is_err(), "the second reply has no people");
    assert_eq!(service.seen().len(), 2);
    let (client, _) = scripted(Reply::Answer(
        200,
        r#"{"import":{"id":7,"state":"failed"}}"#,
    ));
    assert_eq!(
        client.app().import_status(7).await.unwrap().state,
        ImportState::Failed
    );
}

/// Reads a value, and returns how it is printed.
fn printed<T: DeserializeOwned + Debug>(json: &Value) -> String {
    format!("{:?}", serde_json::from_value::<T>(json.clone()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn no_data_of_a_person_is_printed_by_questions_and_replies() {
    const DATA: &str = "jane-doe";
    let everything = json!({
        "id": DATA, "type": "event", "customer_id": DATA, "name": DATA, "url": DATA,
        "identifiers": {"id": DATA, "email": DATA, "object_id": DATA}, "recipient": DATA,
        "customer_identifiers": {"cio_id": DATA}, "attributes": {"a": DATA}, "subject": DATA,
        "devices": [{"id": DATA}], "data": {"a": DATA}, "failure_message": DATA,
        "topics": [{"name": "News"}], "optouts": [{"from": DATA}], "from": DATA, "cio_id": DATA,
        "user_email": DATA, "delivery_id": DATA, "metrics": {},
    });
    let replies = [
        printed::<Activity>(&everything),
        printed::<Customer>(&everything),
        printed::<CustomerDevice>(&everything),
        printed::<ExportStatus>(&everything),
        printed::<MessageRecord>(&everything),
        printed::<ObjectRelationship>(&everything),
        printed::<OptOut>(&everything),
        printed::<PersonOptOuts>(&everything),
        printed::<SubscriptionPreferences>(&everything),
    ];
    let jane = person(DATA);
    let (client, service) = scripted(Reply::Reset);
    let app = client.app();
    let questions = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        ActivityQuery::of(&jane).name(DATA),
        MessageQuery::of(&jane),
        app.relationships_of(&jane),
        app.all_opt_outs(Some(DATA)),
        Export::people(&Filter::attribute_is("name", DATA).unwrap()),
        Import::people("spring", format!("https://x/{DATA}"), ImportIdentifier::Id),
        ActivityQuery::of(&jane).to_request().unwrap(),
    );
    let errors = [
        app.opt_out(&jane, &[OptOut::sms(DATA)]).await.err(),
        app.customer(&jane).await.err(),
        app.customers(&[jane.clone(), Person::email("a@b.co").unwrap()])
            .await
            .err(),
    ];
    assert!(!service.seen().is_empty() && errors[1].is_some() && errors[2].is_some());
    let printed = format!("{replies:?} {questions} {errors:?}");
    assert!(!printed.contains(DATA), "{printed}");
}
