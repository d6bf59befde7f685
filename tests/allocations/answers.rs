//! Answers of a malicious length: what reading them takes of memory.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use customerio::{Attributes, Client, Credentials, Operation, Person};
use http::Response;
use http_body::{Body, Frame};
use tower::service_fn;

use crate::{counted, runtime};

const MEBIBYTE: u64 = 1 << 20;
const PIECE: usize = 64 * 1024;

/// A body of a head and so many equal pieces, each of which is copied as if it came off a socket.
#[derive(Clone)]
struct Repeated {
    head: Bytes,
    piece: Bytes,
    left: usize,
}

impl Repeated {
    /// Begins with `head`, and repeats `text` for so many bytes.
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

/// The most memory that is in use at once while a request is answered so.
fn peak(status: u16, body: &Repeated) -> u64 {
    let body = body.clone();
    let api = service_fn(move |_| {
        let response = Response::builder().status(status);
        ready(response.body(body.clone()))
    });
    let credentials = Credentials::new("site", "key").unwrap();
    let client = Client::builder().credentials(credentials);
    let client = client.build_with(api).unwrap();
    let identify = Operation::identify(&Person::id("1").unwrap(), &Attributes::new()).unwrap();
    let runtime = runtime();
    let answered = counted(|| {
        runtime
            .block_on(client.submit(identify.clone()))
            .unwrap_err()
    });
    answered.bytes_max
}

fn check(what: &str, body: &Repeated, at_least: u64, at_most: u64) {
    for status in [200, 400, 503] {
        let peak = peak(status, body);
        println!("| {what}, status {status} | {peak} bytes |");
        assert!(
            (at_least..at_most).contains(&peak),
            "{status}: {peak} bytes"
        );
    }
}

#[test]
fn an_answer_of_a_gigabyte_takes_little_more_than_the_mebibyte_that_is_read_of_it() {
    let body = Repeated::new("{", " ", 1 << 30);
    check("a gigabyte", &body, MEBIBYTE, MEBIBYTE + MEBIBYTE / 4);
}

/// Each zero takes two bytes of the body, and a value of many in memory.
#[test]
fn an_answer_of_a_mebibyte_of_the_densest_json_takes_32_mebibytes_at_most() {
    let body = Repeated::new("{\"errors\":[", "0,", (1 << 20) - PIECE);
    check("dense JSON", &body, MEBIBYTE, 32 * MEBIBYTE);
}
