//! The rate limit: the departures, the slots, and the gate after a throttled response.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderValue, Request};
use tokio::task::JoinSet;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt};
use tower_pace::{Cost, Error, Quota, RateLimit, RateLimitLayer};
use tower_test::mock;

use crate::support::{Server, get, millis, now, status, status_with_retry_after};

/// The interval of a limit of 100 per second with a jitter ceiling of 100 ms:
/// `(1,001.5 + 100 + 2) / 99` ms.
const INTERVAL: Duration = Duration::from_nanos(11_146_465);

async fn send_all(service: &RateLimit<Server>, requests: usize) {
    let mut tasks = JoinSet::new();
    for _ in 0..requests {
        tasks.spawn(service.clone().oneshot(get()));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
}

fn gaps(server: &Server) -> Vec<Duration> {
    server
        .calls()
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .collect()
}

fn layer() -> RateLimitLayer {
    RateLimitLayer::new(Quota::per_second(100))
}

#[tokio::test(start_paused = true)]
async fn the_first_request_waits_one_interval_and_the_others_are_spaced() {
    let (server, start) = (Server::ok(), now());
    send_all(&layer().layer(server.clone()), 20).await;
    let calls = server.calls();
    assert!(calls[0] - start >= INTERVAL);
    for (n, call) in calls.iter().enumerate() {
        let slot = INTERVAL * (n as u32 + 1);
        let late = (*call - start).saturating_sub(slot);
        assert!(*call - start >= slot && late <= millis(1), "departure {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_reserves_nothing() {
    let server = Server::ok();
    let mut idle = layer().layer(server.clone());
    for _ in 0..1_000 {
        let ready = ServiceExt::<Request<String>>::ready(&mut idle).await;
        assert!(ready.is_ok());
    }
    let start = now();
    send_all(&idle, 1).await;
    assert!(server.calls()[0] - start < 2 * INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn clones_of_the_layer_and_the_service_share_the_limit() {
    let server = Server::ok();
    let layer = layer();
    let (one, other) = (
        layer.clone().layer(server.clone()),
        layer.layer(server.clone()),
    );
    let clone = one.clone();
    tokio::join!(
        send_all(&one, 10),
        send_all(&other, 10),
        send_all(&clone, 10)
    );
    assert!(gaps(&server).iter().all(|gap| *gap >= INTERVAL - millis(1)));
}

#[tokio::test(start_paused = true)]
async fn two_layers_share_nothing() {
    let (one, other) = (Server::ok(), Server::ok());
    let start = now();
    tokio::join!(
        async { send_all(&layer().layer(one.clone()), 10).await },
        async { send_all(&layer().layer(other.clone()), 10).await },
    );
    assert!(now() - start < 11 * INTERVAL);
}

/// A fixed window of 10/s lets 19 calls through within 20 ms at its boundary.
#[tokio::test(start_paused = true)]
async fn no_burst_at_a_window_boundary() {
    let server = Server::ok();
    let service = RateLimitLayer::new(Quota::per_second(10)).layer(server.clone());
    tokio::time::sleep(millis(990)).await;
    send_all(&service, 60).await;
    let calls = server.calls();
    assert!(
        calls
            .windows(11)
            .all(|window| window[10] - window[0] > millis(1_000))
    );
}

#[tokio::test(start_paused = true)]
async fn counted_until_answered_holds_each_slot_until_its_answer() {
    let server = Server::new(Duration::from_secs(10), |_| status(200));
    let quota = Quota::per_second(5).counted_until_answered();
    let service = RateLimitLayer::new(quota).layer(server.clone());
    send_all(&service, 11).await;
    let calls = server.calls();
    let window = Quota::per_second(5).counted_window();
    for n in 5..calls.len() {
        assert!(
            calls[n] - calls[n - 5] >= Duration::from_secs(10) + window,
            "departure {n}"
        );
    }
}

/// A limit of 10 per second and answers after 2 s: 49 % of the limit is used, and 78 % where
/// requests arrive within 250 ms.
#[tokio::test(start_paused = true)]
async fn slow_answers_hold_slots_no_longer_than_the_transit() {
    let ten = Quota::per_second(10);
    for (quota, least) in [(ten, 0.49), (ten.max_transit(millis(250)), 0.78)] {
        let server = Server::new(Duration::from_secs(2), |_| status(200));
        let service = RateLimitLayer::new(quota).layer(server.clone());
        send_all(&service, 300).await;
        let calls = server.calls();
        let elapsed = (calls[299] - calls[99]).as_secs_f64();
        let share = 200.0 / elapsed / 10.0;
        assert!(share >= least, "{share} of {quota:?}");
    }
}

/// Thirty quick answers, then three requests that hang.
#[tokio::test(start_paused = true)]
async fn unanswered_requests_stop_no_other() {
    let bucket = pacing::Model::TokenBucket {
        size: 1,
        refill: 10,
    };
    for model in [pacing::Model::Unknown, pacing::Model::SlidingLog, bucket] {
        let quota = Quota::per_second(10).model(model).unwrap();
        let layer = RateLimitLayer::new(quota);
        send_all(&layer.layer(Server::new(millis(5), |_| status(200))), 30).await;
        let silent = layer.layer(Server::new(Duration::from_secs(86_400), |_| status(200)));
        let _unanswered: Vec<_> = (0..3)
            .map(|_| tokio::spawn(silent.clone().oneshot(get())))
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let start = now();
        layer.layer(Server::ok()).oneshot(get()).await.unwrap();
        assert!(now() - start <= Duration::from_secs(2), "{model:?}");
    }
}

/// A timeout of 50 ms below the limiter, on a path that is blocked for 900 ms every 5 s. The answer
/// of the timeout does not show that the server has counted the request.
#[tokio::test(start_paused = true)]
async fn no_answer_of_a_timeout_or_a_gateway_releases_a_slot() {
    for status in [
        408, 499, 502, 503, 504, 520, 521, 522, 523, 524, 530, 598, 599,
    ] {
        let worst = busiest_second_behind_timeouts(status).await;
        assert!((50..=100).contains(&worst), "{status}: {worst}");
    }
}

async fn busiest_second_behind_timeouts(timed_out: u16) -> usize {
    let (arrived, start) = (Arc::new(Mutex::new(Vec::new())), now());
    let seen = Arc::clone(&arrived);
    let server = tower::service_fn(move |_: Request<String>| {
        let (seen, since) = (Arc::clone(&seen), now() - start);
        let phase = since.as_millis() as u64 % 5_000;
        let transit = match phase {
            3_000..3_900 => 3_900 - phase,
            _ => 5,
        };
        async move {
            let arrives = tokio::spawn(async move {
                tokio::time::sleep(millis(transit)).await;
                seen.lock().unwrap().push(now() - start);
            });
            let answered = tokio::time::timeout(millis(50), arrives).await;
            let status = answered.map_or(timed_out, |_| 200);
            Ok::<_, Infallible>(self::status(status))
        }
    });
    let service = RateLimitLayer::new(Quota::per_second(100)).layer(server);
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let service = service.clone();
        callers.spawn(async move {
            while now() - start < Duration::from_secs(30) {
                service.clone().oneshot(get()).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    let arrived = arrived.lock().unwrap();
    let after = |first: usize| {
        let end = arrived[first] + Duration::from_secs(1);
        arrived[first..].iter().take_while(|&&at| at < end).count()
    };
    (0..arrived.len()).map(after).max().unwrap()
}

/// The server states that five requests remain, and five requests provably are not sent.
#[tokio::test(start_paused = true)]
async fn unsent_requests_use_up_nothing_of_the_stated_remainder() {
    let first = Arc::new(AtomicBool::new(true));
    let server = tower::service_fn(move |request: Request<String>| {
        let is_first = first.swap(false, Ordering::Relaxed);
        async move {
            if is_first {
                let mut response = status(200);
                let stated = HeaderValue::from_static("limit=100, remaining=5, reset=3600");
                response.headers_mut().insert("ratelimit", stated);
                return Ok::<_, Error<Infallible>>(response);
            }
            let rejecting = RateLimitLayer::new(Quota::per_second(1)).fail_fast();
            rejecting.handle().pause();
            rejecting.layer(Server::ok()).oneshot(request).await
        }
    });
    let layer = RateLimitLayer::new(Quota::per_second(100));
    let service = layer.layer(server);
    service.clone().oneshot(get()).await.unwrap();
    for _ in 0..5 {
        service.clone().oneshot(get()).await.unwrap_err();
    }
    let seen = layer.handle().snapshot();
    assert_eq!((seen.gate, seen.counters.unsent), (None, 5));
}

#[tokio::test(start_paused = true)]
async fn a_429_closes_the_gate_for_its_retry_after_and_lowers_the_rate() {
    let server = Server::new(millis(5), |n| match n {
        10 => status_with_retry_after(429, 2),
        _ => status(200),
    });
    send_all(&layer().layer(server.clone()), 60).await;
    let (calls, gaps) = (server.calls(), gaps(&server));
    let answered = calls[10] + millis(5);
    // At a latency of 5 ms, one request at most is in flight when the 429 arrives.
    let resumed = calls
        .iter()
        .position(|call| *call >= answered + millis(1))
        .unwrap();
    assert!(resumed <= 12);
    let pause = calls[resumed] - answered;
    assert!(
        pause >= Duration::from_secs(2) && pause <= millis(2_002),
        "{pause:?}"
    );
    let mean = gaps[resumed..].iter().sum::<Duration>() / (gaps.len() - resumed) as u32;
    let ratio = INTERVAL.as_secs_f64() / mean.as_secs_f64();
    assert!((0.79..0.81).contains(&ratio), "{ratio}");
}

#[tokio::test(start_paused = true)]
async fn a_503_closes_the_gate_only_with_a_retry_after() {
    for (reply, expected) in [
        (status_with_retry_after(503, 3), millis(3_000)),
        (status(503), millis(0)),
    ] {
        let server = Server::new(
            millis(0),
            move |n| if n == 0 { reply.clone() } else { status(200) },
        );
        send_all(&layer().layer(server.clone()), 2).await;
        let gap = gaps(&server)[0];
        assert!(
            gap >= expected && gap <= expected + INTERVAL + millis(1),
            "{gap:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_do_not_concern_the_limit_change_nothing() {
    for failure in [500, 502, 504, 408] {
        let server = Server::new(millis(5), move |n| {
            status(if n % 3 == 0 { failure } else { 200 })
        });
        send_all(&layer().layer(server.clone()), 50).await;
        assert!(
            gaps(&server).iter().all(|gap| *gap <= INTERVAL + millis(1)),
            "{failure}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_and_a_reset_change_nothing() {
    let (mock, mut handle) = mock::pair::<Request<String>, http::Response<String>>();
    let service = layer().layer(mock);
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        tasks.spawn(tokio::time::timeout(
            millis(5),
            service.clone().oneshot(get()),
        ));
    }
    let mut calls = Vec::new();
    tasks.spawn(tokio::time::timeout(
        millis(1),
        service.clone().oneshot(get()),
    ));
    handle.allow(1_000);
    let mut healthy = JoinSet::new();
    for _ in 0..20 {
        healthy.spawn(service.clone().oneshot(get()));
    }
    for n in 0..20 {
        let (_, reply) = handle.next_request().await.unwrap();
        calls.push(now());
        match n % 2 {
            0 => reply.send_error("connection reset"),
            _ => reply.send_response(status(200)),
        }
    }
    assert!(
        calls
            .windows(2)
            .all(|pair| pair[1] - pair[0] <= INTERVAL + millis(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_after_its_departure_keeps_the_slot() {
    let server = Server::new(Duration::from_secs(60), |_| status(200));
    let service = RateLimitLayer::new(Quota::per_second(1)).layer(server.clone());
    let dropped = tokio::time::timeout(millis(200), service.clone().oneshot(get())).await;
    assert!(dropped.is_err());
    let _second = tokio::time::timeout(Duration::from_secs(10), service.oneshot(get())).await;
    let gap = gaps(&server)[0];
    // Dropped at 200 ms: one second of transit and one counted window follow.
    assert!(gap >= millis(2_000), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_never_polled_uses_up_no_departure() {
    let server = Server::ok();
    let mut service = layer().layer(server.clone());
    let unpolled: Vec<_> = (0..100).map(|_| service.call(get())).collect();
    drop(unpolled);
    let start = now();
    send_all(&service, 1).await;
    assert!(now() - start < 2 * INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn a_429_with_a_retry_after_of_zero_closes_the_gate_for_a_window() {
    let server = Server::new(millis(0), |n| match n {
        0 => status_with_retry_after(429, 0),
        _ => status(200),
    });
    send_all(&layer().layer(server.clone()), 2).await;
    assert!(gaps(&server)[0] >= millis(1_100));
}

/// A light request behind a heavy one could depart at once if it were first. Its timer must not
/// replace the wake-up of the heavy request by an answer.
#[tokio::test(start_paused = true)]
async fn an_answer_wakes_a_heavy_request_though_a_light_one_is_behind_it() {
    let quota = Quota::new(2, millis(20)).unwrap();
    let layer = RateLimitLayer::new(quota.jitter_ceiling(millis(1)));
    let slow = Server::new(Duration::from_secs(10), |_| status(200));
    let unanswered = tokio::spawn(layer.layer(slow).oneshot(get()));
    tokio::time::sleep(millis(9_970)).await;
    let server = Server::ok();
    let mut heavy = get();
    heavy.extensions_mut().insert(Cost::of(2));
    let heavy = tokio::spawn(layer.layer(server.clone()).oneshot(heavy));
    tokio::time::sleep(millis(5)).await;
    let light = tokio::spawn(layer.layer(server.clone()).oneshot(get()));
    unanswered.await.unwrap().unwrap();
    let answered = now();
    heavy.await.unwrap().unwrap();
    assert!(
        now() - answered <= quota.counted_window() + millis(1),
        "{:?}",
        now() - answered
    );
    light.await.unwrap().unwrap();
}

/// tower's `ConcurrencyLimit` hands its permit to its first waiter: a queued request must not keep
/// it while the gate is closed.
#[tokio::test(start_paused = true)]
async fn the_readiness_of_the_inner_service_is_released_while_the_gate_is_closed() {
    let server = Server::new(millis(100), |n| match n {
        0 => status_with_retry_after(429, 60),
        _ => status(200),
    });
    let inner = ConcurrencyLimit::new(server, 1);
    let limited = RateLimitLayer::new(Quota::per_second(100)).layer(inner.clone());
    let throttled = tokio::spawn(limited.clone().oneshot(get()));
    tokio::time::sleep(millis(50)).await;
    let _waiting = tokio::spawn(limited.oneshot(get()));
    throttled.await.unwrap().unwrap();
    let start = now();
    inner.oneshot(get()).await.unwrap();
    assert!(now() - start <= millis(101), "{:?}", now() - start);
}
