use std::io::Write;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::input::{Format, Header, Input, Row};

fn mapping(person: PersonColumn, kind: Kind) -> Mapping {
    Mapping {
        person: Some(person),
        kind,
        values: ValueRules::default(),
        rejects_suspects: false,
    }
}

fn people() -> Mapping {
    mapping(by_id("id"), Kind::People)
}

fn events() -> Mapping {
    let moment = Moment::Column {
        column: "when".into(),
        format: "%Y".parse().unwrap(),
    };
    let columns = EventColumns {
        name: Source::Column("what".into()),
        moment,
        event_id: None,
    };
    mapping(by_id("id"), Kind::Events(columns))
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
    let mapping = mapping(person, Kind::People);
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
        name: Source::Column("what".into()),
        moment: Moment::Now,
        event_id: None,
    };
    let mapping = mapping(by_id("id"), Kind::Events(columns));
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

    mapping.person.as_mut().unwrap().identifier = Identifier::Email;
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
    other.person.as_mut().unwrap().identifier = Identifier::Email;
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

/// Maps one record, and returns the operation and its notes.
fn noted(mapping: &Mapping, fields: &Value) -> (Value, Notes) {
    noted_row(mapping, row(0, fields))
}

fn noted_row(mapping: &Mapping, row: Row) -> (Value, Notes) {
    let import = ImportId::new("import");
    let (record, notes) = mapping.noted_record(&import, row).unwrap();
    (
        serde_json::from_slice(record.operation.json()).unwrap(),
        notes,
    )
}

#[test]
fn people_may_be_identified_by_phone_and_cio_id() {
    for (identifier, value, expected) in [
        (
            Identifier::Phone,
            " +15551234567",
            json!({"phone": "+15551234567"}),
        ),
        (Identifier::CioId, "a3000001", json!({"cio_id": "a3000001"})),
    ] {
        let mut mapping = people();
        mapping.person.as_mut().unwrap().identifier = identifier;
        let found = map(&mapping, 0, &json!({"id": value})).unwrap();
        assert_eq!(found["identifiers"], expected);
    }
}

#[test]
fn deletions_and_suppressions_use_the_person_only() {
    for (kind, action) in [
        (Kind::Delete, "delete"),
        (Kind::Suppress, "suppress"),
        (Kind::Unsuppress, "unsuppress"),
    ] {
        let expected = json!({"type": "person", "action": action, "identifiers": {"id": "a"}});
        let mapping = mapping(by_id("id"), kind);
        check(&mapping, &json!({"id": "a", "name": "Ada"}), &expected);
        assert_eq!(mapping.column_use("name"), ColumnUse::Ignored);
    }
}

fn devices(delete: bool) -> Mapping {
    let columns = DeviceColumns {
        token: "token".into(),
        platform: (!delete).then(|| Source::Column("os".into())),
        last_used: (!delete).then(|| LastUsed {
            column: "at".into(),
            format: TimeFormat::Rfc3339,
        }),
        delete,
    };
    mapping(by_id("id"), Kind::Devices(columns))
}

#[test]
fn devices_are_added_with_text_attributes_and_removed_by_their_token() {
    let fields = json!({
        "id": "a", "token": "t1", "os": "iOS", "at": "1970-01-01T00:01:00Z", "app": "2.0",
        "push_enabled": true, "empty": "",
    });
    let expected = json!({
        "type": "person", "action": "add_device", "identifiers": {"id": "a"},
        "device": {
            "token": "t1", "platform": "ios", "last_used": 60,
            "attributes": {"app": "2.0", "push_enabled": "true"},
        },
    });
    check(&devices(false), &fields, &expected);
    let expected = json!({
        "type": "person", "action": "delete_device", "identifiers": {"id": "a"},
        "device": {"token": "t1"},
    });
    check(&devices(true), &fields, &expected);
    let without_time = json!({"id": "a", "token": "t1", "os": "android", "at": ""});
    let found = map(&devices(false), 0, &without_time).unwrap();
    assert_eq!(
        found["device"],
        json!({"token": "t1", "platform": "android"})
    );
}

