//! A request that must not be sent twice, to a server that reads it and then breaks the connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tower::{ServiceBuilder, ServiceExt};
use tower_pace::{ConcurrencyLayer, Quota, RateLimitLayer, RetryLayer, RetryPolicy};

use crate::support::{Dial, client};

const RUNS: u64 = 1_000;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server that refuses some connections, and then reads whole requests and breaks off.
#[derive(Clone, Copy, Debug)]
struct FailingServer {
    /// The number of refused connections.
    refused: u32,
    /// The time from reading a request until the connection breaks.
    work: Duration,
    /// The number of bytes of the response that it writes before it breaks off.
    answered: usize,
}

impl FailingServer {
    fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        Self {
            refused: rng.random_range(0..4),
            work: Duration::from_millis(rng.random_range(0..50)),
            // Less than the head. With a whole head there would be a response.
            answered: rng.random_range(0..38),
        }
    }

    fn dial(self, received: &Arc<AtomicU32>) -> Dial {
        let (dials, received) = (AtomicU32::new(0), Arc::clone(received));
        Dial::new(move || {
            if dials.fetch_add(1, Ordering::SeqCst) < self.refused {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            let (near, far) = tokio::io::duplex(1_024);
            tokio::spawn(self.serve(far, Arc::clone(&received)));
            Ok(near)
        })
    }

    async fn serve(self, mut far: DuplexStream, received: Arc<AtomicU32>) -> io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"once") {
            far.read_buf(&mut request).await?;
        }
        received.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.work).await;
        far.write_all(&ANSWER[..self.answered]).await
    }
}

/// Sends a POST through the whole stack. Returns the number of times it arrived, and whether it
/// failed.
async fn post(server: FailingServer, seed: u64) -> (u32, bool) {
    let received = Arc::new(AtomicU32::new(0));
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()).seed(seed))
        .layer(RateLimitLayer::new(Quota::per_second(100)))
        .layer(ConcurrencyLayer::new(4))
        .service(client(server.dial(&received)));
    let request = Request::post("http://server/")
        .body(Full::new(Bytes::from_static(b"once")))
        .expect("a request");
    let failed = client.oneshot(request).await.is_err();
    (received.load(Ordering::SeqCst), failed)
}

#[test]
fn an_unreplayable_request_arrives_once_and_is_retried_only_if_it_was_not_sent() {
    let mut retried = 0;
    for seed in 0..RUNS {
        let server = FailingServer::draw(seed);
        let (received, failed) = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
            .block_on(post(server, seed));
        assert_eq!((received, failed), (1, true), "seed {seed}: {server:?}");
        retried += u64::from(server.refused > 0);
    }
    assert!(
        retried > RUNS / 2,
        "{retried} runs began with a refused connection"
    );
}
