//! Requests to the App API recorded from the official Node SDK 5.2.0, each sent by this crate.
//!
//! Messages, triggers, and questions about people, messages, segments, imports and exports are sent
//! with their types. All others go through `App::request`.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use customerio::app::{
    ActivityQuery, AppCredentials, AppRequest, Audience, Email, Export, Filter, Import,
    ImportIdentifier, InApp, InboxMessage, Message, MessageQuery, PersonActivity, PersonData, Push,
    PushTo, Sms, Sound, Trigger, WhatsApp,
};
use customerio::client::App;
use customerio::{Client, Device, Person, Platform, Timestamp, Validation};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::service_fn;

const RECORDED: &str = include_str!("data/node-app.jsonl");

/// The messages and triggers come first in the recording, except the one at this index.
const BY_EMAIL: usize = 9;
const TYPED: usize = 18;

/// How many calls have a type beside messages and triggers.
const QUESTIONS: usize = 28;

/// The reply to every call, with the members that the types need.
const REPLY: &str = r#"{"delivery_id":"d","queued_at":1,"id":1,"results":null,"customer":{},
    "customers":null,"activities":null,"messages":null,"message":{"id":"d"},"identifiers":null,
    "cio_relationships":null,"segments":null,"segment":{"id":1},"count":1,"exports":null,
    "export":{"id":1},"import":{"id":1,"state":"importing"},"errors":null}"#;

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
    let (app, mut questions) = (client.app(), 0);
    for (index, recorded) in recorded.iter().enumerate() {
        let (body, why) = if index < TYPED && index != BY_EMAIL {
            let (request, body, why) = match typed.pop().unwrap() {
                Same(request) => (request, recorded["body"].clone(), ""),
                Body(request, body, why) => (request, body, why),
            };
            app.execute(&request).await.unwrap();
            (body, why)
        } else if ask(&app, recorded).await {
            questions += 1;
            (recorded["body"].clone(), "")
        } else {
            through_the_one_door(&client, recorded).await;
            (recorded["body"].clone(), "")
        };
        let sent = sent.lock().unwrap().pop().unwrap();
        check(recorded, &sent, &body, why);
    }
    assert_eq!(questions, QUESTIONS, "a question is no longer typed");
}

/// Sends a call with its type. Returns whether it has one.
async fn ask(app: &App, recorded: &Value) -> bool {
    let call = recorded["call"].as_str().unwrap();
    let name = call.strip_prefix("a.").unwrap_or(call);
    let name = name.split('(').next().unwrap();
    people(app, name, call).await || messages_and_more(app, name).await
}

async fn people(app: &App, name: &str, call: &str) -> bool {
    match name {
        "getCustomersByEmail" => drop(app.people_with_email("a+b@c.co").await.unwrap()),
        "getAttributes" => {
            let cio_id = || Person::cio_id("cio_03000001").unwrap();
            let person = match call {
                _ if call.contains("email") => by_email(),
                _ if call.contains("cio_id") => cio_id(),
                _ => id(),
            };
            drop(app.customer(&person).await.unwrap());
        }
        "getCustomersAttributes" => {
            let people = ["u1", "u2"].map(|id| Person::id(id).unwrap());
            drop(app.customers(&people).await.unwrap());
        }
        "getCustomerActivities" => {
            let query = ActivityQuery::of(&id()).page_size(10);
            let query = query.activity_type(PersonActivity::Event).name("purchase");
            assert!(app.activities(&query).start("cur").next().await.is_none());
        }
        "listActivities" => {
            let query = ActivityQuery::of(&id()).page_size(1).deleted(false);
            let query = query.activity_type(PersonActivity::Event).name("n");
            assert!(app.activities(&query).next().await.is_none());
        }
        "getCustomerRelationships" => {
            let mut objects = app.relationships_of(&id()).start("cur");
            assert!(objects.next().await.is_none());
        }
        "getCustomerSegments" => drop(app.segments_of(&id()).await.unwrap()),
        "getCustomerSubscriptionPreferences" => {
            drop(
                app.subscription_preferences(&id(), Some("fr"))
                    .await
                    .unwrap(),
            );
        }
        "searchCustomers" => {
            let filter = Filter::all([Filter::segment(3)]).unwrap();
            assert!(app.search(&filter).start("cur").next().await.is_none());
        }
        _ => return false,
    }
    true
}

