//! The effect of accepted operations: what the API's documents say, beside the usual case.

use std::time::Duration;

use customerio_sim::{Object, Simulator};
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::client::Client;

/// The simulator's clock starts here, in Unix seconds.
const START: i64 = 1_767_225_600;

const ULID: &str = "01HB4HBDKTFWYZCK01DMRSWRFD";

struct World {
    simulator: Simulator,
    client: Client,
}

impl World {
    async fn new() -> Self {
        let simulator = Simulator::builder().segment(7).build();
        let client = Client::pipe(&simulator).await;
        Self { simulator, client }
    }

    /// Sends a request to API v1. Panics unless it is accepted.
    async fn v1(&mut self, method: Method, path: &str, body: Value) {
        let path = format!("/api/v1/{path}");
        let reply = self.client.call(method, &path, &body).await;
        assert!(reply.status.is_success(), "{path}: {reply:?}");
    }

    async fn identify(&mut self, person: &str, attributes: Value) {
        let path = format!("customers/{person}");
        self.v1(Method::PUT, &path, attributes).await;
    }

    /// Sends an operation to API v2. Panics unless it is accepted.
    async fn v2(&mut self, operation: Value) {
        let path = "/api/v2/entity";
        let reply = self.client.call(Method::POST, path, &operation).await;
        assert_eq!(reply.status, 200, "{operation}: {reply:?}");
    }

    fn attributes(&self, person: &str) -> Value {
        let person = self.simulator.person(person);
        person.map_or(Value::Null, |person| person.attributes.into())
    }

    fn acme(&self) -> Option<Object> {
        self.simulator.object("1", "acme")
    }

    /// Returns the people of the object `acme`.
    fn members(&self) -> Vec<String> {
        let acme = self.acme().unwrap_or_default();
        acme.people.into_keys().collect()
    }

    fn segment(&self) -> Vec<String> {
        self.simulator.segment(7).unwrap().into_iter().collect()
    }
}

fn acme() -> Value {
    json!({"object_type_id": "1", "object_id": "acme"})
}

/// Returns relationships to the object `acme`, as API v1 has them.
fn v1_relationships(action: &str) -> Value {
    json!({"action": action, "relationships": [{"identifiers": acme()}]})
}

/// Returns an operation of API v2 on the person `id`.
fn person(id: &str, action: &str, rest: &Value) -> Value {
    let mut operation = json!({"type": "person", "action": action, "identifiers": {"id": id}});
    let rest = rest.as_object().unwrap().clone();
    operation.as_object_mut().unwrap().extend(rest);
    operation
}

