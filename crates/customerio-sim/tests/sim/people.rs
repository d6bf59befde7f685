//! Questions of the App API about people and their activities.

use std::time::Duration;

use customerio_sim::{Builder, Limit, Simulator};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::Client;

/// The simulator's clock starts here, in Unix seconds.
const START: i64 = 1_767_225_600;

fn builder() -> Builder {
    Simulator::builder()
        .segment(7)
        .app_limit(Limit::per_second(1_000))
}

async fn start(builder: Builder) -> Client {
    Client::pipe(&builder.build()).await
}

async fn ask(client: &mut Client, path: &str) -> Value {
    client.ask(path).await
}

async fn status(client: &mut Client, method: Method, path: &str, body: &str) -> u16 {
    client.status(method, path, body).await
}

async fn identify(client: &mut Client, person: &str, attributes: Value) {
    client.identify(person, attributes).await;
}

async fn entity(client: &mut Client, entity: Value) {
    client.entity(entity).await;
}

/// Returns type, person's id and name of each activity, the oldest first.
async fn log(client: &mut Client, query: &str) -> Vec<(String, Value, Value)> {
    let page = ask(client, &format!("/v1/activities?limit=100&{query}")).await;
    assert_eq!(page["next"], "");
    let activities = page["activities"].as_array().unwrap().iter().rev();
    let shown = activities.map(|activity| {
        let kind = activity["type"].as_str().unwrap().to_owned();
        (
            kind,
            activity["customer_id"].clone(),
            activity["name"].clone(),
        )
    });
    shown.collect()
}

#[tokio::test(start_paused = true)]
async fn an_operation_without_effect_is_a_failed_or_skipped_activity() {
    let mut client = start(builder()).await;
    let no_name = || Value::Null;
    identify(&mut client, "u1", json!({"email": "a@b.co"})).await;
    // The address belongs to u1.
    identify(&mut client, "u2", json!({"email": "A@b.co", "plan": "pro"})).await;
    identify(&mut client, "cio_99", json!({"plan": "pro"})).await;
    identify(&mut client, "u3", json!({"_update": true})).await;
    let failed = [
        ("failed_attribute_change", json!("u2"), no_name()),
        ("failed_attribute_change", Value::Null, no_name()),
        ("skipped_update", json!("u3"), no_name()),
    ];
    // A person who was suppressed.
    let suppress = json!({"type": "person", "action": "suppress", "identifiers": {"id": "u4"}});
    entity(&mut client, suppress).await;
    identify(&mut client, "u4", json!({"plan": "pro"})).await;
    let of_u4 = |action: &str, rest: Value| {
        let mut entity = json!({"type": "person", "action": action, "identifiers": {"id": "u4"}});
        entity
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        entity
    };
    entity(&mut client, of_u4("event", json!({"name": "paid"}))).await;
    let related = json!([{"identifiers": {"object_type_id": "1", "object_id": "a"}}]);
    let relate = of_u4("add_relationships", json!({"cio_relationships": related}));
    entity(&mut client, relate).await;
    let device = json!({"device": {"token": "t", "platform": "ios"}});
    entity(&mut client, of_u4("add_device", device)).await;
    let of_suppressed = [
        ("failed_attribute_change", json!("u4"), no_name()),
        ("failed_event", json!("u4"), json!("paid")),
        (
            "relationship_failed_attribute_change",
            json!("u4"),
            no_name(),
        ),
        ("failed_attribute_change", json!("u4"), no_name()),
    ];
    let all = log(&mut client, "").await;
    let is_loss = |kind: &str| kind.contains("failed") || kind == "skipped_update";
    let losses = all.into_iter().filter(|(kind, ..)| is_loss(kind));
    let losses: Vec<_> = losses.collect();
    let expected = failed.into_iter().chain(of_suppressed);
    let expected = expected.map(|(kind, id, name)| (kind.to_owned(), id, name));
    assert_eq!(losses, expected.collect::<Vec<_>>());
    // By type, and by person.
    assert_eq!(log(&mut client, "type=failed_event").await.len(), 1);
    assert_eq!(
        log(&mut client, "type=failed_event&name=paid").await.len(),
        1
    );
    assert_eq!(
        log(&mut client, "type=failed_event&name=other").await.len(),
        0
    );
    // The person of a failure need not exist.
    assert_eq!(
        status(&mut client, Method::GET, "/v1/customers/u2/attributes", "").await,
        404
    );
}

