//! Every operation of API v1 and v2, from our client over a socket to the program `cio-sim`. The
//! simulator's records show its effect.

mod program;

use customerio::{
    AnonymousEvent, Attributes, Batch, Channel, Device, Event, EventId, Identify, Metric, Object,
    Operation, Person, Platform, PushEvent, Relationship, Request, Timestamp, v1,
};
use serde_json::{Value, json};

use program::Program;

fn person(id: &str) -> Person {
    Person::id(id).unwrap()
}

fn acme() -> Object {
    Object::new(1, "acme").unwrap()
}

fn plan(name: &str) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert("plan", name).unwrap();
    attributes
}

#[tokio::test]
async fn every_operation_arrives_and_has_its_effect() {
    let program = Program::start();
    let account = program.client().check().await.unwrap();
    assert_eq!(account.environment_id, Some(1));
    people(&program).await;
    suppressions(&program).await;
    merges(&program).await;
    events(&program).await;
    devices(&program).await;
    objects(&program).await;
    deliveries(&program).await;
    forms_and_segments(&program).await;
    let totals = program.record("totals").await;
    assert_eq!(totals["accepted"], totals["requests"]);
    assert_eq!(totals["throttled"], 0);
}

async fn people(program: &Program) {
    let known = |plan: &str, updates: u8| {
        let attributes = json!({"plan": plan});
        json!({"attributes": attributes, "devices": {}, "updates": updates, "events": 0})
    };
    let identify = Operation::identify(&person("p 2"), &plan("a")).unwrap();
    program.shows(identify, "people/p%202", known("a", 1)).await;
    let identify = v1::identify(&person("p/1"), &plan("a")).unwrap();
    program.shows(identify, "people/p%2F1", known("a", 1)).await;
    let update = |id: &str| {
        Identify::new(person(id), plan("b"))
            .update_only()
            .timestamp(Timestamp::new(5).unwrap())
    };
    let identify = Operation::identify_with(&update("unknown")).unwrap();
    program.shows(identify, "people/unknown", json!(null)).await;
    let identify = v1::identify_with(&update("unknown")).unwrap();
    program.shows(identify, "people/unknown", json!(null)).await;
    let mut batch = Batch::new();
    for id in ["b1", "b2"] {
        batch
            .push(Operation::identify(&person(id), &plan("c")).unwrap())
            .unwrap();
    }
    program.shows(batch, "people/b2", known("c", 1)).await;
    let delete = Operation::delete(&person("p 2")).unwrap();
    program.shows(delete, "people/p%202", json!(null)).await;
    let delete = v1::delete(&person("p/1")).unwrap();
    program.shows(delete, "people/p%2F1", json!(null)).await;
}

async fn suppressions(program: &Program) {
    let pairs: [(&str, Request, Request); 2] = [
        (
            "s2",
            Operation::suppress(&person("s2")).unwrap().into(),
            Operation::unsuppress(&person("s2")).unwrap().into(),
        ),
        (
            "s1",
            v1::suppress(&person("s1")).unwrap(),
            v1::unsuppress(&person("s1")).unwrap(),
        ),
    ];
    for (id, suppress, unsuppress) in pairs {
        let identify = Operation::identify(&person(id), &plan("a")).unwrap();
        let page = format!("people/{id}");
        program.accepts(suppress).await;
        program.shows(identify.clone(), &page, json!(null)).await;
        program.accepts(unsuppress).await;
        program.accepts(identify).await;
        assert_eq!(program.record(&page).await["updates"], 1);
    }
}

async fn merges(program: &Program) {
    let (one, two) = (person("m1"), person("m2"));
    for merge in [
        Operation::merge(&one, &two).unwrap().into(),
        v1::merge(&one, &two).unwrap(),
    ] {
        for (id, name) in [(&one, "kept"), (&two, "lost")] {
            let identify = Operation::identify(id, &plan(name)).unwrap();
            program.accepts(identify).await;
        }
        program.shows(merge, "people/m2", json!(null)).await;
        assert_eq!(
            program.record("people/m1").await["attributes"]["plan"],
            "kept"
        );
    }
}

async fn events(program: &Program) {
    let kinds: [fn(&str) -> Event; 3] = [
        |name| Event::new(name).unwrap(),
        |name| Event::page(name).unwrap(),
        |name| Event::screen(name).unwrap(),
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let id = |version: &str| EventId::derive(version, number.to_string(), None);
        let event = |version| kind("seen").id(id(version)).attributes(plan("a"));
        let event = |version| event(version).timestamp(Timestamp::new(9).unwrap());
        let recorded = |person: Option<&str>| {
            json!({
                "name": "seen",
                "person": person,
                "timestamp": 9,
                "attributes": {"plan": "a"},
                "received": 1,
            })
        };
        let anonymous = AnonymousEvent::new("anon", event("0")).unwrap();
        let sent: [(&str, Request, Option<&str>); 3] = [
            (
                "2",
                Operation::event(&person("e"), &event("2")).unwrap().into(),
                Some("e"),
            ),
            (
                "1",
                v1::event(&person("e"), &event("1")).unwrap(),
                Some("e"),
            ),
            ("0", v1::anonymous_event(&anonymous), None),
        ];
        for (version, request, person) in sent {
            let page = format!("events/{}", id(version));
            program.shows(request, &page, recorded(person)).await;
        }
    }
    let invite = Event::new("invite").unwrap().id(EventId::from_parts(0, 7));
    let invite = AnonymousEvent::invite("x@y.z", invite).unwrap();
    program.accepts(v1::anonymous_event(&invite)).await;
    let page = program
        .record(&format!("events/{}", EventId::from_parts(0, 7)))
        .await;
    assert_eq!(page["attributes"]["recipient"], "x@y.z");
}

