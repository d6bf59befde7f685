//! Requests recorded from the official SDKs, each built with this crate.
//!
//! The recordings are of the Python SDK 3.2.0; each has its call beside it.

use customerio::{
    AnonymousEvent, Attributes, Batch, Device, Event, InvalidInput, Operation, Person, Platform,
    Request, Timestamp, v1,
};
use serde_json::{Value, json};

use crate::support::{attributes, event_id, person};

const RECORDED: &str = include_str!("data/recorded.jsonl");

/// What this crate makes of a recorded call.
enum Ours {
    Same(Request),
    /// Another body, and why.
    Body(Request, Value, &'static str),
    /// No request: an error about this field, and why.
    Refused(InvalidInput, &'static str, &'static str),
}

use Ours::{Body, Refused, Same};

const NO_BODY: &str = "a DELETE needs no body";

#[test]
fn every_recorded_request_is_reproduced_or_the_difference_has_a_reason() {
    let recorded: Vec<Value> = RECORDED
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ours: Vec<Ours> = [identifies(), events(), the_rest()]
        .into_iter()
        .flatten()
        .collect();
    assert_eq!((recorded.len(), ours.len()), (30, 30));
    for (recorded, ours) in recorded.iter().zip(ours) {
        check(recorded, ours);
    }
}

fn check(recorded: &Value, ours: Ours) {
    let call = &recorded["call"];
    let (request, body, why) = match ours {
        Same(request) => (request, recorded["body"].clone(), ""),
        Body(request, body, why) => (request, body, why),
        Refused(refusal, field, why) => {
            assert_eq!(refusal.field(), field, "{call} {why}");
            return;
        }
    };
    assert_eq!(request.method().as_str(), recorded["method"], "{call}");
    assert_eq!(request.path(), recorded["path"], "{call}");
    let sent = request.body().map_or(Value::Null, |body| {
        serde_json::from_slice(&body).expect("bodies are JSON")
    });
    assert_eq!(sent, body, "{call} {why}");
    let differs = body != recorded["body"];
    assert_eq!(differs, !why.is_empty(), "a stale reason: {call} {why}");
}

fn identifies() -> Vec<Ours> {
    let put = |person: &Person, attributes: &Attributes| v1::identify(person, attributes).unwrap();
    let none = Attributes::new();
    let mut kinds = attributes(
        r#"{"email":"a@b.co","created_at":1700000000,"plan":"pro","vip":true,"score":1.5,"tags":["a","b"],
            "nested":{"a":1}}"#,
    );
    kinds.unset("nothing").unwrap().unset("empty").unwrap();
    let kinds_body = json!({"email": "a@b.co", "created_at": 1700000000, "plan": "pro", "vip": true, "score": 1.5,
        "nothing": null, "empty": null, "tags": ["a", "b"], "nested": {"a": 1}});
    let dates = attributes(
        r#"{"when":1704110400,"aware":1704103200,"nested":{"when":1704067200},"_update":true}"#,
    );
    let dates_body = json!({"when": 1704110400, "aware": 1704103200, "nested": {"when": 1704067200}, "_update": true});
    vec![
        Body(
            put(&person("u1"), &kinds),
            kinds_body,
            "who removes an attribute says `unset`, which sends null and never an empty string",
        ),
        Same(put(&person("5"), &none)),
        Same(put(
            &Person::email("person+tag@example.com").unwrap(),
            &attributes(r#"{"first_name":"A"}"#),
        )),
        Same(put(
            &Person::cio_id("cio_03000001").unwrap(),
            &attributes(r#"{"email":"new@b.co"}"#),
        )),
        Same(put(&person("a b/c?d#e%f&g:h"), &none)),
        Same(put(&person("it's(ok)*!~-._"), &none)),
        Same(put(
            &person("ünï-日本-😀"),
            &attributes(r#"{"name":"ünï 😀"}"#),
        )),
        Body(
            put(&person("u1"), &dates),
            dates_body,
            "NaN is an error, because the null in its place would remove the attribute",
        ),
        Same(put(&person("0"), &attributes(r#"{"a":1}"#))),
    ]
}

fn events() -> Vec<Ours> {
    let event = |name| Event::new(name).unwrap();
    let seconds = |seconds| Timestamp::new(seconds).unwrap();
    let post = |event: &Event| v1::event(&person("u1"), event).unwrap();
    let items = attributes(r#"{"price":23.45,"items":[{"sku":"x"}]}"#);
    let exact = event("purchase")
        .id(event_id())
        .timestamp(seconds(1_561_231_234));
    let viewed = event("viewed").attributes(attributes(r#"{"a":1}"#));
    let page = Event::page("https://example.com/a?b=c").unwrap();
    let page = page.attributes(attributes(r#"{"referrer":"https://r"}"#));
    let old = event("old").timestamp(seconds(1_500_000_000));
    vec![
        Same(post(&event("purchase").attributes(items))),
        Same(post(&event("purchase"))),
        Same(post(&exact)),
        Same(post(&event("purchase").timestamp(seconds(1_704_067_200)))),
        // The SDK drops a timestamp that is no number; here it is a type, so there is nothing to
        // drop.
        Same(post(&event("purchase"))),
        Refused(
            Timestamp::new(1_700_000_000_123).unwrap_err(),
            "timestamp",
            "milliseconds given as seconds lie in the year 55,000",
        ),
        Same(AnonymousEvent::new("anon-1", viewed).unwrap().into()),
        Same(
            AnonymousEvent::invite("x@y.z", event("invite"))
                .unwrap()
                .into(),
        ),
        Refused(
            AnonymousEvent::invite("", event("invite")).unwrap_err(),
            "recipient",
            "without anonymous id and recipient the API has nobody to attribute it to",
        ),
        Same(post(&page)),
        Same(post(&old.attributes(attributes(r#"{"price":1}"#)))),
        Same(post(&event("old").timestamp(seconds(1_577_836_800)))),
    ]
}

fn the_rest() -> Vec<Ours> {
    let u1 = person("u1");
    let device = |platform| Device::new("tok", platform).unwrap();
    let android = device(Platform::Android)
        .last_used(Timestamp::new(1_700_000_000).unwrap())
        .attribute("app_version", "1.0")
        .and_then(|device| device.attribute("foo", "bar"))
        .unwrap();
    let android_body = json!({"device": {"last_used": 1700000000, "id": "tok", "platform": "android",
        "attributes": {"app_version": "1.0", "foo": "bar"}}});
    let email = Person::email("drop@b.co").unwrap();
    let cio_id = Person::cio_id("03000001").unwrap();
    vec![
        Body(v1::delete(&u1).unwrap(), Value::Null, NO_BODY),
        Same(v1::add_device(&u1, &device(Platform::Ios)).unwrap()),
        Body(
            v1::add_device(&u1, &android).unwrap(),
            android_body,
            "the SDK puts attributes that it does not know beside the others, where the API has no place for them",
        ),
        Body(
            v1::delete_device(&u1, "tok/1").unwrap(),
            Value::Null,
            NO_BODY,
        ),
        Same(v1::suppress(&person("a/b")).unwrap()),
        Same(v1::unsuppress(&u1).unwrap()),
        Same(v1::merge(&person("keep"), &email).unwrap()),
        Body(
            v1::merge(&cio_id, &person("5")).unwrap(),
            json!({"primary": {"cio_id": "03000001"}, "secondary": {"id": "5"}}),
            "the API wants the id as a string",
        ),
        batch(),
    ]
}

fn batch() -> Ours {
    let bought = Event::new("purchase").unwrap().id(event_id());
    let bought = bought.attributes(attributes(r#"{"price":1}"#));
    let mut batch = Batch::new();
    for operation in [
        Operation::identify(&person("u1"), &attributes(r#"{"a":1}"#)),
        Operation::event(&Person::email("a@b.co").unwrap(), &bought),
    ] {
        batch.push(operation.unwrap()).unwrap();
    }
    let body = json!({"batch": [
        {"type": "person", "action": "identify", "identifiers": {"id": "u1"}, "attributes": {"a": 1}},
        {"type": "person", "action": "event", "identifiers": {"email": "a@b.co"}, "name": "purchase",
         "id": "01HB4HBDKTFWYZCK01DMRSWRFD", "attributes": {"price": 1}},
    ]});
    let why = "an event without an id goes alone, because a batch may be sent again";
    Body(batch.into(), body, why)
}
