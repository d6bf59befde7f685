//! What the errors of a real HTTP/2 client prove, over sockets of the loopback interface.

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

/// The kinds of frames that are written here (RFC 9113, section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// Of a frame of the kind HEADERS: it is the only one, and there is no body.
const END_STREAM_AND_HEADERS: u8 = 5;
/// What every client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The highest number that a stream can have: that of a GOAWAY that only announces another one.
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

/// A 200 without a body: its status has a number in the table of HPACK.
fn ok(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &[0x88])
}

/// What a server does when it has read the head of a request.
enum Reply {
    Write(Vec<u8>),
    WriteAndClose(Vec<u8>),
}

use Reply::{Write, WriteAndClose};

/// Listens, and serves each connection by itself.
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

/// A server that writes frames by hand, and counts the requests of all its connections from zero.
#[derive(Clone, Default)]
struct Script {
    requests: Arc<AtomicUsize>,
}

impl Script {
    async fn listen(
        &self,
        reply: impl Fn(usize, u32) -> Reply + Clone + Send + Sync + 'static,
    ) -> SocketAddr {
        let requests = Arc::clone(&self.requests);
        listen(move |socket| {
            let (requests, reply) = (Arc::clone(&requests), reply.clone());
            async move {
                let next = move |stream| reply(requests.fetch_add(1, Ordering::SeqCst), stream);
                // A client that has what it wants closes the connection in the middle of anything.
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

/// Says whether the error of a request that is answered so may have been processed.
async fn may_count(reply: impl Fn(u32) -> Reply + Clone + Send + Sync + 'static) -> bool {
    let address = Script::default()
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

/// RFC 9113, section 8.7: it is closed before any processing.
#[tokio::test]
async fn of_all_resets_only_a_refusal_proves_anything() {
    for code in 0..=14_u32 {
        let reason = Reason::from(code);
        let may_count = may_count(move |stream| Write(reset(stream, reason))).await;
        assert_eq!(may_count, reason != Reason::REFUSED_STREAM, "{reason:?}");
    }
}

/// RFC 9113, section 6.8: whatever the reason, streams above the last one that it names were not
/// and will not be processed.
#[tokio::test]
async fn a_go_away_proves_it_for_the_streams_above_its_last() {
    for reason in [
        Reason::NO_ERROR,
        Reason::INTERNAL_ERROR,
        Reason::ENHANCE_YOUR_CALM,
    ] {
        let unseen = move |stream: u32| Write(go_away(stream - 1, reason));
        assert!(!may_count(unseen).await, "{reason:?}");
        let unseen = move |stream: u32| WriteAndClose(go_away(stream - 1, reason));
        assert!(!may_count(unseen).await, "{reason:?}");
        let seen = move |stream| WriteAndClose(go_away(stream, reason));
        assert!(may_count(seen).await, "{reason:?}");
    }
    let announced = |_| WriteAndClose(go_away(HIGHEST, Reason::NO_ERROR));
    assert!(may_count(announced).await);
    let then_named = |stream: u32| {
        let both = [HIGHEST, stream - 1].map(|last| go_away(last, Reason::NO_ERROR));
        Write(both.concat())
    };
    assert!(!may_count(then_named).await);
}

#[tokio::test]
async fn a_connection_that_ends_without_a_word_proves_nothing() {
    assert!(may_count(|_| WriteAndClose(Vec::new())).await);
    // A reset of the connection itself breaks the protocol: this side says so, and not the server.
    assert!(may_count(|_| Write(reset(0, Reason::REFUSED_STREAM))).await);
    assert!(may_count(|_| Write(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await);
}

#[tokio::test]
async fn what_was_not_written_before_the_connection_ended_proves_it() {
    let script = Script::default();
    let address = script.listen(|_, stream| Write(ok(stream))).await;
    let socket = TcpStream::connect(address).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket));
    let (mut sender, connection) = handshake.await.unwrap();
    let request = sender.send_request(post(address));
    drop(connection);
    let error = request.await.unwrap_err();
    assert!(!was_sent(&error), "{error:?}");
    assert_eq!(script.requests(), 0);
}

/// What proves that a request was not processed sends it again, a POST too, and gives the slot of
/// an hour back.
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
        let script = Script::default();
        let address = script
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
        let answer = service.oneshot(post(address)).await;
        assert_eq!(answer.is_ok(), attempts == 2, "{answer:?}");
        assert_eq!(script.requests(), attempts);
    }
}

/// The client learns of a GOAWAY that came before an answer, and takes another connection for what
/// comes after.
#[tokio::test]
async fn a_connection_that_was_ended_between_two_requests_loses_none() {
    let script = Script::default();
    let address = script
        .listen(|_, stream| Write([go_away(stream, Reason::NO_ERROR), ok(stream)].concat()))
        .await;
    let service = RetryLayer::default().layer(client());
    for _ in 0..5 {
        let answer = service.clone().oneshot(post(address)).await.unwrap();
        assert!(answer.extensions().get::<Retried>().is_none());
    }
    assert_eq!(script.requests(), 5);
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

/// Before the settings of a server are known, a client sends more at once than it allows.
#[tokio::test]
async fn what_a_new_connection_refuses_is_sent_again() {
    const POSTS: usize = 10;
    let script = Script::default();
    let early = Arc::new(Mutex::new(Vec::new()));
    let address = script
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
    let answers = posts.join_all().await.into_iter().map(Result::unwrap);
    let again = answers.filter(|answer| answer.extensions().get::<Retried>().is_some());
    assert_eq!(again.count(), POSTS - 1);
    assert_eq!(script.requests(), POSTS + POSTS - 1);
}

/// As with a server that allows one stream at a time, and refuses all others by itself.
#[tokio::test]
async fn posts_over_a_new_connection_of_one_stream_all_arrive_once() {
    let processed = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let books = Arc::clone(&processed);
    let address = listen(move |socket| {
        let books = Arc::clone(&books);
        async move {
            let mut server = h2::server::Builder::new();
            let handshake = server
                .max_concurrent_streams(1)
                .handshake::<_, Bytes>(socket);
            let mut connection = handshake.await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let path = request.uri().path().to_owned();
                *books.lock().unwrap().entry(path).or_default() += 1;
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
    for answer in posts.join_all().await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    let once = (0..10).map(|n| (format!("/{n}"), 1)).collect();
    assert_eq!(*processed.lock().unwrap(), once);
}
