//! Each format of success and error that the API and gateways before it send, as an outcome.

use customerio::{Attributes, Event, Operation, Person, Request, Settlement, v1};

use crate::support::{batch, identify, person, response, shown};

/// Settles a request by one response. Requests to be sent again are shown as `resend` and a number.
fn settled(request: impl Into<Request>, status: u16, body: &str) -> String {
    match request.into().settle(&response(status, body)) {
        Settlement::Settled(outcomes) => shown(&outcomes),
        Settlement::Resend(requests) => format!("resend {}", requests.len()),
    }
}

fn check_v1(status: u16, body: &str, expected: &str) {
    let request = v1::identify(&person("u1"), &Attributes::new()).unwrap();
    assert_eq!(settled(request, status, body), expected, "{body}");
}

fn check_entity(status: u16, body: &str, expected: &str) {
    assert_eq!(settled(identify("u1"), status, body), expected, "{body}");
}

fn check_batch(status: u16, body: &str, expected: &str) {
    assert_eq!(
        settled(batch(&["a", "b"]), status, body),
        expected,
        "{body}"
    );
}

#[test]
fn a_success_is_a_json_object() {
    check_v1(200, "{}\n", "accepted");
    check_entity(200, "{}", "accepted");
    check_entity(200, r#"{"news": [1]}"#, "accepted");
    check_batch(200, "{}", "accepted accepted");
    check_entity(200, "", "unknown");
    check_entity(200, "OK", "unknown");
    check_entity(200, "[]", "unknown");
    check_entity(204, "", "unknown");
}

#[test]
fn forms_and_deletions_succeed_without_a_body() {
    let form = v1::Form::new(&person("u1")).unwrap();
    let form = v1::submit_form("f", &form).unwrap();
    assert_eq!(settled(form.clone(), 204, ""), "accepted");
    assert_eq!(settled(form.clone(), 200, "{}"), "accepted");
    assert_eq!(settled(form, 200, "<html>"), "unknown");
    let delete = v1::delete(&person("u1")).unwrap();
    assert_eq!(settled(delete.clone(), 200, ""), "accepted");
    assert_eq!(settled(delete, 200, "<html>"), "unknown");
}

#[test]
fn version_1_errors_have_one_message() {
    check_v1(
        400,
        r#"{"meta":{"error":"id attribute must be present"}}"#,
        "rejected(id attribute must be present)",
    );
}

#[test]
fn version_1_errors_have_several_messages() {
    check_v1(400, r#"{"meta":{"errors":["a","b"]}}"#, "rejected(a; b)");
    let event = v1::event(&person("u1"), &Event::new("e").unwrap()).unwrap();
    let body = r#"{"meta":{"errors":["event name must not be blank"]}}"#;
    assert_eq!(
        settled(event, 400, body),
        "rejected(event name must not be blank)"
    );
}

#[test]
fn version_2_errors_have_reason_field_and_message() {
    let body = r#"{"errors":[{"reason":"invalid","field":"name","message":"too long"}]}"#;
    check_entity(400, body, "rejected(too long (invalid, name))");
}

#[test]
fn a_207_names_the_rejected_items() {
    let body =
        r#"{"errors":[{"batch_index":1,"reason":"required","field":"name","message":"no"}]}"#;
    check_batch(207, body, "accepted rejected(no (required, name))");
}

#[test]
fn a_207_with_unreadable_or_wrong_positions_is_resent_one_by_one() {
    check_batch(
        207,
        r#"{"errors":[{"batch_index":2,"message":"no"}]}"#,
        "resend 2",
    );
    check_batch(
        207,
        r#"{"errors":[{"batch_index":-1,"message":"no"}]}"#,
        "resend 2",
    );
    check_batch(207, r#"{"errors":[{"message":"no"}]}"#, "resend 2");
    check_batch(207, "{}", "resend 2");
    check_batch(207, "<html>", "resend 2");
}

#[test]
fn a_batch_that_is_rejected_as_a_whole_is_halved() {
    check_batch(400, r#"{"errors":[{"message":"no"}]}"#, "resend 2");
    check_batch(413, "", "resend 2");
}

#[test]
fn details_with_a_status_of_either_type_are_read() {
    check_entity(
        422,
        r#"{"errors":[{"detail":"no","status":"422","source":{"pointer":"/a"}}]}"#,
        "rejected(no)",
    );
    check_entity(
        404,
        r#"{"errors":[{"detail":"gone","status":404}]}"#,
        "rejected(gone)",
    );
}

#[test]
fn code_and_message_are_kept_as_they_are() {
    let body = r#"{"code":"bad","message":"no"}"#;
    check_entity(400, body, r#"rejected({"code":"bad","message":"no"})"#);
}

#[test]
fn html_and_text_of_a_gateway_are_kept_as_they_are() {
    check_entity(400, "<html>400</html>", "rejected(<html>400</html>)");
    check_entity(400, "plain", "rejected(plain)");
    check_entity(400, "", "rejected()");
    check_entity(502, "<html>502</html>", "unknown");
    check_entity(429, "<html>429</html>", "not_sent");
}

#[test]
fn credentials_and_throttling_do_not_reject_the_operation() {
    for status in [401, 403, 425, 429] {
        check_entity(status, "", "not_sent");
        check_batch(status, "", "not_sent not_sent");
    }
    for status in [408, 500, 503, 504, 522] {
        check_entity(status, "", "unknown");
    }
}

#[test]
fn the_servers_text_is_bounded_and_does_not_act_on_a_terminal() {
    let body = format!(
        r#"{{"meta":{{"error":"\u001b[31m{}"}}}}"#,
        "x".repeat(5_000)
    );
    let outcome = settled(identify("u1"), 400, &body);
    assert!(
        outcome.len() < 1_100 && !outcome.contains('\u{1b}'),
        "{outcome}"
    );
}

#[test]
fn the_request_id_of_a_response_is_kept_and_bounded() {
    let answered = |status, id: &str| {
        let mut response = response(status, "{}");
        response
            .headers_mut()
            .insert("x-request-id", id.parse().unwrap());
        let request = Request::from(Operation::delete(&Person::id("u1").unwrap()).unwrap());
        let Settlement::Settled(outcomes) = request.settle(&response) else {
            unreachable!()
        };
        match &outcomes[0] {
            customerio::Outcome::Rejected(rejection) => rejection.request_id().map(str::to_owned),
            customerio::Outcome::NotSent(cause) => cause.request_id().map(str::to_owned),
            outcome => unreachable!("{outcome:?}"),
        }
    };
    assert_eq!(answered(400, "01-a").as_deref(), Some("01-a"));
    assert_eq!(answered(401, &"x".repeat(500)).unwrap().len(), 100);
}
