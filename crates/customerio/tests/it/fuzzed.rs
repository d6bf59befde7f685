//! For any response and any identifier, nothing panics and no operation is lost.
//!
//! The modules contain the properties. Here they are checked with input close to the API's; the
//! fuzz targets of `crates/fuzz` check them with input that reaches the most code.

mod answer;
mod identifier;
#[cfg(feature = "webhooks")]
mod webhook;

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

/// Bodies near those of a webhook, and any bytes.
#[cfg(feature = "webhooks")]
fn events() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof!["email|customer|push", "[a-z_]{0,9}"];
    let member = "identifiers|recipients?|delivery_id|link_id|(campaign|broadcast|trigger)_id";
    let value = r#"null|true|-?[0-9]{1,20}|"[a-z@.]{0,30}"|\{"id":"[a-z]{0,30}"\}|\[\{\},1\]"#;
    let data = prop::collection::btree_map(member, value, 0..5);
    let event =
        (name.clone(), name, any::<i64>(), data).prop_map(|(object, metric, time, data)| {
            let data: Vec<_> = data
                .iter()
                .map(|(name, value)| format!(r#""{name}":{value}"#))
                .collect();
            let data = data.join(",");
            format!(
                r#"{{"event_id":"1","object_type":"{object}","metric":"{metric}",
                "timestamp":{time},"data":{{{data}}}}}"#
            )
            .into_bytes()
        });
    prop_oneof![event, any::<Vec<u8>>()]
}

#[cfg(feature = "webhooks")]
proptest! {
    #[test]
    fn every_webhook_is_an_event_or_an_error(
        timestamp in "[0-9]{0,22}|[!-~]{0,9}",
        signature in "[0-9a-f]{64}|[!-~]{0,70}",
        body in events(),
    ) {
        webhook::check(timestamp.as_bytes(), signature.as_bytes(), &body);
    }
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
