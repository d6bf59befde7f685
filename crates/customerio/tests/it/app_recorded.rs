//! Requests to the App API recorded from the official Node SDK 5.2.0, each sent by this crate.
//!
//! Messages and triggers are built with their types. All others go through `App::request`.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use customerio::app::{
    AppCredentials, AppRequest, Audience, Email, Filter, InApp, InboxMessage, Message, PersonData,
    Push, PushTo, Sms, Sound, Trigger, WhatsApp,
};
use customerio::{Client, Device, Person, Platform, Timestamp};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::service_fn;

const RECORDED: &str = include_str!("data/node-app.jsonl");

/// The typed calls come first in the recording, except the one at this index.
const BY_EMAIL: usize = 9;
const TYPED: usize = 18;

/// What this crate makes of a recorded call.
enum Ours {
    Same(AppRequest),
    /// Another body, and why.
    Body(AppRequest, Value, &'static str),
}

use Ours::{Body, Same};

#[tokio::test(start_paused = true)]
async fn every_recorded_request_is_sent_or_the_difference_has_a_reason() {
    let recorded = RECORDED
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let recorded: Vec<Value> = recorded.collect();
    let mut typed: Vec<_> = messages().into_iter().chain(triggers()).rev().collect();
    assert_eq!((recorded.len(), typed.len()), (173, TYPED - 1));
    let (client, sent) = client();
    for (index, recorded) in recorded.iter().enumerate() {
        let (body, why) = if index < TYPED && index != BY_EMAIL {
            let (request, body, why) = match typed.pop().unwrap() {
                Same(request) => (request, recorded["body"].clone(), ""),
                Body(request, body, why) => (request, body, why),
            };
            client.app().execute(&request).await.unwrap();
            (body, why)
        } else {
            through_the_one_door(&client, recorded).await;
            (recorded["body"].clone(), "")
        };
        let sent = sent.lock().unwrap().pop().unwrap();
        check(recorded, &sent, &body, why);
    }
}

fn check(recorded: &Value, sent: &Request<Bytes>, body: &Value, why: &str) {
    let call = &recorded["call"];
    assert_eq!(sent.method().as_str(), recorded["method"], "{call}");
    let path = sent.uri().path_and_query().unwrap().as_str();
    assert_eq!(path, recorded["path"], "{call}");
    assert_eq!(sent.uri().host(), Some("api.customer.io"));
    assert_eq!(sent.headers()["authorization"], "Bearer appkey");
    if let Some(raw) = recorded["raw"].as_str() {
        assert_eq!(
            sent.headers()["content-type"],
            recorded["content_type"].as_str().unwrap()
        );
        assert_eq!(sent.body(), raw, "{call}");
        return;
    }
    let found: Value = match sent.body().is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(sent.body()).unwrap(),
    };
    assert_eq!(found, *body, "{call} {why}");
    let differs = *body != recorded["body"];
    assert_eq!(differs, !why.is_empty(), "a stale reason: {call} {why}");
}

async fn through_the_one_door(client: &Client, recorded: &Value) {
    let method: Method = recorded["method"].as_str().unwrap().parse().unwrap();
    let call = client
        .app()
        .request(method, recorded["path"].as_str().unwrap());
    let call = match (&recorded["raw"], &recorded["body"]) {
        (Value::String(raw), _) => {
            call.body(recorded["content_type"].as_str().unwrap(), raw.clone())
        }
        (_, Value::Null) => call,
        (_, body) => call.json(body),
    };
    call.send().await.unwrap();
}

/// Returns a client and the requests that it sends.
fn client() -> (Client, Arc<Mutex<Vec<Request<Bytes>>>>) {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&sent);
    let api = service_fn(move |request: Request<Full<Bytes>>| {
        let record = Arc::clone(&record);
        async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            record
                .lock()
                .unwrap()
                .push(Request::from_parts(head, body.to_bytes()));
            let reply = r#"{"delivery_id":"d","queued_at":1,"id":1}"#;
            Ok::<_, io::Error>(Response::new(Full::new(Bytes::from_static(
                reply.as_bytes(),
            ))))
        }
    });
    let credentials = AppCredentials::new("appkey").unwrap();
    let client = Client::builder()
        .app_credentials(credentials)
        .build_with(api);
    (client.unwrap(), sent)
}

fn id() -> Person {
    Person::id("u1").unwrap()
}

fn time() -> Timestamp {
    Timestamp::new(1_700_000_000).unwrap()
}

fn request(message: &dyn Message) -> AppRequest {
    message.to_request().unwrap()
}

fn by_email() -> Person {
    Person::email("a@b.co").unwrap()
}

fn messages() -> Vec<Ours> {
    let all = [emails(), pushes(), texts(), in_app()];
    all.into_iter().flatten().collect()
}

