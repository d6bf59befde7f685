//! Connections that die unnoticed, or on which no response comes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use customerio::Client;
use customerio::client::{ClientBuilder, RetryPolicy};

use crate::connections::{head, length, roots};
use crate::http2::{Peer, listen};
use crate::scripted_service::builder;
use crate::support::{batch, identify};

const ATTEMPT: Duration = Duration::from_millis(700);

fn secured(port: u16) -> ClientBuilder {
    let builder = builder().base_url(format!("https://localhost:{port}"));
    builder.only_roots(roots()).timeout(ATTEMPT)
}

/// Answers the first request of the first connection, and all of every other one.
fn once_then_never(number: usize, peer: &mut Peer) -> std::io::Result<()> {
    if number > 0 {
        return peer.answer_all();
    }
    let stream = peer.request()?;
    peer.answer(stream)?;
    peer.stay_silent()
}

#[tokio::test]
async fn a_connection_that_dies_after_one_response_costs_one_attempt() {
    let (port, connections) = listen(once_then_never);
    let client = secured(port).build().unwrap();
    for _ in 0..40 {
        client.submit(identify("u1")).await.unwrap();
    }
    let stats = client.stats();
    assert_eq!((stats.accepted, stats.retries), (40, 1));
    assert_eq!(connections.load(SeqCst), 2);
}

#[tokio::test]
async fn requests_that_share_a_dead_connection_lose_one_attempt_each() {
    let (port, _) = listen(once_then_never);
    // As the import has it: the budget allows 30 retries at once.
    let retry = RetryPolicy::default().without_budget();
    let client = secured(port).retry(retry).build().unwrap();
    client.submit(identify("u1")).await.unwrap();
    let calls: Vec<_> = (0..39)
        .map(|_| {
            let client: Client = client.clone();
            tokio::spawn(async move { client.send(batch(&["u1"])).await })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap()[0].is_accepted());
    }
    let stats = client.stats();
    assert_eq!(stats.accepted, 40);
    assert!(stats.retries <= 39, "{stats:?}");
}

#[tokio::test]
async fn after_a_deadline_no_request_uses_the_dead_connection() {
    let (port, connections) = listen(once_then_never);
    let client = secured(port)
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    client.submit(identify("u1")).await.unwrap();
    let hurried = client.with_deadline(ATTEMPT);
    let error = hurried.submit(identify("u1")).await.unwrap_err();
    assert!(error.is_deadline() && error.may_have_been_applied());
    client.submit(identify("u1")).await.unwrap();
    assert_eq!(connections.load(SeqCst), 2);
}

#[tokio::test]
async fn an_idle_connection_without_an_answer_to_a_ping_is_closed() {
    let (closed, wait) = mpsc::channel();
    let (port, connections) = listen(move |number, peer| {
        let end = once_then_never(number, peer);
        // Nobody listens to the end of the second one.
        let _ = closed.send(number);
        end
    });
    let ping = Duration::from_millis(100);
    let client = secured(port).http2_ping(ping).build().unwrap();
    client.submit(identify("u1")).await.unwrap();
    let first = tokio::task::spawn_blocking(move || wait.recv().unwrap());
    assert_eq!(first.await.unwrap(), 0);
    client.submit(identify("u1")).await.unwrap();
    assert_eq!((client.stats().retries, connections.load(SeqCst)), (0, 2));
}

#[tokio::test]
async fn a_dead_connection_of_http_1_costs_one_attempt_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            thread::spawn(move || -> std::io::Result<()> {
                let mut answered = 0;
                loop {
                    let head = head(&mut stream)?;
                    stream.read_exact(&mut vec![0; length(&head)])?;
                    if number > 0 || answered == 0 {
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")?;
                    }
                    answered += 1;
                }
            });
        }
    });
    let builder = builder().base_url(format!("http://127.0.0.1:{port}"));
    let client = builder.timeout(ATTEMPT).build().unwrap();
    for _ in 0..40 {
        client.submit(identify("u1")).await.unwrap();
    }
    assert_eq!((client.stats().accepted, client.stats().retries), (40, 1));
}
