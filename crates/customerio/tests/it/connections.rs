//! Real connections on the loopback: TLS with a root of the tests, direct and through a proxy.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use customerio::client::{ClientBuilder, Error, Proxy, RetryPolicy, RootCertificates};
use rustls::{ServerConnection, StreamOwned};

use crate::http2::{ROOT, tls};
use crate::scripted_service::builder;
use crate::support::{KEY, identify};

/// Gives the one connection that it accepts to `speak`, in a thread of its own.
fn listen<T: Send + 'static>(
    speak: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (
        address,
        thread::spawn(move || speak(listener.accept().unwrap().0)),
    )
}

/// Reads up to the end of a head.
pub(crate) fn head(stream: &mut impl Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

/// Returns the length of the body, from the head of the request.
pub(crate) fn length(head: &str) -> usize {
    let length = head.split("content-length: ").nth(1).unwrap();
    length.split("\r\n").next().unwrap().parse().unwrap()
}

/// Answers one request over TLS, and returns its head.
fn answer(stream: TcpStream) -> std::io::Result<String> {
    let mut stream = StreamOwned::new(ServerConnection::new(tls()).unwrap(), stream);
    let head = head(&mut stream)?;
    stream.read_exact(&mut vec![0; length(&head)])?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(head)
}

fn once() -> ClientBuilder {
    builder().retry(RetryPolicy::default().attempts(1))
}

pub(crate) fn roots() -> RootCertificates {
    RootCertificates::from_pem(ROOT).unwrap()
}

async fn send(builder: ClientBuilder) -> Result<(), Error> {
    builder.build().unwrap().submit(identify("u1")).await
}

pub(crate) fn printed(error: &Error) -> String {
    let mut printed = format!("{error} {error:?}");
    let mut source = error.cause().and_then(std::error::Error::source);
    while let Some(cause) = source {
        printed += &format!(": {cause} {cause:?}");
        source = cause.source();
    }
    printed
}

#[tokio::test]
async fn roots_of_the_caller_are_trusted_with_or_without_the_platforms() {
    type Trust = fn(ClientBuilder, RootCertificates) -> ClientBuilder;
    for trust in [
        ClientBuilder::only_roots as Trust,
        ClientBuilder::extra_roots,
    ] {
        let (server, heard) = listen(answer);
        let builder = once().base_url(format!("https://localhost:{}", server.port()));
        send(trust(builder, roots())).await.unwrap();
        let head = heard.join().unwrap().unwrap();
        assert!(
            head.starts_with("POST /api/v2/entity HTTP/1.1\r\n"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_of_an_unknown_authority() {
    let (server, heard) = listen(answer);
    let builder = once().base_url(format!("https://localhost:{}", server.port()));
    let error = send(builder).await.unwrap_err();
    assert!(!error.may_have_been_applied(), "{error:?}");
    let printed = printed(&error);
    assert!(printed.contains("UnknownIssuer"), "{printed}");
    assert!(printed.contains("add it with `extra_roots`"), "{printed}");
    assert!(heard.join().unwrap().is_err());
}

#[tokio::test]
async fn a_proxy_sees_the_host_and_neither_key_nor_path() {
    let (proxy, heard) = listen(|mut stream| {
        let tunnel = head(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        (tunnel, answer(stream).unwrap())
    });
    let proxy = Proxy::new(&format!("http://user:pass@{proxy}")).unwrap();
    send(once().only_roots(roots()).proxy(proxy)).await.unwrap();
    let (tunnel, request) = heard.join().unwrap();
    let expected = "CONNECT track.customer.io:443 HTTP/1.1\r\nHost: track.customer.io:443\r\n\
                    Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n";
    assert_eq!(tunnel, expected);
    assert!(request.contains("host: track.customer.io\r\n"), "{request}");
    assert!(request.contains("\r\nauthorization: Basic "), "{request}");
    assert!(!request.contains("proxy-authorization"), "{request}");
}

#[tokio::test]
async fn nothing_was_sent_if_the_proxy_rejects_its_credentials() {
    let (proxy, heard) = listen(|mut stream| {
        head(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n")
    });
    let proxy = Proxy::new(&format!("http://user:pass-word@{proxy}")).unwrap();
    let error = send(once().proxy(proxy)).await.unwrap_err();
    heard.join().unwrap().unwrap();
    assert!(!error.may_have_been_applied(), "{error:?}");
    let printed = printed(&error);
    assert!(
        printed.contains("put user and password into its URL"),
        "{printed}"
    );
    assert!(
        printed.contains("proxy authorization required"),
        "{printed}"
    );
    for hidden in [KEY, "pass-word", "dXNlcjpwYXNz"] {
        assert!(!printed.contains(hidden), "{hidden} is in {printed}");
    }
}

#[tokio::test]
async fn nothing_was_sent_if_the_proxy_opens_no_tunnel() {
    async fn check(answer: &'static [u8]) -> String {
        let (proxy, heard) = listen(move |mut stream| {
            head(&mut stream).unwrap();
            stream
                .write_all(answer)
                .and_then(|()| stream.shutdown(Shutdown::Write))?;
            stream.read_to_end(&mut Vec::new())
        });
        let proxy = Proxy::new(&format!("http://{proxy}")).unwrap();
        let error = send(once().proxy(proxy)).await.unwrap_err();
        drop(heard.join().unwrap());
        let printed = printed(&error);
        assert!(!error.may_have_been_applied(), "{printed}");
        assert!(printed.len() < 1_000, "{printed}");
        printed
    }
    check(b"").await;
    check(b"\0\xff garbage").await;
    check(b"HTTP/1.1 200").await;
    let rejected = check(b"HTTP/1.1 302 Found\r\nlocation: https://example.com\r\n\r\n").await;
    assert!(rejected.contains("opened no tunnel"), "{rejected}");
    check(&[b'x'; 20_000]).await;
    check(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}").await;
    check(b"HTTP/1.1 200 OK\r\n\r\n").await;
}

#[tokio::test]
async fn nothing_was_sent_if_the_proxy_does_not_answer() {
    let (proxy, heard) = listen(|mut stream| stream.read_to_end(&mut Vec::new()));
    let proxy = Proxy::new(&format!("http://{proxy}")).unwrap();
    let hurried = once().connect_timeout(Duration::from_millis(50));
    let error = send(hurried.proxy(proxy)).await.unwrap_err();
    assert!(!error.may_have_been_applied(), "{error:?}");
    assert!(printed(&error).contains("connecting took too long"));
    heard.join().unwrap().unwrap();
}

#[tokio::test]
async fn the_loopback_is_reached_without_a_proxy() {
    let (server, heard) = listen(|mut stream| {
        let head = head(&mut stream).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            .unwrap();
        head
    });
    let proxy = Proxy::new("http://192.0.2.1:3128").unwrap();
    send(once().base_url(format!("http://{server}")).proxy(proxy))
        .await
        .unwrap();
    assert!(heard.join().unwrap().starts_with("POST /api/v2/entity"));
}

/// Returns the error of a call whose deadline passed as soon as the server had read the text it
/// waits for.
async fn late<T: Send + 'static>(builder: ClientBuilder, heard: JoinHandle<T>) -> Error {
    let [deadline, connecting, attempt] = [30, 60, 120].map(Duration::from_secs);
    let builder = builder.deadline(deadline).connect_timeout(connecting);
    let client = builder.timeout(attempt).build().unwrap();
    let call = tokio::spawn(async move {
        client.submit(identify("u1")).await?;
        client.submit(identify("u2")).await
    });
    let open = tokio::task::spawn_blocking(move || heard.join().unwrap());
    let open = open.await.unwrap();
    tokio::time::pause();
    let error = call.await.unwrap().unwrap_err();
    drop(open);
    assert!(error.is_deadline(), "{error:?}");
    error
}

#[tokio::test]
async fn nothing_was_sent_at_a_deadline_during_the_tls_handshake() {
    let (server, heard) = listen(|mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        stream
    });
    let builder = once().base_url(format!("https://localhost:{}", server.port()));
    let error = late(builder, heard).await;
    assert!(!error.may_have_been_applied(), "{error:?}");
}

#[tokio::test]
async fn nothing_was_sent_at_a_deadline_before_the_proxy_answers() {
    let (proxy, heard) = listen(|mut stream| {
        head(&mut stream).unwrap();
        stream
    });
    let proxy = Proxy::new(&format!("http://{proxy}")).unwrap();
    let error = late(once().proxy(proxy), heard).await;
    assert!(!error.may_have_been_applied(), "{error:?}");
}

#[tokio::test]
async fn the_outcome_is_unknown_at_a_deadline_after_the_request_was_read() {
    let (server, heard) = listen(|stream| {
        let mut stream = StreamOwned::new(ServerConnection::new(tls()).unwrap(), stream);
        head(&mut stream).unwrap();
        stream
    });
    let builder = once().base_url(format!("https://localhost:{}", server.port()));
    let error = late(builder.only_roots(roots()), heard).await;
    assert!(error.may_have_been_applied(), "{error:?}");
}

#[tokio::test]
async fn the_outcome_is_unknown_at_a_deadline_on_a_pooled_connection() {
    let (server, heard) = listen(|mut stream| {
        let first = head(&mut stream).unwrap();
        stream.read_exact(&mut vec![0; length(&first)]).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            .unwrap();
        head(&mut stream).unwrap();
        stream
    });
    let error = late(once().base_url(format!("http://{server}")), heard).await;
    assert!(error.may_have_been_applied(), "{error:?}");
}
