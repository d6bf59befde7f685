//! The App API over services, on virtual time: what is sent again, limits, daily quotas,
//! credentials, and the checks of messages and triggers.

use std::time::Duration;

use customerio::app::{
    AppCredentials, Audience, Email, Filter, InApp, Message, PersonData, Push, PushTo, Sms,
    Trigger, WhatsApp,
};
use customerio::client::{ApiLimit, ClientBuilder, Error, Limits, Quota, RetryPolicy};
use customerio::{Attributes, Client, InvalidInput, Person, Region};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::scripted_service::{Reply, ScriptedService, builder, now};
use crate::support::{KEY, person};

pub(crate) const APP_KEY: &str = "app-top-secret";

/// The reply to a message and to a trigger.
pub(crate) const TAKEN: Reply = Reply::Answer(200, r#"{"delivery_id":"d1","queued_at":1,"id":7}"#);

const ARCHIVED: &str = "/v1/messages/d1/archived_message";

pub(crate) fn app_builder() -> ClientBuilder {
    builder().app_credentials(AppCredentials::new(APP_KEY).unwrap())
}

fn scripted(replies: impl IntoIterator<Item = Reply>) -> (Client, ScriptedService) {
    let service = ScriptedService::new(replies);
    let retry = RetryPolicy::default().attempts(3).throttled(2);
    let client = app_builder().retry(retry).build_with(service.clone());
    (client.unwrap(), service)
}

fn email() -> Email {
    Email::new(1, &person("u1"), "a@b.co")
}

async fn get(client: &Client, path: &str) -> Result<u16, Error> {
    let response = client.app().request(Method::GET, path).send().await;
    response.map(|response| response.status().as_u16())
}

#[tokio::test(start_paused = true)]
async fn a_message_is_sent_again_only_if_it_was_not_processed() {
    let check = async |reply, sent: usize, expected: &str| {
        let (client, service) = scripted([reply, TAKEN]);
        let result = client.app().send(&email()).await;
        let outcome = match result {
            Ok(sent) => sent.delivery_id,
            Err(error) if error.may_have_been_applied() => "unknown".into(),
            Err(error) if error.is_rejected() => "rejected".into(),
            Err(_) => "not sent".into(),
        };
        assert_eq!((outcome.as_str(), service.seen().len()), (expected, sent));
    };
    check(TAKEN, 1, "d1").await;
    check(Reply::Throttle(1), 2, "d1").await;
    check(Reply::Answer(429, ""), 2, "d1").await;
    check(Reply::Reset, 1, "unknown").await;
    check(Reply::BreakOff, 1, "unknown").await;
    check(Reply::Hang, 1, "unknown").await;
    for status in [408, 500, 502, 503, 504] {
        check(Reply::Answer(status, ""), 1, "unknown").await;
    }
    check(Reply::With(503, &[("retry-after", "1")]), 1, "unknown").await;
    check(
        Reply::With(500, &[("x-should-retry", "true")]),
        1,
        "unknown",
    )
    .await;
    check(Reply::Answer(200, "<html>log in</html>"), 1, "unknown").await;
    check(Reply::Answer(200, "{}"), 1, "unknown").await;
    check(Reply::Answer(400, ""), 1, "rejected").await;
    check(Reply::Answer(401, ""), 1, "not sent").await;
    check(
        Reply::Redirect("https://api-eu.customer.io/v1/send/email"),
        1,
        "not sent",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_is_replayed_by_its_method_or_as_the_caller_says() {
    let check = async |method: Method, replay: Option<bool>, sent| {
        let (client, service) = scripted([Reply::Reset]);
        let mut call = client.app().request(method.clone(), "/v1/snippets");
        if let Some(replay) = replay {
            call = call.replay(replay);
        }
        let result = call.send().await;
        assert_eq!(
            (service.seen().len(), result.is_ok()),
            (sent, sent == 2),
            "{method}"
        );
        if let Err(error) = result {
            let is_unknown = error.may_have_been_applied();
            assert_eq!(is_unknown, method != Method::GET, "a read has no effect");
        }
    };
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        check(method.clone(), None, 2).await;
        check(method, Some(false), 1).await;
    }
    for method in [Method::POST, Method::PATCH] {
        check(method.clone(), None, 1).await;
        check(method, Some(true), 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn errors_print_the_reason() {
    let (client, _) = scripted([Reply::Reset]);
    let error = client.app().send(&email()).await.unwrap_err();
    let said = "the outcome of the operation is unknown; it may have been applied: \
                the request failed: connection reset";
    assert_eq!(error.to_string(), said);
    assert!(std::error::Error::source(&error).is_none() && error.cause().is_some());
    let list = r#"{"errors":[{"detail":"no such segment (ref 1)","status":"422"}]}"#;
    let (client, _) = scripted([
        Reply::Answer(422, list),
        Reply::Reset,
        Reply::Reset,
        Reply::Reset,
    ]);
    let error = client.app().trigger(&Trigger::new(5)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "rejected with status 422: no such segment (ref 1)"
    );
    let error = get(&client, "/v1/exports").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the request got no answer: the request failed: connection reset"
    );
}

#[tokio::test(start_paused = true)]
async fn missing_credentials_are_an_error_when_they_are_needed() {
    let service = ScriptedService::new([]);
    let track = builder().build_with(service.clone()).unwrap();
    let error = track.app().send(&email()).await.unwrap_err();
    assert!(error.is_credentials() && !error.may_have_been_applied());
    assert!(
        error.to_string().contains("CUSTOMERIO_APP_API_KEY"),
        "{error}"
    );
    assert_eq!(track.stats().not_sent, 1);
    let credentials = AppCredentials::new(APP_KEY).unwrap();
    let app = Client::builder()
        .app_credentials(credentials)
        .build_with(service.clone());
    let app = app.unwrap();
    let error = app
        .identify(&person("u1"), &Attributes::new())
        .await
        .unwrap_err();
    assert!(error.is_credentials(), "{error:?}");
    assert!(error.to_string().contains("CUSTOMERIO_SITE_ID"), "{error}");
    assert!(service.seen().is_empty());
    track
        .identify(&person("u1"), &Attributes::new())
        .await
        .unwrap();
    get(&app, "/v1/exports").await.unwrap();
    assert_eq!(service.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn messages_and_operations_share_one_limit() {
    let limits = Limits::documented().ingress(Quota::per_second(1));
    let service = ScriptedService::new([TAKEN, TAKEN, TAKEN]);
    let client = app_builder()
        .limits(limits)
        .build_with(service.clone())
        .unwrap();
    client.app().send(&email()).await.unwrap();
    client
        .identify(&person("u1"), &Attributes::new())
        .await
        .unwrap();
    client.app().send(&email()).await.unwrap();
    let seen = service.seen();
    for pair in seen.windows(2) {
        assert!(
            pair[1].at - pair[0].at >= Duration::from_secs(1),
            "{seen:?}"
        );
    }
    assert_eq!(client.limit_of(ApiLimit::Ingress).counters.departed, 3);
    assert_eq!(client.app().limit(ApiLimit::App).counters.departed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_message_pauses_operations_and_a_query_does_not() {
    let (client, _) = scripted([Reply::Throttle(30), Reply::Throttle(30)]);
    let second = Duration::from_secs(1);
    assert!(timeout(second, get(&client, "/v1/exports")).await.is_err());
    assert!(client.server_pause().is_none());
    let app = client.app();
    assert!(timeout(second, app.send(&email())).await.is_err());
    let pause = client.server_pause().unwrap();
    assert_eq!(pause.field.as_deref(), Some("Retry-After"));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_names_the_region_to_set() {
    let (client, _) = scripted([Reply::Redirect("https://api-eu.customer.io/v1/exports")]);
    let error = get(&client, "/v1/exports").await.unwrap_err();
    assert_eq!(error.region(), Some(Region::Eu));
}

#[tokio::test(start_paused = true)]
async fn a_used_up_daily_quota_closes_its_endpoint_and_no_other() {
    let body = r#"{"errors":[{"detail":"rate limited to 100 request(s) per day","status":"429"}]}"#;
    let (client, service) = scripted([Reply::Answer(429, body)]);
    let error = get(&client, ARCHIVED).await.unwrap_err();
    assert!(error.is_daily_quota() && !error.is_throttled() && !error.may_have_been_applied());
    assert!(
        error.to_string().contains("100 request(s) per day"),
        "{error}"
    );
    assert_eq!(error.status().unwrap(), 429);
    let hour = Duration::from_secs(3_600);
    assert!(error.retry_after().unwrap().abs_diff(hour) < Duration::from_secs(1));
    // The same endpoint with another id.
    let error = get(&client, "/v1/messages/d2/archived_message")
        .await
        .unwrap_err();
    assert!(error.is_daily_quota() && error.status().is_none());
    assert_eq!(service.seen().len(), 1);
    let before = now();
    get(&client, "/v1/messages/d1").await.unwrap();
    client
        .identify(&person("u1"), &Attributes::new())
        .await
        .unwrap();
    assert!(
        now() - before < Duration::from_secs(1),
        "nothing else pauses"
    );
    assert!(client.app().limit(ApiLimit::App).gate.is_none());
    sleep(hour).await;
    get(&client, ARCHIVED).await.unwrap();
    assert_eq!(client.stats().throttled, 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_request_of_a_quota_succeeds_and_closes_its_endpoint() {
    const LAST: &[(&str, &str)] = &[("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "0")];
    let service = ScriptedService::new([Reply::With(200, LAST)]);
    let pause = Duration::from_secs(60);
    let client = app_builder()
        .daily_quota_pause(pause)
        .build_with(service.clone());
    let client = client.unwrap();
    let last = client
        .app()
        .request(Method::GET, ARCHIVED)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (last.status().as_u16(), last.quota_remaining()),
        (200, Some(0))
    );
    assert_eq!(last.headers()["x-ratelimit-limit"], "100");
    assert!(get(&client, ARCHIVED).await.unwrap_err().is_daily_quota());
    assert_eq!(service.seen().len(), 1);
    sleep(pause).await;
    get(&client, ARCHIVED).await.unwrap();
}

/// The quota may end while requests wait for their departure.
#[tokio::test(start_paused = true)]
async fn a_queue_of_requests_does_not_ask_a_used_up_quota_again_and_again() {
    let (client, service) = scripted((0..1_000).map(|_| Reply::Answer(429, "")));
    let requests = (0..200).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { get(&client, ARCHIVED).await })
    });
    for request in requests.collect::<Vec<_>>() {
        assert!(request.await.unwrap().unwrap_err().is_daily_quota());
    }
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn clients_of_one_workspace_share_its_quotas() {
    let limits = Limits::documented();
    let service = ScriptedService::new([Reply::Answer(429, "")]);
    let client = || {
        let builder = app_builder().limits(limits.clone());
        builder.build_with(service.clone()).unwrap()
    };
    let (first, second) = (client(), client());
    assert!(get(&first, ARCHIVED).await.is_err());
    assert!(get(&second, ARCHIVED).await.unwrap_err().is_daily_quota());
    let other = app_builder().app_credentials(AppCredentials::new("other").unwrap());
    let other = other.limits(limits).build_with(service.clone()).unwrap();
    get(&other, ARCHIVED).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_429_with_retry_after_is_waited_for() {
    let (client, service) = scripted([Reply::Throttle(3)]);
    get(&client, ARCHIVED).await.unwrap();
    let seen = service.seen();
    assert!(
        seen[1].at - seen[0].at >= Duration::from_secs(3),
        "{seen:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn replies_are_typed() {
    let status = r#"{"id":7,"broadcast_id":5,"created_at":1,"processed_at":0}"#;
    let errors = r#"{"errors":null,"next":""}"#;
    let replies = [
        TAKEN,
        TAKEN,
        Reply::Answer(200, status),
        Reply::Answer(200, errors),
    ];
    let (client, service) = scripted(replies);
    let app = client.app();
    let sent = app.send(&email()).await.unwrap();
    assert_eq!((sent.delivery_id.as_str(), sent.send_at), ("d1", None));
    let triggered = app.trigger(&Trigger::new(5)).await.unwrap();
    let status = app.trigger_status(5, triggered.id).await.unwrap();
    assert_eq!((status.id, status.processed_at), (7, None));
    let page = app.trigger_errors(5, 7, Some("MDox")).await.unwrap();
    assert!(page.errors.is_empty() && page.next.is_none());
    let lines: Vec<_> = service.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(
        lines[2..],
        [
            "GET /v1/campaigns/5/triggers/7",
            "GET /v1/campaigns/5/triggers/7/errors",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_of_some_megabytes_is_read_and_a_longer_one_is_not() {
    let (client, service) = scripted([Reply::Long(5 << 20), Reply::Long(17 << 20)]);
    get(&client, "/v1/messages").await.unwrap();
    let once = client
        .app()
        .request(Method::GET, "/v1/messages")
        .replay(false);
    assert!(once.send().await.is_err());
    assert_eq!(service.seen().len(), 2);
}

fn field(result: Result<impl Sized, InvalidInput>) -> String {
    result.map(drop).unwrap_err().field().to_owned()
}

/// Checks the field of the error, or that there is none.
#[track_caller]
fn check_message(message: &dyn Message, expected: Option<&str>) {
    let found = message.to_request();
    assert_eq!(found.as_ref().map_err(InvalidInput::field).err(), expected);
}

#[test]
fn the_documented_limits_of_emails_are_checked() {
    let check = check_message;
    let list = |count: usize| vec!["a@b.co"; count].join(",");
    check(&email(), None);
    check(&Email::new(1, &person("u1"), " "), Some("email recipient"));
    check(
        &Email::new("", &person("u1"), "a@b.co"),
        Some("message template"),
    );
    check(&Email::new(1, &person("u1"), list(15)), None);
    let fifteen = Email::new(1, &person("u1"), list(5));
    check(&fifteen.cc(list(5)).bcc(list(5)), None);
    check(&email().cc(list(7)).bcc(list(8)), Some("email recipients"));
    for (name, value) in [
        ("X Tag", "t"),
        ("X-Tag", "a b"),
        ("", "t"),
        ("X-Tag", ""),
        ("X", "é"),
    ] {
        check(&email().header(name, value), Some("email header"));
    }
    let million = || email().attachment("a", vec![0; 1_000_000]);
    check(&million().attachment("b", vec![0; 1_000_000]), None);
    check(
        &million().attachment("b", vec![0; 1_000_001]),
        Some("email attachments"),
    );
    check(&million().attachment("a", "2"), Some("attachment name"));
    check(&email().body("x".repeat(999_900)), None);
    let long = email().body("x".repeat(1_000_000));
    check(&long, Some("message without its attachments"));
}

#[test]
fn the_documented_limits_of_other_messages_are_checked() {
    let check = check_message;
    let (jane, by_email) = (person("u1"), Person::email("a@b.co").unwrap());
    let phone = Person::phone("+15551234567").unwrap();
    check(&Push::new(1, &phone), Some("person phone"));
    let no_token = PushTo::Device(String::new());
    check(&Push::new(1, &jane).to(no_token), Some("device token"));
    check(
        &InApp::new(1, &by_email).auto_create(true),
        Some("auto_create"),
    );
    check(&InApp::new(1, &by_email).auto_create(false), None);
    check(&InApp::new(1, &jane).language(""), Some("message language"));
    check(&Sms::new(1, &jane, "{{customer.phone}}"), None);
    check(&Sms::new(1, &jane, "5551234567"), Some("message recipient"));
    check(&WhatsApp::new(1, &jane, ""), Some("message recipient"));
    assert_eq!(field(email().data(&[1])), "message data");
    assert_eq!(field(email().data(&json!(null))), "message data");
    let nan = std::collections::BTreeMap::from([("a", f64::NAN)]);
    assert_eq!(field(email().data(&nan)), "message data");
}

#[test]
fn a_cio_id_has_no_prefix_in_a_message() {
    let request = Push::new(1, &Person::cio_id("cio_03").unwrap())
        .to_request()
        .unwrap();
    let body: Value = serde_json::from_slice(request.content().unwrap()).unwrap();
    assert_eq!(body["identifiers"], json!({"cio_id": "03"}));
}

#[test]
fn the_documented_limits_of_triggers_are_checked() {
    let check = |audience: Audience, expected: Option<&str>| {
        let found = Trigger::new(5).audience(audience).to_request();
        assert_eq!(found.as_ref().map_err(InvalidInput::field).err(), expected);
    };
    let people = |count| vec!["u1".to_owned(); count];
    check(Audience::Ids(people(10_000)), None);
    check(Audience::Ids(people(10_001)), Some("people"));
    check(Audience::Emails(vec![]), Some("people"));
    check(Audience::Emails(vec![" ".into()]), Some("people"));
    check(Audience::PerUserData(vec![]), Some("people"));
    let user =
        |size: usize| PersonData::new(&person("u1"), &json!({"a": "x".repeat(size)})).unwrap();
    check(Audience::PerUserData(vec![user(2_400); 10_000]), None);
    check(
        Audience::PerUserData(vec![user(2_600); 10_000]),
        Some("trigger"),
    );
    check(Audience::DataFile("https://x/y.jsonl".into()), None);
    check(
        Audience::DataFile("file:///y.jsonl".into()),
        Some("data file"),
    );
    check(Audience::DataFile("y".into()), Some("data file"));
    let data = |size: usize| Trigger::new(5).data(&json!({"a": "x".repeat(size)}));
    assert!(data(49_990).is_ok());
    assert_eq!(field(data(50_000)), "trigger data");
    let cio_id = Person::cio_id("1").unwrap();
    assert_eq!(
        field(PersonData::new(&cio_id, &json!({}))),
        "person of a trigger"
    );
    let everyone = Trigger::new(5).ignore_missing_ids();
    assert_eq!(field(everyone.to_request()), "trigger");
    let segment = Audience::Recipients(Filter::segment(1));
    assert_eq!(
        field(
            Trigger::new(5)
                .audience(segment)
                .add_duplicate_emails()
                .to_request()
        ),
        "trigger"
    );
}

#[tokio::test(start_paused = true)]
async fn neither_the_key_nor_a_persons_data_is_printed_by_the_app_api() {
    const DATA: &str = "jane-doe";
    let jane = Person::id(DATA).unwrap();
    let data = json!({"name": DATA});
    let address = format!("{DATA}@example.com");
    let email = Email::new("t", &jane, &address)
        .data(&data)
        .unwrap()
        .subject(DATA);
    let push = Push::new("t", &jane)
        .to(PushTo::Device(DATA.into()))
        .custom_data("a", DATA);
    let audiences = [
        Audience::Recipients(Filter::attribute_is("name", DATA).unwrap()),
        Audience::Emails(vec![address.clone()]),
        Audience::PerUserData(vec![PersonData::new(&jane, &data).unwrap()]),
        Audience::DataFile(format!("https://x/{DATA}")),
    ];
    let trigger = Trigger::new(5).data(&data).unwrap();
    let triggers = audiences.map(|audience| trigger.clone().audience(audience));
    let echo = Reply::Answer(400, r#"{"meta":{"error":"Bearer app-top-secret"}}"#);
    let (client, _) = scripted([echo, Reply::Reset, TAKEN]);
    let rejected = client.app().send(&email).await.unwrap_err();
    let lost = client.app().send(&email).await.unwrap_err();
    let path = format!("/v1/customers/{DATA}/attributes");
    let call = client
        .app()
        .request(Method::POST, &path)
        .query("email", &address)
        .json(&data);
    let called = format!("{call:?}");
    let response = call.send().await.unwrap();
    let unread = response.json::<Vec<u8>>().unwrap_err();
    assert!(unread.may_have_been_applied());
    let invalid = client
        .app()
        .request(Method::GET, &format!("/v1/customers/{DATA} x"))
        .send();
    let invalid = invalid.await.unwrap_err();
    let limits = Limits::documented();
    let credentials = AppCredentials::new(APP_KEY).unwrap();
    let builder = app_builder().limits(limits.clone());
    let printed = format!(
        "{email:?} {push:?} {triggers:?} {:?} {:?} {rejected} {rejected:?} {lost} {lost:?} {client:?} \
         {:?} {called} {response:?} {unread} {unread:?} {invalid} {invalid:?} {limits:?} {credentials:?} {builder:?}",
        email.to_request(),
        trigger.to_request(),
        client.app(),
    );
    for hidden in [APP_KEY, KEY, DATA] {
        assert!(!printed.contains(hidden), "{hidden} is in {printed}");
    }
    assert!(printed.contains("[redacted]"));
}
