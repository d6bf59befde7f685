//! What a server says never repeats the credentials.

use customerio::Outcome;

use crate::script::{Reply, scripted};
use crate::support::{identify, shown};

async fn check(status: u16, body: &'static str, expected: &str) {
    let (client, _) = scripted([Reply::Answer(status, body)]);
    assert_eq!(shown(&client.send(identify("a")).await), expected, "{body}");
}

#[tokio::test(start_paused = true)]
async fn credentials_are_hidden_in_a_rejection() {
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

#[tokio::test(start_paused = true)]
async fn short_credentials_are_words_like_others() {
    check(
        400,
        r#"{"errors":["no such site"]}"#,
        "rejected(no such site)",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn credentials_are_hidden_in_a_cause() {
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
async fn no_half_of_a_secret_stays_where_the_words_end() {
    let filler: &'static str = "x".repeat(995).leak();
    let body: &'static str = format!("{filler}top-secret").leak();
    check(404, body, &format!("rejected({filler}[reda)")).await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_repeats_the_credentials_is_left_out() {
    async fn check(id: &'static str, expected: Option<&str>) {
        let (client, _) = scripted([Reply::Named(400, id)]);
        let error = client.submit(identify("a")).await.unwrap_err();
        assert_eq!(error.request_id(), expected, "{id}");
    }
    check("req-1", Some("req-1")).await;
    check("top-secret", None).await;
    check("basic-c2l0ZTp0b3Atc2VjcmV0", None).await;
}
