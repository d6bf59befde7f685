//! Each response and each failure has its documented outcome.

use customerio::{
    Cause, Delivery, Event, Failure, Operation, Outcome, Region, Request, Settlement, v1,
};
use serde_json::{Value, json};

use crate::support::{batch, identify, person, response, shown};

/// Settles one operation with one response.
fn single(status: u16, body: &str) -> Vec<Outcome> {
    let mut delivery = Delivery::new(identify("u1"));
    delivery.answer(&response(status, body));
    assert!(delivery.request().is_none(), "status {status} settles");
    delivery.into_outcomes()
}

fn cause(outcomes: &[Outcome]) -> &Cause {
    match outcomes {
        [Outcome::Unknown(cause) | Outcome::NotSent(cause)] => cause,
        outcomes => panic!("no cause in {outcomes:?}"),
    }
}

/// Responds to each request with the result of `server` for its ids, and returns the outcomes.
fn deliver(ids: &[&str], server: impl Fn(&[String]) -> (u16, String)) -> (String, Vec<usize>) {
    let mut delivery = Delivery::new(batch(ids));
    let mut sizes = Vec::new();
    while let Some(request) = delivery.request() {
        sizes.push(request.len());
        let (status, body) = server(&ids_of(request));
        delivery.answer(&response(status, &body));
    }
    (shown(&delivery.into_outcomes()), sizes)
}