#[tokio::test(start_paused = true)]
async fn attributes_over_the_limit_are_a_failed_change() {
    let mut client = start(builder()).await;
    let attributes = |from: usize, to: usize| -> Value {
        (from..to)
            .map(|number| (format!("a{number}"), json!(number)))
            .collect()
    };
    identify(&mut client, "u1", attributes(0, 300)).await;
    identify(&mut client, "u1", attributes(299, 302)).await;
    let page = ask(&mut client, "/v1/activities?type=failed_attribute_change").await;
    assert_eq!(
        page["activities"][0]["data"],
        json!({"attributes": ["a300", "a301"]})
    );
}

/// Changes person `u1`, sends them an email and deletes them. Returns the id of the delivery.
async fn live_and_die(client: &mut Client) -> Value {
    for plan in ["free", "pro", "pro"] {
        identify(client, "u1", json!({"plan": plan})).await;
    }
    for (kind, name) in [
        ("event", "paid"),
        ("screen", "Home"),
        ("page", "https://a.co"),
    ] {
        let body = json!({"type": kind, "name": name});
        client
            .call(Method::POST, "/api/v1/customers/u1/events", &body)
            .await;
    }
    let email = r#"{"to":"a@b.co","identifiers":{"id":"u1"},"transactional_message_id":44}"#;
    let sent = client
        .app(Method::POST, "/v1/send/email", email)
        .await
        .json();
    let opened = json!({"delivery_id": sent["delivery_id"], "metric": "opened"});
    client.call(Method::POST, "/api/v1/metrics", &opened).await;
    let object = json!({
        "type": "object", "action": "identify",
        "identifiers": {"object_type_id": "1", "object_id": "acme"},
        "cio_relationships": [{"identifiers": {"id": "u1"}}],
    });
    entity(client, object).await;
    client
        .call(Method::DELETE, "/api/v1/customers/u1", &Value::Null)
        .await;
    sent["delivery_id"].clone()
}

#[tokio::test(start_paused = true)]
async fn the_log_has_what_happened_to_people_objects_and_messages() {
    let mut client = start(builder()).await;
    let delivery = live_and_die(&mut client).await;
    let kinds = async |client: &mut Client, query: &str| -> Vec<String> {
        let all = log(client, query).await;
        all.into_iter().map(|(kind, ..)| kind).collect()
    };
    let expected = "profile_create attribute_change attribute_change event screen page sent_email \
        opened_email _o:1:create _o:1:add_relationship profile_delete";
    let expected: Vec<_> = expected.split_whitespace().collect();
    assert_eq!(kinds(&mut client, "deleted=true").await, expected);
    // Without the deleted person, the object's activities are left.
    assert_eq!(
        kinds(&mut client, "").await,
        ["_o:1:create", "_o:1:add_relationship"]
    );
    let mut first = async |kind: &str| {
        let path = format!("/v1/activities?deleted=true&limit=1&type={kind}");
        ask(&mut client, &path).await["activities"][0].clone()
    };
    let change = first("attribute_change").await;
    assert_eq!(
        change["data"],
        json!({"plan": {"from": "free", "to": "pro"}})
    );
    assert_eq!(change["timestamp"], START);
    assert_eq!(first("page").await["url"], "https://a.co");
    assert_eq!(first("opened_email").await["delivery_id"], delivery);
}

#[tokio::test(start_paused = true)]
async fn pages_of_activities_stay_in_place_while_others_arrive() {
    let mut client = start(builder()).await;
    for _ in 0..25 {
        client
            .call(
                Method::POST,
                "/api/v1/customers/u1/events",
                &json!({"name": "n"}),
            )
            .await;
    }
    let list = "/v1/customers/u1/activities?type=event&start=";
    let (mut seen, mut start) = (Vec::new(), String::new());
    loop {
        let page = ask(&mut client, &format!("{list}{start}")).await;
        let ids = page["activities"].as_array().unwrap().iter();
        seen.extend(ids.map(|activity| activity["id"].clone()));
        client
            .call(
                Method::POST,
                "/api/v1/customers/u1/events",
                &json!({"name": "n"}),
            )
            .await;
        start = page["next"].as_str().unwrap().to_owned();
        if start.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].as_str() > pair[1].as_str()),
        "newest first"
    );
    for query in [
        "limit=0",
        "limit=101",
        "start=x",
        "deleted=x",
        "id_type=x&customer_id=1",
    ] {
        let path = format!("/v1/activities?{query}");
        assert_eq!(
            status(&mut client, Method::GET, &path, "").await,
            400,
            "{query}"
        );
    }
    let unknown = "/v1/customers/u9/activities";
    assert_eq!(status(&mut client, Method::GET, unknown, "").await, 404);
}

