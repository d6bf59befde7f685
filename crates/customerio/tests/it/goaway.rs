//! The debug data of an HTTP/2 GOAWAY never shows the credentials.

use customerio::client::RetryPolicy;

use crate::connections::{printed, roots};
use crate::http2::{GOAWAY, listen};
use crate::scripted_service::builder;
use crate::support::{KEY, identify};

const PAIR: &str = "c2l0ZTp0b3Atc2VjcmV0";

/// Closes each connection at its first request, with these words.
async fn said(last_stream: u32, words: &[u8]) -> String {
    let mut payload = last_stream.to_be_bytes().to_vec();
    // ENHANCE_YOUR_CALM
    payload.extend([0, 0, 0, 11]);
    payload.extend(words);
    let (port, _) = listen(move |_, peer| {
        peer.request()?;
        peer.write(GOAWAY, 0, 0, &payload)
    });
    let client = builder()
        .base_url(format!("https://localhost:{port}"))
        .only_roots(roots())
        .retry(RetryPolicy::default().attempts(2))
        .build()
        .unwrap();
    let error = client.submit(identify("u1")).await.unwrap_err();
    printed(&error)
}

#[tokio::test]
async fn debug_data_of_a_goaway_is_redacted_escaped_and_bounded() {
    for last_stream in [0, 1] {
        let words = format!("authorization: Basic {PAIR}= key {KEY} \u{1b}[2J");
        let said = said(last_stream, words.as_bytes()).await;
        for hidden in [KEY, PAIR, "\u{1b}"] {
            assert!(!said.contains(hidden), "{hidden:?} is in {said}");
        }
        // The second GOAWAY does not reject the request; it ends with the connection.
        assert!(said.contains("[redacted]") || last_stream == 1, "{said}");
    }
}

#[tokio::test]
async fn debug_data_of_a_goaway_is_bounded_and_no_half_of_a_secret_stays() {
    let mut words = vec![b'x'; 990];
    words.extend(KEY.as_bytes());
    words.extend([b'y'; 10_000]);
    let said = said(0, &words).await;
    assert!(said.contains("xxx") && !said.contains("top-"), "{said}");
    assert!(said.len() < 10_000, "{}", said.len());
}
