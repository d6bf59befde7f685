//! The App API: messages and triggers of broadcasts. The requests of the official libraries are
//! those that they sent to a recording server.

use std::time::Duration;

use customerio_sim::{Builder, Limit, Simulator};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Client, bare};

/// The simulator's clock starts here, in Unix seconds.
const START: i64 = 1_767_225_600;

const TRIGGERS: &str = "/v1/campaigns/5/triggers";

/// The messages of the official libraries: Node 5.2.0, then Python 3.2.0.
#[rustfmt::skip]
const MESSAGES: &[(&str, &str)] = &[
    ("/v1/send/email",
        r#"{"to":"a@b.co","identifiers":{"id":"u1"},"headers":{},"transactional_message_id":44}"#),
    ("/v1/send/email",
        r#"{"to":"\"A B\" <a@b.co>","identifiers":{"email":"a@b.co"},"headers":{"X-Tag":"t"},"message_data":{"n":1},"preheader":"p","reply_to":"r@b.co","bcc":"x@b.co,y@b.co","body_plain":"b","body_amp":"amp","fake_bcc":false,"disable_message_retention":false,"send_to_unsubscribed":true,"tracked":true,"queue_draft":false,"send_at":1700000000,"disable_css_preprocessing":true,"language":"fr","transactional_message_id":"welcome","from":"F <f@b.co>","subject":"s","body":"<p>b</p>","attachments":{"f.txt":"aGVsbG8=","g.bin":"aGk="}}"#),
    ("/v1/send/email",
        r#"{"to":"a@b.co","identifiers":{"id":1},"headers":{},"from":"f@b.co","subject":"s","body":"b"}"#),
    ("/v1/send/push",
        r#"{"identifiers":{"id":"u1"},"transactional_message_id":3}"#),
    ("/v1/send/push",
        r#"{"identifiers":{"email":"a@b.co"},"transactional_message_id":"p","to":"last_used","title":"t","message":"m","disable_message_retention":true,"send_to_unsubscribed":false,"queue_draft":false,"message_data":{"a":1},"send_at":1700000000,"language":"en","image_url":"https://i","link":"app://x","sound":"default","custom_data":{"k":"v"},"custom_device":{"token":"tok","platform":"ios","last_used":1700000000,"attributes":{"a":"b"}},"custom_payload":{"ios":{"aps":{}},"android":{"message":{}}}}"#),
    ("/v1/send/sms",
        r#"{"identifiers":{"id":"u1"},"transactional_message_id":"otp","to":"+15559876543","disable_message_retention":true,"send_to_unsubscribed":true,"queue_draft":false,"message_data":{"code":"1"},"send_at":1700000000,"language":"en"}"#),
    ("/v1/send/whatsapp",
        r#"{"identifiers":{"id":"u1"},"transactional_message_id":"otp","to":"+15559876543","from":"+15551234567","tracked":false,"message_data":{"code":"1"}}"#),
    ("/v1/send/inbox_message",
        r#"{"identifiers":{"id":"u1"},"transactional_message_id":"inbox","disable_message_retention":false,"queue_draft":true,"message_data":{"a":1},"send_at":1700000000,"language":"en"}"#),
    ("/v1/send/in_app",
        r#"{"identifiers":{"id":"u1"},"transactional_message_id":"iam","message_data":{"a":1}}"#),
    ("/v1/send/email",
        r#"{"transactional_message_id": 44, "identifiers": {"id": "u1"}, "to": "a@b.co"}"#),
    ("/v1/send/email",
        r#"{"transactional_message_id": "welcome", "identifiers": {"email": "a@b.co"}, "disable_message_retention": false, "queue_draft": false, "message_data": {"n": 1}, "send_at": 1700000000, "language": "fr", "from": "F <f@b.co>", "to": "a@b.co", "headers": {"X-Tag": "t"}, "reply_to": "r@b.co", "cc": "c@b.co", "bcc": "x@b.co", "subject": "s", "preheader": "p", "body": "<p>b</p>", "body_plain": "b", "body_amp": "amp", "fake_bcc": false, "send_to_unsubscribed": true, "tracked": true, "attachments": {"f.txt": "aGVsbG8=", "g.bin": "aGk=", "h.b64": "aGk="}, "disable_css_preprocessing": true}"#),
    ("/v1/send/email",
        r#"{"to": "a@b.co", "identifiers": {"id": "1"}, "transactional_message_id": 1, "auto_create": true}"#),
    ("/v1/send/push",
        r#"{"transactional_message_id": 3, "identifiers": {"id": "u1"}, "disable_message_retention": true, "queue_draft": false, "message_data": {"a": 1}, "send_at": 1700000000, "language": "en", "to": "last_used", "send_to_unsubscribed": false, "title": "t", "message": "m", "image_url": "https://i", "link": "app://x", "custom_data": {"k": "v"}, "custom_payload": {"ios": {}, "android": {}}, "custom_device": {"token": "tok", "platform": "ios"}, "sound": "default"}"#),
    ("/v1/send/sms",
        r#"{"transactional_message_id": "otp", "identifiers": {"id": "u1"}, "message_data": {"code": "1"}, "to": "+15559876543"}"#),
    ("/v1/send/whatsapp",
        r#"{"transactional_message_id": "otp", "identifiers": {"id": "u1"}, "to": "+15559876543", "tracked": false}"#),
    ("/v1/send/inbox_message",
        r#"{"transactional_message_id": "inbox", "identifiers": {"id": "u1"}, "message_data": {"a": 1}}"#),
    ("/v1/send/in_app",
        r#"{"transactional_message_id": "iam", "identifiers": {"id": "u1"}, "message_data": {"a": 1}}"#),
];

/// The triggers of the official library for Node, 5.2.0.
#[rustfmt::skip]
const NODE_TRIGGERS: &[&str] = &[
    r#"{}"#,
    r#"{"data":{"headline":"h"}}"#,
    r#"{"data":{"headline":"h"},"recipients":{"segment":{"id":7}}}"#,
    r#"{"recipients":{"and":[{"segment":{"id":7}},{"attribute":{"field":"plan","operator":"eq","value":"pro"}}]}}"#,
    r#"{"data":{"h":1},"ids":["u1","u2"],"id_ignore_missing":true}"#,
    r#"{"data":{"h":1},"emails":["a@b.co"],"email_ignore_missing":true}"#,
    r#"{"data":{"h":1},"per_user_data":[{"id":"u1","data":{"v":1}},{"email":"a@b.co","data":{"v":2}}],"id_ignore_missing":true,"email_ignore_missing":true,"email_add_duplicates":true}"#,
    r#"{"data":{"h":1},"data_file_url":"https://x/y.jsonl"}"#,
];

fn builder() -> Builder {
    Simulator::builder().segment(7).broadcast(5)
}

async fn start(builder: Builder) -> (Simulator, Client) {
    let simulator = builder.build();
    let client = Client::pipe(&simulator).await;
    (simulator, client)
}

async fn trigger(client: &mut Client, body: &str) -> u16 {
    client
        .app(Method::POST, TRIGGERS, body)
        .await
        .status
        .as_u16()
}

#[tokio::test(start_paused = true)]
async fn the_messages_of_official_libraries_are_sent() {
    let (simulator, mut client) = start(builder()).await;
    client.put("u1").await;
    for (number, (path, body)) in MESSAGES.iter().enumerate() {
        let reply = client.app(Method::POST, path, body).await;
        assert_eq!(reply.status, 200, "{path} {body}: {reply:?}");
        let known = simulator.messages().pop().unwrap();
        // The libraries' times are in the past, so the messages are sent at once.
        let expected = json!({"delivery_id": known.delivery_id, "queued_at": START});
        assert_eq!(reply.json(), expected);
        assert_eq!(path.strip_prefix("/v1/send/"), Some(&*known.channel));
        assert_eq!(simulator.totals().messages, number as u64 + 1);
        assert_eq!(simulator.message(&known.delivery_id).as_ref(), Some(&known));
        let sent: Value = serde_json::from_str(body).unwrap();
        let named = &sent["identifiers"];
        let named = [&named["id"], &named["email"]].into_iter();
        let named = named.filter(|name| !name.is_null()).map(text).next();
        assert_eq!(known.person, named, "{body}");
        assert_eq!(known.request.get("to"), sent.get("to"));
        let attached = sent["attachments"]
            .as_object()
            .map_or(0, serde_json::Map::len);
        assert_eq!(known.attachments.len(), attached);
    }
    // A push has added its device to the person.
    assert!(simulator.person("u1").unwrap().devices.contains_key("tok"));
    let id = &simulator.messages()[0].delivery_id;
    let record = client.get(&format!("/_sim/messages/{id}")).await;
    assert_eq!(record["channel"], "email");
}

/// Returns a string without its quotes, and a number as JSON has it.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_message_has_its_time_in_the_response() {
    let (simulator, mut client) = start(builder()).await;
    let at = START + 60;
    let body = json!({
        "transactional_message_id": 3, "identifiers": {"id": "1"}, "send_at": at,
    });
    let reply = client
        .app(Method::POST, "/v1/send/push", &body.to_string())
        .await;
    let reply = reply.json();
    assert_eq!(
        (&reply["queued_at"], &reply["send_at"]),
        (&json!(START), &json!(at))
    );
    assert_eq!(simulator.messages()[0].send_at, Some(at));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_request_is_a_second_message() {
    let (simulator, mut client) = start(builder()).await;
    let (path, body) = MESSAGES[0];
    let mut ids = Vec::new();
    for _ in 0..2 {
        let reply = client.app(Method::POST, path, body).await.json();
        ids.push(reply["delivery_id"].as_str().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(simulator.totals().messages, 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_rejected_with_one_error() {
    let (simulator, mut client) = start(builder()).await;
    let attachment = json!({"f": "A".repeat(2_700_000)});
    for (path, body, status, message) in [
        (
            "/v1/send/push",
            json!({"transactional_message_id": 3}),
            400,
            "identifiers must be present",
        ),
        (
            "/v1/send/sms",
            json!({}),
            400,
            "transactional_message_id is required",
        ),
        (
            "/v1/send/email",
            json!([]),
            400,
            "request body must be a JSON object",
        ),
        (
            "/v1/send/email",
            json!({"to": "a@b.co", "transactional_message_id": 3, "attachments": attachment}),
            413,
            "attachments cannot be longer than 2000000 bytes",
        ),
    ] {
        let reply = client.app(Method::POST, path, &body.to_string()).await;
        let expected = json!({"meta": {"error": message}});
        assert_eq!((reply.status.as_u16(), reply.json()), (status, expected));
    }
    let totals = simulator.totals();
    assert_eq!((totals.rejected, totals.messages), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn the_app_api_needs_a_bearer_token() {
    let (simulator, mut client) = start(builder()).await;
    let (path, body) = MESSAGES[0];
    let with_basic = client.call(Method::POST, path, &json!({})).await;
    let bare = client.send(bare(Method::POST, path, body)).await.unwrap();
    assert_eq!(
        (with_basic.status.as_u16(), bare.status.as_u16()),
        (401, 401)
    );
    let totals = simulator.totals();
    assert_eq!((totals.unauthorized, totals.messages), (2, 0));

    let (simulator, mut client) = start(builder().app_api_key("top-secret")).await;
    assert_eq!(client.app(Method::POST, path, body).await.status, 401);
    assert_eq!(
        client.put("1").await.status,
        200,
        "the Track API is another one"
    );
    assert!(!format!("{simulator:?}").contains("top-secret"));
}

#[tokio::test(start_paused = true)]
async fn the_triggers_of_the_node_library_are_accepted_one_in_ten_seconds() {
    let (simulator, mut client) = start(builder()).await;
    for (number, body) in NODE_TRIGGERS.iter().enumerate() {
        let reply = client.app(Method::POST, TRIGGERS, body).await;
        let id = number + 1;
        assert_eq!(
            (reply.status.as_u16(), reply.json()),
            (200, json!({"id": id}))
        );
        tokio::time::advance(Duration::from_secs(9)).await;
        let early = client.app(Method::POST, TRIGGERS, body).await;
        assert_eq!(
            (early.status.as_u16(), early.header("retry-after")),
            (429, Some("1"))
        );
        let detail = &early.json()["errors"][0]["detail"];
        assert_eq!(detail, "rate limited to 1 requests per 10s");
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let accepted = NODE_TRIGGERS.len();
    let triggers = simulator.triggers(5).unwrap();
    assert_eq!(triggers.len(), accepted);
    assert_eq!(triggers[1].request["data"]["headline"], "h");
    let totals = simulator.totals();
    assert_eq!(
        (totals.triggers, totals.throttled, totals.rejected),
        (accepted as u64, accepted as u64, 0)
    );
    let record = client.get("/_sim/broadcasts/5").await;
    assert_eq!(record[0]["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn five_triggers_wait_and_the_next_gets_429() {
    let settings = builder()
        .trigger_time(Duration::from_secs(60))
        .trigger_limit(Limit::per_second(100));
    let (simulator, mut client) = start(settings).await;
    for _ in 0..6 {
        assert_eq!(trigger(&mut client, "{}").await, 200);
    }
    let full = client.app(Method::POST, TRIGGERS, "{}").await;
    assert_eq!(
        (full.status.as_u16(), full.header("retry-after")),
        (429, Some("60"))
    );
    assert_eq!(full.json()["errors"][0]["status"], "429");
    // The first is processed, so that the second no longer waits.
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(trigger(&mut client, "{}").await, 200);
    assert_eq!(trigger(&mut client, "{}").await, 429);
    let totals = simulator.totals();
    assert_eq!(
        (totals.triggers, totals.throttled, totals.rejected),
        (7, 2, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_trigger_shows_when_it_was_processed() {
    let (_, mut client) = start(builder().trigger_time(Duration::from_secs(60))).await;
    assert_eq!(trigger(&mut client, "{}").await, 200);
    let path = "/v1/campaigns/5/triggers/1";
    for (wait, processed_at) in [(0, Value::Null), (59, Value::Null), (1, json!(START + 60))] {
        tokio::time::advance(Duration::from_secs(wait)).await;
        let status = client.app(Method::GET, path, "").await;
        let expected = json!({
            "id": 1, "broadcast_id": 5, "created_at": START, "processed_at": processed_at,
        });
        assert_eq!((status.status.as_u16(), status.json()), (200, expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_trigger_is_rejected_with_a_pointer() {
    let settings = builder().trigger_limit(Limit::per_second(100));
    let (simulator, mut client) = start(settings).await;
    client.put("1").await;
    for (body, pointer, detail) in [
        (
            json!({"recipients": {}}),
            "recipients",
            "empty recipients filter is not valid",
        ),
        (
            json!({"ids": ["1"], "emails": ["a@b.co"]}),
            "ids",
            "emails and ids exclude each other",
        ),
        (
            json!({"ids": ["1", "unknown"]}),
            "ids",
            "a person of the audience does not exist",
        ),
        (
            json!({"per_user_data": [{"email": "a@b.co"}], "id_ignore_missing": true}),
            "per_user_data",
            "a person of the audience does not exist",
        ),
    ] {
        let reply = client.app(Method::POST, TRIGGERS, &body.to_string()).await;
        let source = json!({"pointer": format!("/data/attributes/{pointer}")});
        let error = json!({"detail": detail, "status": "422", "source": source});
        let expected = json!({"errors": [error]});
        assert_eq!((reply.status.as_u16(), reply.json()), (422, expected));
    }
    assert_eq!(trigger(&mut client, r#"{"ids": ["1"]}"#).await, 200);
    assert_eq!(simulator.totals().triggers, 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_path_or_method_of_the_app_api_is_rejected_in_its_envelope() {
    let (_, mut client) = start(builder()).await;
    for (method, path, status) in [
        (Method::POST, "/v1/campaigns/6/triggers", 404),
        (Method::GET, "/v1/campaigns/x/triggers/1", 404),
        (Method::GET, "/v1/campaigns/5/triggers/1", 404),
        (Method::GET, "/v1/nothing", 404),
        (Method::GET, "/v1/send/email", 405),
    ] {
        let reply = client.app(method, path, "").await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.json()["errors"][0]["status"], status.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn each_api_has_its_own_limit() {
    let (simulator, mut client) = start(builder().limit(Limit::per_second(2))).await;
    let (path, body) = MESSAGES[0];
    let queried = "/v1/campaigns/5/triggers/1";
    // Messages share the limit of the Track API.
    assert_eq!(client.put("1").await.status, 200);
    assert_eq!(client.app(Method::POST, path, body).await.status, 200);
    assert_eq!(client.app(Method::POST, path, body).await.status, 429);
    assert_eq!(trigger(&mut client, "{}").await, 200);
    assert_eq!(trigger(&mut client, "{}").await, 429);
    for _ in 0..10 {
        assert_eq!(client.app(Method::GET, queried, "").await.status, 200);
    }
    let throttled = client.app(Method::GET, queried, "").await;
    assert_eq!(
        (throttled.status.as_u16(), throttled.header("retry-after")),
        (429, Some("1"))
    );
    let detail = &throttled.json()["errors"][0]["detail"];
    assert_eq!(detail, "rate limited to 10 requests per 1s");
    let totals = simulator.totals();
    assert_eq!((totals.throttled, totals.busiest_window), (3, 3));
}
