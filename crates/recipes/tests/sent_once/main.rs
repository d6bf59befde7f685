//! A POST through the layers and the clients of the docs, over sockets of the loopback.
//!
//! If the connection cannot be made, it is sent again and its slot is free. If the connection or
//! the stream is reset after the server has read the request, it is sent once and keeps its slot.
//! `SEEDS=10000` runs more cases than 1,000 of each kind for each client.

mod clients;
mod server;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::ServiceExt;

use clients::{Addresses, Client};
use server::Server;

/// How many cases at a time. More would only queue for the cores.
const CONCURRENT: u64 = 8;

fn post(server: &Server, path: &str) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://api.test:{}{path}", server.port()));
    request.body(Full::from("once")).unwrap()
}

/// The first one to three connections are refused. The policy allows four attempts, and the limit
/// one request an hour.
async fn check_refused_connection(
    server: &Server,
    client: fn(Addresses, u16) -> Client,
    seed: u64,
) {
    let refused = 1 + seed % 3;
    let client = client(Addresses::refusing_first(refused), server.port());
    let path = format!("/connect/{seed}");
    let response = client.stack.oneshot(post(server, &path)).await;
    assert_eq!(response, Ok(StatusCode::OK), "seed {seed}");
    assert_eq!(server.requests(&path), 1, "seed {seed}");
    let counters = client.limit.snapshot().counters;
    assert_eq!(
        (counters.unsent, counters.departed),
        (refused, refused + 1),
        "seed {seed}"
    );
}

async fn check_reset(server: &Server, client: fn(Addresses, u16) -> Client, seed: u64) {
    let client = client(Addresses::refusing_first(0), server.port());
    let path = format!("/reset/{seed}");
    let response = client.stack.oneshot(post(server, &path)).await;
    assert!(response.is_err(), "seed {seed}: {response:?}");
    assert_eq!(server.requests(&path), 1, "seed {seed}");
    let snapshot = client.limit.snapshot();
    assert_eq!(snapshot.counters.unsent, 0, "seed {seed}");
    assert_eq!(snapshot.counted, 1, "seed {seed}: the slot stays held");
}

async fn check(server: Server, client: fn(Addresses, u16) -> Client) {
    let seeds = std::env::var("SEEDS").map_or(1_000, |seeds| seeds.parse().unwrap());
    let server = &server;
    let cases = (0..CONCURRENT).map(|first| async move {
        for seed in (first..seeds).step_by(CONCURRENT as usize) {
            check_refused_connection(server, client, seed).await;
            check_reset(server, client, seed).await;
        }
    });
    futures_util::future::join_all(cases).await;
}

#[tokio::test]
async fn a_post_of_reqwest_is_sent_once() {
    check(Server::http1().await, clients::reqwest).await;
}

/// The server refuses the first stream, which proves that it processed nothing.
#[tokio::test]
async fn a_post_of_reqwest_whose_stream_was_refused_is_sent_again() {
    let server = Server::http2().await;
    let client = clients::reqwest_over_http2(Addresses::refusing_first(0));
    let response = client.stack.oneshot(post(&server, "/refuse")).await;
    assert_eq!(response, Ok(StatusCode::OK));
    assert_eq!(server.requests("/refuse"), 2);
    assert_eq!(client.limit.snapshot().counters.unsent, 1);
}

#[tokio::test]
async fn a_post_of_tonic_is_sent_once() {
    check(Server::http2().await, clients::tonic).await;
}

#[tokio::test]
async fn a_post_of_a_pool_is_sent_once() {
    check(Server::http2().await, clients::pool).await;
}

#[tokio::test]
async fn a_post_of_a_client_with_a_boxed_error_is_sent_once() {
    check(Server::http1().await, clients::boxed).await;
}
