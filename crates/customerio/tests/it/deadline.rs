//! A call ends at its deadline, and its error says whether a request may have arrived.

use std::time::Duration;

use customerio::client::{Error, Limits, Quota};
use customerio::{Client, Outcome};

use crate::scripted_service::{OK, Reply, ScriptedService, builder, now};
use crate::support::{batch, identify, shown};

const SECOND: Duration = Duration::from_secs(1);

fn client(
    deadline: Duration,
    replies: impl IntoIterator<Item = Reply>,
) -> (Client, ScriptedService) {
    let service = ScriptedService::new(replies);
    let limits = Limits::documented().ingress(Quota::per_second(1));
    let builder = builder().limits(limits).deadline(deadline);
    (builder.build_with(service.clone()).unwrap(), service)
}

async fn late(client: &Client, deadline: Duration) -> Error {
    let started = now();
    let error = client.submit(identify("a")).await.unwrap_err();
    assert!(now() - started <= deadline, "{:?}", now() - started);
    error
}

#[tokio::test(start_paused = true)]
async fn a_request_in_flight_at_the_deadline_may_have_been_applied() {
    let (client, service) = client(SECOND * 3, [Reply::Hang]);
    let error = late(&client, SECOND * 3).await;
    assert!(error.is_deadline() && error.may_have_been_applied());
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_queued_request_was_not_sent_at_the_deadline() {
    let (client, service) = client(SECOND, [OK]);
    client.submit(identify("a")).await.unwrap();
    let error = late(&client, SECOND).await;
    assert!(error.is_deadline() && !error.may_have_been_applied());
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_attempt_before_the_deadline_is_remembered() {
    let (client, service) = client(SECOND * 2, [Reply::Answer(503, "")]);
    let error = late(&client, SECOND * 2).await;
    assert!(error.may_have_been_applied(), "{error:?}");
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_batch_have_one_deadline() {
    let rejected = Reply::Answer(400, "no");
    let (client, service) = client(SECOND * 4, [rejected, OK]);
    let outcomes = client.send(batch(&["a", "b"])).await;
    assert_eq!(shown(&outcomes), "accepted not_sent");
    assert!(matches!(&outcomes[1], Outcome::NotSent(cause) if cause.is_deadline()));
    assert_eq!(service.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn single_calls_have_a_deadline_of_their_own() {
    let (client, service) = client(SECOND, [Reply::After(SECOND * 3), Reply::Hang]);
    let patient = client.with_deadline(SECOND * 60);
    patient.submit(identify("a")).await.unwrap();
    assert!(late(&client, SECOND).await.is_deadline());
    assert_eq!(service.seen().len(), 1);
    assert_eq!(client.stats(), patient.stats());
}

#[tokio::test(start_paused = true)]
async fn with_bounded_waits_a_departure_after_the_deadline_is_rejected_at_once() {
    let service = ScriptedService::new([]);
    let limits = Limits::documented().ingress(Quota::per_second(1));
    let builder = builder().limits(limits).max_wait(SECOND * 60);
    let client = builder.build_with(service.clone()).unwrap();
    client.submit(identify("a")).await.unwrap();
    let hurried = client.with_deadline(SECOND);
    let error = late(&hurried, Duration::ZERO).await;
    assert!(error.is_wait_rejected() && !error.may_have_been_applied());
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_zero_sends_nothing() {
    let (client, service) = client(SECOND, []);
    let error = late(&client.with_deadline(Duration::ZERO), Duration::ZERO).await;
    assert!(error.is_deadline() && !error.may_have_been_applied());
    assert!(service.seen().is_empty());
}

/// A departure is due, so only the deadline keeps the requests from being sent.
#[tokio::test(start_paused = true)]
async fn a_deadline_of_zero_sends_nothing_even_without_a_wait() {
    let (client, service) = client(SECOND * 60, [OK]);
    client.send(identify("a")).await;
    tokio::time::sleep(SECOND * 10).await;
    let late_client = client.with_deadline(Duration::ZERO);
    assert!(late(&late_client, Duration::ZERO).await.is_deadline());
    assert!(late_client.check().await.unwrap_err().is_deadline());
    assert_eq!(service.seen().len(), 1);
}
