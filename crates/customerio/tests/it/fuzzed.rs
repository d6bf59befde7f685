//! For any response and any identifier, nothing panics and no operation is lost.
//!
//! The modules contain the properties. Here they are checked with input close to the API's; the
//! fuzz targets of `crates/fuzz` check them with input that reaches the most code.

mod answer;
mod identifier;

use proptest::prelude::*;

/// Bodies near those of the API, and any bytes.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let index = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        "[0-3]",
        "\"1\"",
        "null",
        "1e9"
    ];
    let item = (index, "\\PC{0,20}").prop_map(|(index, words)| {
        let words = serde_json::Value::from(words);
        format!(r#"{{"batch_index":{index},"message":{words},"reason":[],"field":{{}}}}"#)
    });
    let items = prop::collection::vec(item, 0..5).prop_map(|items| items.join(","));
    prop_oneof![
        items.prop_map(|items| format!(r#"{{"errors":[{items}]}}"#).into_bytes()),
        "\\{\"(meta|errors|error)\":[\\[\\]{}\",0-9a-z:]{0,30}\\}?".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..200),
    ]
}

/// Values near those of the fields that are read, and any bytes.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let near = "[0-9]{0,22}|https?://track(-eu)?[.]customer[.]io[/:]?[a-z0-9]{0,5}|[!-~]{0,150}";
    prop_oneof![near.prop_map(String::into_bytes), any::<Vec<u8>>()]
}

proptest! {
    #[test]
    fn every_answer_ends_in_one_outcome_for_each_operation(
        status in 100..=999_u16,
        field in fields(),
        body in bodies(),
    ) {
        answer::check(status, &field, &body);
    }

    #[test]
    fn every_name_is_taken_or_refused(text in any::<String>()) {
        identifier::check(&text);
    }
}

#[test]
fn a_name_that_no_uri_can_hold_is_an_error() {
    for length in [150, 151, 5_000, 10_000, 16_000, 32_000, 70_000] {
        identifier::check(&"x".repeat(length));
        identifier::check(&"é".repeat(length));
    }
}
