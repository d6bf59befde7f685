//! One of the processes: a shared limit before a service that asks the server of the test.

use std::collections::HashMap;
use std::convert::Infallible;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use http::{Request, Response};
use pacing::shared::Reply;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};
use tower_pace::rate::shared::{NamedCall, SharedLimits, SharedStore};
use tower_pace::{RateLimit, RateLimitLayer};
use tower_pace_redis::{RedisStore, StoreError};

use super::{micros, quota};

/// The variables that make a test program one of the processes.
const SERVER: &str = "PROCESSES_SERVER";
const STORE: &str = "PROCESSES_STORE";
const INDEX: &str = "PROCESSES_INDEX";
const WAITING: &str = "PROCESSES_WAITING";

/// The name of the test that is the process.
const TEST: &str = "child::a_process_sends_requests_until_it_is_stopped";

/// A busy machine may delay a round trip at the start, and a slow one is an error of `connect` or
/// of the limit. More attempts would hide that all are slow.
const MOST_CONNECTS: u32 = 20;

/// Starts a process that keeps this many requests waiting.
pub(super) fn spawn(server: u16, store: &str, index: usize, waiting: usize) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", TEST, "--nocapture", "--test-threads", "1"]);
    command.env(SERVER, server.to_string()).env(STORE, store);
    command.env(INDEX, index.to_string());
    command.env(WAITING, waiting.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().unwrap()
}

/// It is no test of its own: without the variables it does nothing.
#[test]
fn a_process_sends_requests_until_it_is_stopped() {
    let Ok(server) = env::var(SERVER) else {
        return;
    };
    let variable = |name| env::var(name).unwrap();
    let waiting = variable(WAITING).parse().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(("127.0.0.1", server.parse().unwrap())).unwrap();
        let connection = Connection::new(stream);
        let service = service(&variable(STORE), &connection).await;
        connection.write(&variable(INDEX));
        connection.wait_for(State::Sending).await;
        let mut workers = JoinSet::new();
        for _ in 0..waiting {
            workers.spawn(send(service.clone(), Arc::clone(&connection)));
        }
        let counts = workers.join_all().await;
        connection.wait_for(State::Stopped).await;
        connection.write(&format!("{}", counts.iter().sum::<u64>()));
    });
}

/// Returns the service behind a shared limit, and spawns the driver.
async fn service(url: &str, connection: &Arc<Connection>) -> RateLimit<Peer> {
    for _ in 0..MOST_CONNECTS {
        let Ok(store) = RedisStore::connect(url, "test").await else {
            continue;
        };
        let (limits, driver) = SharedLimits::new(CountedStore {
            store,
            connection: Arc::clone(connection),
        });
        let Ok(layer) = RateLimitLayer::new(quota()).shared("server", &limits) else {
            continue;
        };
        tokio::spawn(driver.run());
        return layer.layer(Peer {
            connection: Arc::clone(connection),
            ready: 0,
        });
    }
    panic!("the round trips to the store are too slow");
}

/// Sends one request after the other until the process is stopped. Returns the number of those that
/// were answered.
async fn send(service: RateLimit<Peer>, connection: Arc<Connection>) -> u64 {
    let mut answered = 0;
    while *connection.state.borrow() == State::Sending {
        let response = service.clone().oneshot(Request::new(())).await.unwrap();
        assert!([200, 429].contains(&response.status().as_u16()));
        answered += 1;
    }
    answered
}

/// A store that counts its calls.
struct CountedStore {
    store: RedisStore,
    connection: Arc<Connection>,
}

impl SharedStore for CountedStore {
    type Error = StoreError;

    fn round_trip(&self) -> Duration {
        self.store.round_trip()
    }

    async fn call(&self, calls: &[NamedCall]) -> Vec<Result<Reply, StoreError>> {
        self.connection.calls.fetch_add(1, Ordering::Relaxed);
        self.store.call(calls).await
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Sending,
    Stopped,
}

/// The connection to the server. A thread reads the answers.
struct Connection {
    stream: TcpStream,
    state: watch::Sender<State>,
    answers: Mutex<HashMap<u64, oneshot::Sender<u16>>>,
    next: AtomicU64,
    calls: AtomicU64,
}

impl Connection {
    fn new(stream: TcpStream) -> Arc<Self> {
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let connection = Arc::new(Self {
            stream,
            state: watch::Sender::new(State::Starting),
            answers: Mutex::default(),
            next: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        });
        thread::spawn({
            let connection = Arc::clone(&connection);
            move || connection.read(reader)
        });
        connection
    }

    fn read(&self, reader: BufReader<TcpStream>) {
        for line in reader.lines().map_while(Result::ok) {
            match line.split_once(' ') {
                Some((number, status)) => {
                    let number = number.parse().unwrap();
                    let answer = self.answers.lock().unwrap().remove(&number);
                    let _ = answer.unwrap().send(status.parse().unwrap());
                }
                None if line == "start" => drop(self.state.send_replace(State::Sending)),
                None => drop(self.state.send_replace(State::Stopped)),
            }
        }
        // The test has failed, so this process must end too.
        process::exit(1);
    }

    fn write(&self, line: &str) {
        let line = format!("{line}\n");
        (&self.stream).write_all(line.as_bytes()).unwrap();
    }

    async fn wait_for(&self, state: State) {
        let mut states = self.state.subscribe();
        states.wait_for(|now| *now == state).await.unwrap();
    }
}

/// Sends each request to the server, and says when it was ready to depart.
#[derive(Clone)]
struct Peer {
    connection: Arc<Connection>,
    /// When the layer last asked for readiness: directly before it decides that a request departs.
    ready: u64,
}

impl Service<Request<()>> for Peer {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = micros();
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let (answer, status) = oneshot::channel();
        let number = self.connection.next.fetch_add(1, Ordering::Relaxed);
        let calls = self.connection.calls.load(Ordering::Relaxed);
        let mut answers = self.connection.answers.lock().unwrap();
        answers.insert(number, answer);
        drop(answers);
        self.connection
            .write(&format!("{number} {} {calls}", self.ready));
        Box::pin(async move {
            let status = status.await.expect("the server answers");
            let response = Response::builder().status(status);
            let response = match status {
                429 => response.header("retry-after", "1"),
                _ => response,
            };
            Ok(response.body(()).unwrap())
        })
    }
}