async fn devices(program: &Program) {
    let device = Device::new("to/k", Platform::Ios).unwrap();
    let owner = person("d");
    let pairs: [(Request, Request); 2] = [
        (
            Operation::add_device(&owner, &device).unwrap().into(),
            Operation::delete_device(&owner, "to/k").unwrap().into(),
        ),
        (
            v1::add_device(&owner, &device).unwrap(),
            v1::delete_device(&owner, "to/k").unwrap(),
        ),
    ];
    for (add, delete) in pairs {
        program.accepts(add).await;
        let devices = program.record("people/d").await["devices"].clone();
        assert_eq!(devices["to/k"]["platform"], "ios");
        program.accepts(delete).await;
        assert_eq!(program.record("people/d").await["devices"], json!({}));
    }
}

async fn objects(program: &Program) {
    let member = person("o");
    let to_acme = [Relationship::with(acme()).attributes(plan("admin"))];
    let to_member = [Relationship::with(person("o")).attributes(plan("admin"))];
    let (none, some) = (Attributes::new(), plan("pro"));
    let identify = Operation::identify_object(&acme(), &some, &to_member).unwrap();
    let pairs: [(Request, Request, Value); 4] = [
        (
            Operation::add_relationships(&member, &to_acme)
                .unwrap()
                .into(),
            Operation::delete_relationships(&member, &to_acme)
                .unwrap()
                .into(),
            json!({}),
        ),
        (
            v1::add_relationships(&member, &to_acme).unwrap(),
            v1::delete_relationships(&member, &to_acme).unwrap(),
            json!({}),
        ),
        (
            Operation::add_people(&acme(), &to_member).unwrap().into(),
            Operation::delete_people(&acme(), &to_member)
                .unwrap()
                .into(),
            json!({}),
        ),
        (
            identify.into(),
            Operation::delete_object(&acme()).unwrap().into(),
            json!(null),
        ),
    ];
    for (add, delete, left) in pairs {
        program.accepts(add).await;
        let people = program.record("objects/1/acme").await["people"].clone();
        assert_eq!(people, json!({"o": {"plan": "admin"}}));
        program.accepts(delete).await;
        let acme = program.record("objects/1/acme").await;
        assert_eq!(acme["people"], left);
    }
    let anonymous = Operation::identify_anonymous_object(&acme(), &none, "anon").unwrap();
    program.accepts(anonymous).await;
    let anonymous = program.record("objects/1/acme").await["anonymous"].clone();
    assert_eq!(anonymous, json!({"anon": {}}));
}

async fn deliveries(program: &Program) {
    let opened = PushEvent::Opened;
    let clicked = Metric::new(Channel::Email, "clicked", "d/1").unwrap();
    let moment = Timestamp::new(5).unwrap();
    let known = |opened: u8, clicked: u8, unsubscribed: bool| {
        let mut metrics = json!({"opened": opened});
        if clicked > 0 {
            metrics["clicked"] = clicked.into();
        }
        json!({"metrics": metrics, "unsubscribed": unsubscribed})
    };
    let sent: [(Request, _); 5] = [
        (
            Operation::delivery_event("d/1", opened, "t")
                .unwrap()
                .into(),
            known(1, 0, false),
        ),
        (
            v1::push_event("d/1", opened, "t", moment).unwrap(),
            known(2, 0, false),
        ),
        (v1::metric(&clicked), known(2, 1, false)),
        (v1::unsubscribe("d/1").unwrap(), known(2, 1, true)),
        (v1::resubscribe("d/1").unwrap(), known(2, 1, false)),
    ];
    for (request, expected) in sent {
        program.shows(request, "deliveries/d%2F1", expected).await;
    }
}

async fn forms_and_segments(program: &Program) {
    let form = v1::Form::new(&person("f")).unwrap().field("name", "Ada");
    let submit = v1::submit_form("f 1", &form.unwrap()).unwrap();
    let submitted = json!({"submissions": 1, "last": {"name": "Ada"}});
    program.shows(submit, "forms/f%201", submitted).await;
    let people = [person("f")];
    let add = v1::add_to_segment(7, &people).unwrap();
    program.shows(add, "segments/7", json!(["f"])).await;
    let remove = v1::remove_from_segment(7, &people).unwrap();
    program.shows(remove, "segments/7", json!([])).await;
}
