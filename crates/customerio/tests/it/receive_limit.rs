//! The bound on bytes that a server sends without being asked.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use customerio::client::{ClientBuilder, RetryPolicy};

use crate::connections::{head, length, printed, roots};
use crate::http2::{HEADERS, PING, Peer, SETTINGS, listen};
use crate::scripted_service::builder;
use crate::support::identify;

/// More than an idle connection may receive, and little enough for a short test.
const MAX_SENT: usize = 64 << 20;

fn with_long_timeout(builder: ClientBuilder) -> ClientBuilder {
    // The limit ends the connection, not the timeout.
    builder.only_roots(roots()).timeout(Duration::from_secs(60))
}

/// Sends frames until the connection ends. Returns how many bytes that took.
fn send_frames(peer: &mut Peer, kind: u8, stream: u32, payload: &[u8]) -> usize {
    let mut sent = 0;
    let flags = if kind == HEADERS { 4 } else { 0 };
    while sent < MAX_SENT && peer.write(kind, flags, stream, payload).is_ok() {
        sent += 9 + payload.len();
    }
    sent
}

async fn received(channel: Receiver<usize>) -> usize {
    let receive = move || channel.recv().unwrap();
    tokio::task::spawn_blocking(receive).await.unwrap()
}

#[tokio::test]
async fn endless_control_frames_end_an_idle_connection() {
    for kind in [PING, SETTINGS] {
        let payload: &[u8] = if kind == PING { &[0; 8] } else { &[] };
        let (sender, sent_bytes) = mpsc::channel();
        let (port, connections) = listen(move |number, peer| {
            if number > 0 {
                return peer.answer_all();
            }
            let stream = peer.request()?;
            peer.answer(stream)?;
            let sent = send_frames(peer, kind, 0, payload);
            sender.send(sent).map_err(io::Error::other)
        });
        let builder = with_long_timeout(builder().base_url(format!("https://localhost:{port}")));
        let client = builder.build().unwrap();
        client.submit(identify("u1")).await.unwrap();
        let sent = received(sent_bytes).await;
        assert!(sent < MAX_SENT, "{sent} bytes of frames {kind}");
        client.submit(identify("u1")).await.unwrap();
        assert_eq!((client.stats().retries, connections.load(SeqCst)), (0, 2));
    }
}

#[tokio::test]
async fn endless_interim_responses_end_the_connection_of_http_2() {
    let (port, _) = listen(move |number, peer| {
        let stream = peer.request()?;
        if number > 0 {
            peer.answer(stream)?;
            return peer.answer_all();
        }
        // `:status: 103` as a literal of HPACK without indexing, and nothing else.
        send_frames(peer, HEADERS, stream, b"\x08\x03103");
        Ok(())
    });
    let builder = with_long_timeout(builder().base_url(format!("https://localhost:{port}")));
    let client = builder.build().unwrap();
    client.submit(identify("u1")).await.unwrap();
    assert_eq!(client.stats().retries, 1);
}

#[tokio::test]
async fn endless_interim_responses_end_the_connection_of_http_1() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || -> io::Result<()> {
        let mut stream = listener.accept()?.0;
        let head = head(&mut stream)?;
        stream.read_exact(&mut vec![0; length(&head)])?;
        loop {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")?;
        }
    });
    let builder = builder().base_url(format!("http://127.0.0.1:{port}"));
    let once = RetryPolicy::default().attempts(1);
    let client = with_long_timeout(builder).retry(once).build().unwrap();
    let error = client.submit(identify("u1")).await.unwrap_err();
    let printed = printed(&error);
    assert!(error.may_have_been_applied(), "{printed}");
    assert!(printed.contains("more than it was asked for"), "{printed}");
}
