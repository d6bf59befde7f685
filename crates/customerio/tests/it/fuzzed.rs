//! Whatever a peer answers and whatever a caller names, nothing panics and nothing is lost.

use bytes::Bytes;
use customerio::v1::Account;
use customerio::{Delivery, Device, EventId, Object, Person, Platform, Region, Request, v1};
use http::Response;
use proptest::prelude::*;

use crate::support::{batch, identify, person};

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

fn requests() -> Vec<Request> {
    vec![
        identify("1").into(),
        batch(&["a", "b", "c"]).into(),
        v1::delete(&person("1")).unwrap(),
        v1::region(),
    ]
}

proptest! {
    #[test]
    fn every_answer_ends_in_one_outcome_for_each_operation(status in 100..=999_u16, body in bodies()) {
        let response = Response::builder().status(status).body(Bytes::from(body)).unwrap();
        for request in requests() {
            let operations = request.len();
            let mut delivery = Delivery::new(request);
            let mut sent = 0;
            while delivery.request().is_some() {
                delivery.answer(&response);
                sent += 1;
                prop_assert!(sent <= 2 * operations, "it is sent again and again");
            }
            prop_assert_eq!(delivery.into_outcomes().len(), operations);
        }
        let _account = Account::from_response(&response);
    }

    #[test]
    fn every_name_is_taken_or_refused(text in any::<String>()) {
        let people = [Person::id(&text), Person::email(&text), Person::cio_id(&text), Person::phone(&text)];
        for person in people.into_iter().flatten() {
            if let Ok(request) = v1::delete(&person) {
                prop_assert!(request.path().is_ascii());
                let segment = request.path().strip_prefix("/api/v1/customers/").unwrap();
                prop_assert!(!segment.contains(['/', '?', '#', '+', ' ']), "{segment}");
            }
        }
        let _refused_or_not = (
            Object::new(1, &text).is_ok(),
            Device::new(text.as_str(), Platform::Ios).is_ok(),
            v1::unsubscribe(&text).is_ok(),
            text.parse::<EventId>().is_ok(),
            text.parse::<Region>().is_ok(),
        );
    }
}
