use std::time::Duration;

use serde_json::{Value, json};

use super::{Dedupe, Records, Store};
use crate::api::{Identifier, v1};

/// The time of all arrivals, in Unix seconds.
const NOW: i64 = 1_767_225_600;

const A: &str = "01HB4HBDKTFWYZCK01DMRSWRFA";
const B: &str = "01HB4HBDKTFWYZCK01DMRSWRFB";

fn store(dedupe: Dedupe) -> Store {
    Store::new(Records::All, dedupe, Duration::from_secs(1))
}

/// Identifies person 1 with each set of attributes, then compares the attributes of the record.
#[track_caller]
fn check(identified: &[Value], expected: Option<&Value>) {
    let mut store = store(Dedupe::On);
    for attributes in identified {
        store.apply(
            v1::identify("1", attributes.to_string().as_bytes()).unwrap(),
            NOW,
        );
    }
    let person = store.person(&Identifier::Id("1".into()));
    let attributes = person.map(|person| Value::from(person.attributes.clone()));
    assert_eq!(attributes.as_ref(), expected);
    assert_eq!(store.totals().accepted, identified.len() as u64);
}

#[test]
fn attributes_merge_and_null_or_an_empty_string_removes_one() {
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
        Some(&json!({"a": 1})),
    );
}

fn track(store: &mut Store, person: &str, id: Option<&str>) {
    let body = json!({"name": "paid", "timestamp": 5, "data": {"sum": 3}});
    let mut body = body.as_object().unwrap().clone();
    body.extend(id.map(|id| ("id".to_owned(), json!(id))));
    store.apply(
        v1::event(person, Value::from(body).to_string().as_bytes()).unwrap(),
        NOW,
    );
}

#[track_caller]
fn check_events(dedupe: Dedupe, ids: &[Option<&str>], (events, duplicates): (u64, u64)) {
    let mut store = store(dedupe);
    ids.iter().for_each(|id| track(&mut store, "1", *id));
    let totals = store.totals();
    assert_eq!(
        (totals.events, totals.duplicate_events),
        (events, duplicates)
    );
    assert_eq!(
        store.person(&Identifier::Id("1".into())).unwrap().events,
        events
    );
    assert_eq!((totals.accepted, totals.people), (ids.len() as u64, 1));
}

#[test]
fn a_repeated_event_id_is_ignored_unless_dedupe_is_off() {
    let ids = [Some(A), Some(B), Some(A), Some(A), None, None];
    check_events(Dedupe::On, &ids, (4, 2));
    check_events(Dedupe::Off, &ids, (6, 2));
}

#[test]
fn an_event_is_found_by_its_id_with_the_number_of_times_received() {
    let mut store = store(Dedupe::On);
    track(&mut store, "1", Some(A));
    track(&mut store, "2", Some(A));
    let event = store.event(A).unwrap();
    assert_eq!(
        (event.name.as_str(), event.person.as_deref(), event.received),
        ("paid", Some("1"), 2)
    );
    assert_eq!(
        (event.timestamp, event.attributes.get("sum")),
        (Some(5), Some(&json!(3)))
    );
    assert_eq!(store.event(B), None);
}

#[test]
fn a_suppressed_person_is_not_recorded_until_unsuppressed() {
    let mut store = store(Dedupe::On);
    let person = Identifier::Id("1".into());
    store.apply(v1::identify("1", b"{}").unwrap(), NOW);
    store.apply(v1::suppress("1").unwrap(), NOW);
    store.apply(v1::identify("1", b"{}").unwrap(), NOW);
    track(&mut store, "1", Some(A));
    assert_eq!(
        (
            store.person(&person),
            store.totals().events,
            store.totals().accepted
        ),
        (None, 0, 4)
    );
    store.apply(v1::unsuppress("1").unwrap(), NOW);
    track(&mut store, "1", Some(A));
    assert_eq!(
        (store.person(&person).unwrap().events, store.totals().events),
        (1, 1)
    );
}

#[test]
fn the_next_operation_creates_a_deleted_person_again() {
    let mut store = store(Dedupe::On);
    store.apply(v1::identify("1", br#"{"a": 1}"#).unwrap(), NOW);
    store.apply(v1::delete("1").unwrap(), NOW);
    assert_eq!(store.totals().people, 0);
    store.apply(v1::identify("1", b"{}").unwrap(), NOW);
    assert!(
        store
            .person(&Identifier::Id("1".into()))
            .unwrap()
            .attributes
            .is_empty()
    );
}

#[test]
fn a_merge_keeps_the_primary_and_adds_its_missing_attributes() {
    let mut store = store(Dedupe::On);
    let merge = || v1::merge(br#"{"primary": {"id": "1"}, "secondary": {"id": "2"}}"#).unwrap();
    store.apply(v1::identify("2", br#"{"a": 2, "b": 2}"#).unwrap(), NOW);
    store.apply(merge(), NOW);
    assert!(
        store.person(&Identifier::Id("2".into())).is_some(),
        "a merge into an unknown person does nothing"
    );
    store.apply(v1::identify("1", br#"{"a": 1}"#).unwrap(), NOW);
    track(&mut store, "2", None);
    store.apply(merge(), NOW);
    let person = store.person(&Identifier::Id("1".into())).unwrap();
    assert_eq!(
        (Value::from(person.attributes.clone()), person.events),
        (json!({"a": 1, "b": 2}), 1)
    );
    assert_eq!(store.totals().people, 1);
}

#[test]
fn devices_are_added_and_deleted_by_token() {
    let mut store = store(Dedupe::On);
    let devices = |store: &Store| {
        store
            .person(&Identifier::Id("1".into()))
            .unwrap()
            .devices
            .len()
    };
    store.apply(
        v1::add_device("1", br#"{"device": {"id": "t", "platform": "ios"}}"#).unwrap(),
        NOW,
    );
    assert_eq!(devices(&store), 1);
    store.apply(v1::delete_device("1", "t").unwrap(), NOW);
    assert_eq!(devices(&store), 0);
}
