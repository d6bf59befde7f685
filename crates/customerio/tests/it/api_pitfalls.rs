//! The pitfalls of the API, where a naive client goes wrong: one test for each.

use customerio::{
    Attributes, Batch, Device, Event, Identify, Object, Operation, Outcome, Person, Platform,
    Relationship, Request, Settlement, Timestamp, v1,
};
use http::Response;
use serde_json::{Value, json};

use crate::support::{attributes, batch, endpoint, identify, person, response, shown};

fn json_of(request: impl Into<Request>) -> Value {
    serde_json::from_slice(&request.into().body().unwrap()).unwrap()
}

fn settle(request: impl Into<Request>, response: &Response<bytes::Bytes>) -> Outcome {
    let Settlement::Settled(mut outcomes) = request.into().settle(response) else {
        unreachable!("it is a single operation")
    };
    outcomes.remove(0)
}

#[test]
fn an_id_is_one_encoded_segment() {
    let path = |id: &str| v1::delete(&person(id)).unwrap().path().to_owned();
    assert_eq!(path("a+b"), "/api/v1/customers/a%2Bb");
    assert_eq!(path("../x?y#z%2F"), "/api/v1/customers/..%2Fx%3Fy%23z%252F");
    for id in ["", " ", ".", ".."] {
        assert!(Person::id(id).is_err(), "{id:?}");
    }
}

#[test]
fn cio_ids_have_their_prefix_only_in_paths() {
    let someone = Person::cio_id("cio_03").unwrap();
    assert!(v1::delete(&someone).unwrap().path().ends_with("/cio_03"));
    let merge = v1::merge(&someone, &person("1")).unwrap();
    assert_eq!(json_of(merge)["primary"]["cio_id"], "03");
    let delete = Operation::delete(&someone).unwrap();
    assert_eq!(json_of(delete)["identifiers"]["cio_id"], "03");
    let add = v1::add_to_segment(1, &[someone]).unwrap();
    assert_eq!(json_of(add)["ids"][0], "03");
}

#[test]
fn a_phone_number_identifies_only_in_version_2_and_in_e164() {
    let phone = Person::phone("+15551234567").unwrap();
    assert!(Operation::identify(&phone, &Attributes::new()).is_ok());
    assert!(v1::identify(&phone, &Attributes::new()).is_err());
    for number in ["15551234567", "+0155", "+1 555", "+", "+1234567890123456"] {
        assert!(Person::phone(number).is_err(), "{number}");
    }
}

