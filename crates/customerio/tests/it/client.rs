//! The client over a scripted service, on virtual time.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use customerio::client::{Adaptive, ClientBuilder, Error, Limits, Quota};
use customerio::{
    AnonymousEvent, Attributes, Client, Credentials, Event, Operation, Outcome, Person, Region,
};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, timeout};
use tower::service_fn;

use crate::scripted_service::{NeverReady, OK, Reply, ScriptedService, builder, now, scripted};
use crate::support::{KEY, batch, event_id, person, shown};

const SECOND: Duration = Duration::from_secs(1);

fn event() -> Event {
    Event::new("purchase").unwrap()
}

async fn identify(client: &Client) -> Result<(), Error> {
    client.identify(&person("u1"), &Attributes::new()).await
}

fn lines(service: &ScriptedService) -> Vec<String> {
    service.seen().into_iter().map(|seen| seen.line).collect()
}

#[tokio::test(start_paused = true)]
async fn every_method_sends_its_operation() {
    let (client, service) = scripted([]);
    identify(&client).await.unwrap();
    client.track(&person("u1"), &event()).await.unwrap();
    client.suppress(&person("u1")).await.unwrap();
    client.delete(&person("u1")).await.unwrap();
    let anonymous = AnonymousEvent::new("a1", event()).unwrap();
    client.track_anonymous(&anonymous).await.unwrap();
    let actions: Vec<_> = service
        .seen()
        .iter()
        .map(|seen| seen.body["action"].clone())
        .collect();
    assert_eq!(actions[..4], ["identify", "event", "suppress", "delete"]);
    assert_eq!(
        lines(&service)[3..],
        ["POST /api/v2/entity", "POST /api/v1/events"]
    );
    assert_eq!(client.stats().requests, 5);
    assert_eq!(client.stats().retries, 0);
}

