//! The properties of any text as an identifier.

use std::sync::LazyLock;

use customerio::{
    Credentials, Device, Endpoint, Event, EventId, InvalidInput, Object, Operation, Person,
    Platform, Region, Request, Validation, v1,
};
use percent_encoding::percent_decode_str;
use serde_json::Value;

static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(|| {
    let credentials = Credentials::new("site", "key").unwrap();
    Endpoint::for_region(Region::Us, credentials)
});

/// Uses the text for each identifier: it is an error, or arrives unchanged.
pub(crate) fn check(text: &str) {
    let bare = text.strip_prefix("cio_").unwrap_or(text);
    check_person("id", Person::id(text), text);
    check_person("email", Person::email(text), text);
    check_person("cio_id", Person::cio_id(text), bare);
    check_person("phone", Person::phone(text), text);
    for loose in [Validation::Lenient, Validation::Off] {
        check_person("id", Person::id_with(loose, text), text);
        check_person("email", Person::email_with(loose, text), text);
        check_person("phone", Person::phone_with(loose, text), text);
    }
    check_others(text);
}

fn check_person(kind: &str, person: Result<Person, InvalidInput>, expected: &str) {
    let Ok(person) = person else { return };
    if let Ok(operation) = Operation::suppress(&person) {
        let body: Value = serde_json::from_slice(operation.json()).unwrap();
        assert_eq!(body["identifiers"][kind], expected);
    }
    if let Ok(request) = v1::delete(&person) {
        let prefix = if kind == "cio_id" { "cio_" } else { "" };
        check_path(
            &request,
            "/api/v1/customers/",
            &format!("{prefix}{expected}"),
        );
    }
}

/// Checks that a path is `prefix` and one segment, which decodes to the text.
fn check_path(request: &Request, prefix: &str, expected: &str) {
    let segment = request.path().strip_prefix(prefix).unwrap();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    assert!(segment.bytes().all(is_plain), "{segment}");
    let decoded = percent_decode_str(segment).decode_utf8().unwrap();
    assert_eq!(decoded, expected);
    let sent = request.to_http(&ENDPOINT);
    assert_eq!(sent.uri().path(), request.path());
}

fn check_others(text: &str) {
    if let Ok(request) = v1::unsubscribe(text) {
        check_path(&request, "/unsubscribe/", text);
    }
    if let Ok(request) = v1::delete_device(&Person::id("1").unwrap(), text) {
        check_path(&request, "/api/v1/customers/1/devices/", text);
    }
    if let Ok(object) = Object::new(1, text) {
        let delete = Operation::delete_object(&object).unwrap();
        let body: Value = serde_json::from_slice(delete.json()).unwrap();
        assert_eq!(body["identifiers"]["object_id"], text);
    }
    let _refused_or_not = (
        Device::new(text, Platform::Ios).is_ok(),
        Event::new(text).is_ok(),
        text.parse::<EventId>().is_ok(),
        text.parse::<Region>().is_ok(),
    );
}