#[test]
fn each_version_has_its_own_keys() {
    let event = Event::new("e")
        .unwrap()
        .attributes(attributes(r#"{"a":1}"#));
    let one = json_of(v1::event(&person("1"), &event).unwrap());
    let two = json_of(Operation::event(&person("1"), &event).unwrap());
    assert_eq!(
        (&one["data"]["a"], &two["attributes"]["a"]),
        (&json!(1), &json!(1))
    );
    let device = Device::new("t", Platform::Ios).unwrap();
    let one = json_of(v1::add_device(&person("1"), &device).unwrap());
    let two = json_of(Operation::add_device(&person("1"), &device).unwrap());
    assert_eq!(
        (&one["device"]["id"], &two["device"]["token"]),
        (&json!("t"), &json!("t"))
    );
    let related = [Relationship::with(Object::new(1, "o").unwrap())];
    let one = json_of(v1::add_relationships(&person("1"), &related).unwrap());
    let two = json_of(Operation::add_relationships(&person("1"), &related).unwrap());
    assert_eq!(one["cio_relationships"]["action"], "add_relationships");
    assert!(two["cio_relationships"].is_array());
}

#[test]
fn times_are_seconds_and_milliseconds_are_errors() {
    assert!(Timestamp::new(1_700_000_000).is_ok());
    assert!(Timestamp::new(1_700_000_000_000).is_err());
}

#[test]
fn nothing_removes_an_attribute_by_accident() {
    let mut values = attributes(r#"{"a":null,"b":"","c":1}"#);
    values.unset("d").unwrap();
    let body = json_of(Operation::identify(&person("1"), &values).unwrap());
    assert_eq!(body["attributes"], json!({"c": 1, "d": null}));
    let bare = json_of(Operation::event(&person("1"), &Event::new("e").unwrap()).unwrap());
    assert!(bare.get("timestamp").is_none() && bare.get("id").is_none());
}

#[test]
fn an_explicit_false_is_sent() {
    let values = attributes(r#"{"tracked":false,"n":0}"#);
    let body = json_of(Operation::identify(&person("1"), &values).unwrap());
    assert_eq!(body["attributes"], json!({"tracked": false, "n": 0}));
    let back = Identify::new(person("1"), Attributes::new()).resubscribe();
    let body = json_of(Operation::identify_with(&back).unwrap());
    assert_eq!(body["attributes"]["unsubscribed"], false);
}

#[test]
fn an_update_can_be_kept_from_creating() {
    let update = Identify::new(person("1"), Attributes::new()).update_only();
    assert_eq!(
        json_of(v1::identify_with(&update).unwrap())["_update"],
        true
    );
    let body = json_of(Operation::identify_with(&update).unwrap());
    assert_eq!(body["attributes"]["_update"], true);
}

#[test]
fn changes_carry_the_time_that_orders_them() {
    let ordered = Identify::new(person("1"), Attributes::new());
    let ordered = ordered.timestamp(Timestamp::new(5).unwrap());
    assert_eq!(
        json_of(v1::identify_with(&ordered).unwrap())["_timestamp"],
        5
    );
    assert_eq!(
        json_of(Operation::identify_with(&ordered).unwrap())["timestamp"],
        5
    );
}

#[test]
fn sizes_are_those_of_the_serialized_bytes() {
    let mut escaped = Attributes::new();
    escaped.insert("a", "\u{1}".repeat(6_000)).unwrap();
    let event = Event::new("e").unwrap().attributes(escaped);
    let rejected = Operation::event(&person("1"), &event).unwrap_err();
    assert!(rejected.is_too_large(), "6,000 characters are 36,000 bytes");
    let mut batch = Batch::new();
    let filler = attributes(&json!({"a": "é".repeat(500)}).to_string());
    while batch
        .push(Operation::identify(&person("1"), &filler).unwrap())
        .is_ok()
    {}
    assert_eq!(
        Request::from(batch.clone()).body().unwrap().len(),
        batch.size()
    );
    assert!(
        (498_900..=500_000).contains(&batch.size()),
        "{}",
        batch.size()
    );
}

#[test]
fn a_207_is_mapped_back_to_its_operations() {
    let body = r#"{"errors":[{"batch_index":1,"message":"no"}]}"#;
    let request = Request::from(batch(&["a", "b", "c"]));
    let Settlement::Settled(outcomes) = request.settle(&response(207, body)) else {
        unreachable!("every index is in range")
    };
    assert_eq!(shown(&outcomes), "accepted rejected(no) accepted");
}

#[test]
fn a_missing_body_is_not_json() {
    let form = v1::Form::new(&person("1")).unwrap();
    let form = v1::submit_form("f", &form).unwrap();
    assert!(settle(form, &response(204, "")).is_accepted());
    assert!(settle(v1::delete(&person("1")).unwrap(), &response(200, "")).is_accepted());
}

#[test]
fn errors_come_in_three_formats_or_as_raw_text() {
    for body in [
        r#"{"meta":{"error":"no"}}"#,
        r#"{"meta":{"errors":["no"]}}"#,
        r#"{"errors":[{"detail":"no","status":"400"}]}"#,
        r#"{"errors":[{"detail":"no","status":400}]}"#,
        r#"{"errors":[{"message":"no"}]}"#,
        "no",
    ] {
        let outcome = settle(identify("1"), &response(400, body));
        assert_eq!(shown(&[outcome]), "rejected(no)", "{body}");
    }
}

#[test]
fn unknown_and_missing_fields_are_tolerated() {
    let account = |body| v1::Account::from_response(&response(200, body));
    let full = r#"{"region":"eu","url":"x","environment_id":null,"data":[1],"new":{}}"#;
    assert_eq!(account(full).unwrap().environment_id, None);
    assert!(account(r#"{"region":"us"}"#).is_some());
    assert!(account(r#"{"region":null}"#).is_none() && account("{}").is_none());
    assert!(settle(identify("1"), &response(200, r#"{"errors":null,"x":1}"#)).is_accepted());
}

#[test]
fn an_empty_list_of_people_is_an_error() {
    assert!(v1::add_to_segment(1, &[]).is_err());
    assert!(Operation::add_relationships(&person("1"), &[]).is_err());
    assert!(Operation::add_people(&Object::new(1, "o").unwrap(), &[]).is_err());
}

#[test]
fn a_429_without_retry_after_may_be_a_daily_quota() {
    let wait = |header: Option<&str>| {
        let mut throttled = response(429, "");
        if let Some(header) = header {
            let header = header.parse().unwrap();
            throttled.headers_mut().insert("retry-after", header);
        }
        let Outcome::NotSent(cause) = settle(identify("1"), &throttled) else {
            unreachable!("it was turned away")
        };
        assert!(cause.is_throttled());
        cause.retry_after().map(|wait| wait.as_secs())
    };
    assert_eq!(
        (wait(None), wait(Some("3")), wait(Some("soon"))),
        (None, Some(3), None)
    );
}

#[test]
fn values_that_the_api_requires_as_strings_are_strings() {
    let form = v1::Form::new(&person("1"))
        .unwrap()
        .field("age", "5")
        .unwrap();
    assert_eq!(
        json_of(v1::submit_form("f", &form).unwrap())["data"]["age"],
        "5"
    );
    let device = Device::new("t", Platform::Ios).unwrap().push_enabled();
    let body = json_of(Operation::add_device(&person("1"), &device).unwrap());
    assert_eq!(body["device"]["attributes"]["push_enabled"], "true");
    let object = Operation::delete_object(&Object::new(7, "o").unwrap()).unwrap();
    assert_eq!(json_of(object)["identifiers"]["object_type_id"], "7");
}

#[test]
fn numbers_that_json_cannot_carry_are_errors() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(Attributes::new().insert("a", number).is_err());
        assert!(Attributes::new().insert("a", vec![number]).is_err());
    }
}

#[test]
fn integers_above_2_to_the_53_keep_every_digit() {
    let mut values = Attributes::new();
    values.insert("n", (1_u64 << 53) + 1).unwrap();
    let operation = Operation::identify(&person("1"), &values).unwrap();
    assert!(
        operation
            .json()
            .ends_with(br#""attributes":{"n":9007199254740993}}"#)
    );
}

#[test]
fn open_endpoints_get_the_credentials_as_the_sdks_send_them() {
    let unsubscribe = v1::unsubscribe("d").unwrap().to_http(&endpoint());
    assert_eq!(unsubscribe.uri(), "https://track.customer.io/unsubscribe/d");
    assert!(unsubscribe.headers()["authorization"].is_sensitive());
}

#[cfg(feature = "client")]
mod with_a_client {
    use std::time::Duration;

    use customerio::client::{ApiLimit, Error, Limits, Quota};
    use customerio::{Client, Credentials, Region};
    use customerio_sim::{Limit, Simulator};
    use tokio::task::JoinSet;

    use super::*;
    use crate::scripted_service::{Reply, ScriptedService, builder};

    fn scripted(replies: impl IntoIterator<Item = Reply>) -> (Client, ScriptedService) {
        let service = ScriptedService::new(replies);
        (builder().build_with(service.clone()).unwrap(), service)
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_keeps_its_id_in_every_attempt() {
        let (client, service) = scripted([Reply::Reset, Reply::Answer(503, "")]);
        let event = Event::new("e").unwrap();
        client.track(&person("1"), &event).await.unwrap();
        client.track(&person("1"), &event).await.unwrap();
        let seen = service.seen();
        let ids: Vec<_> = seen.iter().map(|seen| seen.body["id"].as_str()).collect();
        assert_eq!(ids.len(), 4);
        assert!(ids[0].is_some() && ids[0] == ids[1] && ids[1] == ids[2]);
        assert_ne!(ids[2], ids[3], "two events are two");
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_operation_may_not_be_applied() {
        let simulator = Simulator::builder().build();
        let client = builder().build_with(simulator.router()).unwrap();
        let update = Identify::new(person("1"), Attributes::new()).update_only();
        let outcomes = client
            .send(Operation::identify_with(&update).unwrap())
            .await;
        assert_eq!(shown(&outcomes), "accepted");
        assert!(simulator.person("1").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_merge_with_an_unknown_outcome_is_not_repeated() {
        let (client, service) = scripted([Reply::Reset]);
        let error = client.merge(&person("1"), &person("2")).await.unwrap_err();
        assert!(error.may_have_been_applied());
        assert_eq!(service.seen().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_redirect_names_the_region_and_is_not_followed() {
        let to = "https://track-eu.customer.io/api/v2/entity";
        let (client, service) = scripted([Reply::Redirect(to)]);
        let error = client.submit(identify("1")).await.unwrap_err();
        assert_eq!(
            (error.region(), service.seen().len()),
            (Some(Region::Eu), 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn check_returns_the_region() {
        let region = |body| async move {
            let (client, _) = scripted([Reply::Answer(200, body)]);
            client.check().await
        };
        assert_eq!(
            region(r#"{"region":"us"}"#).await.unwrap().region,
            Region::Us
        );
        let elsewhere = region(r#"{"region":"eu"}"#).await.unwrap_err();
        assert_eq!(elsewhere.region(), Some(Region::Eu));
        let no_account = region("{}").await.unwrap_err();
        assert_eq!(no_account.region(), None);
        let (client, _) = scripted([Reply::Answer(401, "")]);
        assert!(client.check().await.unwrap_err().is_credentials());
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_waits_for_ever() {
        let (client, service) = scripted((0..10).map(|_| Reply::Hang));
        let sent = tokio::time::timeout(Duration::from_secs(60), client.submit(identify("1")));
        let error: Error = sent.await.expect("attempts time out").unwrap_err();
        assert!(error.may_have_been_applied());
        let seen = service.seen();
        assert!(seen.len() > 1 && seen[1].at >= Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn two_clients_of_one_limits_value_are_never_throttled() {
        let simulator = Simulator::builder().limit(Limit::per_second(100)).build();
        let limits = Limits::conservative();
        let client = || {
            builder()
                .limits(limits.clone())
                .build_with(simulator.router())
                .unwrap()
        };
        let clients = [client(), client()];
        let mut sends = JoinSet::new();
        for number in 0..1_000 {
            let client = clients[number % 2].clone();
            sends.spawn(async move { client.submit(identify(&number.to_string())).await });
        }
        while let Some(sent) = sends.join_next().await {
            sent.unwrap().unwrap();
        }
        let totals = simulator.totals();
        assert_eq!(
            (totals.accepted, totals.throttled, totals.people),
            (1_000, 0, 1_000)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn limits_change_while_clients_run() {
        let limits = Limits::documented().ingress(Quota::per_second(10));
        let service = ScriptedService::new([]);
        let client = builder()
            .limits(limits.clone())
            .build_with(service.clone())
            .unwrap();
        let took = async |count: usize| {
            let first = service.seen().len();
            for _ in 0..count {
                client.submit(identify("1")).await.unwrap();
            }
            let seen = service.seen();
            seen[seen.len() - 1].at - seen[first].at
        };
        let second = Duration::from_secs(1);
        assert!(took(41).await >= 4 * second);
        limits.set(ApiLimit::Ingress, Quota::per_second(100));
        assert!(took(101).await < 2 * second);
        limits.learn(ApiLimit::Ingress, Quota::per_second(20));
        assert!(took(101).await >= 4 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn workspaces_of_one_limits_value_do_not_wait_for_each_other() {
        let limits = Limits::documented().ingress(Quota::per_second(1));
        let service = ScriptedService::new([]);
        for site in ["a", "b", "c"] {
            let credentials = Credentials::new(site, "key").unwrap();
            let client = builder().credentials(credentials).limits(limits.clone());
            let client = client.build_with(service.clone()).unwrap();
            client.submit(identify("1")).await.unwrap();
        }
        let seen = service.seen();
        assert!(seen[2].at < Duration::from_millis(500), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_disabled_client_accepts_all_and_sends_nothing() {
        let client = Client::disabled();
        let event = Event::new("e").unwrap();
        client.track(&person("1"), &event).await.unwrap();
        assert_eq!(client.check().await.unwrap().region, Region::Us);
        assert_eq!(
            shown(&client.send(batch(&["a", "b"])).await),
            "accepted accepted"
        );
        assert_eq!(client.stats().requests, 3);
    }
}