#[tokio::test(start_paused = true)]
async fn requests_that_may_be_replayed_are_retried_after_every_ambiguous_failure() {
    let failures = [
        Reply::Answer(503, ""),
        Reply::Answer(502, "<html>"),
        Reply::Answer(408, ""),
        Reply::Answer(200, "<html>log in</html>"),
        Reply::BreakOff,
        Reply::Long((1 << 20) + 1),
        Reply::Hang,
        Reply::Reset,
    ];
    for failure in failures {
        let (client, service) = scripted([failure]);
        identify(&client).await.unwrap();
        assert_eq!(service.seen().len(), 2);
        assert_eq!((client.stats().requests, client.stats().retries), (2, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_response_within_the_bound_is_read() {
    let (client, service) = scripted([Reply::Long(1 << 20)]);
    identify(&client).await.unwrap();
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_without_an_id_gets_one_before_the_first_attempt() {
    let (client, service) = scripted([Reply::Hang, OK]);
    client.track(&person("u1"), &event()).await.unwrap();
    client.track(&person("u1"), &event()).await.unwrap();
    let ids: Vec<_> = service
        .seen()
        .into_iter()
        .map(|seen| seen.body["id"].clone())
        .collect();
    assert!(
        ids[0].is_string() && ids[0] == ids[1],
        "both attempts carry {}",
        ids[0]
    );
    assert_ne!(ids[1], ids[2]);
}

#[tokio::test(start_paused = true)]
async fn an_id_of_the_caller_is_kept() {
    let (client, service) = scripted([]);
    client
        .track(&person("u1"), &event().id(event_id()))
        .await
        .unwrap();
    let anonymous = AnonymousEvent::new("a1", event().id(event_id())).unwrap();
    client.track_anonymous(&anonymous).await.unwrap();
    assert!(
        service
            .seen()
            .iter()
            .all(|seen| seen.body["id"] == event_id().to_string())
    );
}

#[tokio::test(start_paused = true)]
async fn requests_that_must_not_be_replayed_are_sent_once() {
    for failure in [
        Reply::Answer(500, ""),
        Reply::BreakOff,
        Reply::Hang,
        Reply::Answer(200, ""),
    ] {
        let (client, service) = scripted([failure]);
        let outcomes = client
            .send(Operation::event(&person("u1"), &event()).unwrap())
            .await;
        assert_eq!(shown(&outcomes), "unknown");
        assert_eq!(service.seen().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_429_pauses_every_request() {
    let (client, service) = scripted([Reply::Throttle(2), OK]);
    identify(&client).await.unwrap();
    assert!(service.seen()[1].at >= Duration::from_secs(2));
    assert_eq!((client.stats().throttled, client.stats().retries), (1, 1));
}

const ABSURD: [Reply; 2] = [
    Reply::With(503, &[("retry-after", "99999999999")]),
    Reply::With(
        200,
        &[
            ("date", "Wed, 25 Nov 2026 00:00:30 GMT"),
            ("x-ratelimit-limit", "100000"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "99999999999"),
        ],
    ),
];

#[tokio::test(start_paused = true)]
async fn a_server_pauses_a_call_for_at_most_the_bound() {
    for (absurd, field) in ABSURD
        .into_iter()
        .zip(["Retry-After", "X-RateLimit-Remaining"])
    {
        let service = ScriptedService::new([absurd]);
        let builder = builder().max_server_pause(SECOND * 10);
        let client = builder.build_with(service.clone()).unwrap();
        let began = now();
        assert!(client.server_pause().is_none());
        let first = identify(&client).await;
        assert!(first.is_ok() || first.is_err_and(|error| error.may_have_been_applied()));
        assert_eq!(client.server_pause().unwrap().field.as_deref(), Some(field));
        for _ in 0..4 {
            let error = identify(&client).await.unwrap_err();
            assert!(
                error.is_paused_too_long() && !error.may_have_been_applied(),
                "{error:?}"
            );
        }
        assert!(now() - began <= SECOND * 10);
        assert_eq!(service.seen().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn all_pauses_of_a_call_count_together() {
    for (times, is_accepted) in [(4, true), (5, false)] {
        let replies = (0..times).map(|_| Reply::Throttle(20));
        let builder = builder().max_server_pause(SECOND * 90);
        let client = builder.build_with(ScriptedService::new(replies)).unwrap();
        let result = identify(&client).await;
        assert_eq!(result.is_ok(), is_accepted, "{times}");
        assert!(result.map_or_else(|error| error.is_paused_too_long(), |()| true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_arrived_before_a_pause_is_unknown() {
    let builder = builder().max_server_pause(SECOND * 10).timeout(SECOND);
    let replies = [Reply::Hang, Reply::Throttle(60)];
    let client = builder.build_with(ScriptedService::new(replies)).unwrap();
    let error = identify(&client).await.unwrap_err();
    assert!(error.is_paused_too_long() && error.may_have_been_applied());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_throttled_in_every_attempt_was_not_sent() {
    let (client, _) = scripted([Reply::Throttle(1), Reply::Throttle(1), Reply::Throttle(1)]);
    let error = identify(&client).await.unwrap_err();
    assert!(error.is_throttled() && !error.may_have_been_applied());
    assert_eq!(error.status().unwrap(), 429);
    assert_eq!(client.stats().throttled, 3);
}

#[tokio::test(start_paused = true)]
async fn retry_at_is_a_time_on_the_clock_of_tokio() {
    let (client, _) = scripted([Reply::Throttle(1), Reply::Throttle(1), Reply::Throttle(90)]);
    let error = identify(&client).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(90)));
    let asked = Instant::from_std(error.retry_at().unwrap());
    assert_eq!(asked - now(), Duration::from_secs(90));
    let (client, _) = scripted([Reply::Answer(401, "")]);
    assert_eq!(identify(&client).await.unwrap_err().retry_at(), None);
}

#[tokio::test(start_paused = true)]
async fn a_429_after_a_timeout_may_have_been_applied() {
    let throttle = || Reply::Throttle(1);
    let (client, _) = scripted([Reply::Hang, throttle(), throttle(), throttle()]);
    let error = identify(&client).await.unwrap_err();
    assert!(error.is_throttled() && error.may_have_been_applied());
}

#[tokio::test(start_paused = true)]
async fn the_outcome_is_unknown_after_the_last_retry() {
    let (client, service) = scripted([Reply::Hang, Reply::Hang, Reply::Hang]);
    let error = identify(&client).await.unwrap_err();
    assert!(error.may_have_been_applied() && !error.is_rejected());
    assert_eq!(service.seen().len(), 3);
    let gap = service.seen()[1].at - service.seen()[0].at;
    assert!(
        gap >= Duration::from_secs(10),
        "an attempt is given its time, not {gap:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_timeout_covers_the_attempt_and_not_the_wait_for_a_departure() {
    let second = Duration::from_secs(1);
    let service = ScriptedService::new([Reply::After(second * 3), Reply::After(second * 3)]);
    let client = builder()
        .timeout(second * 4)
        .concurrency(1)
        .build_with(service.clone())
        .unwrap();
    let (first, second) = tokio::join!(identify(&client), identify(&client));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(client.stats().retries, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_keeps_the_servers_text() {
    let (client, service) =
        scripted([Reply::Answer(400, r#"{"errors":[{"message":"no\nname"}]}"#)]);
    let error = identify(&client).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().reason(), r"no\nname");
    assert_eq!(error.invalid_input(), None);
    assert!(error.is_rejected() && !error.may_have_been_applied());
    assert_eq!(error.to_string(), r"rejected with status 400: no\nname");
    assert_eq!(service.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_operation_is_rejected_unsent() {
    let (client, service) = scripted([]);
    let mut attributes = Attributes::new();
    attributes.insert("a", "x".repeat(1_001)).unwrap();
    let error = client
        .identify(&person("u1"), &attributes)
        .await
        .unwrap_err();
    assert!(error.is_rejected() && error.status().is_none());
    let input = error.invalid_input().unwrap();
    assert_eq!(
        (input.field(), input.is_too_large()),
        ("attribute `a`", true)
    );
    assert!(service.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_and_redirects_were_not_sent() {
    let (client, _) = scripted([Reply::Answer(401, "")]);
    let error = identify(&client).await.unwrap_err();
    assert!(error.is_credentials() && !error.may_have_been_applied());
    assert!(!error.is_redirect());
    let (client, service) = scripted([Reply::Redirect(
        "https://track-eu.customer.io/api/v2/entity",
    )]);
    let error = identify(&client).await.unwrap_err();
    assert_eq!(
        (error.is_redirect(), error.region()),
        (true, Some(Region::Eu))
    );
    let advice = error.to_string();
    assert!(advice.contains("set the region to `eu`"), "{advice}");
    assert_eq!(service.seen().len(), 1, "redirects are not followed");
}

#[tokio::test(start_paused = true)]
async fn an_event_without_an_id_gets_one_from_track_and_is_sent_once_by_submit() {
    let ids = |service: &ScriptedService| -> Vec<_> {
        let seen = service.seen().into_iter();
        seen.map(|seen| seen.body["id"].clone()).collect()
    };
    let (client, service) = scripted([Reply::Reset, OK]);
    client.track(&person("u1"), &event()).await.unwrap();
    let sent = ids(&service);
    assert!(sent.len() == 2 && sent[0].is_string() && sent[0] == sent[1]);
    let (client, service) = scripted([Reply::Reset, OK]);
    let operation = Operation::event(&person("u1"), &event()).unwrap();
    let error = client.submit(operation).await.unwrap_err();
    assert!(error.may_have_been_applied());
    assert_eq!(ids(&service), [serde_json::Value::Null]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_check_keeps_status_and_request_id() {
    async fn check(body: &str, region: Option<Region>) {
        let body = body.to_owned();
        let client = builder().build_with(service_fn(move |_| {
            let answer = Response::builder().header("x-request-id", "r1");
            ready(answer.body(body.clone()))
        }));
        let error = client.unwrap().check().await.unwrap_err();
        assert_eq!(error.region(), region, "{error:?}");
        assert_eq!(error.is_redirect(), region.is_some(), "{error:?}");
        assert_eq!(error.status(), Some(StatusCode::OK), "{error:?}");
        assert_eq!(error.request_id(), Some("r1"), "{error:?}");
    }
    check("{}", None).await;
    check(r#"{"region":"moon"}"#, None).await;
    check(r#"{"region":"eu"}"#, Some(Region::Eu)).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_halved_until_the_rejected_operation_is_alone() {
    let (client, service) = scripted([
        Reply::Answer(400, "no"),
        OK,
        Reply::Answer(400, "no"),
        OK,
        Reply::Answer(400, "no"),
    ]);
    let outcomes = client.send(batch(&["a", "b", "c", "d"])).await;
    assert_eq!(shown(&outcomes), "accepted accepted accepted rejected(no)");
    assert_eq!(service.seen().len(), 5);
}

/// A client of a service that responds with 500 to each request with the person `u7` if `breaks`
/// returns true, and with a success to the rest, after a delay.
fn failing_for_one_person(breaks: impl Fn() -> bool + Clone + Send + Sync + 'static) -> Client {
    let service = service_fn(move |request: http::Request<Full<Bytes>>| {
        let breaks = breaks.clone();
        async move {
            let Ok(body) = request.into_body().collect().await;
            let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
            tokio::time::sleep(SECOND / 20).await;
            let status = match body.contains(r#""id":"u7""#) && breaks() {
                true => 500,
                false => 200,
            };
            Ok::<_, Infallible>(
                Response::builder()
                    .status(status)
                    .body(String::from("{}"))
                    .unwrap(),
            )
        }
    });
    builder().build_with(service).unwrap()
}

/// Sends four batches of ten at once. Repeats the other three while the first is in flight.
async fn forty(client: &Client) -> Vec<Outcome> {
    let batch_of = |tens: usize| {
        let ids: Vec<_> = (0..10)
            .map(|ones| format!("u{}", tens * 10 + ones))
            .collect();
        batch(&ids.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let others = async {
        let mut outcomes = Vec::new();
        for tens in 1..4 {
            outcomes.extend(client.send(batch_of(tens)).await);
            tokio::time::sleep(SECOND).await;
        }
        outcomes
    };
    let (mut first, others) = tokio::join!(client.send(batch_of(0)), others);
    first.extend(others);
    first
}

#[tokio::test(start_paused = true)]
async fn the_operation_that_makes_the_server_fail_is_found_while_others_succeed() {
    let client = failing_for_one_person(|| true);
    let outcomes = forty(&client).await;
    let accepted = outcomes.iter().filter(|outcome| outcome.is_accepted());
    assert_eq!((accepted.count(), outcomes.len()), (39, 40));
    assert!(outcomes[7].is_unknown());
}

#[tokio::test(start_paused = true)]
async fn only_an_operation_that_makes_the_server_fail_at_times_may_be_unknown() {
    for percent in [1, 30, 90] {
        for seed in 0..20 {
            let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
            let client =
                failing_for_one_person(move || rng.lock().unwrap().random_range(0..100) < percent);
            for (position, outcome) in forty(&client).await.iter().enumerate() {
                assert!(
                    outcome.is_accepted() || position == 7,
                    "{percent} {seed}: {outcome:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_for_every_request_is_sent_no_halves() {
    let service = ScriptedService::new((0..1_000).map(|_| Reply::Answer(500, "")));
    let client = builder().build_with(service.clone()).unwrap();
    let (first, second) = (batch(&["a", "b"]), batch(&["c", "d"]));
    let (first, second) = tokio::join!(client.send(first), client.send(second));
    assert_eq!(shown(&first), "unknown unknown");
    assert_eq!(shown(&second), "unknown unknown");
    for seen in service.seen() {
        assert_eq!(seen.body["batch"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_207_is_resent_one_by_one() {
    let (client, service) = scripted([Reply::Answer(207, "<html>")]);
    assert_eq!(
        shown(&client.send(batch(&["a", "b"])).await),
        "accepted accepted"
    );
    let entity = "POST /api/v2/entity";
    assert_eq!(lines(&service), ["POST /api/v2/batch", entity, entity]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_batch_sends_nothing() {
    let (client, service) = scripted([]);
    assert!(client.send(batch(&[])).await.is_empty());
    assert!(service.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn clients_of_one_limits_value_share_it() {
    let limits = Limits::documented().ingress(Quota::per_second(10));
    let service = ScriptedService::new([]);
    let client = || {
        builder()
            .limits(limits.clone())
            .build_with(service.clone())
            .unwrap()
    };
    let (first, second) = (client(), client());
    for _ in 0..20 {
        identify(&first).await.unwrap();
        identify(&second).await.unwrap();
    }
    let seen = service.seen();
    let within = |start: usize| seen[start + 10].at - seen[start].at >= Duration::from_secs(1);
    assert!((0..30).all(within), "eleven requests in a second: {seen:?}");
}

/// Sends batches of `size` operations for ten seconds, and returns the number of batches that
/// departed in the busiest second.
async fn busiest_second(limits: Limits, size: usize) -> usize {
    let service = ScriptedService::new([]);
    let client = builder()
        .limits(limits)
        .build_with(service.clone())
        .unwrap();
    let started = now();
    while now() - started < Duration::from_secs(10) {
        client.send(batch(&vec!["a"; size])).await;
    }
    let seen = service.seen();
    let within = |start: Duration| move |at: Duration| at >= start && at - start < SECOND;
    let in_second = |start| seen.iter().filter(|seen| within(start)(seen.at)).count();
    seen.iter().map(|seen| in_second(seen.at)).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn requests_and_operations_have_limits_in_one_rate_limiter() {
    let limits = || {
        let limits = Limits::documented().ingress(Quota::per_second(20));
        limits.records(Quota::per_second(100))
    };
    for (size, most, least) in [(1, 20, 16), (5, 20, 16), (20, 5, 3), (50, 2, 1)] {
        let requests = busiest_second(limits(), size).await;
        assert!((least..=most).contains(&requests), "{requests} of {size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_over_the_limit_of_operations_still_departs() {
    let limits = Limits::documented().records(Quota::per_second(2));
    assert_eq!(busiest_second(limits, 5).await, 1);
}

/// Sends three requests at once with a limit of one per second. The second departs after 2.3 s, the
/// third after 4.5 s.
async fn rejected_of_three(builder: ClientBuilder) -> Vec<bool> {
    let limits = Limits::documented().ingress(Quota::per_second(1));
    let service = ScriptedService::new([]);
    let client = builder.limits(limits).build_with(service.clone()).unwrap();
    let (first, second, third) =
        tokio::join!(identify(&client), identify(&client), identify(&client));
    let results = [first, second, third];
    let rejected = results.iter().filter_map(|sent| sent.as_ref().err());
    assert!(rejected.clone().all(|error| !error.may_have_been_applied()));
    assert_eq!(service.seen().len() + rejected.count(), 3);
    let rejected = |sent: &Result<(), Error>| sent.as_ref().is_err_and(Error::is_wait_rejected);
    results.iter().map(rejected).collect()
}

#[tokio::test(start_paused = true)]
async fn waits_are_bounded_by_time_and_by_number() {
    let check = async |builder: ClientBuilder, expected: [bool; 3]| {
        assert_eq!(rejected_of_three(builder).await, expected);
    };
    check(builder(), [false; 3]).await;
    check(builder().max_wait(SECOND * 60), [false; 3]).await;
    check(builder().max_wait(SECOND * 3), [false, false, true]).await;
    check(builder().max_queued(2), [false, false, true]).await;
    check(builder().max_queued(1), [false, true, true]).await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_wait_is_not_retried_and_a_failure_with_bounds_is() {
    let service = ScriptedService::new([Reply::Reset]);
    let client = builder().max_wait(SECOND * 60).build_with(service.clone());
    identify(&client.unwrap()).await.unwrap();
    assert_eq!(service.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_retry_count_is_sent_if_enabled() {
    for (builder, expected) in [
        (builder().send_retry_count(), [None, Some("1")]),
        (builder(), [None, None]),
    ] {
        let service = ScriptedService::new([Reply::Reset]);
        let client = builder.build_with(service.clone()).unwrap();
        identify(&client).await.unwrap();
        let counts = service.seen().into_iter().map(|seen| seen.retry_count);
        assert!(counts.eq(expected.map(|count| count.map(str::to_owned))));
    }
}

#[tokio::test(start_paused = true)]
async fn concurrency_can_be_adaptive() {
    let builder = builder().adaptive_concurrency(Adaptive::between(1, 4));
    let client = builder.build_with(ScriptedService::new([])).unwrap();
    identify(&client).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_counted_by_operation() {
    let (client, _) = scripted([
        Reply::Answer(207, r#"{"errors":[{"batch_index":1,"message":"no"}]}"#),
        Reply::Answer(401, ""),
        Reply::Reset,
    ]);
    client.send(batch(&["a", "b", "c"])).await;
    client.send(batch(&["a", "b"])).await;
    let lost = Operation::merge(&person("1"), &person("2")).unwrap();
    client.send(lost).await;
    let stats = client.stats();
    assert_eq!((stats.accepted, stats.rejected), (2, 1));
    assert_eq!((stats.unknown, stats.not_sent), (1, 2));
    assert_eq!(stats.requests, 3);
}

#[tokio::test(start_paused = true)]
async fn the_limit_shows_the_number_of_queued_requests() {
    let limits = Limits::documented().ingress(Quota::per_second(1));
    let client = builder()
        .limits(limits)
        .build_with(ScriptedService::new([]))
        .unwrap();
    identify(&client).await.unwrap();
    let waiting = identify(&client);
    assert!(timeout(Duration::from_millis(100), waiting).await.is_err());
    let state = client.limit();
    assert_eq!((state.counters.departed, state.quota.limit()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn concurrency_bounds_the_requests_in_flight() {
    let second = Duration::from_secs(1);
    let service = ScriptedService::new([Reply::After(second), Reply::After(second)]);
    let client = builder()
        .concurrency(1)
        .build_with(service.clone())
        .unwrap();
    let (first, second_) = tokio::join!(identify(&client), identify(&client));
    assert!(first.is_ok() && second_.is_ok());
    assert!(service.seen()[1].at - service.seen()[0].at >= second);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_gets_no_request() {
    let client = builder().build_with(NeverReady).unwrap();
    let waited = timeout(Duration::from_secs(60), identify(&client)).await;
    assert!(waited.is_err());
    assert_eq!(client.stats().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn with_service_keeps_limits_and_statistics() {
    let (client, first) = scripted([]);
    let other = ScriptedService::new([]);
    let moved = client.with_service(other.clone());
    identify(&client).await.unwrap();
    identify(&moved).await.unwrap();
    assert_eq!((first.seen().len(), other.seen().len()), (1, 1));
    assert_eq!(client.stats(), moved.stats());
    assert_eq!(client.stats().requests, 2);
}

/// A program may build a client without a runtime, as in a `static` or before `main` starts one.
#[test]
fn building_needs_no_runtime() {
    assert!(builder().region(Region::Eu).build().is_ok());
    assert!(builder().base_url("http://localhost:1").build().is_ok());
}

#[test]
fn settings_that_cannot_work_are_errors_with_their_names() {
    let check = |builder: ClientBuilder, field| {
        let error = builder.build().unwrap_err();
        assert_eq!(error.invalid_input().unwrap().field(), field, "{error}");
    };
    check(Client::builder(), "credentials");
    check(builder().concurrency(0), "concurrency");
    check(builder().timeout(Duration::ZERO), "timeout");
    check(builder().connect_timeout(Duration::ZERO), "connect timeout");
    check(builder().deadline(Duration::ZERO), "deadline");
    for idle in [0, 999, 32_768_000] {
        check(
            builder().tcp_keepalive(Duration::from_millis(idle)),
            "TCP keep-alive",
        );
    }
    check(builder().base_url("http://example.com"), "base URL");
    check(builder().base_url("example.com"), "base URL");
}

#[tokio::test(start_paused = true)]
async fn extreme_settings_are_accepted() {
    let longest = || builder().timeout(Duration::MAX).deadline(Duration::MAX);
    let longest = || {
        longest()
            .max_wait(Duration::MAX)
            .max_queued(usize::MAX)
            .concurrency(usize::MAX)
    };
    let client = longest().build_with(ScriptedService::new([])).unwrap();
    identify(&client).await.unwrap();
    identify(&client.with_deadline(Duration::MAX))
        .await
        .unwrap();
    let connecting = longest()
        .connect_timeout(Duration::MAX)
        .base_url("http://127.0.0.1:1");
    let error = identify(&connecting.build().unwrap()).await.unwrap_err();
    assert!(!error.may_have_been_applied(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn neither_the_key_nor_a_persons_data_is_printed() {
    let person = Person::id("jane-doe").unwrap();
    let (client, _) = scripted([Reply::Reset, Reply::Reset, Reply::Reset]);
    let error = client.delete(&person).await.unwrap_err();
    let source = error.cause().unwrap();
    let outcome = Outcome::from(Person::id("").unwrap_err());
    let builder = builder().credentials(Credentials::new("site", KEY).unwrap());
    let printed =
        format!("{client:?} {error:?} {error} {source:?} {source} {outcome:?} {builder:?}");
    for hidden in [KEY, "c2l0ZTp0b3Atc2VjcmV0", "dG9wLXNlY3JldA", "jane-doe"] {
        assert!(!printed.contains(hidden), "{hidden} is in {printed}");
    }
}

#[test]
fn clients_and_their_futures_are_send() {
    fn check<T: Clone + Send + Sync>(_: &T) {}
    fn check_future<T: Send>(_: T) {}
    let client = builder().base_url("http://localhost:1").build().unwrap();
    check(&client);
    check_future(identify(&client));
    check_future(client.send(batch(&["a"])));
}
