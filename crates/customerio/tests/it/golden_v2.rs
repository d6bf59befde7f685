//! Each type and action of version 2, from its specification.

use customerio::{
    Attributes, Device, Event, Identify, Object, Operation, Person, Platform, PushEvent,
    Relationship, Request, Timestamp,
};
use serde_json::{Value, json};

use crate::support::{attributes, event_id, person};

#[track_caller]
fn check(operation: Operation, body: &Value) {
    let request = Request::from(operation);
    let sent: Value = serde_json::from_slice(&request.body().unwrap()).unwrap();
    assert_eq!((request.path(), &sent), ("/api/v2/entity", body));
}

/// Checks an operation about the person `u1`.
#[track_caller]
fn check_person(operation: Operation, action: &str, rest: Value) {
    let mut body = json!({"type": "person", "action": action, "identifiers": {"id": "u1"}});
    extend(&mut body, rest);
    check(operation, &body);
}

/// Checks an operation about the object `acme` of the first type.
#[track_caller]
fn check_object(operation: Operation, action: &str, rest: Value) {
    let identifiers = json!({"object_type_id": "1", "object_id": "acme"});
    let mut body = json!({"type": "object", "action": action, "identifiers": identifiers});
    extend(&mut body, rest);
    check(operation, &body);
}

fn extend(body: &mut Value, rest: Value) {
    let Value::Object(rest) = rest else {
        unreachable!()
    };
    body.as_object_mut().unwrap().extend(rest);
}

fn u1() -> Person {
    person("u1")
}

fn acme() -> Object {
    Object::new(1, "acme").unwrap()
}