#[tokio::test(start_paused = true)]
async fn attributes_beside_deleted_relationships_are_stored() {
    let mut world = World::new().await;
    let add = v1_relationships("add_relationships");
    let add = json!({"a": 1, "cio_relationships": add});
    world.identify("1", add).await;
    assert_eq!(world.members(), ["1"]);
    let delete = v1_relationships("delete_relationships");
    let delete = json!({"b": 2, "cio_relationships": delete});
    world.identify("1", delete).await;
    assert_eq!(world.attributes("1"), json!({"a": 1, "b": 2}));
    assert_eq!(world.members(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_cio_id_is_ignored_and_a_known_one_identifies_its_person() {
    let mut world = World::new().await;
    world.identify("cio_03000001", json!({"a": 1})).await;
    let event = json!({"name": "paid", "id": ULID});
    let events = "customers/cio_03000001/events";
    world.v1(Method::POST, events, event.clone()).await;
    let device = json!({"device": {"id": "t", "platform": "ios"}});
    world
        .v1(Method::PUT, "customers/cio_03000001/devices", device)
        .await;
    let related = json!([{"identifiers": {"cio_id": "03000001"}}]);
    let relate = json!({
        "type": "object",
        "action": "identify",
        "identifiers": acme(),
        "cio_relationships": related,
    });
    world.v2(relate).await;
    let totals = world.simulator.totals();
    assert_eq!((totals.accepted, totals.people, totals.events), (4, 0, 0));
    assert_eq!(world.members(), [""; 0]);

    world.identify("1", json!({})).await;
    let cio_id = world.simulator.person("1").unwrap().cio_id;
    assert_eq!(cio_id, "03000001");
    world.identify("cio_03000001", json!({"a": 1})).await;
    // The ignored event did not use up its id.
    world.v1(Method::POST, events, event).await;
    let known = world.simulator.person("cio_03000001").unwrap();
    assert_eq!((&known.attributes["a"], known.events), (&json!(1), 1));
    assert_eq!(
        world.simulator.event(ULID).unwrap().person.as_deref(),
        Some("1")
    );
    assert_eq!(world.simulator.totals().people, 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_update_orders_it_and_is_no_attribute() {
    let mut world = World::new().await;
    let v1 = |a: u8, at: i64| json!({"a": a, "_timestamp": at});
    world.identify("1", v1(1, 10)).await;
    world.identify("1", v1(2, 5)).await;
    assert_eq!(world.attributes("1"), json!({"a": 1}), "v1");
    let v2 = |a: u8, at: i64| {
        let attributes = json!({"a": a});
        let rest = json!({"attributes": attributes, "timestamp": at});
        person("2", "identify", &rest)
    };
    world.v2(v2(1, 10)).await;
    world.v2(v2(2, 5)).await;
    assert_eq!(world.attributes("2"), json!({"a": 1}), "v2");
    // One attribute is older, the other one is new.
    let mixed = json!({"a": 3, "b": 3, "_timestamp": 7});
    world.identify("1", mixed).await;
    assert_eq!(world.attributes("1"), json!({"a": 1, "b": 3}));
    // A removed attribute is not brought back by an older update.
    let removed = json!({"a": null, "_timestamp": 20});
    world.identify("1", removed).await;
    world.identify("1", v1(4, 15)).await;
    assert_eq!(world.attributes("1"), json!({"b": 3}));
}

#[tokio::test(start_paused = true)]
async fn an_update_without_a_time_happens_when_it_arrives() {
    let mut world = World::new().await;
    world.identify("1", json!({"a": 1})).await;
    let update = |a: u8, at: i64| json!({"a": a, "_timestamp": at});
    world.identify("1", update(2, START - 1)).await;
    assert_eq!(world.attributes("1")["a"], 1);
    world.identify("1", update(3, START)).await;
    assert_eq!(world.attributes("1")["a"], 3, "the later of two arrivals");
    world.identify("1", update(4, START + 5)).await;
    world.identify("1", json!({"a": 5})).await;
    assert_eq!(world.attributes("1")["a"], 4);
    tokio::time::advance(Duration::from_secs(6)).await;
    world.identify("1", json!({"a": 6})).await;
    assert_eq!(world.attributes("1")["a"], 6);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_creates_nobody_relates_nobody() {
    let mut world = World::new().await;
    let add = v1_relationships("add_relationships");
    let update = json!({"_update": true, "cio_relationships": add});
    world.identify("1", update.clone()).await;
    let rest = json!({
        "attributes": {"_update": true},
        "cio_relationships": [{"identifiers": acme()}],
    });
    world.v2(person("2", "identify", &rest)).await;
    assert_eq!((world.acme(), world.simulator.totals().people), (None, 0));
    world.identify("1", json!({})).await;
    world.identify("1", update).await;
    assert_eq!(world.members(), ["1"]);
    assert_eq!(world.attributes("1"), json!({}));
}

#[tokio::test(start_paused = true)]
async fn reserved_fields_of_a_form_are_ignored() {
    let mut world = World::new().await;
    let data = json!({
        "id": "1", "email": null, "name": "Ada", "form_id": "f", "form_name": "F",
        "form_type": "t", "form_url": "u", "form_url_param": "p",
    });
    let submit = json!({"data": data});
    world.v1(Method::POST, "forms/f/submit", submit).await;
    let name = json!({"name": "Ada"});
    assert_eq!(world.attributes("1"), name);
    assert_eq!(Value::from(world.simulator.form("f").unwrap().last), name);
}

#[tokio::test(start_paused = true)]
async fn null_is_an_empty_map_where_official_libraries_send_it() {
    let mut world = World::new().await;
    let reply = world
        .client
        .send(crate::client::raw(
            Method::PUT,
            "/api/v1/customers/1",
            "null",
        ))
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(world.attributes("1"), json!({}));
    world
        .identify("1", json!({"cio_relationships": null}))
        .await;
    assert_eq!(world.attributes("1"), json!({}));
    // The library for Go sends the time as a string.
    let device = json!({"id": "t", "platform": "ios", "last_used": "17", "attributes": null});
    let devices = "customers/1/devices";
    world
        .v1(Method::PUT, devices, json!({"device": device}))
        .await;
    let known = world.simulator.person("1").unwrap();
    assert!(known.devices.contains_key("t"));
}

#[tokio::test(start_paused = true)]
async fn an_object_can_be_related_to_a_visitor_in_both_documented_forms() {
    let mut world = World::new().await;
    let identify = |rest: Value| {
        let mut operation =
            json!({"type": "object", "action": "identify_anonymous", "identifiers": acme()});
        let rest = rest.as_object().unwrap().clone();
        operation.as_object_mut().unwrap().extend(rest);
        operation
    };
    world.v2(identify(json!({"anonymous_id": "a1"}))).await;
    let listed = json!([{"identifiers": {"anonymous_id": "a2"}}]);
    world
        .v2(identify(json!({"cio_relationships": listed})))
        .await;
    world
        .v2(identify(json!({"attributes": {"seats": 5}})))
        .await;
    let acme = world.acme().unwrap();
    let visitors: Vec<_> = acme.anonymous.keys().map(String::as_str).collect();
    assert_eq!(visitors, ["a1", "a2"]);
    assert_eq!(acme.attributes["seats"], 5);
}

#[tokio::test(start_paused = true)]
async fn push_events_are_accepted_at_the_root_too() {
    let mut world = World::new().await;
    let event = json!({"delivery_id": "d", "event": "opened", "device_id": "t", "timestamp": 1});
    let request = crate::client::bare(Method::POST, "/push/events", &event.to_string());
    let reply = world.client.send(request).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(world.simulator.delivery("d").unwrap().metrics["opened"], 1);
}

#[tokio::test(start_paused = true)]
async fn only_a_ulid_identifies_repeated_events() {
    let mut world = World::new().await;
    for (id, applied) in [("42", 2), (ULID, 3)] {
        for _ in 0..2 {
            let event = json!({"name": "paid", "id": id});
            world.v1(Method::POST, "customers/1/events", event).await;
        }
        assert_eq!(world.simulator.totals().events, applied, "{id}");
    }
    assert_eq!(world.simulator.totals().duplicate_events, 1);
    assert_eq!(world.simulator.event("42"), None);
    // A ULID has no case.
    let event = json!({"name": "paid", "id": ULID.to_lowercase()});
    world.v1(Method::POST, "customers/1/events", event).await;
    assert_eq!(world.simulator.event(ULID).unwrap().received, 3);
}

#[tokio::test(start_paused = true)]
async fn a_person_has_at_most_300_attributes_over_all_calls() {
    let mut world = World::new().await;
    let attributes = |from: u32, to: u32| {
        let attributes = (from..to).map(|n| (format!("a{n:03}"), json!(n)));
        Value::from(attributes.collect::<Map<_, _>>())
    };
    world.identify("1", attributes(0, 200)).await;
    world.identify("1", attributes(200, 350)).await;
    let known = world.attributes("1");
    assert_eq!(known.as_object().unwrap().len(), 300);
    assert_eq!(
        (&known["a299"], &known["a300"]),
        (&json!(299), &json!(null))
    );
    // A known attribute changes, and a removed one makes room.
    let change = json!({"a000": "", "a001": "changed"});
    world.identify("1", change).await;
    world.identify("1", json!({"z": 1})).await;
    let known = world.attributes("1");
    assert_eq!(known.as_object().unwrap().len(), 300);
    assert_eq!(
        (&known["a001"], &known["z"]),
        (&json!("changed"), &json!(1))
    );
}

#[tokio::test(start_paused = true)]
async fn segments_lose_deleted_people_and_keep_merged_ones_as_their_primary() {
    let mut world = World::new().await;
    for id in ["deleted", "merged", "primary", "suppressed"] {
        world.identify(id, json!({})).await;
    }
    let add = json!({"ids": ["deleted", "merged", "suppressed"]});
    world
        .v1(Method::POST, "segments/7/add_customers", add)
        .await;
    world
        .v1(Method::DELETE, "customers/deleted", json!({}))
        .await;
    world
        .v1(Method::POST, "customers/suppressed/suppress", json!({}))
        .await;
    assert_eq!(world.segment(), ["merged"]);
    let merge = json!({"primary": {"id": "primary"}, "secondary": {"id": "merged"}});
    world.v1(Method::POST, "merge_customers", merge).await;
    assert_eq!(world.segment(), ["primary"]);
}

#[tokio::test(start_paused = true)]
async fn a_suppressed_person_has_and_gets_no_relationships() {
    let mut world = World::new().await;
    let add = v1_relationships("add_relationships");
    let related = json!({"cio_relationships": add});
    world.identify("1", related.clone()).await;
    assert_eq!(world.members(), ["1"]);
    world
        .v1(Method::POST, "customers/1/suppress", json!({}))
        .await;
    assert_eq!(world.members(), [""; 0]);
    world.identify("1", related).await;
    let to_acme = json!({"cio_relationships": [{"identifiers": acme()}]});
    world.v2(person("1", "add_relationships", &to_acme)).await;
    for action in ["identify", "add_relationships"] {
        let people = json!([{"identifiers": {"id": "1"}}]);
        let object = json!({
            "type": "object",
            "action": action,
            "identifiers": acme(),
            "cio_relationships": people,
        });
        world.v2(object).await;
    }
    assert_eq!(world.members(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_person_has_no_relationships() {
    let mut world = World::new().await;
    let add = v1_relationships("add_relationships");
    for id in ["1", "2"] {
        let related = json!({"cio_relationships": add});
        world.identify(id, related).await;
    }
    world.v1(Method::DELETE, "customers/1", json!({})).await;
    assert_eq!(world.members(), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn one_topic_changes_within_the_preferences() {
    const PREFERENCES: &str = "cio_subscription_preferences";
    let mut world = World::new().await;
    let topic = |n: u8, value: Value| json!({format!("{PREFERENCES}.topics.topic_{n}"): value});
    world.identify("1", topic(1, json!(true))).await;
    world.identify("1", topic(2, json!(false))).await;
    let topics = json!({"topic_1": true, "topic_2": false});
    assert_eq!(
        world.attributes("1"),
        json!({PREFERENCES: {"topics": topics}})
    );
    // A missing value is the topic's default.
    world.identify("1", topic(2, json!(""))).await;
    let topics = &world.attributes("1")[PREFERENCES]["topics"];
    assert_eq!(topics, &json!({"topic_1": true}));
    // The whole object replaces all topics.
    let all = json!({PREFERENCES: {"topics": {"topic_3": true}}});
    world.identify("1", all.clone()).await;
    assert_eq!(world.attributes("1"), all);
    // Except those that were set later.
    let mut later = topic(4, json!(true));
    later["_timestamp"] = (START + 60).into();
    world.identify("1", later).await;
    world.identify("1", all).await;
    let topics = &world.attributes("1")[PREFERENCES]["topics"];
    assert_eq!(topics, &json!({"topic_3": true, "topic_4": true}));
}

#[tokio::test(start_paused = true)]
async fn a_person_adopts_the_events_and_relationships_of_the_visitor() {
    let mut world = World::new().await;
    let seen = |visitor: Value, id: Option<&str>| {
        let mut event = json!({"name": "seen", "anonymous_id": visitor});
        if let Some(id) = id {
            event["id"] = id.into();
        }
        event
    };
    let events = "events";
    world
        .v1(Method::POST, events, seen(json!("a"), Some(ULID)))
        .await;
    world.v1(Method::POST, events, seen(json!("a"), None)).await;
    world.v1(Method::POST, events, seen(json!("b"), None)).await;
    world.v1(Method::POST, events, seen(json!(""), None)).await;
    let relate = json!({
        "type": "object",
        "action": "identify_anonymous",
        "identifiers": acme(),
        "anonymous_id": "a",
    });
    world.v2(relate.clone()).await;
    assert_eq!(world.simulator.event(ULID).unwrap().person, None);

    world.identify("1", json!({"anonymous_id": "a"})).await;
    assert_eq!(world.simulator.person("1").unwrap().events, 2);
    assert_eq!(
        world.simulator.event(ULID).unwrap().person.as_deref(),
        Some("1")
    );
    assert_eq!(world.members(), ["1"]);
    assert!(world.acme().unwrap().anonymous.is_empty());

    // From now on the visitor is this person, and the anonymous id cannot be used again.
    world.v1(Method::POST, events, seen(json!("a"), None)).await;
    world.identify("2", json!({"anonymous_id": "a"})).await;
    world.v2(relate).await;
    let known = |id: &str| world.simulator.person(id).unwrap().events;
    assert_eq!((known("1"), known("2")), (3, 0));
    assert_eq!(world.members(), ["1"]);
    assert_eq!(world.simulator.totals().events, 5);
}

#[tokio::test(start_paused = true)]
async fn events_are_adopted_for_30_days() {
    const DAY: u64 = 24 * 60 * 60;
    let mut world = World::new().await;
    let event = json!({"name": "seen", "anonymous_id": "a"});
    world.v1(Method::POST, "events", event.clone()).await;
    tokio::time::advance(Duration::from_secs(20 * DAY)).await;
    let mut world = World {
        client: Client::pipe(&world.simulator).await,
        ..world
    };
    world.v1(Method::POST, "events", event).await;
    tokio::time::advance(Duration::from_secs(11 * DAY)).await;
    let mut world = World {
        client: Client::pipe(&world.simulator).await,
        ..world
    };
    world.identify("1", json!({"anonymous_id": "a"})).await;
    assert_eq!(world.simulator.person("1").unwrap().events, 1);
}
