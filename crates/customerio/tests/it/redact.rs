//! The credentials are redacted in everything that comes from a server.

use customerio::{Credentials, Outcome};

use crate::scripted_service::{Reply, ScriptedService, builder, scripted};
use crate::support::{identify, shown};

async fn check(status: u16, body: &'static str, expected: &str) {
    let (client, _) = scripted([Reply::Answer(status, body)]);
    assert_eq!(shown(&client.send(identify("a")).await), expected, "{body}");
}

#[tokio::test(start_paused = true)]
async fn credentials_are_redacted_in_a_rejection() {
    check(
        400,
        r#"{"meta":{"error":"key top-secret is wrong"}}"#,
        "rejected(key [redacted] is wrong)",
    )
    .await;
    check(
        404,
        "<pre>authorization: Basic c2l0ZTp0b3Atc2VjcmV0</pre>",
        "rejected(<pre>authorization: Basic [redacted]</pre>)",
    )
    .await;
    check(
        400,
        r#"{"top\u002dsecret":["top-secret"]}"#,
        r#"rejected({"[redacted]":["[redacted]"]})"#,
    )
    .await;
    check(
        200,
        r#"{"errors":[{"message":"no top-secret"}]}"#,
        "rejected(no [redacted])",
    )
    .await;
}

/// A page that escapes `=` for HTML shows the rest of the pair as it is.
#[tokio::test(start_paused = true)]
async fn the_pair_is_redacted_without_its_padding() {
    let page = "<pre>Basic c2l0ZTpwYXNzLXdvcmQ&#x3D;</pre>";
    let credentials = Credentials::new("site", "pass-word").unwrap();
    let service = ScriptedService::new([
        Reply::Answer(404, page),
        Reply::Answer(404, "c2l0ZTpwYXNzLXdvcmQ="),
    ]);
    let client = builder()
        .credentials(credentials)
        .build_with(service)
        .unwrap();
    let outcomes = client.send(identify("a")).await;
    assert_eq!(
        shown(&outcomes),
        "rejected(<pre>Basic [redacted]&#x3D;</pre>)"
    );
    let outcomes = client.send(identify("a")).await;
    assert_eq!(shown(&outcomes), "rejected([redacted]=)");
}

#[tokio::test(start_paused = true)]
async fn credentials_are_redacted_behind_a_string_that_is_not_unicode() {
    let body = r#"{"first":"\ud800","errors":["no top-secret"]}"#;
    let (client, _) = scripted([Reply::Answer(400, body)]);
    let said = shown(&client.send(identify("a")).await);
    assert!(
        said.contains("no [redacted]") && !said.contains("top-secret"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn short_credentials_are_not_redacted() {
    check(
        400,
        r#"{"errors":["no such site"]}"#,
        "rejected(no such site)",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_are_redacted_in_a_cause() {
    let (client, _) = scripted([Reply::Answer(403, r#"{"meta":{"error":"not top-secret"}}"#)]);
    let outcomes = client.send(identify("a")).await;
    let [Outcome::NotSent(cause)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    let said = format!("{cause} {cause:?}");
    assert!(
        said.contains("not [redacted]") && !said.contains("top-secret"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_half_of_a_secret_stays_at_the_end_of_the_text() {
    let filler: &'static str = "x".repeat(995).leak();
    let body: &'static str = format!("{filler}top-secret").leak();
    check(404, body, &format!("rejected({filler}[reda)")).await;
}

#[tokio::test(start_paused = true)]
async fn an_id_with_the_credentials_is_dropped() {
    async fn check(id: &'static str, expected: Option<&str>) {
        let (client, _) = scripted([Reply::Named(400, id)]);
        let error = client.submit(identify("a")).await.unwrap_err();
        assert_eq!(error.request_id(), expected, "{id}");
    }
    check("req-1", Some("req-1")).await;
    check("top-secret", None).await;
    let (client, _) = scripted((0..9).map(|_| Reply::Named(200, "top-secret")));
    let error = client.submit(identify("a")).await.unwrap_err();
    assert!(
        error.may_have_been_applied() && error.request_id().is_none(),
        "{error:?}"
    );
    check("basic-c2l0ZTp0b3Atc2VjcmV0", None).await;
}