fn admin<T>(of: T) -> Relationship<T> {
    Relationship::with(of).attributes(attributes(r#"{"role":"admin"}"#))
}

#[test]
fn each_identifier_is_sent_with_its_kind() {
    let check_kind = |person: Person, identifiers: Value| {
        let body = json!({"type": "person", "action": "delete", "identifiers": identifiers});
        check(Operation::delete(&person).unwrap(), &body);
    };
    check_kind(u1(), json!({"id": "u1"}));
    check_kind(person("a@b.co"), json!({"id": "a@b.co"}));
    check_kind(person("cio_1"), json!({"id": "cio_1"}));
    check_kind(Person::email("a@b.co").unwrap(), json!({"email": "a@b.co"}));
    check_kind(
        Person::phone("+15551234567").unwrap(),
        json!({"phone": "+15551234567"}),
    );
    check_kind(
        Person::cio_id("cio_03000001").unwrap(),
        json!({"cio_id": "03000001"}),
    );
    check_kind(
        Person::cio_id("03000001").unwrap(),
        json!({"cio_id": "03000001"}),
    );
}

#[test]
fn identify() {
    let none = Attributes::new();
    let identify = || Identify::new(u1(), Attributes::new());
    let with = |identify: Identify| Operation::identify_with(&identify).unwrap();
    let check = |operation, rest| check_person(operation, "identify", rest);
    check(Operation::identify(&u1(), &none).unwrap(), json!({}));
    check(with(identify()), json!({}));
    let plan = attributes(r#"{"plan":"pro","vip":false}"#);
    let body = json!({"attributes": {"plan": "pro", "vip": false}});
    check(Operation::identify(&u1(), &plan).unwrap(), body.clone());
    check(with(Identify::new(u1(), plan)), body);
    check(
        with(identify().update_only()),
        json!({"attributes": {"_update": true}}),
    );
    check(
        with(identify().timestamp(Timestamp::new(5).unwrap())),
        json!({"timestamp": 5}),
    );
    check(
        with(identify().unsubscribe()),
        json!({"attributes": {"unsubscribed": true}}),
    );
    check(
        with(identify().resubscribe()),
        json!({"attributes": {"unsubscribed": false}}),
    );
    check(
        with(identify().subscribe_topic(1).unsubscribe_topic(2)),
        json!({"attributes": {"cio_subscription_preferences.topics.topic_1": true,
            "cio_subscription_preferences.topics.topic_2": false}}),
    );
    check(
        with(identify().relationship(admin(acme()))),
        json!({"cio_relationships": [{"identifiers": {"object_type_id": "1", "object_id": "acme"},
            "relationship_attributes": {"role": "admin"}}]}),
    );
}

#[test]
fn events_pages_and_screens() {
    let event = |event: Event| Operation::event(&u1(), &event).unwrap();
    let seen = attributes(r#"{"referrer":"https://r"}"#);
    let exact = Event::new("paid").unwrap().id(event_id());
    let exact = exact.timestamp(Timestamp::new(-1).unwrap());
    check_person(
        event(Event::new("paid").unwrap()),
        "event",
        json!({"name": "paid"}),
    );
    check_person(
        event(exact.attributes(seen.clone())),
        "event",
        json!({"name": "paid", "id": "01HB4HBDKTFWYZCK01DMRSWRFD", "timestamp": -1,
            "attributes": {"referrer": "https://r"}}),
    );
    check_person(
        event(Event::page("https://a.co/x?y=1").unwrap().attributes(seen)),
        "page",
        json!({"name": "https://a.co/x?y=1", "attributes": {"referrer": "https://r"}}),
    );
    check_person(
        event(Event::screen("Home").unwrap().id(event_id())),
        "screen",
        json!({"name": "Home", "id": "01HB4HBDKTFWYZCK01DMRSWRFD"}),
    );
}

#[test]
fn devices_are_identified_by_token() {
    let device = Device::new("tok", Platform::Ios).unwrap();
    let full = Device::new("tok", Platform::Android)
        .unwrap()
        .push_enabled();
    let full = full.last_used(Timestamp::new(7).unwrap());
    let full = full.attribute("device_os", "16").unwrap();
    check_person(
        Operation::add_device(&u1(), &device).unwrap(),
        "add_device",
        json!({"device": {"token": "tok", "platform": "ios"}}),
    );
    check_person(
        Operation::add_device(&u1(), &full).unwrap(),
        "add_device",
        json!({"device": {"token": "tok", "platform": "android", "last_used": 7,
            "attributes": {"device_os": "16", "push_enabled": "true"}}}),
    );
    check_person(
        Operation::delete_device(&u1(), "tok").unwrap(),
        "delete_device",
        json!({"device": {"token": "tok"}}),
    );
}

#[test]
fn suppressions_and_deletions() {
    check_person(Operation::suppress(&u1()).unwrap(), "suppress", json!({}));
    check_person(
        Operation::unsuppress(&u1()).unwrap(),
        "unsuppress",
        json!({}),
    );
    check_person(Operation::delete(&u1()).unwrap(), "delete", json!({}));
}

#[test]
fn a_merge_names_two_people_and_has_no_identifiers() {
    let body = json!({"type": "person", "action": "merge", "primary": {"id": "u1"}, "secondary": {"cio_id": "03"}});
    let merge = Operation::merge(&u1(), &Person::cio_id("cio_03").unwrap()).unwrap();
    assert!(merge.goes_alone() && !merge.may_replay());
    check(merge, &body);
    let email = |address| Person::email(address).unwrap();
    let body = json!({"type": "person", "action": "merge", "primary": {"email": "a@b.co"}, "secondary": {"id": "u1"}});
    check(Operation::merge(&email("a@b.co"), &u1()).unwrap(), &body);
    let phone = Person::phone("+15551234567").unwrap();
    assert!(Operation::merge(&u1(), &phone).is_err() && Operation::merge(&phone, &u1()).is_err());
    assert!(Operation::merge(&email("a@b.co"), &email("A@B.co")).is_err());
}

#[test]
fn relationships_of_a_person_are_an_array() {
    let of = json!([{"identifiers": {"object_type_id": "1", "object_id": "acme"},
        "relationship_attributes": {"role": "admin"}}]);
    check_person(
        Operation::add_relationships(&u1(), &[admin(acme())]).unwrap(),
        "add_relationships",
        json!({"cio_relationships": of}),
    );
    let by_cio_id = Relationship::with(Object::cio_object_id("ob1").unwrap());
    check_person(
        Operation::delete_relationships(&u1(), &[by_cio_id]).unwrap(),
        "delete_relationships",
        json!({"cio_relationships": [{"identifiers": {"cio_object_id": "ob1"}}]}),
    );
    assert!(Operation::add_relationships(&u1(), &[]).is_err());
}

#[test]
fn objects() {
    let plan = attributes(r#"{"seats":5}"#);
    let none = Attributes::new();
    let people =
        json!([{"identifiers": {"id": "u1"}, "relationship_attributes": {"role": "admin"}}]);
    check_object(
        Operation::identify_object(&acme(), &none, &[]).unwrap(),
        "identify",
        json!({}),
    );
    check_object(
        Operation::identify_object(&acme(), &plan, &[admin(u1())]).unwrap(),
        "identify",
        json!({"attributes": {"seats": 5}, "cio_relationships": people}),
    );
    check_object(
        Operation::identify_anonymous_object(&acme(), &plan, "anon-1").unwrap(),
        "identify_anonymous",
        json!({"attributes": {"seats": 5}, "cio_relationships": [{"identifiers": {"anonymous_id": "anon-1"}}]}),
    );
    check_object(
        Operation::delete_object(&acme()).unwrap(),
        "delete",
        json!({}),
    );
    check_object(
        Operation::add_people(&acme(), &[admin(u1())]).unwrap(),
        "add_relationships",
        json!({"cio_relationships": people}),
    );
    check_object(
        Operation::delete_people(&acme(), &[admin(u1())]).unwrap(),
        "delete_relationships",
        json!({"cio_relationships": people}),
    );
    let by_cio_id = Object::cio_object_id("ob1").unwrap();
    check(
        Operation::identify_object(&by_cio_id, &plan, &[]).unwrap(),
        &json!({"type": "object", "action": "identify", "identifiers": {"cio_object_id": "ob1"},
            "attributes": {"seats": 5}}),
    );
    let phone = Relationship::with(Person::phone("+15551234567").unwrap());
    assert!(Operation::add_people(&acme(), &[phone]).is_err());
}

#[test]
fn deliveries() {
    let names = [
        (PushEvent::Opened, "opened"),
        (PushEvent::Converted, "converted"),
        (PushEvent::Delivered, "delivered"),
    ];
    for (event, name) in names {
        let operation = Operation::delivery_event("RPIL", event, "tok").unwrap();
        assert!(!operation.may_replay());
        let body = json!({"type": "delivery", "action": "event", "identifiers": {"id": "RPIL"}, "name": name,
            "attributes": {"device_token": "tok"}});
        check(operation, &body);
    }
}
