use std::time::Duration;

use serde_json::{Value, json};

use super::{Dedupe, Ledger};
use crate::api::{Identifier, v1};

fn books(dedupe: Dedupe) -> Ledger {
    Ledger::new(dedupe, Duration::from_secs(1))
}

/// Applies `(person, attributes)` as identify operations, then compares what is known of person 1.
#[track_caller]
fn check(identified: &[Value], expected: Option<&Value>) {
    let mut books = books(Dedupe::On);
    for attributes in identified {
        books.apply(v1::identify("1", attributes.to_string().as_bytes()).unwrap());
    }
    let person = books.person(&Identifier::Id("1".into()));
    let attributes = person.map(|person| Value::from(person.attributes.clone()));
    assert_eq!(attributes.as_ref(), expected);
    assert_eq!(books.totals().accepted, identified.len() as u64);
}

#[test]
fn attributes_merge_and_nothing_removes_them() {
    check(&[], None);
    check(
        &[json!({"a": 1, "b": 2}), json!({"b": 3})],
        Some(&json!({"a": 1, "b": 3})),
    );
    check(
        &[json!({"a": 1, "b": 2}), json!({"a": null, "b": ""})],
        Some(&json!({})),
    );
    check(&[json!({"_update": true, "a": 1})], None);
    check(
        &[json!({}), json!({"_update": true, "a": 1})],
        Some(&json!({"_update": true, "a": 1})),
    );
}

fn track(books: &mut Ledger, person: &str, id: Option<&str>) {
    let body = json!({"name": "paid", "timestamp": 5, "data": {"sum": 3}});
    let mut body = body.as_object().unwrap().clone();
    body.extend(id.map(|id| ("id".to_owned(), json!(id))));
    books.apply(v1::event(person, Value::from(body).to_string().as_bytes()).unwrap());
}

#[track_caller]
fn check_events(dedupe: Dedupe, ids: &[Option<&str>], (events, duplicates): (u64, u64)) {
    let mut books = books(dedupe);
    ids.iter().for_each(|id| track(&mut books, "1", *id));
    let totals = books.totals();
    assert_eq!(
        (totals.events, totals.duplicate_events),
        (events, duplicates)
    );
    assert_eq!(
        books.person(&Identifier::Id("1".into())).unwrap().events,
        events
    );
    assert_eq!((totals.accepted, totals.people), (ids.len() as u64, 1));
}

#[test]
fn a_repeated_event_id_is_ignored_unless_dedupe_is_off() {
    let ids = [Some("a"), Some("b"), Some("a"), Some("a"), None, None];
    check_events(Dedupe::On, &ids, (4, 2));
    check_events(Dedupe::Off, &ids, (6, 2));
}

#[test]
fn an_event_is_found_by_its_id_with_how_often_it_came() {
    let mut books = books(Dedupe::On);
    track(&mut books, "1", Some("a"));
    track(&mut books, "2", Some("a"));
    let event = books.event("a").unwrap();
    assert_eq!(
        (event.name.as_str(), event.person.as_deref(), event.received),
        ("paid", Some("1"), 2)
    );
    assert_eq!(
        (event.timestamp, event.attributes.get("sum")),
        (Some(5), Some(&json!(3)))
    );
    assert_eq!(books.event("b"), None);
}

#[test]
fn a_suppressed_person_stays_away_until_unsuppressed() {
    let mut books = books(Dedupe::On);
    let person = Identifier::Id("1".into());
    books.apply(v1::identify("1", b"{}").unwrap());
    books.apply(v1::suppress("1").unwrap());
    books.apply(v1::identify("1", b"{}").unwrap());
    track(&mut books, "1", Some("a"));
    assert_eq!(
        (
            books.person(&person),
            books.totals().events,
            books.totals().accepted
        ),
        (None, 0, 4)
    );
    books.apply(v1::unsuppress("1").unwrap());
    track(&mut books, "1", Some("a"));
    assert_eq!(
        (books.person(&person).unwrap().events, books.totals().events),
        (1, 1)
    );
}

#[test]
fn a_deleted_person_comes_back_with_the_next_operation() {
    let mut books = books(Dedupe::On);
    books.apply(v1::identify("1", br#"{"a": 1}"#).unwrap());
    books.apply(v1::delete("1").unwrap());
    assert_eq!(books.totals().people, 0);
    books.apply(v1::identify("1", b"{}").unwrap());
    assert!(
        books
            .person(&Identifier::Id("1".into()))
            .unwrap()
            .attributes
            .is_empty()
    );
}

#[test]
fn a_merge_keeps_the_primary_and_fills_its_gaps() {
    let mut books = books(Dedupe::On);
    let merge = || v1::merge(br#"{"primary": {"id": "1"}, "secondary": {"id": "2"}}"#).unwrap();
    books.apply(v1::identify("2", br#"{"a": 2, "b": 2}"#).unwrap());
    books.apply(merge());
    assert!(
        books.person(&Identifier::Id("2".into())).is_some(),
        "a merge into nobody does nothing"
    );
    books.apply(v1::identify("1", br#"{"a": 1}"#).unwrap());
    track(&mut books, "2", None);
    books.apply(merge());
    let person = books.person(&Identifier::Id("1".into())).unwrap();
    assert_eq!(
        (Value::from(person.attributes.clone()), person.events),
        (json!({"a": 1, "b": 2}), 1)
    );
    assert_eq!(books.totals().people, 1);
}

#[test]
fn devices_come_and_go_by_token() {
    let mut books = books(Dedupe::On);
    let devices = |books: &Ledger| {
        books
            .person(&Identifier::Id("1".into()))
            .unwrap()
            .devices
            .len()
    };
    books.apply(v1::add_device("1", br#"{"device": {"id": "t", "platform": "ios"}}"#).unwrap());
    assert_eq!(devices(&books), 1);
    books.apply(v1::delete_device("1", "t").unwrap());
    assert_eq!(devices(&books), 0);
}
