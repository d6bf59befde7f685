use serde_json::{Map, Value, json};

use super::*;
use crate::input::{Header, Row};

fn people() -> Mapping {
    Mapping {
        person: by_id("id"),
        kind: Kind::People,
    }
}

fn events() -> Mapping {
    let moment = Moment::Column {
        column: "when".into(),
        format: "%Y".parse().unwrap(),
    };
    let columns = EventColumns {
        name: "what".into(),
        moment,
        event_id: None,
    };
    Mapping {
        person: by_id("id"),
        kind: Kind::Events(columns),
    }
}

fn by_id(column: &str) -> PersonColumn {
    PersonColumn {
        column: column.into(),
        identifier: Identifier::Id,
    }
}

fn row(position: u64, fields: &Value) -> Row {
    Row {
        line: position + 2,
        last_line: position + 2,
        position,
        fields: fields.as_object().unwrap().clone(),
    }
}

fn map(mapping: &Mapping, position: u64, fields: &Value) -> Result<Value, String> {
    let record = mapping.record(&ImportId::new("import"), row(position, fields));
    let json = |record: Record| serde_json::from_slice(record.operation.json()).unwrap();
    record.map(json).map_err(|reject| reject.to_string())
}

fn id_of(mapping: &Mapping, position: u64, fields: &Value) -> String {
    map(mapping, position, fields).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Compares the operation of a row, without the event id.
#[track_caller]
fn check(mapping: &Mapping, fields: &Value, expected: &Value) {
    let mut found = map(mapping, 0, fields).unwrap();
    if let Some(operation) = found
        .as_object_mut()
        .filter(|operation| operation["action"] == "event")
    {
        operation.remove("id");
    }
    assert_eq!(found, *expected);
}

#[track_caller]
fn check_rejected(mapping: &Mapping, fields: &Value, expected: &str) {
    assert_eq!(map(mapping, 0, fields).unwrap_err(), expected);
}

#[test]
fn other_columns_become_attributes_of_the_person() {
    let expected = json!({
        "type": "person", "action": "identify", "identifiers": {"id": "a"},
        "attributes": {"name": "Ada", "born": 1815, "tags": ["x"]},
    });
    check(
        &people(),
        &json!({"id": "a", "name": "Ada", "born": 1815, "tags": ["x"]}),
        &expected,
    );
}

#[test]
fn empty_values_are_left_out_because_the_api_would_remove_the_attribute() {
    let expected = json!({
        "type": "person", "action": "identify", "identifiers": {"id": "a"},
        "attributes": {"b": "1"},
    });
    check(
        &people(),
        &json!({"id": "a", "b": "1", "c": "", "d": null}),
        &expected,
    );
}

#[test]
fn a_person_may_be_identified_by_email() {
    let person = PersonColumn {
        column: "mail".into(),
        identifier: Identifier::Email,
    };
    let mapping = Mapping {
        person,
        kind: Kind::People,
    };
    let expected =
        json!({"type": "person", "action": "identify", "identifiers": {"email": "a@example.com"}});
    check(&mapping, &json!({"mail": "a@example.com"}), &expected);
    check(
        &mapping,
        &json!({"mail": " \ta@example.com\r\n\u{a0}"}),
        &expected,
    );
    check_rejected(
        &mapping,
        &json!({"mail": "a@exam ple.com"}),
        r#"2: column "mail": person email holds white space; remove it"#,
    );
}

#[test]
fn other_columns_become_attributes_of_the_event() {
    let expected = json!({
        "type": "person", "action": "event", "identifiers": {"id": "7"}, "name": "won",
        "timestamp": 1_451_606_400, "attributes": {"league": "NL"},
    });
    check(
        &events(),
        &json!({"id": 7, "what": "won", "when": 2016, "league": "NL", "notes": ""}),
        &expected,
    );
}

#[test]
fn events_with_now_have_no_timestamp() {
    let columns = EventColumns {
        name: "what".into(),
        moment: Moment::Now,
        event_id: None,
    };
    let mapping = Mapping {
        person: by_id("id"),
        kind: Kind::Events(columns),
    };
    let expected =
        json!({"type": "person", "action": "event", "identifiers": {"id": "a"}, "name": "won"});
    check(&mapping, &json!({"id": "a", "what": "won"}), &expected);
}

#[test]
fn two_equal_rows_are_two_events_and_a_row_is_the_same_event_in_every_run() {
    let fields = json!({"id": "a", "what": "won", "when": "2016"});
    assert_eq!(id_of(&events(), 3, &fields), id_of(&events(), 3, &fields));
    assert_ne!(id_of(&events(), 3, &fields), id_of(&events(), 4, &fields));
}

#[test]
fn an_event_id_column_makes_the_id_independent_of_the_file() {
    let mut mapping = events();
    let Kind::Events(columns) = &mut mapping.kind else {
        unreachable!()
    };
    columns.event_id = Some("key".into());
    let fields = |key: &str| json!({"id": "a", "what": "won", "when": "2016", "key": key});
    assert_eq!(
        id_of(&mapping, 3, &fields("k")),
        id_of(&mapping, 4, &fields("k"))
    );
    assert_ne!(
        id_of(&mapping, 3, &fields("k")),
        id_of(&mapping, 3, &fields("l"))
    );
    check_rejected(
        &mapping,
        &fields(""),
        r#"2: column "key": has no value; add one or remove the record"#,
    );
}

#[test]
fn the_same_key_of_another_event_or_person_makes_another_id() {
    let mut mapping = events();
    let Kind::Events(columns) = &mut mapping.kind else {
        unreachable!()
    };
    columns.event_id = Some("key".into());
    let fields = |id: &str, what: &str, when: &str, key: &str| json!({"id": id, "what": what, "when": when, "key": key});
    let ids: std::collections::HashSet<_> = [
        fields("a", "won", "2016", "k"),
        fields("b", "won", "2016", "k"),
        fields("a", "lost", "2016", "k"),
        fields("a", "won", "2017", "k"),
        fields("a", "won", "2016", "kk"),
        // Values with the same text when joined have different ids.
        fields("a", "won\",\"id", "2016", "k"),
        fields("ak", "won", "2016", "k"),
    ]
    .iter()
    .map(|fields| id_of(&mapping, 0, fields))
    .collect();
    assert_eq!(ids.len(), 7);

    mapping.person.identifier = Identifier::Email;
    let of = |address: &str| id_of(&mapping, 0, &fields(address, "won", "2016", "k"));
    assert_eq!(of("a@example.com"), of(" A@Example.com\n"));
    assert_ne!(of("a@example.com"), of("b@example.com"));
}

/// The ids were computed by another program. Other ids would send every event of a repeated import
/// a second time.
#[test]
fn event_ids_and_import_ids_never_change() {
    let fields = json!({"id": "a", "what": "won", "when": "2016"});
    assert_eq!(id_of(&events(), 3, &fields), "01A7X7QQ005A6B1RTHAGTNQ0HW");
    let mut by_column = events();
    let Kind::Events(columns) = &mut by_column.kind else {
        unreachable!()
    };
    columns.event_id = Some("key".into());
    let fields = json!({"id": "a", "what": "won", "when": "2016", "key": "k"});
    assert_eq!(id_of(&by_column, 3, &fields), "01A7X7QQ00WK734BN8PJR5V3YN");
    let import = events().import_id(&[7; 32]);
    let digest = "e34ffbcc7fcc3764407c5104132228e282a9d5b7350ffde44244501de8f63323";
    assert_eq!(import.as_str(), digest);
}

#[test]
fn the_import_id_depends_on_content_kind_and_mapping() {
    let base = events().import_id(&[0; 32]);
    let mut other = events();
    other.person.identifier = Identifier::Email;
    assert_eq!(base, events().import_id(&[0; 32]));
    assert_ne!(base, events().import_id(&[1; 32]));
    assert_ne!(base, other.import_id(&[0; 32]));
    assert_ne!(base, people().import_id(&[0; 32]));
    assert_ne!(events().digest(), other.digest());
}

#[test]
fn invalid_persons_are_rejected() {
    let missing = r#"2: column "id": has no value; add one or remove the record"#;
    check_rejected(&people(), &json!({"id": ""}), missing);
    check_rejected(&people(), &json!({"id": null}), missing);
    check_rejected(&people(), &json!({"name": "Ada"}), missing);
    let dots =
        r#"2: column "id": person id is `.` or `..`, which is lost in a URL's path; use another"#;
    check_rejected(&people(), &json!({"id": "."}), dots);
    check_rejected(&people(), &json!({"id": ".."}), dots);
    let long = r#"2: column "id": person id takes 151 bytes, over the limit of 150; shorten it"#;
    check_rejected(&people(), &json!({"id": "x".repeat(151)}), long);
    let shapeless = r#"2: column "id": is neither text nor a whole number; write it as text"#;
    for value in [json!(1.5), json!(true), json!(["a"]), json!({"b": 1})] {
        check_rejected(&people(), &json!({"id": value}), shapeless);
    }
}

#[test]
fn records_over_a_limit_are_rejected() {
    let long = "2: attribute `notes` takes 1001 bytes, over the limit of 1000; shorten it";
    check_rejected(
        &people(),
        &json!({"id": "a", "notes": "x".repeat(1001)}),
        long,
    );
    let fields: Map<String, Value> = (0..40)
        .map(|n| (format!("c{n}"), "x".repeat(1000).into()))
        .collect();
    let mut fields = Value::Object(fields);
    fields["id"] = "a".into();
    assert!(
        map(&people(), 0, &fields)
            .unwrap_err()
            .contains("over the limit of 32000")
    );
}

#[test]
fn invalid_times_are_rejected() {
    let fields = |when: &str| json!({"id": "a", "what": "won", "when": when});
    let unparsable =
        r#"2: column "when": is not a time in the format %Y; correct it or --timestamp-format"#;
    check_rejected(&events(), &fields("soon"), unparsable);
    let mut mapping = events();
    let Kind::Events(columns) = &mut mapping.kind else {
        unreachable!()
    };
    columns.moment = Moment::Column {
        column: "when".into(),
        format: TimeFormat::Unix,
    };
    check_rejected(
        &mapping,
        &fields("1451606400000"),
        r#"2: column "when": is before the year 1 or after 2286; write unix seconds, not milliseconds"#,
    );
}

#[test]
fn a_header_without_a_column_of_the_mapping_is_an_error() {
    let header = |names: &[&str]| Header {
        line: 1,
        columns: names.iter().map(|&name| name.to_owned()).collect(),
    };
    assert!(
        events()
            .check_header(&header(&["when", "id", "what", "x"]))
            .is_ok()
    );
    let error = events()
        .check_header(&header(&["id", "When", "what"]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        r#"line 1: the header has no column "when"; did you mean "When"?"#
    );
}

#[test]
fn the_error_of_a_date_out_of_range_is_about_dates() {
    check_rejected(
        &events(),
        &json!({"id": "a", "what": "won", "when": "9999"}),
        r#"2: column "when": is before the year 1 or after 2286; correct it or remove the record"#,
    );
}