#[test]
fn invalid_devices_are_rejected() {
    let device = |os: &str, at: &str| json!({"id": "a", "token": "t", "os": os, "at": at});
    check_rejected(
        &devices(false),
        &device("windows", ""),
        r#"2: column "os": is not a platform; write ios or android"#,
    );
    check_rejected(
        &devices(false),
        &device("ios", "yesterday"),
        r#"2: column "at": is not a time in the format rfc3339; correct it or --timestamp-format"#,
    );
    let mut list = device("ios", "");
    list["tags"] = json!(["a"]);
    let error = map(&devices(false), 0, &list).unwrap_err();
    assert!(
        error.contains(r#"column "tags": is a list or an object"#),
        "{error}"
    );
}

#[test]
fn merges_name_two_people() {
    let secondary = PersonColumn {
        column: "old".into(),
        identifier: Identifier::Email,
    };
    let merges = mapping(by_id("id"), Kind::Merges(MergeColumns { secondary }));
    let expected = json!({
        "type": "person", "action": "merge", "primary": {"id": "a"},
        "secondary": {"email": "b@example.com"},
    });
    check(
        &merges,
        &json!({"id": "a", "old": "b@example.com"}),
        &expected,
    );
    check_rejected(
        &merges,
        &json!({"id": "a", "old": ""}),
        r#"2: column "old": has no value; add one or remove the record"#,
    );
    let secondary = by_id("old");
    let merges = mapping(by_id("id"), Kind::Merges(MergeColumns { secondary }));
    assert!(map(&merges, 0, &json!({"id": "a", "old": "a"})).is_err());
    let (_, notes) = noted(&merges, &json!({"id": "a", "old": "#N/A"}));
    assert_eq!(notes.suspect_id.unwrap().0, "old");
}

fn object_column() -> ObjectColumn {
    ObjectColumn {
        object_type: Source::Column("type".into()),
        id: "object".into(),
    }
}

#[test]
fn relationships_have_attributes_and_end() {
    let relationships = |delete| {
        let columns = RelationshipColumns {
            object: object_column(),
            delete,
        };
        mapping(by_id("id"), Kind::Relationships(columns))
    };
    let fields = json!({"id": "a", "type": "1", "object": "o1", "role": "admin"});
    let identifiers = json!({"object_type_id": "1", "object_id": "o1"});
    let expected = json!({
        "type": "person", "action": "add_relationships", "identifiers": {"id": "a"},
        "cio_relationships": [
            {"identifiers": identifiers, "relationship_attributes": {"role": "admin"}},
        ],
    });
    check(&relationships(false), &fields, &expected);
    let expected = json!({
        "type": "person", "action": "delete_relationships", "identifiers": {"id": "a"},
        "cio_relationships": [{"identifiers": identifiers}],
    });
    check(&relationships(true), &fields, &expected);
    let mut wrong = fields;
    wrong["type"] = "companies".into();
    let error = map(&relationships(false), 0, &wrong).unwrap_err();
    assert!(
        error.starts_with(r#"2: column "type": is not the number of an object type"#),
        "{error}"
    );
}

#[test]
fn objects_are_created_and_deleted() {
    let objects = |delete| Mapping {
        person: None,
        ..mapping(
            by_id("unused"),
            Kind::Objects(ObjectColumns {
                object: object_column(),
                delete,
            }),
        )
    };
    let fields = json!({"type": 1, "object": "o1", "name": "Acme"});
    let identifiers = json!({"object_type_id": "1", "object_id": "o1"});
    let expected = json!({
        "type": "object", "action": "identify", "identifiers": identifiers,
        "attributes": {"name": "Acme"},
    });
    check(&objects(false), &fields, &expected);
    let expected = json!({"type": "object", "action": "delete", "identifiers": identifiers});
    check(&objects(true), &fields, &expected);
    assert_eq!(objects(false).id_column(), "object");
    let subject = |fields: &Value| noted(&objects(false), fields).1.subject;
    assert_eq!(
        subject(&fields),
        subject(&json!({"type": "1", "object": "o1"}))
    );
    assert_ne!(
        subject(&fields),
        subject(&json!({"type": 2, "object": "o1"}))
    );
}

#[test]
fn a_constant_name_is_the_name_of_all_events() {
    let constant = |name: &str| {
        let columns = EventColumns {
            name: Source::Constant {
                constant: name.into(),
            },
            moment: Moment::Now,
            event_id: None,
        };
        mapping(by_id("id"), Kind::Events(columns))
    };
    let expected = json!({
        "type": "person", "action": "event", "identifiers": {"id": "a"}, "name": "won",
        "attributes": {"what": "x"},
    });
    check(
        &constant("won"),
        &json!({"id": "a", "what": "x"}),
        &expected,
    );
    let id = |name: &str| id_of(&constant(name), 0, &json!({"id": "a"}));
    assert_ne!(id("won"), id("lost"));
    assert_ne!(constant("won").digest(), constant("lost").digest());
    // A constant is not the column of the same name.
    let columns = EventColumns {
        name: Source::Column("won".into()),
        moment: Moment::Now,
        event_id: None,
    };
    let column = mapping(by_id("id"), Kind::Events(columns));
    assert_ne!(constant("won").digest(), column.digest());
}

#[test]
fn update_only_never_creates_people() {
    let mut mapping = people();
    mapping.values.update_only = true;
    let expected = json!({
        "type": "person", "action": "identify", "identifiers": {"id": "a"},
        "attributes": {"_update": true, "b": "1"},
    });
    check(&mapping, &json!({"id": "a", "b": "1"}), &expected);
    let error = map(&mapping, 0, &json!({"id": "a", "_update": "false"})).unwrap_err();
    assert!(error.contains("--update-only sets"), "{error}");
}

#[test]
fn words_for_no_value_apply_to_identifiers_and_names_too() {
    let mut mapping = events();
    mapping.values.nulls = ["NULL".to_owned()].into();
    let fields = json!({"id": "a", "what": "won", "when": "2016", "x": "NULL"});
    let found = map(&mapping, 0, &fields).unwrap();
    assert!(found.get("attributes").is_none(), "{found}");
    check_rejected(
        &mapping,
        &json!({"id": "NULL", "what": "won", "when": "2016"}),
        r#"2: column "id": has no value; add one or remove the record"#,
    );
}

#[test]
fn flags_about_values_change_the_digest_and_their_absence_does_not() {
    let mut mapping = people();
    let before = mapping.digest();
    mapping.values.empty = Empty::Remove;
    assert_ne!(mapping.digest(), before);
    mapping.values = ValueRules::default();
    mapping.rejects_suspects = true;
    assert_eq!(mapping.digest(), before);
}

#[test]
fn values_that_the_plan_asks_about_are_noted_or_rejected() {
    let mut mapping = people();
    mapping.values.empty = Empty::Remove;
    let fields = json!({"id": "2.0", "unsubscribed": "yes", "email": "x", "gone": ""});
    let (_, notes) = noted(&mapping, &fields);
    assert_eq!(notes.suspect_id.as_ref().unwrap().0, "id");
    assert_eq!(notes.odd_booleans, ["unsubscribed"]);
    assert!(notes.has_odd_email);
    assert_eq!(notes.removals, 1);
    mapping.rejects_suspects = true;
    check_rejected(
        &mapping,
        &fields,
        r#"2: column "id": the id is with zero decimals; correct it; --yes without --reject-suspects sends it unchanged"#,
    );
    check_rejected(
        &mapping,
        &json!({"id": "2", "unsubscribed": "yes"}),
        r#"2: column "unsubscribed": is a boolean of Customer.io, but the value is none; correct it; --yes without --reject-suspects sends it unchanged"#,
    );
    // A column that becomes such an attribute is looked at too, and a typed value is a boolean.
    mapping.values.names = [("out".to_owned(), "unsubscribed".to_owned())].into();
    let error = map(&mapping, 0, &json!({"id": "2", "out": "no"})).unwrap_err();
    assert!(error.contains(r#"column "out": is a boolean"#), "{error}");
    mapping.values.types = [("out".to_owned(), ValueType::Bool)].into();
    let found = map(&mapping, 0, &json!({"id": "2", "out": "no"})).unwrap();
    assert_eq!(found["attributes"], json!({"unsubscribed": false}));
}

#[test]
fn records_about_the_same_person_are_recognized() {
    let mut mapping = people();
    mapping.person.as_mut().unwrap().identifier = Identifier::Email;
    let subject = |address: &str| noted(&mapping, &json!({"id": address})).1.subject;
    assert_eq!(subject("a@example.com"), subject(" A@Example.com"));
    assert_ne!(subject("a@example.com"), subject("b@example.com"));
    assert!(subject("a@example.com").is_some());
}

#[test]
fn flags_that_name_a_column_of_the_mapping_or_none_of_the_file_are_errors() {
    let header = Header {
        line: 1,
        columns: vec!["id".into(), "plan".into(), "tier".into()],
    };
    let mut mapping = people();
    mapping.values.types = [("id".to_owned(), ValueType::Int)].into();
    assert!(mapping.check_columns().is_err());
    mapping.values.types = [("paln".to_owned(), ValueType::Int)].into();
    let error = mapping.check_header(&header).unwrap_err().to_string();
    assert!(error.contains(r#"no column "paln""#), "{error}");
    mapping.values = ValueRules {
        names: [("tier".to_owned(), "plan".to_owned())].into(),
        ..ValueRules::default()
    };
    let error = format!("{:#}", mapping.check_header(&header).unwrap_err());
    let expected = r#"line 1: column "tier": becomes the attribute "plan""#;
    assert!(error.starts_with(expected), "{error}");
}

proptest! {
    /// From the bytes of the file to the bytes of the operation.
    #[test]
    fn text_stays_text_from_the_cell_to_the_request(
        cells in prop::collection::vec(
            prop_oneof![
                "[ -~]{1,30}",
                "[\\PC]{1,20}",
                "-?0?[0-9]{1,25}([.,][0-9]{1,3})?",
                Just("true".to_owned()),
                Just("null".to_owned()),
                Just("1.5E+3".to_owned()),
                Just("[1, {}]".to_owned()),
                Just("2024-01-02T03:04:05Z".to_owned()),
            ],
            1..6,
        ),
    ) {
        let names: Vec<_> = (0..cells.len()).map(|n| format!("c{n}")).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let row: Vec<_> = cells.iter().map(quoted).collect();
        write!(file, "id,{}\na,{}\n", names.join(","), row.join(",")).unwrap();
        let rows = Input::open(file.path(), Some(Format::Csv)).unwrap().rows().unwrap();
        let row = rows.last().unwrap().unwrap().unwrap();
        let (found, _) = noted_row(&people(), row);
        let expected: Map<String, Value> =
            names.into_iter().zip(cells.into_iter().map(Value::from)).collect();
        prop_assert_eq!(&found["attributes"], &Value::Object(expected));
    }
}
