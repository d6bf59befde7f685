//! One limit per key, in a bounded number.

use std::time::Duration;

use http::Request;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_pace::rate::Keyed;
use tower_pace::{Handle, Quota, RateLimitLayer};

use crate::support::{Server, millis, now, status, status_with_retry_after};

fn by_path(request: &Request<String>) -> String {
    request.uri().path().into()
}

type ByPath = fn(&Request<String>) -> String;

fn layer() -> RateLimitLayer<tower_pace::wait::UnboundedWait, Keyed<String, ByPath>> {
    RateLimitLayer::keyed(Quota::per_second(10), by_path as ByPath)
}

fn to(path: &str) -> Request<String> {
    Request::get(path).body(String::new()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_limit_of_its_own_and_clones_share_it() {
    let layer = layer();
    let services = [layer.layer(Server::ok()), layer.clone().layer(Server::ok())];
    let (mut tasks, start) = (JoinSet::new(), now());
    for path in ["/a", "/b", "/c"] {
        for n in 0..10 {
            tasks.spawn(services[n % 2].clone().oneshot(to(path)));
        }
    }
    tasks.join_all().await;
    let spacing = Quota::per_second(10).spacing();
    let elapsed = now() - start;
    assert!(
        elapsed >= spacing * 9 && elapsed <= spacing * 11,
        "{elapsed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_throttled_response_closes_the_gate_of_its_key_only() {
    let layer = layer();
    let server = Server::new(millis(0), |n| match n {
        0 => status_with_retry_after(429, 60),
        _ => status(200),
    });
    let service = layer.layer(server);
    service.clone().oneshot(to("/a")).await.unwrap();
    let start = now();
    service.oneshot(to("/b")).await.unwrap();
    assert!(now() - start < Duration::from_secs(1));
    let gate = |key: &str| layer.handle_of(&key.into()).unwrap().snapshot().gate;
    assert!(gate("/a").is_some() && gate("/b").is_none());
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_idle_key_is_evicted() {
    let layer = layer().max_keys(2);
    let service = layer.layer(Server::ok());
    for path in ["/a", "/b", "/a"] {
        service.clone().oneshot(to(path)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    service.clone().oneshot(to("/c")).await.unwrap();
    let known = |key: &str| layer.handle_of(&key.into()).is_some();
    assert!(known("/a") && known("/c") && !known("/b"));
}

/// A handle changed the quota: a new limit in its place would have the configured one.
#[tokio::test(start_paused = true)]
async fn max_keys_of_a_clone_leaves_the_original_unchanged() {
    let layer = layer();
    let bounded = layer.clone().max_keys(0);
    for layer in [&layer, &bounded] {
        layer.layer(Server::ok()).oneshot(to("/a")).await.unwrap();
    }
    assert!(layer.handle_of(&"/a".into()).is_some());
    assert!(bounded.handle_of(&"/a".into()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_key_with_its_own_quota_is_not_evicted() {
    let quota = Quota::per_second(2);
    let set: [fn(&Handle, Quota); 2] = [Handle::learn, Handle::set_quota];
    for set in set {
        let layer = layer().max_keys(1);
        let service = layer.layer(Server::ok());
        service.clone().oneshot(to("/a")).await.unwrap();
        let handle = layer.handle_of(&"/a".into()).unwrap();
        set(&handle, quota);
        drop(handle);
        tokio::time::sleep(Duration::from_secs(60)).await;
        service.clone().oneshot(to("/b")).await.unwrap();
        let handle = layer
            .handle_of(&"/a".into())
            .expect("the key was not evicted");
        assert_eq!(handle.snapshot().quota, quota);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stated_limit_of_a_key_is_kept_for_a_minute() {
    let layer = layer().max_keys(1);
    let server = Server::new(millis(0), |_| {
        let mut response = status(200);
        let policy = "\"a\";q=5;w=1".parse().unwrap();
        response.headers_mut().insert("ratelimit-policy", policy);
        response
    });
    let service = layer.layer(server);
    service.clone().oneshot(to("/a")).await.unwrap();
    for (seconds, is_known) in [(10, true), (51, false)] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        service.clone().oneshot(to("/b")).await.unwrap();
        assert_eq!(layer.handle_of(&"/a".into()).is_some(), is_known);
    }
}

/// "/a" still holds a slot, and the gate of "/b" is closed.
#[tokio::test(start_paused = true)]
async fn further_keys_share_one_limit_while_all_keys_are_in_use() {
    let layer = layer().max_keys(2);
    let server = Server::new(millis(0), |n| match n {
        0 => status_with_retry_after(429, 60),
        _ => status(200),
    });
    let service = layer.layer(server.clone());
    service.clone().oneshot(to("/b")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    service.clone().oneshot(to("/a")).await.unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..5 {
        tasks.spawn(service.clone().oneshot(to(&format!("/{n}"))));
    }
    tasks.join_all().await;
    let known = |key: &str| layer.handle_of(&key.into()).is_some();
    assert!(known("/a") && known("/b") && !known("/0"));
    let calls = server.calls();
    let spacing = Quota::per_second(10).spacing();
    assert!(calls[6] - calls[2] >= spacing * 4 - millis(2));
}