fn emails() -> Vec<Ours> {
    let minimal =
        json!({"to": "a@b.co", "identifiers": {"id": "u1"}, "transactional_message_id": 44});
    let email = Email::new("welcome", &by_email(), "\"A B\" <a@b.co>")
        .data(&json!({"n": 1}))
        .unwrap()
        .header("X-Tag", "t")
        .preheader("p")
        .reply_to("r@b.co")
        .bcc("x@b.co,y@b.co")
        .from("F <f@b.co>")
        .subject("s")
        .body("<p>b</p>")
        .body_plain("b")
        .body_amp("amp")
        .fake_bcc(false)
        .disable_message_retention(false)
        .send_to_unsubscribed(true)
        .tracked(true)
        .queue_draft(false)
        .send_at(time())
        .disable_css_preprocessing(true)
        .language("fr")
        .attachment("f.txt", "hello")
        .attachment("g.bin", "hi");
    let inline = Email::without_template(&Person::id("1").unwrap(), "a@b.co", "f@b.co", "s", "b");
    let inline_all = inline.cc("dropped@b.co").auto_create(true);
    let inline_body = json!({"to": "a@b.co", "identifiers": {"id": "1"}, "from": "f@b.co", "subject": "s",
        "body": "b", "cc": "dropped@b.co", "auto_create": true});
    vec![
        Body(
            request(&Email::new(44, &id(), "a@b.co")),
            minimal,
            "no headers are the same as an empty object",
        ),
        Same(request(&email)),
        Body(
            request(&inline_all),
            inline_body,
            "the SDK drops cc and auto_create; an id is a string; no headers",
        ),
    ]
}

fn pushes() -> Vec<Ours> {
    let device = Device::new("tok", Platform::Ios).unwrap().last_used(time());
    let push = Push::new("p", &by_email())
        .to(PushTo::LastUsed)
        .title("t")
        .message("m")
        .disable_message_retention(true)
        .send_to_unsubscribed(false)
        .queue_draft(false)
        .data(&json!({"a": 1}))
        .unwrap()
        .send_at(time())
        .language("en")
        .image_url("https://i")
        .link("app://x")
        .sound(Sound::Default)
        .custom_data("k", "v")
        .custom_device(device.attribute("a", "b").unwrap())
        .ios_payload(&json!({"aps": {}}))
        .unwrap()
        .android_payload(&json!({"message": {}}))
        .unwrap();
    vec![Same(request(&Push::new(3, &id()))), Same(request(&push))]
}

fn texts() -> Vec<Ours> {
    let sms = Sms::new("otp", &id(), "+15559876543")
        .from("+1dropped")
        .data(&json!({"code": "1"}))
        .unwrap()
        .send_to_unsubscribed(true)
        .queue_draft(false)
        .send_at(time())
        .language("en")
        .disable_message_retention(true);
    let sms_body = json!({"identifiers": {"id": "u1"}, "transactional_message_id": "otp",
        "to": "+15559876543", "disable_message_retention": true, "send_to_unsubscribed": true,
        "queue_draft": false, "message_data": {"code": "1"}, "send_at": 1_700_000_000, "language": "en",
        "from": "+1dropped"});
    let whatsapp = WhatsApp::new("otp", &id(), "+15559876543")
        .from("+15551234567")
        .tracked(false)
        .data(&json!({"code": "1"}))
        .unwrap();
    vec![
        Body(request(&sms), sms_body, "the SDK drops the sender"),
        Same(request(&whatsapp)),
    ]
}

fn in_app() -> Vec<Ours> {
    let inbox = InboxMessage::new("inbox", &id())
        .data(&json!({"a": 1}))
        .unwrap()
        .queue_draft(true)
        .send_at(time())
        .language("en");
    let inbox_body = json!({"identifiers": {"id": "u1"}, "transactional_message_id": "inbox",
        "queue_draft": true, "message_data": {"a": 1}, "send_at": 1_700_000_000, "language": "en"});
    let in_app = InApp::new("iam", &id()).data(&json!({"a": 1})).unwrap();
    vec![
        Body(
            request(&inbox),
            inbox_body,
            "an inbox message has no retention to disable",
        ),
        Same(request(&in_app)),
    ]
}

fn triggers() -> Vec<Ours> {
    let headline = || Trigger::new(5).data(&json!({"headline": "h"})).unwrap();
    let h = || Trigger::new(5).data(&json!({"h": 1})).unwrap();
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let nested = Filter::all([
        Filter::segment(7),
        Filter::attribute_is("plan", "pro").unwrap(),
    ]);
    let people = vec![
        PersonData::new(&id(), &json!({"v": 1})).unwrap(),
        PersonData::new(&Person::email("a@b.co").unwrap(), &json!({"v": 2})).unwrap(),
    ];
    let triggers = [
        Trigger::new(5),
        headline(),
        headline().audience(Audience::Recipients(Filter::segment(7))),
        Trigger::new(5).audience(Audience::Recipients(nested.unwrap())),
        h().audience(Audience::Ids(list(&["u1", "u2"])))
            .ignore_missing_ids(),
        h().audience(Audience::Emails(list(&["a@b.co"])))
            .ignore_missing_emails(),
        h().audience(Audience::PerUserData(people))
            .ignore_missing_ids()
            .ignore_missing_emails()
            .add_duplicate_emails(),
        h().audience(Audience::DataFile("https://x/y.jsonl".into())),
    ];
    triggers
        .iter()
        .map(|trigger| Same(trigger.to_request().unwrap()))
        .collect()
}
