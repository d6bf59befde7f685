//! The memory that responses of a malicious length take.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use customerio::{Attributes, Batch, Client, Credentials, Operation, Person, Request};
use http::Response;
use http_body::{Body, Frame};
use tower::service_fn;

use crate::{counted, runtime};

const MEBIBYTE: u64 = 1 << 20;
const PIECE: usize = 64 * 1024;

/// A body of a head and a number of equal pieces. Each piece is copied, as from a socket.
#[derive(Clone)]
struct Repeated {
    head: Bytes,
    piece: Bytes,
    left: usize,
}

impl Repeated {
    /// Begins with `head`, and then repeats `text` for `bytes` bytes.
    fn new(head: &'static str, text: &str, bytes: usize) -> Self {
        Self {
            head: Bytes::from_static(head.as_bytes()),
            piece: text.repeat(PIECE / text.len()).into(),
            left: bytes / PIECE,
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        let head = std::mem::take(&mut self.head);
        if !head.is_empty() {
            return Some(head);
        }
        self.left = self.left.checked_sub(1)?;
        Some(Bytes::copy_from_slice(&self.piece))
    }
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(Frame::data).map(Ok))
    }
}

/// Returns the peak memory of one request whose response has this status and body.
fn peak(status: u16, body: &Repeated) -> u64 {
    let body = body.clone();
    let api = service_fn(move |_| {
        let response = Response::builder().status(status);
        ready(response.body(body.clone()))
    });
    let credentials = Credentials::new("site", "key").unwrap();
    let client = Client::builder().credentials(credentials);
    let client = client.build_with(api).unwrap();
    let identify = identify();
    let runtime = runtime();
    let counted = counted(|| {
        runtime
            .block_on(client.submit(identify.clone()))
            .unwrap_err()
    });
    counted.bytes_max
}

fn check(name: &str, body: &Repeated, at_least: u64, at_most: u64) {
    for status in [200, 400, 503] {
        let peak = peak(status, body);
        println!("| {name}, status {status} | {peak} bytes |");
        assert!(
            (at_least..at_most).contains(&peak),
            "{status}: {peak} bytes"
        );
    }
}

#[test]
fn a_response_of_a_gigabyte_takes_little_more_than_the_mebibyte_that_is_read() {
    let body = Repeated::new("{", " ", 1 << 30);
    check("a gigabyte", &body, MEBIBYTE, MEBIBYTE + MEBIBYTE / 4);
}

/// Each zero takes two bytes of the body, and many bytes as a value in memory.
#[test]
fn a_response_of_a_mebibyte_of_dense_json_takes_less_than_four_mebibytes() {
    let body = Repeated::new("{\"errors\":[", "0,", (1 << 20) - PIECE);
    check("dense JSON", &body, MEBIBYTE, 4 * MEBIBYTE);
}

fn identify() -> Operation {
    Operation::identify(&Person::id("1").unwrap(), &Attributes::new()).unwrap()
}

fn batch() -> Request {
    let mut batch = Batch::new();
    for _ in 0..1_000 {
        batch.push(identify()).unwrap();
    }
    batch.into()
}

/// Settles requests by a response of a mebibyte that repeats `item`. Compares the memory that this
/// takes in addition to the response.
#[track_caller]
fn check_settling(item: &str, at_most: u64) {
    let items = item.repeat((1 << 20) / item.len());
    let body = Bytes::from(format!("{{\"errors\":[{}]}}", items.trim_end_matches(',')));
    for request in [identify().into(), batch()] {
        for status in [200, 207, 400, 503] {
            let response = Response::builder()
                .status(status)
                .body(body.clone())
                .unwrap();
            let settled = counted(|| request.clone().settle(&response));
            println!(
                "| settling {item}, status {status} | {} bytes |",
                settled.bytes_max
            );
            assert!(
                settled.bytes_max < at_most,
                "{status}: {} bytes",
                settled.bytes_max
            );
        }
    }
}

#[test]
fn settling_by_a_mebibyte_of_json_takes_no_more_than_another_mebibyte() {
    for item in [
        "0,",
        "[],",
        "{},",
        "\"\",",
        "\"\\u0000\",",
        "{\"batch_index\":1},",
    ] {
        check_settling(item, MEBIBYTE);
    }
}
