//! `Debug`, `Display` and errors contain neither the key, nor a signature, nor personal data.

use std::fmt::{Debug, Display};

use bytes::Bytes;
use customerio::webhooks::{SigningKey, Verifier, VerifyLayer, WebhookEvent};
use http::Response;
use http_body_util::Full;
use tower::{Layer, Service, service_fn};

use super::{NOW, full, headers, key, request};
use crate::support::KEY;

const DATA: &str = "jane-doe";

#[track_caller]
fn check(value: impl Debug) {
    check_text(&format!("{value:?} {value:#?}"));
}

#[track_caller]
fn check_error(error: impl Display + Debug) {
    check_text(&format!("{error} {error:?} {error:#?}"));
}

#[track_caller]
fn check_text(printed: &str) {
    let signature = key().sign(NOW, DATA);
    for hidden in [KEY, DATA, &signature, &signature[..8]] {
        assert!(!printed.contains(hidden), "{hidden} is in {printed}");
    }
}

#[test]
fn a_key_is_in_no_debug_output_and_no_error() {
    check(key());
    check(Verifier::new(key()).also(key()));
    let layer = VerifyLayer::new(Verifier::new(key()));
    check(&layer);
    check(layer.layer(()));
    let rejected = SigningKey::new(format!("{KEY}\n")).unwrap_err();
    check_error(&rejected);
    let missing = SigningKey::from_env_var("NO_SUCH_VARIABLE").unwrap_err();
    assert_eq!(missing.field(), "NO_SUCH_VARIABLE");
}

#[test]
fn a_signature_and_a_body_are_in_no_error() {
    let signature = key().sign(NOW, DATA);
    let verifier = Verifier::new(key());
    for (timestamp, signature) in [
        (NOW.to_string(), signature.clone()),
        (DATA.to_owned(), signature.clone()),
        (NOW.to_string(), DATA.to_owned()),
        (NOW.to_string(), signature.to_uppercase()),
    ] {
        let result = verifier.verify(&headers(timestamp, signature), b"another");
        check_error(result.unwrap_err());
    }
}

#[tokio::test]
async fn a_call_shows_neither_head_nor_body() {
    let mut service = VerifyLayer::new(Verifier::new(key())).layer(service_fn(
        |_: http::Request<Full<Bytes>>| async { Ok::<_, ()>(Response::new(String::new())) },
    ));
    let call = service.call(request(DATA, full(DATA)));
    check(&call);
    assert_eq!(call.await.unwrap().status(), 200);
}

#[test]
fn a_persons_data_is_in_no_debug_output() {
    let body = format!(
        r#"{{"event_id":"1","object_type":"push","metric":"sent","timestamp":1,"data":{{
            "identifiers":{{"id":"{DATA}","email":"{DATA}","cio_id":"{DATA}"}},
            "recipient":"{DATA}","{DATA}":1,
            "recipients":[{{"device_id":"{DATA}","failure_message":"{DATA}"}}]}}}}"#
    );
    let event = WebhookEvent::from_slice(body.as_bytes()).unwrap();
    check(&event);
    check(event.data());
    check(event.data().identifiers());
    check(event.data().recipients().collect::<Vec<_>>());
}

#[test]
fn a_body_that_is_no_event_is_in_no_error() {
    for body in [
        format!(r#""{DATA}""#),
        format!(r#"{{"{DATA}":"#),
        format!(r#"{{"{DATA}":1}}"#),
        format!(r#"{{"event_id":"{DATA}","object_type":"{DATA}","metric":["{DATA}"]}}"#),
    ] {
        check_error(WebhookEvent::from_slice(body.as_bytes()).unwrap_err());
    }
}