#[tokio::test(start_paused = true)]
async fn the_log_has_a_lag_a_retention_and_a_bound() {
    let settings = builder()
        .activities(2)
        .activity_lag(Duration::from_secs(30))
        .activity_retention(Duration::from_secs(60));
    let mut client = start(settings).await;
    for person in ["cio_1", "cio_2", "cio_3"] {
        identify(&mut client, person, json!({})).await;
    }
    assert_eq!(log(&mut client, "").await.len(), 0);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(log(&mut client, "").await.len(), 2);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(log(&mut client, "").await.len(), 0);
}

/// The identifiers of the people of [`three_people`], as the App API shows them.
fn identifiers() -> [Value; 3] {
    [
        json!({"email": "a+b@c.co", "id": "u1", "cio_id": "03000001"}),
        json!({"email": null, "id": "u2", "cio_id": "03000002"}),
        json!({"email": "x@c.co", "id": null, "cio_id": "03000003"}),
    ]
}

async fn three_people() -> Client {
    let mut client = start(builder()).await;
    identify(
        &mut client,
        "u1",
        json!({"email": "a+b@c.co", "plan": "pro", "seats": 3}),
    )
    .await;
    identify(
        &mut client,
        "u2",
        json!({"plan": "free", "unsubscribed": "TRUE"}),
    )
    .await;
    identify(&mut client, "x@c.co", json!({"plan": "pro"})).await;
    let device = json!({"device": {"id": "tok", "platform": "ios", "last_used": 5}});
    client
        .call(Method::PUT, "/api/v1/customers/u1/devices", &device)
        .await;
    client
}

fn pro() -> String {
    let plan = json!({"field": "plan", "operator": "eq", "value": "pro"});
    json!({"filter": {"attribute": plan}}).to_string()
}

const MANY: &str = "/v1/customers/attributes?id_type=id";

#[tokio::test(start_paused = true)]
async fn people_are_found_by_address_and_by_filter() {
    let mut client = three_people().await;
    let [u1, _, x] = identifiers();
    let found = ask(&mut client, "/v1/customers?email=A%2Bb@c.co").await;
    assert_eq!(found, json!({"results": [u1]}));
    // A `+` that is not encoded is a space.
    let found = ask(&mut client, "/v1/customers?email=a+b@c.co").await;
    assert_eq!(found, json!({"results": []}));
    let page = client
        .app(Method::POST, "/v1/customers?limit=1", &pro())
        .await
        .json();
    assert_eq!(
        page,
        json!({"identifiers": [u1], "ids": ["u1"], "next": "03000001"})
    );
    let path = "/v1/customers?limit=1&start=03000001";
    let page = client.app(Method::POST, path, &pro()).await.json();
    assert_eq!(page, json!({"identifiers": [x], "ids": [""], "next": ""}));
}

