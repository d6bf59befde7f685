//! Questions of the App API about segments, messages, relationships, subscriptions, opt-outs,
//! exports and live notifications.

use std::time::Duration;

use customerio_sim::{Builder, Limit, Records, Simulator};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::Client;

/// The simulator's clock starts here, in Unix seconds.
const START: i64 = 1_767_225_600;

fn builder() -> Builder {
    Simulator::builder()
        .segment(7)
        .broadcast(5)
        .app_limit(Limit::per_second(1_000))
}

async fn start(builder: Builder) -> Client {
    Client::pipe(&builder.build()).await
}

async fn post(client: &mut Client, path: &str, body: Value) -> Value {
    let reply = client.app(Method::POST, path, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{path} {body}: {reply:?}");
    reply.json()
}

/// Sends a message to a person and returns the id of the delivery.
async fn send(client: &mut Client, channel: &str, change: Value) -> String {
    let mut body = json!({
        "to": "+15551234567", "identifiers": {"id": "u1"}, "transactional_message_id": 44,
    });
    let changed = change.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(changed);
    let sent = post(client, &format!("/v1/send/{channel}"), body).await;
    sent["delivery_id"].as_str().unwrap().to_owned()
}

async fn metric(client: &mut Client, delivery: &str, metric: &str) {
    let body = json!({"delivery_id": delivery, "metric": metric, "reason": "mailbox full"});
    client.call(Method::POST, "/api/v1/metrics", &body).await;
}

/// Returns the member `name` of each item of a list.
fn each(list: &Value, name: &str) -> Vec<Value> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item[name].clone()).collect()
}