async fn messages_and_more(app: &App, name: &str) -> bool {
    let time = |seconds| Timestamp::new(seconds).unwrap();
    match name {
        "getCustomerMessages" => {
            let person = Person::email_with(Validation::Off, "u1").unwrap();
            let query = MessageQuery::of(&person).page_size(10);
            let query = query.since(time(1)).until(time(2));
            assert!(app.messages(&query).start("cur").next().await.is_none());
        }
        "getMessages" => {
            let query = MessageQuery::all().page_size(5).metric("sent");
            let query = query.message_type("email").campaign(1);
            assert!(app.messages(&query).next().await.is_none());
        }
        "getMessage" => drop(app.message("dgO=").await.unwrap()),
        "getBroadcastTriggerStatus" => drop(app.trigger_status(5, 12).await.unwrap()),
        "getBroadcastTriggerErrors" => {
            drop(app.trigger_errors(5, 12, Some("c")).await.unwrap());
        }
        "listSegments" => drop(app.segments().await.unwrap()),
        "createSegment" => drop(app.create_segment("S", Some("d")).await.unwrap()),
        "getSegment" => drop(app.segment(1).await.unwrap()),
        "deleteSegment" => app.delete_segment(1).await.unwrap(),
        "getSegmentCustomerCount" => assert_eq!(app.segment_size(1).await.unwrap(), 1),
        "getSegmentMembership" => {
            assert!(app.segment_members(1).start("c").next().await.is_none());
        }
        "createImport" => {
            let import = Import::people("i", "https://x/y.csv", ImportIdentifier::Id);
            drop(app.create_import(&import).await.unwrap());
        }
        "getImport" => drop(app.import_status(1).await.unwrap()),
        "listExports" => drop(app.exports().await.unwrap()),
        "getExport" => drop(app.export_status(1).await.unwrap()),
        "createCustomersExport" => {
            let filter = Filter::all([Filter::segment(3)]).unwrap();
            drop(app.create_export(&Export::people(&filter)).await.unwrap());
        }
        "createDeliveriesExport" => {
            let export = Export::deliveries_of_newsletter(1)
                .since(time(1_700_000_000))
                .until(time(1_700_003_600))
                .attribute("a")
                .metric("delivered")
                .drafts(false);
            drop(app.create_export(&export).await.unwrap());
        }
        _ => return false,
    }
    true
}

#[test]
fn the_guide_for_migration_names_every_call() {
    let guide = include_str!("../../docs/migration.md");
    for line in RECORDED.lines() {
        let recorded: Value = serde_json::from_str(line).unwrap();
        let call = recorded["call"].as_str().unwrap();
        // Some calls are in a function of their own, in which their request is built first.
        let built_first = call.rsplit_once("return a.").map(|(_, name)| name);
        let name = call.strip_prefix("a.").or(built_first).unwrap_or(call);
        let name = name.split('(').next().unwrap();
        let named = [format!("`{name}("), format!("`{name}`")];
        assert!(
            named.iter().any(|named| guide.contains(named)),
            "{name} of {call}"
        );
    }
}

/// Returns the path and the parameters, in the order of their names.
fn parameters(path: &str) -> (&str, Vec<&str>) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parameters: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    parameters.sort_unstable();
    (path, parameters)
}

/// Returns the path that this crate sends in place of a recorded one.
fn expected_path(recorded: &str) -> &str {
    match recorded {
        // The largest page that is documented, or that every list of its kind supports.
        "/v1/customers/u1/relationships?start=cur&limit=10" => {
            "/v1/customers/u1/relationships?start=cur&limit=100"
        }
        "/v1/customers?start=cur&limit=100" => "/v1/customers?start=cur&limit=1000",
        "/v1/segments/1/membership?start=c&limit=30000" => {
            "/v1/segments/1/membership?start=c&limit=1000"
        }
        // The API decides about the size of a page.
        "/v1/campaigns/5/triggers/12/errors?start=c&limit=5" => {
            "/v1/campaigns/5/triggers/12/errors?start=c"
        }
        recorded => recorded,
    }
}

fn check(recorded: &Value, sent: &Request<Bytes>, body: &Value, why: &str) {
    let call = &recorded["call"];
    assert_eq!(sent.method().as_str(), recorded["method"], "{call}");
    let path = sent.uri().path_and_query().unwrap().as_str();
    let expected = expected_path(recorded["path"].as_str().unwrap());
    assert_eq!(parameters(path), parameters(expected), "{call}");
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
            let reply = Bytes::from_static(REPLY.as_bytes());
            Ok::<_, io::Error>(Response::new(Full::new(reply)))
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
