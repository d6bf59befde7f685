//! The errors of a real HTTP/2 client, and which of them prove that a request was not processed.
//! Over sockets of the loopback.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_pace::retry::Backoff;
use tower_pace::{Quota, RateLimitLayer, Retried, RetryLayer, RetryPolicy, was_sent};

/// The frame types that are used here (RFC 9113, section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// The flags END_STREAM and END_HEADERS of a HEADERS frame: one frame, and no body.
const END_STREAM_AND_HEADERS: u8 = 5;
/// The first bytes that every client sends.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The highest stream id. A GOAWAY with it only announces another GOAWAY.
const HIGHEST: u32 = (1 << 31) - 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn reset(stream: u32, reason: Reason) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes())
}

fn go_away(last: u32, reason: Reason) -> Vec<u8> {
    let payload = [last.to_be_bytes(), u32::from(reason).to_be_bytes()];
    frame(GOAWAY, 0, 0, &payload.concat())
}

/// A 200 without a body. 0x88 is its status in the static table of HPACK.
fn ok(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &[0x88])
}

/// The action of a server after it has read the head of a request.
enum Reply {
    Write(Vec<u8>),
    WriteAndClose(Vec<u8>),
}

use Reply::{Write, WriteAndClose};

/// Listens, and serves each connection in a task of its own.
async fn listen<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    address
}

/// A server that writes given frames, and numbers the requests of all its connections from zero.
#[derive(Clone, Default)]
struct ScriptedServer {
    requests: Arc<AtomicUsize>,
}

