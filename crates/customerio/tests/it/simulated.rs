//! The effect of each operation in the simulated API, which shares no code with this crate.

use customerio::client::Limits;
use customerio::{
    AnonymousEvent, Attributes, Channel, Client, Device, Event, EventId, Identify, Metric, Object,
    Operation, Person, Platform, PushEvent, Relationship, Request, Timestamp, v1,
};
use customerio_sim::Simulator;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use crate::scripted_service::builder;
use crate::support::{attributes, person};

fn simulated() -> (Client, Simulator) {
    let simulator = Simulator::builder().segment(7).build();
    let client = builder()
        .limits(Limits::documented())
        .build_with(simulator.router())
        .unwrap();
    (client, simulator)
}

async fn accept(client: &Client, request: impl Into<Request>) {
    client.submit(request).await.unwrap();
}

fn member() -> [Relationship<Object>; 1] {
    [Relationship::with(acme()).attributes(attributes(r#"{"role":"admin"}"#))]
}

fn acme() -> Object {
    Object::new(1, "acme").unwrap()
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn device() -> Device {
    Device::new("to/k", Platform::Ios).unwrap().push_disabled()
}

#[tokio::test(start_paused = true)]
async fn people_are_identified_removed_and_blocked() {
    let (client, simulator) = simulated();
    let plan = attributes(r#"{"plan":"pro","vip":false}"#);
    for (request, id) in [
        (
            Operation::identify(&person("2"), &plan).unwrap().into(),
            "2",
        ),
        (v1::identify(&person("1"), &plan).unwrap(), "1"),
    ] {
        accept(&client, request).await;
        let known = simulator.person(id).unwrap();
        assert_eq!(known.attributes, map(&json!({"plan": "pro", "vip": false})));
    }
    accept(&client, Operation::delete(&person("2")).unwrap()).await;
    accept(&client, v1::delete(&person("1")).unwrap()).await;
    assert_eq!(simulator.totals().people, 0);
    let blocked = |suppress: Request, unsuppress: Request, id: &'static str| {
        let (client, simulator, plan) = (client.clone(), simulator.clone(), plan.clone());
        async move {
            accept(&client, suppress).await;
            client.identify(&person(id), &plan).await.unwrap();
            assert!(simulator.person(id).is_none(), "200 is not applied");
            accept(&client, unsuppress).await;
            client.identify(&person(id), &plan).await.unwrap();
            assert!(simulator.person(id).is_some());
        }
    };
    blocked(
        Operation::suppress(&person("3")).unwrap().into(),
        Operation::unsuppress(&person("3")).unwrap().into(),
        "3",
    )
    .await;
    blocked(
        v1::suppress(&person("4")).unwrap(),
        v1::unsuppress(&person("4")).unwrap(),
        "4",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_update_only_identify_creates_nobody() {
    let (client, simulator) = simulated();
    let update = Identify::new(person("1"), attributes(r#"{"a":1}"#)).update_only();
    accept(&client, Operation::identify_with(&update).unwrap()).await;
    accept(&client, v1::identify_with(&update).unwrap()).await;
    assert!(simulator.person("1").is_none());
    let full = Identify::new(person("1"), attributes(r#"{"a":1}"#))
        .timestamp(Timestamp::new(5).unwrap())
        .unsubscribe_topic(3)
        .relationship(member()[0].clone());
    accept(&client, Operation::identify_with(&full).unwrap()).await;
    accept(&client, v1::identify_with(&full).unwrap()).await;
    let known = simulator.person("1").unwrap();
    assert_eq!(known.updates, 2);
    assert_eq!(
        known.attributes["cio_subscription_preferences"]["topics"]["topic_3"],
        false
    );
    assert!(
        simulator
            .object("1", "acme")
            .unwrap()
            .people
            .contains_key("1")
    );
}

#[tokio::test(start_paused = true)]
async fn events_pages_and_screens_arrive_with_their_data() {
    let (client, simulator) = simulated();
    let kinds: [fn(&str) -> Event; 3] = [
        |name| Event::new(name).unwrap(),
        |name| Event::page(name).unwrap(),
        |name| Event::screen(name).unwrap(),
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let id = |version: &str| EventId::derive(version, number.to_string(), None);
        let event = |version| {
            kind("seen")
                .id(id(version))
                .attributes(attributes(r#"{"a":1}"#))
        };
        let event = |version| event(version).timestamp(Timestamp::new(9).unwrap());
        accept(
            &client,
            Operation::event(&person("1"), &event("2")).unwrap(),
        )
        .await;
        accept(&client, v1::event(&person("1"), &event("1")).unwrap()).await;
        let anonymous = AnonymousEvent::new("anon", event("0")).unwrap();
        accept(&client, v1::anonymous_event(&anonymous)).await;
        for (version, person) in [("2", Some("1")), ("1", Some("1")), ("0", None)] {
            let known = simulator.event(&id(version).to_string()).unwrap();
            assert_eq!(known.person.as_deref(), person);
            assert_eq!((&*known.name, known.timestamp), ("seen", Some(9)));
            assert_eq!(known.attributes, map(&json!({"a": 1})));
        }
    }
    let invite = Event::new("invite").unwrap().id(EventId::from_parts(0, 7));
    let invite = AnonymousEvent::invite("x@y.z", invite).unwrap();
    client.track_anonymous(&invite).await.unwrap();
    let known = simulator.event(&EventId::from_parts(0, 7).to_string());
    assert_eq!(known.unwrap().attributes["recipient"], "x@y.z");
    assert_eq!(simulator.totals().events, 10);
}

#[tokio::test(start_paused = true)]
async fn devices_are_added_and_removed() {
    let (client, simulator) = simulated();
    let tokens = || simulator.person("1").map_or(0, |known| known.devices.len());
    client.add_device(&person("1"), &device()).await.unwrap();
    let push = simulator.person("1").unwrap().devices["to/k"]["attributes"]["push_enabled"].clone();
    assert_eq!((tokens(), push), (1, json!("false")));
    client.delete_device(&person("1"), "to/k").await.unwrap();
    assert_eq!(tokens(), 0);
    accept(&client, v1::add_device(&person("1"), &device()).unwrap()).await;
    assert_eq!(tokens(), 1);
    accept(&client, v1::delete_device(&person("1"), "to/k").unwrap()).await;
    assert_eq!(tokens(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_merge_makes_one_person_of_two() {
    let (client, simulator) = simulated();
    for (number, id) in ["1", "2", "3"].into_iter().enumerate() {
        let mut known = Attributes::new();
        known.insert(format!("a{number}"), 1).unwrap();
        client.identify(&person(id), &known).await.unwrap();
    }
    client.merge(&person("1"), &person("2")).await.unwrap();
    accept(&client, v1::merge(&person("1"), &person("3")).unwrap()).await;
    assert_eq!(simulator.totals().people, 1);
    assert_eq!(simulator.person("1").unwrap().attributes.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn relationships_are_added_and_deleted_from_both_sides() {
    let (client, simulator) = simulated();
    let people = || {
        simulator
            .object("1", "acme")
            .map_or(0, |acme| acme.people.len())
    };
    let one = person("1");
    let of_acme = [Relationship::with(person("1"))];
    let none = Attributes::new();
    let identify = Operation::identify_object(&acme(), &none, &of_acme).unwrap();
    let pairs: [(Request, Request); 4] = [
        (
            Operation::add_relationships(&one, &member())
                .unwrap()
                .into(),
            Operation::delete_relationships(&one, &member())
                .unwrap()
                .into(),
        ),
        (
            v1::add_relationships(&one, &member()).unwrap(),
            v1::delete_relationships(&one, &member()).unwrap(),
        ),
        (
            Operation::add_people(&acme(), &of_acme).unwrap().into(),
            Operation::delete_people(&acme(), &of_acme).unwrap().into(),
        ),
        (
            identify.into(),
            Operation::delete_object(&acme()).unwrap().into(),
        ),
    ];
    for (add, delete) in pairs {
        accept(&client, add).await;
        assert_eq!(people(), 1);
        accept(&client, delete).await;
        assert_eq!(people(), 0);
    }
    assert!(simulator.object("1", "acme").is_none());
}

#[tokio::test(start_paused = true)]
async fn objects_keep_attributes_and_anonymous_visitors() {
    let (client, simulator) = simulated();
    let seats = |number: u8| attributes(&format!(r#"{{"seats":{number}}}"#));
    let anonymous = Operation::identify_anonymous_object(&acme(), &seats(1), "anon").unwrap();
    accept(&client, anonymous).await;
    let known = simulator.object("1", "acme").unwrap();
    assert!(known.anonymous.contains_key("anon") && known.attributes["seats"] == 1);
    let same = Object::cio_object_id(&known.cio_object_id).unwrap();
    accept(
        &client,
        Operation::identify_object(&same, &seats(2), &[]).unwrap(),
    )
    .await;
    assert_eq!(
        simulator.object("1", "acme").unwrap().attributes["seats"],
        2
    );
}

#[tokio::test(start_paused = true)]
async fn deliveries_forms_and_segments() {
    let (client, simulator) = simulated();
    let moment = Timestamp::new(5).unwrap();
    let opened = PushEvent::Opened;
    accept(
        &client,
        Operation::delivery_event("d/1", opened, "tok").unwrap(),
    )
    .await;
    accept(
        &client,
        v1::push_event("d/1", opened, "tok", moment).unwrap(),
    )
    .await;
    let clicked = Metric::new(Channel::Email, "clicked", "d/1").unwrap();
    accept(&client, v1::metric(&clicked.href("https://a.co"))).await;
    accept(&client, v1::unsubscribe("d/1").unwrap()).await;
    let known = simulator.delivery("d/1").unwrap();
    assert_eq!((known.metrics["opened"], known.metrics["clicked"]), (2, 1));
    assert!(known.unsubscribed);
    accept(&client, v1::resubscribe("d/1").unwrap()).await;
    assert!(!simulator.delivery("d/1").unwrap().unsubscribed);

    let form = v1::Form::new(&person("1")).unwrap().field("name", "Ada");
    accept(&client, v1::submit_form("f 1", &form.unwrap()).unwrap()).await;
    assert_eq!(simulator.form("f 1").unwrap().submissions, 1);
    assert_eq!(simulator.person("1").unwrap().attributes["name"], "Ada");

    let people = [person("1")];
    accept(&client, v1::add_to_segment(7, &people).unwrap()).await;
    assert_eq!(simulator.segment(7).unwrap().len(), 1);
    accept(&client, v1::remove_from_segment(7, &people).unwrap()).await;
    assert_eq!(simulator.segment(7).unwrap().len(), 0);
    let unknown = client.submit(v1::add_to_segment(8, &people).unwrap()).await;
    assert_eq!(unknown.unwrap_err().status().unwrap().as_u16(), 404);
}

#[tokio::test(start_paused = true)]
async fn check_returns_the_region_of_the_account() {
    let (client, _) = simulated();
    let account = client.check().await.unwrap();
    assert_eq!(account.environment_id, Some(1));
}

/// Ids that routers, decoders and URL libraries are known to spoil, and any other.
fn ids() -> impl Strategy<Value = String> {
    let awkward = prop_oneof![
        Just("%2F"),
        Just("+"),
        Just(".."),
        Just("."),
        Just(" "),
        Just("/"),
        Just("//"),
        Just("?a=b"),
        Just("#"),
        Just("%"),
        Just("%00"),
        Just("&"),
        Just("="),
        Just(";"),
        Just("\\"),
        Just("\0"),
        Just("\n"),
        Just("\u{202e}"),
        Just("é"),
        Just("e\u{301}"),
        Just("日本"),
        Just("😀"),
        Just("@"),
        Just("cio_"),
        Just("a@b.co"),
        Just("\""),
    ];
    let glued = prop::collection::vec(
        prop_oneof![awkward.prop_map(str::to_owned), "\\PC{0,4}"],
        0..6,
    );
    prop_oneof![glued.prop_map(|parts| parts.concat()), any::<String>()]
}

#[test]
fn an_id_arrives_unchanged_or_is_an_error_before() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let mut arrivals = runtime.block_on(async { Arrivals::new() });
    let config = ProptestConfig::with_cases(cases());
    let mut runner = TestRunner::new(config);
    let arrivals = std::cell::RefCell::new(&mut arrivals);
    let checked = runner.run(&ids(), |id| {
        runtime.block_on(arrivals.borrow_mut().check(&id));
        Ok(())
    });
    checked.unwrap();
}

/// Ten thousand, unless `PROPTEST_CASES` says otherwise.
fn cases() -> u32 {
    let cases = std::env::var("PROPTEST_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(10_000)
}

/// Sends events, and looks up whose they are by the simulator's totals.
struct Arrivals {
    client: Client,
    simulator: Simulator,
    sent: u128,
}

impl Arrivals {
    fn new() -> Self {
        let (client, simulator) = simulated();
        Self {
            client,
            simulator,
            sent: 0,
        }
    }

    async fn check(&mut self, id: &str) {
        let Ok(person) = Person::id(id) else {
            let bad = id.trim().is_empty() || id.len() > 150 || id == "." || id == "..";
            assert!(bad, "{id:?} is refused");
            return;
        };
        let by_v2 = self.known_as(|event| Operation::event(&person, event).unwrap().into());
        assert_eq!(by_v2.await.as_deref(), Some(id));
        // Version 1 infers the kind from the shape, so it is an error there.
        let shaped = id.contains('@') || id.starts_with("cio_");
        assert_eq!(v1::delete(&person).is_err(), shaped, "{id:?}");
        if !shaped {
            let by_v1 = self.known_as(|event| v1::event(&person, event).unwrap());
            assert_eq!(by_v1.await.as_deref(), Some(id));
        }
    }

    async fn known_as(&mut self, request: impl Fn(&Event) -> Request) -> Option<String> {
        self.sent += 1;
        let id = EventId::from_parts(0, self.sent);
        let event = Event::new("seen").unwrap().id(id);
        self.client.submit(request(&event)).await.unwrap();
        self.simulator.event(&id.to_string()).unwrap().person
    }
}
