//! The requests of version 1 that were not recorded, from its specification.

use customerio::{
    AnonymousEvent, Attributes, Channel, Event, Identify, Metric, Object, Person, PushEvent,
    Relationship, Request, Timestamp, v1,
};
use serde_json::{Value, json};

use crate::support::{attributes, event_id, person};

#[track_caller]
fn check(request: impl Into<Request>, line: &str, body: impl Into<Value>) {
    let (request, body) = (request.into(), body.into());
    assert_eq!(format!("{} {}", request.method(), request.path()), line);
    let sent = request.body().map_or(Value::Null, |body| {
        serde_json::from_slice(&body).expect("bodies are JSON")
    });
    assert_eq!(sent, body, "{line}");
}

fn u1() -> Person {
    person("u1")
}

#[test]
fn the_region_is_requested() {
    check(v1::region(), "GET /api/v1/accounts/region", Value::Null);
}

#[test]
fn identify_carries_order_and_relationships_as_attributes() {
    let member = Relationship::with(Object::new(1, "acme").unwrap());
    let identify = Identify::new(u1(), attributes(r#"{"plan":"pro"}"#))
        .timestamp(Timestamp::new(5).unwrap())
        .relationship(member.clone());
    let related = json!([{"identifiers": {"object_type_id": "1", "object_id": "acme"}}]);
    check(
        v1::identify_with(&identify).unwrap(),
        "PUT /api/v1/customers/u1",
        json!({"plan": "pro", "_timestamp": 5,
            "cio_relationships": {"action": "add_relationships", "relationships": related}}),
    );
    check(
        v1::identify_with(&Identify::new(u1(), Attributes::new())).unwrap(),
        "PUT /api/v1/customers/u1",
        json!({}),
    );
    check(
        v1::add_relationships(&u1(), std::slice::from_ref(&member)).unwrap(),
        "PUT /api/v1/customers/u1",
        json!({"cio_relationships": {"action": "add_relationships", "relationships": related}}),
    );
    check(
        v1::delete_relationships(&u1(), &[member]).unwrap(),
        "PUT /api/v1/customers/u1",
        json!({"cio_relationships": {"action": "delete_relationships", "relationships": related}}),
    );
}

#[test]
fn pages_and_screens_are_events_with_a_type() {
    let screen = Event::screen("Home").unwrap().id(event_id());
    check(
        v1::event(&u1(), &screen).unwrap(),
        "POST /api/v1/customers/u1/events",
        json!({"type": "screen", "name": "Home", "id": "01HB4HBDKTFWYZCK01DMRSWRFD", "data": {}}),
    );
    let page = AnonymousEvent::new("anon-1", Event::page("https://a.co").unwrap()).unwrap();
    check(
        page,
        "POST /api/v1/events",
        json!({"type": "page", "name": "https://a.co", "anonymous_id": "anon-1", "data": {}}),
    );
}

#[test]
fn push_events_and_metrics() {
    let moment = Timestamp::new(1_700_000_000).unwrap();
    for (event, name) in [
        (PushEvent::Opened, "opened"),
        (PushEvent::Converted, "converted"),
        (PushEvent::Delivered, "delivered"),
    ] {
        check(
            v1::push_event("RPIL", event, "tok", moment).unwrap(),
            "POST /api/v1/push/events",
            json!({"delivery_id": "RPIL", "event": name, "device_id": "tok", "timestamp": 1700000000}),
        );
    }
    let metric = |channel, name| Metric::new(channel, name, "RPIL").unwrap();
    check(
        v1::metric(&metric(Channel::InApp, "clicked")),
        "POST /api/v1/metrics",
        json!({"delivery_id": "RPIL", "metric": "clicked"}),
    );
    let bounced = metric(Channel::Email, "bounced").timestamp(moment);
    check(
        v1::metric(&bounced.recipient("a@b.co").reason("full")),
        "POST /api/v1/metrics",
        json!({"delivery_id": "RPIL", "metric": "bounced", "timestamp": 1700000000, "recipient": "a@b.co",
            "reason": "full"}),
    );
    check(
        v1::metric(&metric(Channel::Slack, "clicked").href("https://a.co")),
        "POST /api/v1/metrics",
        json!({"delivery_id": "RPIL", "metric": "clicked", "href": "https://a.co"}),
    );
    assert!(!v1::metric(&metric(Channel::Push, "opened")).may_replay());
}

#[test]
fn a_channel_has_its_own_metrics() {
    let check = |channel, metric, expected| {
        let made = Metric::new(channel, metric, "RPIL");
        assert_eq!(made.is_ok(), expected, "{channel:?} {metric}");
    };
    check(Channel::Email, "spammed", true);
    check(Channel::Webhook, "deferred", true);
    check(Channel::InApp, "delivered", false);
    check(Channel::Push, "clicked", false);
    check(Channel::Slack, "bounced", false);
    check(Channel::Sms, "converted", false);
    check(Channel::Sms, "Opened", false);
}

#[test]
fn forms_contain_strings_and_one_person() {
    let by = |person: Person| v1::Form::new(&person);
    let form = by(u1()).unwrap().field("first_name", "Ada").unwrap();
    check(
        v1::submit_form("a/b c", &form).unwrap(),
        "POST /api/v1/forms/a%2Fb%20c/submit",
        json!({"data": {"id": "u1", "first_name": "Ada"}}),
    );
    let form = by(Person::email("a@b.co").unwrap()).unwrap();
    check(
        v1::submit_form("1", &form).unwrap(),
        "POST /api/v1/forms/1/submit",
        json!({"data": {"email": "a@b.co"}}),
    );
    assert!(by(Person::cio_id("03").unwrap()).is_err());
    assert!(by(Person::phone("+15551234567").unwrap()).is_err());
    for name in ["id", "email", "form_id", "form_url", ""] {
        assert!(form.clone().field(name, "x").is_err(), "{name}");
    }
    for id in ["", ".", ".."] {
        assert!(v1::submit_form(id, &form).is_err(), "{id}");
    }
}

#[test]
fn segments_accept_identifiers_of_one_kind() {
    let people = [person("1"), person("2")];
    check(
        v1::add_to_segment(7, &people).unwrap(),
        "POST /api/v1/segments/7/add_customers?id_type=id",
        json!({"ids": ["1", "2"]}),
    );
    let cio_id = [Person::cio_id("cio_03").unwrap()];
    check(
        v1::remove_from_segment(7, &cio_id).unwrap(),
        "POST /api/v1/segments/7/remove_customers?id_type=cio_id",
        json!({"ids": ["03"]}),
    );
    let mixed = [person("1"), Person::email("a@b.co").unwrap()];
    assert!(v1::add_to_segment(7, &mixed).is_err());
    assert!(v1::add_to_segment(7, &[]).is_err());
    let phone = [Person::phone("+15551234567").unwrap()];
    assert!(v1::add_to_segment(7, &phone).is_err());
    let many = |count: usize| vec![person("1"); count];
    assert!(v1::add_to_segment(7, &many(1_000)).is_ok());
    assert!(
        v1::add_to_segment(7, &many(1_001))
            .unwrap_err()
            .is_too_large()
    );
}

#[test]
fn subscriptions_are_at_the_root_of_the_host() {
    check(
        v1::unsubscribe("RP/L").unwrap(),
        "POST /unsubscribe/RP%2FL",
        json!({"unsubscribe": true}),
    );
    check(
        v1::resubscribe("RPIL").unwrap(),
        "POST /unsubscribe/RPIL",
        json!({"unsubscribe": false}),
    );
    assert!(v1::unsubscribe("").is_err() && v1::unsubscribe("..").is_err());
}

#[test]
fn a_phone_number_in_a_path_is_an_error() {
    let phone = Person::phone("+15551234567").unwrap();
    assert!(v1::delete(&phone).is_err());
    assert!(v1::identify(&phone, &Attributes::new()).is_err());
}