fn ids_of(request: &Request) -> Vec<String> {
    let body: Value = serde_json::from_slice(&request.body().unwrap()).unwrap();
    let operations = body.get("batch").cloned().unwrap_or_else(|| json!([body]));
    let operations = operations.as_array().unwrap().clone();
    operations
        .iter()
        .map(|one| one["identifiers"]["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_status_has_its_documented_outcome() {
    let check = |status, expected| assert_eq!(shown(&single(status, "{}")), expected, "{status}");
    for status in [200, 201, 202, 204, 207] {
        check(status, "accepted");
    }
    for status in [400, 404, 405, 409, 410, 413, 422, 451] {
        check(status, "rejected({})");
    }
    for status in [301, 302, 307, 308, 401, 403, 425, 429] {
        check(status, "not_sent");
    }
    for status in [101, 408, 500, 501, 502, 503, 504, 522, 599, 600] {
        check(status, "unknown");
    }
}

#[test]
fn a_success_without_a_json_object_is_not_accepted() {
    let (outcomes, sizes) = deliver(&["a", "b"], |_| (200, String::new()));
    assert_eq!((outcomes.as_str(), sizes), ("unknown unknown", vec![2]));
    for body in [
        "",
        "[]",
        "null",
        "\"ok\"",
        "<html>log in</html>",
        "{}{}",
        "{",
    ] {
        let outcomes = single(200, body);
        assert_eq!(shown(&outcomes), "unknown", "{body}");
        assert!(!cause(&outcomes).to_string().contains("log in"));
    }
}

#[test]
fn causes_say_what_to_do() {
    for status in [401, 403] {
        assert!(cause(&single(status, "")).is_credentials());
    }
    for status in [425, 429] {
        assert!(cause(&single(status, "")).is_throttled());
    }
    let outcomes = single(502, "<html>Bad\nGateway</html>");
    assert_eq!(cause(&outcomes).status().unwrap(), 502);
    assert_eq!(
        cause(&outcomes).to_string(),
        r"the server failed (status 502): <html>Bad\nGateway</html>"
    );
}

#[test]
fn causes_say_whether_a_later_attempt_may_succeed() {
    for (status, expected) in [
        (401, false),
        (307, false),
        (200, false),
        (425, true),
        (429, true),
        (408, true),
        (500, true),
        (503, true),
    ] {
        let outcomes = single(status, "no JSON");
        assert_eq!(cause(&outcomes).is_transient(), expected, "{status}");
    }
    assert!(Cause::new(std::fmt::Error).is_transient());
    assert!(!Cause::stopped().is_transient() && !Cause::stopped().is_withheld());
    assert!(Cause::follows_unknown().is_withheld());
}

#[test]
fn a_redirect_names_the_region_to_set() {
    let check = |location: &str, expected| {
        let mut response = response(307, "");
        response
            .headers_mut()
            .insert("location", location.parse().unwrap());
        let mut delivery = Delivery::new(identify("u1"));
        delivery.answer(&response);
        let outcomes = delivery.into_outcomes();
        assert!(cause(&outcomes).is_redirect());
        assert_eq!(cause(&outcomes).region(), expected, "{location}");
    };
    check(
        "https://track-eu.customer.io/api/v2/entity",
        Some(Region::Eu),
    );
    check("https://track.customer.io/api/v2/entity", Some(Region::Us));
    check("https://track-eu.customer.io.example.com/", None);
    check("/login", None);
}

#[test]
fn items_of_a_207_are_mapped_one_by_one() {
    let errors = json!({"errors": [{"batch_index": 1, "reason": "invalid", "field": "id", "message": "bad"}]});
    let (outcomes, sizes) = deliver(&["a", "b", "c"], |_| (207, errors.to_string()));
    assert_eq!(outcomes, "accepted rejected(bad (invalid, id)) accepted");
    assert_eq!(sizes, [3]);
}

#[test]
fn a_207_without_items_is_resent_one_by_one() {
    let out_of_range = json!({"errors": [{"batch_index": 2, "message": "bad"}]}).to_string();
    for body in [
        out_of_range.as_str(),
        "<html>",
        "",
        "{}",
        r#"{"errors":null}"#,
        r#"{"errors":[{}]}"#,
    ] {
        let (outcomes, sizes) = deliver(&["a", "b"], |ids| match ids {
            [one] if one == "b" => (400, r#"{"errors":[{"message":"bad"}]}"#.to_owned()),
            [_] => (200, "{}".to_owned()),
            _ => (207, body.to_owned()),
        });
        assert_eq!(
            (outcomes.as_str(), sizes),
            ("accepted rejected(bad)", vec![2, 1, 1]),
            "{body}"
        );
    }
}

#[test]
fn a_batch_that_is_rejected_as_a_whole_is_halved_to_the_rejected_operation() {
    for status in [400, 413] {
        let (outcomes, sizes) = deliver(&["a", "b", "c", "d", "e"], |ids| {
            let rejected_id = ids.iter().any(|id| id == "d");
            if rejected_id {
                (status, "no".to_owned())
            } else {
                (200, "{}".to_owned())
            }
        });
        assert_eq!(outcomes, "accepted accepted accepted rejected(no) accepted");
        assert_eq!(sizes, [5, 2, 3, 1, 2, 1, 1]);
    }
}

/// Sent, the second half could carry a later operation of a person in the first one, which would be
/// sent again after it.
#[test]
fn after_a_half_that_was_not_sent_the_other_half_is_not_sent_either() {
    for (status, first) in [(429, "not_sent"), (401, "not_sent"), (502, "unknown")] {
        let (outcomes, sizes) = deliver(&["a", "b", "c", "d"], |ids| match ids.len() {
            4 => (400, String::new()),
            _ => (status, String::new()),
        });
        assert_eq!(outcomes, format!("{first} {first} not_sent not_sent"));
        assert_eq!(sizes, [4, 2], "{status}");
    }
}

#[test]
fn other_rejections_of_a_batch_are_not_halved() {
    let (outcomes, sizes) = deliver(&["a", "b"], |_| (422, String::new()));
    assert_eq!(
        (outcomes.as_str(), sizes),
        ("rejected() rejected()", vec![2])
    );
}

#[test]
fn nothing_is_sent_after_a_part_with_an_unknown_outcome() {
    let (outcomes, sizes) = deliver(&["a", "b", "c", "d"], |ids| match ids.len() {
        4 => (400, String::new()),
        _ => (500, String::new()),
    });
    assert_eq!(
        (outcomes.as_str(), sizes),
        ("unknown unknown not_sent not_sent", vec![4, 2])
    );
}

/// Delivers a batch while other requests succeed. The server responds with `status` to each request
/// with `rejected_id`.
fn deliver_beside_others(ids: &[&str], status: u16, rejected_id: &str) -> (String, Vec<usize>) {
    let mut delivery = Delivery::new(batch(ids));
    let mut sizes = Vec::new();
    while let Some(request) = delivery.request() {
        sizes.push(request.len());
        let is_broken = ids_of(request).iter().any(|id| id == rejected_id);
        delivery.others_succeed();
        delivery.answer(&response(if is_broken { status } else { 200 }, "{}"));
    }
    (shown(&delivery.into_outcomes()), sizes)
}

#[test]
fn a_batch_that_ends_in_500_while_others_succeed_is_halved() {
    let (outcomes, sizes) = deliver_beside_others(&["a", "b", "c", "d", "e"], 500, "d");
    assert_eq!(outcomes, "accepted accepted accepted unknown accepted");
    assert_eq!(sizes, [5, 2, 3, 1, 2, 1, 1]);
}

#[test]
fn operations_of_other_lanes_are_sent_after_one_that_makes_the_server_fail() {
    let (outcomes, sizes) = deliver_beside_others(&["a", "b", "c", "a", "d", "a"], 500, "a");
    // The whole batch may have applied the operations that are not sent again.
    assert_eq!(
        outcomes,
        "unknown accepted accepted unknown accepted unknown"
    );
    assert_eq!(sizes, [6, 3, 1, 2, 1]);
}

#[test]
fn the_other_half_goes_first_if_no_other_request_shows_that_the_server_works() {
    let mut delivery = Delivery::new(batch(&["a", "b", "c"]));
    delivery.others_succeed();
    let mut sizes = Vec::new();
    while let Some(request) = delivery.request() {
        sizes.push(request.len());
        let is_broken = ids_of(request).iter().any(|id| id == "a");
        delivery.answer(&response(if is_broken { 500 } else { 200 }, "{}"));
        if sizes == [3, 1, 2] {
            delivery.others_succeed();
        }
    }
    assert_eq!(sizes, [3, 1, 2, 1]);
    assert_eq!(
        shown(&delivery.into_outcomes()),
        "unknown accepted accepted"
    );
}

#[test]
fn two_failed_halves_without_another_success_end_the_search() {
    let mut delivery = Delivery::new(batch(&["a", "b", "c", "d"]));
    delivery.others_succeed();
    let mut sizes = Vec::new();
    while let Some(request) = delivery.request() {
        sizes.push(request.len());
        delivery.answer(&response(500, ""));
    }
    assert_eq!(sizes, [4, 2, 2]);
    assert_eq!(
        shown(&delivery.into_outcomes()),
        "unknown unknown unknown unknown"
    );
}

#[test]
fn a_server_that_is_overloaded_or_down_is_not_sent_halves() {
    for status in [502, 503, 504, 408] {
        let (_, sizes) = deliver_beside_others(&["a", "b"], status, "b");
        assert_eq!(sizes, [2], "{status}");
    }
    let (outcomes, sizes) = deliver(&["a", "b"], |_| (500, String::new()));
    assert_eq!((outcomes.as_str(), sizes), ("unknown unknown", vec![2]));
}

#[test]
fn a_half_may_have_been_applied_with_the_whole_that_got_a_500() {
    let mut delivery = Delivery::new(batch(&["a", "b"]));
    delivery.others_succeed();
    delivery.answer(&response(500, ""));
    delivery.answer(&response(429, ""));
    assert_eq!(shown(&delivery.into_outcomes()), "unknown unknown");
}

#[test]
fn operations_of_an_accepted_batch_do_not_end_as_not_sent() {
    let (outcomes, _) = deliver(&["a", "b"], |ids| match ids.len() {
        2 => (207, "{}".to_owned()),
        _ => (429, String::new()),
    });
    assert_eq!(outcomes, "unknown unknown");
}

#[test]
fn a_429_after_an_attempt_that_may_have_arrived_is_unknown() {
    let mut delivery = Delivery::new(identify("u1"));
    delivery.attempt_may_have_arrived();
    delivery.answer(&response(429, ""));
    assert_eq!(shown(&delivery.into_outcomes()), "unknown");
}

#[test]
fn failures_settle_by_whether_the_request_was_sent() {
    let error = || std::io::Error::other("reset");
    let check = |failure, expected| {
        let mut delivery = Delivery::new(batch(&["a", "b"]));
        delivery.fail(failure);
        assert_eq!(shown(&delivery.into_outcomes()), expected);
    };
    check(Failure::before_sending(error()), "not_sent not_sent");
    check(Failure::after_sending(error()), "unknown unknown");
}

#[test]
fn operations_of_a_stopped_delivery_were_not_sent() {
    assert_eq!(
        shown(&Delivery::new(identify("u1")).into_outcomes()),
        "not_sent"
    );
    assert_eq!(shown(&Delivery::new(batch(&[])).into_outcomes()), "");
}

#[test]
fn only_accepted_and_unknown_may_have_been_applied() {
    for (status, expected) in [(200, true), (500, true), (400, false), (401, false)] {
        assert_eq!(
            single(status, "{}")[0].may_have_been_applied(),
            expected,
            "{status}"
        );
    }
}

#[test]
fn settling_and_failing_one_request_needs_no_delivery() {
    let request = v1::event(&person("u1"), &Event::new("e").unwrap()).unwrap();
    let settlement = request.settle(&response(400, r#"{"meta":{"errors":["no name"]}}"#));
    let Settlement::Settled(outcomes) = settlement else {
        panic!("one operation is settled at once")
    };
    assert_eq!(shown(&outcomes), "rejected(no name)");
    let deletion = Request::from(Operation::delete(&person("u1")).unwrap());
    let outcomes = deletion.settle_failure(Failure::before_sending(std::fmt::Error));
    assert_eq!(shown(&outcomes), "not_sent");
}

#[test]
fn our_own_checks_reject_without_a_status() {
    let outcome = Outcome::from(customerio::Person::id("").unwrap_err());
    let Outcome::Rejected(rejection) = outcome else {
        panic!("an invalid input is a rejection")
    };
    assert_eq!(rejection.status(), None);
    assert_eq!(
        rejection.to_string(),
        "rejected before sending: person id is empty; give a value"
    );
}
