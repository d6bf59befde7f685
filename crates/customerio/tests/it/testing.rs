//! The clients of the module `testing`.

use std::time::Duration;

use customerio::testing::{self, Reply};
use customerio::{Event, Person, v1};
use http::StatusCode;

use crate::support::{batch, identify, person, shown};

#[tokio::test(start_paused = true)]
async fn a_recording_client_accepts_everything_and_records_it() {
    let (client, calls) = testing::recorded();
    client.submit(identify("u1")).await.unwrap();
    let email = [Person::email("a@b.co").unwrap()];
    client
        .submit(v1::add_to_segment(7, &email).unwrap())
        .await
        .unwrap();
    assert!(client.check().await.is_ok());
    let lines: Vec<_> = calls
        .all()
        .iter()
        .map(|call| format!("{} {}", call.method(), call.path()))
        .collect();
    assert_eq!(
        lines,
        [
            "POST /api/v2/entity",
            "POST /api/v1/segments/7/add_customers?id_type=email",
            "GET /api/v1/accounts/region"
        ]
    );
    assert_eq!(calls.all()[0].json()["identifiers"]["id"], "u1");
    assert!(calls.all()[2].json().is_null());
}

#[tokio::test(start_paused = true)]
async fn a_scripted_client_gets_its_replies_in_order() {
    let replies = [
        Reply::throttled(2),
        Reply::accepted(),
        Reply::rejected("no"),
        Reply::lost(),
        Reply::status(StatusCode::UNAUTHORIZED, ""),
    ];
    let (client, calls) = testing::scripted(replies);
    assert_eq!(shown(&client.send(identify("1")).await), "accepted");
    assert_eq!(shown(&client.send(identify("2")).await), "rejected(no)");
    let merge = client.merge(&person("1"), &person("2")).await.unwrap_err();
    assert!(merge.may_have_been_applied());
    let rejected = client.submit(identify("3")).await.unwrap_err();
    assert!(rejected.is_credentials());
    assert_eq!(shown(&client.send(batch(&["4"])).await), "accepted");
    assert_eq!((calls.count(), client.stats().throttled), (6, 1));
}

#[tokio::test(start_paused = true)]
async fn a_test_sees_the_retry_time_of_an_error() {
    let (client, _) = testing::scripted((0..1_000).map(|_| Reply::throttled(7)));
    let event = Event::new("e").unwrap();
    let error = client.track(&person("1"), &event).await.unwrap_err();
    assert!(error.is_throttled());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}