impl ScriptedServer {
    async fn listen(
        &self,
        reply: impl Fn(usize, u32) -> Reply + Clone + Send + Sync + 'static,
    ) -> SocketAddr {
        let requests = Arc::clone(&self.requests);
        listen(move |socket| {
            let (requests, reply) = (Arc::clone(&requests), reply.clone());
            async move {
                let next = move |stream| reply(requests.fetch_add(1, Ordering::SeqCst), stream);
                // The client closes the connection at any point once it has its response.
                let _ = serve(socket, next).await;
            }
        })
        .await
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(mut socket: TcpStream, reply: impl Fn(u32) -> Reply) -> std::io::Result<()> {
    let mut preface = [0; PREFACE.len()];
    socket.read_exact(&mut preface).await?;
    assert_eq!(preface, PREFACE);
    socket.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        socket.read_exact(&mut payload).await?;
        if kind != HEADERS {
            continue;
        }
        match reply(u32::from_be_bytes(stream)) {
            Write(frames) => socket.write_all(&frames).await?,
            WriteAndClose(frames) => {
                socket.write_all(&frames).await?;
                return socket.shutdown().await;
            }
        }
    }
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

fn client() -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .http2_only(true)
        .build_http()
}

fn post(address: SocketAddr) -> Request<Full<Bytes>> {
    let request = Request::post(format!("http://{address}/"));
    request.body(Full::from("x")).unwrap()
}

/// Sends a request that fails by this reply. Returns whether it may have been processed, by
/// `was_sent`.
async fn may_be_processed(reply: impl Fn(u32) -> Reply + Clone + Send + Sync + 'static) -> bool {
    let address = ScriptedServer::default()
        .listen(move |_, stream| reply(stream))
        .await;
    let error = client().request(post(address)).await.unwrap_err();
    let typed = was_sent(&error);
    let inner = error
        .source()
        .and_then(<dyn Error>::downcast_ref::<hyper::Error>);
    assert_eq!(typed, inner.is_none_or(was_sent), "{error:?}");
    let boxed: Box<dyn Error + Send + Sync> = Box::new(error);
    assert_eq!(was_sent(&boxed), typed, "{boxed:?}");
    typed
}

/// RFC 9113, section 8.7: a stream with REFUSED_STREAM was closed before any processing.
#[tokio::test]
async fn of_all_resets_only_refused_stream_proves_that_nothing_was_processed() {
    for code in 0..=14_u32 {
        let reason = Reason::from(code);
        let may_be_processed = may_be_processed(move |stream| Write(reset(stream, reason))).await;
        assert_eq!(
            may_be_processed,
            reason != Reason::REFUSED_STREAM,
            "{reason:?}"
        );
    }
}

/// RFC 9113, section 6.8: for any reason, streams above the last one of a GOAWAY were not and will
/// not be processed.
#[tokio::test]
async fn a_go_away_proves_that_streams_above_its_last_were_not_processed() {
    for reason in [
        Reason::NO_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::ENHANCE_YOUR_CALM,
    ] {
        let unseen = move |stream: u32| Write(go_away(stream - 1, reason));
        assert!(!may_be_processed(unseen).await, "{reason:?}");
        let unseen = move |stream: u32| WriteAndClose(go_away(stream - 1, reason));
        assert!(!may_be_processed(unseen).await, "{reason:?}");
        let seen = move |stream| WriteAndClose(go_away(stream, reason));
        assert!(may_be_processed(seen).await, "{reason:?}");
    }
    let announced = |_| WriteAndClose(go_away(HIGHEST, Reason::NO_ERROR));
    assert!(may_be_processed(announced).await);
    let then_named = |stream: u32| {
        let both = [HIGHEST, stream - 1].map(|last| go_away(last, Reason::NO_ERROR));
        Write(both.concat())
    };
    assert!(!may_be_processed(then_named).await);
}

#[tokio::test]
async fn requests_on_a_connection_that_ends_without_a_go_away_may_be_processed() {
    assert!(may_be_processed(|_| WriteAndClose(Vec::new())).await);
    // A reset of stream 0 violates the protocol. The error is the client's own, and proves nothing
    // about the server.
    assert!(may_be_processed(|_| Write(reset(0, Reason::REFUSED_STREAM))).await);
    assert!(may_be_processed(|_| Write(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await);
}

#[tokio::test]
async fn a_request_that_was_not_written_before_the_connection_ended_was_not_sent() {
    let server = ScriptedServer::default();
    let address = server.listen(|_, stream| Write(ok(stream))).await;
    let socket = TcpStream::connect(address).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (mut sender, connection) = handshake.await.unwrap();
    let request = sender.send_request(post(address));
    drop(connection);
    let error = request.await.unwrap_err();
    assert!(!was_sent(&error), "{error:?}");
    assert_eq!(server.requests(), 0);
}

/// If an error proves that a POST was not processed, it is retried, and releases its slot of an
/// hour.
#[tokio::test]
async fn a_post_that_was_not_processed_is_sent_again_and_counts_once() {
    type First = fn(u32) -> Vec<u8>;
    let firsts: [(First, usize); 4] = [
        (|stream| reset(stream, Reason::REFUSED_STREAM), 2),
        (|stream| go_away(stream - 1, Reason::NO_ERROR), 2),
        (|stream| reset(stream, Reason::INTERNAL_ERROR), 1),
        (|stream| reset(stream, Reason::ENHANCE_YOUR_CALM), 1),
    ];
    for (first, attempts) in firsts {
        let server = ScriptedServer::default();
        let address = server
            .listen(move |n, stream| match n {
                0 => Write(first(stream)),
                _ => Write(ok(stream)),
            })
            .await;
        let an_hour = Quota::new(1, Duration::from_secs(3_600)).unwrap();
        let policy = RetryPolicy::default().backoff(Backoff::new(Duration::ZERO, Duration::ZERO));
        let service = ServiceBuilder::new()
            .layer(RetryLayer::new(policy))
            .layer(RateLimitLayer::new(an_hour).max_wait(Duration::from_secs(60)))
            .service(client());
        let response = service.oneshot(post(address)).await;
        assert_eq!(response.is_ok(), attempts == 2, "{response:?}");
        assert_eq!(server.requests(), attempts);
    }
}

/// The client reads a GOAWAY before the response, and opens another connection for the next
/// request.
#[tokio::test]
async fn no_request_is_lost_if_a_connection_ends_between_two() {
    let server = ScriptedServer::default();
    let address = server
        .listen(|_, stream| Write([go_away(stream, Reason::NO_ERROR), ok(stream)].concat()))
        .await;
    let service = RetryLayer::default().layer(client());
    for _ in 0..5 {
        let response = service.clone().oneshot(post(address)).await.unwrap();
        assert!(response.extensions().get::<Retried>().is_none());
    }
    assert_eq!(server.requests(), 5);
}

fn stack() -> impl tower::Service<
    Request<Full<Bytes>>,
    Response = Response<hyper::body::Incoming>,
    Error = hyper_util::client::legacy::Error,
    Future: Send,
> + Clone
+ Send
+ 'static {
    ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(RateLimitLayer::new(Quota::per_second(1_000)))
        .service(client())
}

/// Before it knows the settings of a server, a client opens more streams than the server allows.
#[tokio::test]
async fn streams_that_a_new_connection_refuses_are_retried() {
    const POSTS: usize = 10;
    let server = ScriptedServer::default();
    let early = Arc::new(Mutex::new(Vec::new()));
    let address = server
        .listen(move |n, stream| match n + 1 {
            1..POSTS => {
                early.lock().unwrap().push(stream);
                Write(Vec::new())
            }
            POSTS => {
                let refused = early
                    .lock()
                    .unwrap()
                    .iter()
                    .flat_map(|&early| reset(early, Reason::REFUSED_STREAM))
                    .collect();
                Write([refused, ok(stream)].concat())
            }
            _ => Write(ok(stream)),
        })
        .await;
    let service = stack();
    let mut posts = JoinSet::new();
    for _ in 0..POSTS {
        posts.spawn(service.clone().oneshot(post(address)));
    }
    let responses = posts.join_all().await.into_iter().map(Result::unwrap);
    let again = responses.filter(|response| response.extensions().get::<Retried>().is_some());
    assert_eq!(again.count(), POSTS - 1);
    assert_eq!(server.requests(), POSTS + POSTS - 1);
}

/// h2's own server allows one stream at a time, and refuses all others.
#[tokio::test]
async fn posts_over_a_new_connection_of_one_stream_all_arrive_once() {
    let processed = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let counts = Arc::clone(&processed);
    let address = listen(move |socket| {
        let counts = Arc::clone(&counts);
        async move {
            let mut server = h2::server::Builder::new();
            let handshake = server
                .max_concurrent_streams(1)
                .handshake::<_, Bytes>(socket);
            let mut connection = handshake.await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let path = request.uri().path().to_owned();
                *counts.lock().unwrap().entry(path).or_default() += 1;
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    respond.send_response(Response::new(()), true).unwrap();
                });
            }
        }
    })
    .await;
    let service = stack();
    let mut posts = JoinSet::new();
    for n in 0..10 {
        let request = Request::post(format!("http://{address}/{n}"));
        posts.spawn(
            service
                .clone()
                .oneshot(request.body(Full::from("x")).unwrap()),
        );
    }
    for response in posts.join_all().await {
        assert!(response.is_ok(), "{response:?}");
    }
    let once = (0..10).map(|n| (format!("/{n}"), 1)).collect();
    assert_eq!(*processed.lock().unwrap(), once);
}