#[tokio::test(start_paused = true)]
async fn attributes_are_shown_as_texts() {
    let mut client = three_people().await;
    let u1 = json!({
        "id": "u1",
        "identifiers": identifiers()[0],
        "attributes": {
            "id": "u1", "email": "a+b@c.co", "cio_id": "03000001", "plan": "pro", "seats": "3",
        },
        "timestamps": {},
        "unsubscribed": false,
        "devices": [{"id": "tok", "platform": "ios", "last_used": 5}],
    });
    for path in [
        "/v1/customers/u1/attributes",
        "/v1/customers/u1/attributes?id_type=id",
        "/v1/customers/cio_03000001/attributes?id_type=cio_id",
    ] {
        assert_eq!(
            ask(&mut client, path).await,
            json!({"customer": u1}),
            "{path}"
        );
    }
    let body = r#"{"ids":["u1","unknown","u2"]}"#;
    let customers = client.app(Method::POST, MANY, body).await.json();
    assert_eq!(customers["customers"][0], json!({"customer": u1}));
    assert_eq!(customers["customers"][1]["customer"]["unsubscribed"], true);
    assert_eq!(customers["customers"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_question_about_people_is_rejected_with_a_status() {
    let mut client = three_people().await;
    for (method, path, body, expected) in [
        (Method::GET, "/v1/customers", "", 400),
        (Method::POST, "/v1/customers", r#"{"filter":{}}"#, 400),
        (
            Method::POST,
            "/v1/customers?limit=1001",
            pro().as_str(),
            400,
        ),
        (Method::GET, "/v1/customers/u9/attributes", "", 404),
        (Method::GET, "/v1/customers/%FF/attributes", "", 404),
        (
            Method::GET,
            "/v1/customers/03000001/attributes?id_type=cio_id",
            "",
            400,
        ),
        (Method::POST, MANY, r#"{"ids":[]}"#, 400),
        (Method::POST, MANY, r#"{"ids":[1]}"#, 400),
    ] {
        assert_eq!(
            status(&mut client, method, path, body).await,
            expected,
            "{path} {body}"
        );
    }
}

const FILE: &str = "https://a.co/people.csv";

fn import(change: &Value) -> String {
    let mut import = json!({
        "type": "people", "name": "i", "identifier": "id", "data_file_url": FILE,
    });
    import
        .as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    json!({ "import": import }).to_string()
}

#[tokio::test(start_paused = true)]
async fn an_import_has_its_states_and_then_its_effect() {
    let settings = builder()
        .import_file(
            FILE,
            "id,email,plan\nu1,a@b.co,pro\nu2,,free\n,c@d.co,free\n",
        )
        .import_time(Duration::from_secs(10));
    assert!(!format!("{settings:?}").contains("a@b.co"));
    let mut client = start(settings).await;
    let begun = client
        .app(Method::POST, "/v1/imports", &import(&json!({})))
        .await
        .json();
    let begun = &begun["import"];
    assert_eq!(
        (&begun["id"], &begun["state"]),
        (&json!(1), &json!("preprocessing"))
    );
    assert_eq!(begun["people_to_process"], "all");
    let mut states = Vec::new();
    for _ in 0..6 {
        let status = ask(&mut client, "/v1/imports/1").await;
        states.push(text(&status["import"]["state"]));
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    let expected = "preprocessing preprocessed validating validated importing imported";
    assert_eq!(states.join(" "), expected);
    let status = ask(&mut client, "/v1/imports/1").await;
    let status = &status["import"];
    assert_eq!(
        (&status["rows_imported"], &status["error"]),
        (&json!(2), &Value::Null)
    );
    assert_eq!(status["updated_at"], START + 10);
    let u1 = ask(&mut client, "/v1/customers/u1/attributes").await;
    assert_eq!(u1["customer"]["attributes"]["plan"], "pro");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn an_import_fails_without_its_file_and_skips_people_who_are_not_wanted() {
    let settings = builder().import_file(FILE, "id,plan\nu1,pro\nu2,pro\n");
    let mut client = start(settings).await;
    identify(&mut client, "u1", json!({"plan": "free"})).await;
    for (change, state, imported) in [
        (json!({"data_to_process": "only_existing"}), "imported", 1),
        (json!({"data_to_process": "only_new"}), "imported", 1),
        (json!({"type": "event"}), "imported", 2),
        (json!({"identifier": "email"}), "failed", 0),
        (
            json!({"data_file_url": "https://a.co/other.csv"}),
            "failed",
            0,
        ),
    ] {
        let begun = client
            .app(Method::POST, "/v1/imports", &import(&change))
            .await
            .json();
        let path = format!("/v1/imports/{}", begun["import"]["id"]);
        let status = ask(&mut client, &path).await;
        let status = &status["import"];
        let found = (text(&status["state"]), status["rows_imported"].as_u64());
        assert_eq!(found, (state.to_owned(), Some(imported)), "{change}");
        assert_eq!(status["error"].is_null(), state == "imported");
    }
    for (method, path, body, expected) in [
        (Method::POST, "/v1/imports", "{}".to_owned(), 400),
        (
            Method::POST,
            "/v1/imports",
            import(&json!({"type": "x"})),
            400,
        ),
        (Method::GET, "/v1/imports/9", String::new(), 404),
        (Method::GET, "/v1/imports/x", String::new(), 404),
    ] {
        assert_eq!(
            status(&mut client, method, path, &body).await,
            expected,
            "{path} {body}"
        );
    }
}