/// Reads a list page by page. Returns the number of pages and all items.
async fn pages(client: &mut Client, path: &str, list: &str) -> (usize, Vec<Value>) {
    let (mut count, mut items, mut start) = (0, Vec::new(), String::new());
    loop {
        let page = client.ask(&format!("{path}start={start}")).await;
        count += 1;
        items.extend(page[list].as_array().unwrap().iter().cloned());
        start = page["next"].as_str().unwrap().to_owned();
        if start.is_empty() {
            return (count, items);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_segment_is_created_shown_and_deleted() {
    let mut client = start(builder()).await;
    let body = json!({"segment": {"name": "S", "description": "d"}});
    let created = post(&mut client, "/v1/segments", body).await;
    let expected = json!({
        "id": 8, "deduplicate_id": format!("8:{START}"), "name": "S", "description": "d",
        "state": "finished", "progress": null, "type": "manual", "tags": null,
        "created_at": START, "updated_at": START,
    });
    assert_eq!(created, json!({"segment": expected}));
    assert_eq!(client.ask("/v1/segments/8").await, created);
    let all = client.ask("/v1/segments").await;
    assert_eq!(each(&all["segments"], "id"), [7, 8]);
    let nothing = json!({"campaigns": [], "sent_newsletters": [], "draft_newsletters": []});
    assert_eq!(
        client.ask("/v1/segments/8/used_by").await,
        json!({"segment_id": 8, "used_by": nothing}),
    );
    let reply = client.app(Method::DELETE, "/v1/segments/8", "").await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (204, 0));
    for (method, path) in [
        (Method::GET, "/v1/segments/8"),
        (Method::DELETE, "/v1/segments/8"),
        (Method::GET, "/v1/segments/8/customer_count"),
        (Method::GET, "/v1/segments/8/membership"),
        (Method::GET, "/v1/segments/8/used_by"),
        (Method::GET, "/v1/segments/x"),
    ] {
        assert_eq!(client.status(method, path, "").await, 404, "{path}");
    }
    for wrong in ["{}", r#"{"segment":{}}"#, r#"{"segment":{"name":" "}}"#] {
        let status = client.status(Method::POST, "/v1/segments", wrong).await;
        assert_eq!(status, 400, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_people_in_a_segment_are_counted_and_listed() {
    let mut client = start(builder()).await;
    for person in ["u1", "a@b.co", "u2", "u3"] {
        client.identify(person, json!({})).await;
    }
    let add = "/api/v1/segments/7/add_customers";
    let ids = json!({"ids": ["u2", "u1", "unknown"]});
    client.call(Method::POST, add, &ids).await;
    let emails = json!({"ids": ["a@b.co"]});
    let path = format!("{add}?id_type=email");
    client.call(Method::POST, &path, &emails).await;
    assert_eq!(
        client.ask("/v1/segments/7/customer_count").await,
        json!({"segment_id": 7, "count": 3}),
    );
    let members = client.ask("/v1/segments/7/membership").await;
    let person =
        |id: Value, email: Value, cio_id| json!({"id": id, "email": email, "cio_id": cio_id});
    let people = json!([
        person(json!("u1"), Value::Null, "03000001"),
        person(Value::Null, json!("a@b.co"), "03000002"),
        person(json!("u2"), Value::Null, "03000003"),
    ]);
    let expected = json!({
        // A person without an id has an empty one.
        "segment_id": 7, "ids": ["u1", "", "u2"], "identifiers": people, "next": "",
    });
    assert_eq!(members, expected);
    let path = "/v1/segments/7/membership?limit=1&";
    let (count, listed) = pages(&mut client, path, "identifiers").await;
    assert_eq!((count, json!(listed)), (3, people));
    let over = "/v1/segments/7/membership?limit=30001";
    assert_eq!(client.status(Method::GET, over, "").await, 400);
    let segments = client.ask("/v1/customers/u2/segments").await;
    let expected = json!([{"id": 7, "name": "Segment 7", "description": ""}]);
    assert_eq!(segments, json!({"segments": expected}));
    let none = client.ask("/v1/customers/u3/segments").await;
    assert_eq!(none, json!({"segments": []}));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_shown_with_the_times_of_its_metrics() {
    let mut client = start(builder()).await;
    client.identify("u1", json!({"email": "a@b.co"})).await;
    let email = json!({"to": "a@b.co", "subject": "Hi", "disable_message_retention": true});
    let id = send(&mut client, "email", email).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    metric(&mut client, &id, "delivered").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    metric(&mut client, &id, "bounced").await;
    metric(&mut client, &id, "delivered").await;
    let path = format!("/v1/messages/{}", id.replace('=', "%3D"));
    let message = client.ask(&path).await["message"].clone();
    let person = json!({"id": "u1", "email": "a@b.co", "cio_id": "03000001"});
    let metrics = json!({
        "created": START, "sent": START, "delivered": START + 60, "bounced": START + 120,
    });
    for (name, expected) in [
        ("id", json!(id)),
        ("deduplicate_id", json!(format!("{id}:{}", START + 120))),
        ("type", json!("email")),
        ("customer_id", json!("u1")),
        ("customer_identifiers", person),
        ("recipient", json!("a@b.co")),
        ("subject", json!("Hi")),
        ("created", json!(START)),
        ("metrics", metrics),
        ("failure_message", json!("mailbox full")),
        ("campaign_id", Value::Null),
        ("newsletter_id", Value::Null),
        ("broadcast_id", Value::Null),
        ("forgotten", json!(true)),
    ] {
        assert_eq!(message[name], expected, "{name}");
    }
    let unknown = client.status(Method::GET, "/v1/messages/x", "").await;
    assert_eq!(unknown, 404);
}

/// Sends six messages, 10 s apart: one in each of four channels, a draft, and a scheduled one.
async fn six_messages(client: &mut Client) -> [String; 6] {
    let mut ids = Vec::new();
    for (channel, change) in [
        ("sms", json!({})),
        (
            "push",
            json!({"to": "all", "transactional_message_id": "welcome"}),
        ),
        ("in_app", json!({"identifiers": {"id": "u2"}})),
        ("inbox_message", json!({})),
        ("sms", json!({"queue_draft": true})),
        ("sms", json!({"send_at": START + 3_600})),
    ] {
        ids.push(send(client, channel, change).await);
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    metric(client, &ids[0], "clicked").await;
    ids.try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn messages_are_listed_by_person_template_type_metric_and_time() {
    let simulator = builder().build();
    let mut client = Client::pipe(&simulator).await;
    client.identify("u1", json!({})).await;
    client.identify("u2", json!({})).await;
    let [sms, push, in_app, inbox, draft, later] = six_messages(&mut client).await;
    let within = format!("start_ts={}&end_ts={}", START + 10, START + 29);
    for (path, expected) in [
        (
            "/v1/customers/u1/messages?",
            vec![&later, &draft, &inbox, &push, &sms],
        ),
        ("/v1/customers/u2/messages?", vec![&in_app]),
        ("/v1/messages?", vec![&later, &inbox, &in_app, &push, &sms]),
        ("/v1/messages?drafts=true", vec![&draft]),
        ("/v1/messages?type=twilio", vec![&later, &sms]),
        ("/v1/messages?metric=clicked", vec![&sms]),
        ("/v1/messages?metric=sent&type=twilio", vec![&sms]),
        (
            "/v1/messages?transactional_id=44",
            vec![&later, &inbox, &in_app, &sms],
        ),
        (
            "/v1/transactional/44/messages?",
            vec![&later, &draft, &inbox, &in_app, &sms],
        ),
        ("/v1/messages?campaign_id=1", vec![]),
        (&format!("/v1/messages?{within}"), vec![&in_app, &push]),
        (&format!("/v1/customers/u1/messages?{within}"), vec![&push]),
    ] {
        let found = client.ask(path).await;
        assert_eq!(
            json!(each(&found["messages"], "id")),
            json!(expected),
            "{path}"
        );
        assert_eq!(found["next"], "");
    }
    let (count, listed) = pages(&mut client, "/v1/messages?limit=2&", "messages").await;
    assert_eq!((count, listed.len()), (3, 5));
    // A scheduled message is sent at its time.
    tokio::time::advance(Duration::from_secs(3_600)).await;
    // The server has closed the idle connection.
    let mut client = Client::pipe(&simulator).await;
    let sent = client.ask("/v1/messages?metric=sent&type=twilio").await;
    assert_eq!(json!(each(&sent["messages"], "id")), json!([later, sms]));
    for (path, expected) in [
        ("/v1/customers/u9/messages", 404),
        ("/v1/messages?limit=1001", 400),
        ("/v1/messages?start_ts=x", 400),
        ("/v1/transactional/x/messages", 404),
    ] {
        assert_eq!(
            client.status(Method::GET, path, "").await,
            expected,
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_draft_is_not_sent() {
    let mut client = start(builder()).await;
    send(&mut client, "email", json!({"queue_draft": true})).await;
    let log = client.ask("/v1/activities").await;
    assert_eq!(each(&log["activities"], "type"), ["drafted_email"]);
}

#[tokio::test(start_paused = true)]
async fn the_relationships_of_a_person_are_listed() {
    let mut client = start(builder()).await;
    client.identify("u1", json!({})).await;
    for (object, role) in [("acme", "admin"), ("zeta", "guest"), ("beta", "guest")] {
        let related = json!([{
            "identifiers": {"object_type_id": "1", "object_id": object},
            "relationship_attributes": {"role": role},
        }]);
        let entity = json!({
            "type": "person", "action": "add_relationships", "identifiers": {"id": "u1"},
            "cio_relationships": related,
        });
        client.entity(entity).await;
    }
    let all = client.ask("/v1/customers/u1/relationships").await;
    let first = json!({
        "object_type_id": 1,
        "identifiers": {"object_id": "acme", "cio_object_id": "ob1"},
        "attributes": {"role": "admin"},
        "timestamps": {},
    });
    assert_eq!(all["cio_relationships"][0], first);
    let path = "/v1/customers/cio_03000001/relationships?id_type=cio_id&limit=2&";
    let (count, listed) = pages(&mut client, path, "cio_relationships").await;
    assert_eq!(
        (count, json!(listed)),
        (2, all["cio_relationships"].clone())
    );
    let unknown = client.status(Method::GET, "/v1/customers/u9/relationships", "");
    assert_eq!(unknown.await, 404);
}

#[tokio::test(start_paused = true)]
async fn the_subscription_preferences_have_the_topics_of_the_person() {
    let mut client = start(builder()).await;
    let topics = json!({"topics": {"topic_10": false, "topic_9": true}});
    let update = json!({"unsubscribed": "1", "cio_subscription_preferences": topics});
    client.identify("u1", update).await;
    let path = "/v1/customers/u1/subscription_preferences";
    let topic = |id: u64, subscribed: bool| {
        json!({
            "id": id, "name": format!("Topic {id}"), "description": "", "subscribed": subscribed,
        })
    };
    let expected = json!({
        "id": "u1",
        "identifiers": {"id": "u1", "email": null, "cio_id": "03000001"},
        "unsubscribed": true,
        "topics": [topic(9, true), topic(10, false)],
        "header": {"title": "", "subtitle": ""},
    });
    let found = client.ask(&format!("{path}?id_type=id&language=fr")).await;
    assert_eq!(found, json!({"customer": expected}));
    let reply = client
        .app(Method::GET, &format!("{path}?id_type=x"), "")
        .await;
    let error = "id_type must be one of id, email, phone, cio_id";
    assert_eq!(reply.json(), json!({"meta": {"errors": [error]}}));
    assert_eq!(reply.status, 400);
    let unknown = path.replace("u1", "u9");
    assert_eq!(client.status(Method::GET, &unknown, "").await, 404);
}

#[tokio::test(start_paused = true)]
async fn a_person_opts_out_of_a_sender_and_back_in() {
    let mut client = start(builder()).await;
    for person in ["u1", "u2", "a@b.co"] {
        client.identify(person, json!({})).await;
    }
    let path = "/v1/customers/u1/optouts";
    assert_eq!(client.ask(path).await, json!({"optouts": []}));
    let change = json!({"optouts": [
        {"from": "+15551234567", "optout": true},
        {"from": "+15559876543", "optout": true, "channel": "whatsapp"},
        {"from": "ACME", "optout": false},
    ]});
    let reply = client.app(Method::PUT, path, &change.to_string()).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (204, 0));
    let expected = json!([
        {"channel": "sms", "from": "+15551234567"},
        {"channel": "whatsapp", "from": "+15559876543"},
    ]);
    assert_eq!(client.ask(path).await, json!({"optouts": expected}));
    let other = "/v1/customers/a%40b.co/optouts?id_type=email";
    let body = json!({"optouts": [{"from": "+15551234567", "optout": true}]}).to_string();
    client.app(Method::PUT, other, &body).await;
    let all = client.ask("/v1/optouts?from=%2B15551234567").await;
    let sms = json!([{"channel": "sms", "from": "+15551234567"}]);
    let expected = json!([
        {"cio_id": "03000001", "customer_id": "u1", "optouts": expected},
        {"cio_id": "03000003", "customer_id": null, "optouts": sms},
    ]);
    assert_eq!(all, json!({"optouts": expected, "next": ""}));
    let (count, listed) = pages(&mut client, "/v1/optouts?limit=1&", "optouts").await;
    assert_eq!((count, json!(listed)), (2, expected));
    // Back in.
    let body = body.replace("true", "false");
    client.app(Method::PUT, other, &body).await;
    assert_eq!(client.ask(other).await, json!({"optouts": []}));
    let unknown = "/v1/customers/u9/optouts";
    for (method, path, body, expected) in [
        (Method::GET, unknown, "", 404),
        (Method::PUT, unknown, body.as_str(), 404),
        (Method::PUT, path, "{}", 400),
        (
            Method::PUT,
            path,
            r#"{"optouts":[{"from":"+1","optout":true,"channel":"email"}]}"#,
            400,
        ),
        (Method::GET, "/v1/optouts?limit=1001", "", 400),
    ] {
        assert_eq!(
            client.status(method, path, body).await,
            expected,
            "{path} {body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_export_of_people_is_pending_and_then_done() {
    let mut client = start(builder().export_time(Duration::from_secs(10))).await;
    client.identify("u1", json!({"plan": "pro"})).await;
    client.identify("u2", json!({"plan": "free"})).await;
    // As the API was seen to send an empty list.
    assert_eq!(client.ask("/v1/exports").await, json!({"exports": null}));
    let plan = json!({"attribute": {"field": "plan", "operator": "eq", "value": "pro"}});
    let body = json!({"filters": plan});
    let begun = post(&mut client, "/v1/exports/customers", body).await;
    let mut expected = json!({
        "id": 1, "deduplicate_id": format!("1:{START}"), "type": "customers",
        "status": "pending", "failed": false, "total": 0, "description": "", "downloads": 0,
        "user_id": 0, "user_email": "", "created_at": START, "updated_at": START,
    });
    assert_eq!(begun, json!({"export": expected}));
    let link = "/v1/exports/1/download";
    assert_eq!(client.status(Method::GET, link, "").await, 404);
    // The content is that of the request.
    client.identify("u2", json!({"plan": "pro"})).await;
    tokio::time::advance(Duration::from_secs(10)).await;
    let url = client.ask(link).await;
    assert_eq!(url, json!({"url": "http://localhost/_sim/exports/1"}));
    let people = client.get("/_sim/exports/1").await;
    let u1 = json!({"id": "u1", "email": null, "cio_id": "03000001"});
    assert_eq!(people, json!([u1]));
    for (name, value) in [
        ("status", json!("done")),
        ("total", json!(1)),
        ("downloads", json!(1)),
        ("updated_at", json!(START + 10)),
        ("deduplicate_id", json!(format!("1:{}", START + 10))),
    ] {
        expected[name] = value;
    }
    assert_eq!(
        client.ask("/v1/exports/1").await,
        json!({"export": expected})
    );
    let all = client.ask("/v1/exports").await;
    assert_eq!(all, json!({"exports": [expected]}));
    for path in ["/v1/exports/2", "/v1/exports/x", "/v1/exports/2/download"] {
        assert_eq!(client.status(Method::GET, path, "").await, 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_export_of_deliveries_has_one_source() {
    let mut client = start(builder()).await;
    client.identify("u1", json!({"plan": "pro"})).await;
    let sent = send(&mut client, "sms", json!({})).await;
    let draft = send(&mut client, "sms", json!({"queue_draft": true})).await;
    send(&mut client, "sms", json!({"transactional_message_id": 45})).await;
    for (number, (body, expected)) in [
        (json!({"transactional_message_id": 44}), vec![&sent]),
        (
            json!({"transactional_message_id": 44, "drafts": true}),
            vec![&draft, &sent],
        ),
        (
            json!({"transactional_message_id": 44, "metric": "opened"}),
            vec![],
        ),
        (
            json!({"transactional_message_id": 44, "end": START - 1}),
            vec![],
        ),
        (json!({"newsletter_id": 44}), vec![]),
    ]
    .into_iter()
    .enumerate()
    {
        let export = post(&mut client, "/v1/exports/deliveries", body.clone()).await;
        let export = &export["export"];
        assert_eq!(
            (&export["status"], &export["total"]),
            (&json!("done"), &json!(expected.len())),
            "{body}"
        );
        let path = format!("/_sim/exports/{}", number + 1);
        let rows = client.get(&path).await;
        assert_eq!(json!(each(&rows, "id")), json!(expected), "{body}");
    }
    let body = json!({"transactional_message_id": 44, "attributes": ["plan", "city"]});
    post(&mut client, "/v1/exports/deliveries", body).await;
    let rows = client.get("/_sim/exports/6").await;
    assert_eq!(rows[0]["attributes"], json!({"plan": "pro", "city": null}));
    for (path, wrong) in [
        ("/v1/exports/deliveries", "{}"),
        (
            "/v1/exports/deliveries",
            r#"{"newsletter_id":1,"action_id":2}"#,
        ),
        ("/v1/exports/customers", "{}"),
        ("/v1/exports/customers", r#"{"filters":{}}"#),
    ] {
        let status = client.status(Method::POST, path, wrong).await;
        assert_eq!(status, 400, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trigger_has_no_errors() {
    let mut client = start(builder()).await;
    let triggered = post(&mut client, "/v1/campaigns/5/triggers", json!({})).await;
    let path = format!("/v1/campaigns/5/triggers/{}/errors", triggered["id"]);
    assert_eq!(client.ask(&path).await, json!({"errors": [], "next": ""}));
    let unknown = "/v1/campaigns/5/triggers/9/errors";
    assert_eq!(client.status(Method::GET, unknown, "").await, 404);
}

#[tokio::test(start_paused = true)]
async fn a_live_notification_is_updated_until_it_ends_or_expires() {
    let simulator = builder().build();
    let mut client = Client::pipe(&simulator).await;
    let new = json!({
        "identifiers": {"id": "u1"},
        "notification_type": "io.customer.livenotifications.segments",
        "attributes": {"header": "Order 4711"},
        "content_state": {"status": "packed", "segmentsTotal": 3, "segmentsComplete": 1},
    });
    let started = post(&mut client, "/v1/live_notifications/start", new.clone()).await;
    let id = started["instance_id"].as_str().unwrap();
    let update = json!({"instance_id": id, "content_state": {"status": "sent"}});
    let updated = post(&mut client, "/v1/live_notifications/update", update.clone()).await;
    assert_eq!(updated, started);
    let path = format!("/v1/live_notifications/{id}");
    let shown = client.ask(&path).await;
    let expected = json!({
        "instance_id": id,
        "notification_type": "io.customer.livenotifications.segments",
        "platform": null,
        "state": "active",
        "started_at": START,
        "ended_at": null,
        "expires_at": START + 21_600,
        "failure_reason": null,
        "last_delivery": {
            "id": format!("{id}:2"), "operation": "update", "source": "api", "status": "sent",
            "created_at": START,
        },
    });
    assert_eq!(shown, expected);
    let end = json!({"instance_id": id});
    post(&mut client, "/v1/live_notifications/end", end).await;
    assert_eq!(client.ask(&path).await["state"], "ended");
    let again = update.to_string();
    let late = client.status(Method::POST, "/v1/live_notifications/update", &again);
    assert_eq!(late.await, 400);
    let second = post(&mut client, "/v1/live_notifications/start", new).await;
    tokio::time::advance(Duration::from_secs(21_600)).await;
    // The server has closed the idle connection.
    let mut client = Client::pipe(&simulator).await;
    let path = format!(
        "/v1/live_notifications/{}",
        second["instance_id"].as_str().unwrap()
    );
    assert_eq!(client.ask(&path).await["state"], "expired");
    for (path, expected) in [
        ("/v1/live_notifications/x", 400),
        ("/v1/live_notifications/01HB4HBDKTFWYZCK01DMRSWRFD", 404),
    ] {
        assert_eq!(
            client.status(Method::GET, path, "").await,
            expected,
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_records_lists_are_empty_and_requests_are_accepted() {
    let mut client = start(builder().records(Records::CountsOnly)).await;
    client.identify("u1", json!({})).await;
    send(&mut client, "sms", json!({})).await;
    let page = json!({"messages": [], "next": ""});
    assert_eq!(client.ask("/v1/messages").await, page);
    let body = json!({"transactional_message_id": 44});
    let export = post(&mut client, "/v1/exports/deliveries", body).await;
    assert_eq!(export["export"]["total"], 0);
    let update = json!({
        "instance_id": "01HB4HBDKTFWYZCK01DMRSWRFD", "content_state": {"status": "sent"},
    });
    post(&mut client, "/v1/live_notifications/update", update).await;
}
