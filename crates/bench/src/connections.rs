//! The number of connections of a request and its retries: a hyper client and a hyper server,
//! HTTP/1.1 on the loopback.

use std::fmt::Debug;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full, channel::Channel};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;
use tower::retry::RetryLayer as TowerRetryLayer;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_pace::retry::Backoff;
use tower_pace::{RetryLayer, RetryPolicy};

use crate::inner::Body;
use crate::peers::Retries;

const RETRIES: u32 = 5;
/// On a real socket, it varies whether a dropped answer has already arrived. With few runs, the
/// table could miss the least or the most.
const RUNS: usize = 25;
/// With two threads, an immediate retry may start before hyper has put the connection back into its
/// pool. A backoff counts from the head of the answer: after a body that is later than the backoff,
/// the retry is immediate again.
const SOON: Duration = Duration::from_millis(10);

type Dial = BoxCloneSyncService<Uri, TokioIo<TcpStream>, BoxError>;
type HyperClient = Client<Dial, Body>;

/// The body of every answer. If it is not late, it is sent with the head.
#[derive(Clone, Copy)]
struct Answer {
    name: &'static str,
    size: usize,
    late: Duration,
}

const ANSWERS: [Answer; 5] = [
    Answer::at_once("0 B", 0),
    Answer::at_once("8 KB", 8 << 10),
    Answer::at_once("20 KB", 20 << 10),
    Answer::at_once("200 KB", 200 << 10),
    Answer {
        name: "100 B, late by 20 ms",
        size: 100,
        late: Duration::from_millis(20),
    },
];

/// Prints the least and the most connections of six attempts, on a runtime of one thread and of
/// two.
///
/// # Errors
///
/// Fails if there is no runtime or no socket, or if the server did not receive six requests.
pub(crate) fn print() -> io::Result<()> {
    let one = Builder::new_current_thread().enable_all().build()?;
    print_table("one thread", &one)?;
    let two = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    print_table("two threads", &two)
}

fn print_table(threads: &str, runtime: &Runtime) -> io::Result<()> {
    let at_once = ours(Duration::ZERO);
    let soon = ours(SOON);
    let tower = TowerRetryLayer::new(Retries::up_to(RETRIES));
    println!("\n| connections, {threads} | tower-pace | tower-pace, within {SOON:?} | tower |");
    println!("|---|--:|--:|--:|");
    for answer in ANSWERS {
        let at_once = runtime.block_on(least_and_most(answer, &at_once))?;
        let soon = runtime.block_on(least_and_most(answer, &soon))?;
        let tower = runtime.block_on(least_and_most(answer, &tower))?;
        println!("| {} | {at_once} | {soon} | {tower} |", answer.name);
    }
    Ok(())
}

/// Retries with a backoff of up to `within`. Zero is the policy of tower's retry with [`Retries`].
fn ours(within: Duration) -> RetryLayer {
    let policy = RetryPolicy::default()
        .attempts(RETRIES + 1)
        .backoff(Backoff::new(within, within))
        .without_budget();
    RetryLayer::new(policy)
}

async fn least_and_most<L>(answer: Answer, layer: &L) -> io::Result<String>
where
    L: Layer<HyperClient>,
    L::Service: Service<Request<Body>, Response = Response<Incoming>, Error: Debug>,
{
    let (mut least, mut most) = (u32::MAX, 0);
    for _ in 0..RUNS {
        let connections = connections(answer, layer).await?;
        (least, most) = (least.min(connections), most.max(connections));
    }
    Ok(if least == most {
        most.to_string()
    } else {
        format!("{least} to {most}")
    })
}

/// Counts the connections that a new client opens to a new server for one request.
async fn connections<L>(answer: Answer, layer: &L) -> io::Result<u32>
where
    L: Layer<HyperClient>,
    L::Service: Service<Request<Body>, Response = Response<Incoming>, Error: Debug>,
{
    let (requests, dials) = (Arc::default(), Arc::default());
    let address = serve(answer, Arc::clone(&requests)).await?;
    let client = Client::builder(TokioExecutor::new()).build(counting(Arc::clone(&dials)));
    let request = Request::get(format!("http://{address}/"))
        .body(Body::default())
        .expect("the parts are valid");
    let last = layer.layer(client).oneshot(request).await;
    last.map_err(|error| io::Error::other(format!("{error:?}")))?;
    let seen = requests.load(Ordering::SeqCst);
    if seen != RETRIES + 1 {
        let problem = format!("the server saw {seen} requests of {}", RETRIES + 1);
        return Err(io::Error::other(problem));
    }
    Ok(dials.load(Ordering::SeqCst))
}

fn counting(dials: Arc<AtomicU32>) -> Dial {
    let counted = HttpConnector::new().map_request(move |uri: Uri| {
        dials.fetch_add(1, Ordering::SeqCst);
        uri
    });
    Dial::new(counted.map_err(BoxError::from))
}

/// Answers every request with a 503, and counts them.
async fn serve(answer: Answer, requests: Arc<AtomicU32>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve_connection(stream, answer, Arc::clone(&requests)));
        }
    });
    Ok(address)
}

async fn serve_connection(stream: TcpStream, answer: Answer, requests: Arc<AtomicU32>) {
    // Without it, the kernel may hold a late body back until the head is acknowledged, and the body
    // would be later than `late`.
    stream.set_nodelay(true).expect("the socket is open");
    let service = service_fn(|_| {
        requests.fetch_add(1, Ordering::SeqCst);
        async { answer.response() }
    });
    let stream = TokioIo::new(stream);
    // It fails if the client closes before it has read the answer, which is measured here.
    drop(
        http1::Builder::new()
            .serve_connection(stream, service)
            .await,
    );
}

impl Answer {
    const fn at_once(name: &'static str, size: usize) -> Self {
        Self {
            name,
            size,
            late: Duration::ZERO,
        }
    }

    fn response(self) -> http::Result<Response<Either<Body, Channel<Bytes>>>> {
        Response::builder()
            .status(StatusCode::SERVICE_UNAVAILABLE)
            .body(self.body())
    }

    fn body(self) -> Either<Body, Channel<Bytes>> {
        let data = Bytes::from(vec![b'x'; self.size]);
        if self.late.is_zero() {
            return Either::Left(Full::new(data));
        }
        let (mut sender, body) = Channel::new(1);
        tokio::spawn(async move {
            sleep(self.late).await;
            // It fails if the client has closed the connection, and there is nothing to do then.
            sender.send_data(data).await.ok();
        });
        Either::Right(body)
    }
}
