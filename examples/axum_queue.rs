//! An axum service that hands operations to a queue on disk, and drains it after SIGTERM.
//!
//! Run it with `cargo run --example axum_queue`. It needs no network. The API is a simulator in the
//! same process, which takes 200 ms for each response. The handlers do not wait for it: they answer
//! once the operation is on disk. The program sends SIGTERM to itself while operations are queued,
//! stops to accept connections, and drains the queue. The deadline is too short here, so the spool
//! keeps the rest. The next start of the service sends it.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use bytes::Bytes;
use customerio::client::Client;
use customerio::queue::{Queue, Spool, SpoolError, WhenFull};
use customerio::{Attributes, Credentials, Event, Operation, Person};
use customerio_sim::{Faults, Simulator};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};

/// The bound on the drain. In a service of yours: less than the time that the supervisor waits
/// before it sends SIGKILL, which is 30 s in Kubernetes, so 20 s.
const DRAIN: Duration = Duration::from_millis(100);

async fn sign_up(
    State(queue): State<Queue>,
    Path(id): Path<u32>,
) -> Result<StatusCode, StatusCode> {
    enqueue(&queue, id).await.map_err(|error| {
        eprintln!("sign-up not enqueued: {error}");
        StatusCode::SERVICE_UNAVAILABLE
    })?;
    Ok(StatusCode::ACCEPTED)
}

async fn enqueue(queue: &Queue, id: u32) -> Result<(), Box<dyn Error + Send + Sync>> {
    let person = Person::id(&format!("person-{id}"))?;
    let mut attributes = Attributes::new();
    attributes.insert("plan", "trial")?;
    let event = queue.stamp(Event::new("signed up")?);
    // The queue keeps the order of one person's operations: the person exists before the event.
    queue
        .enqueue(Operation::identify(&person, &attributes)?)
        .await?;
    queue.enqueue(Operation::event(&person, &event)?).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let faults = Faults::none().latency(Duration::from_millis(100));
    let simulator = Simulator::builder().faults(faults).build();
    // In a service of yours: `Client::from_env()?`.
    let client = Client::builder()
        .credentials(Credentials::new("site", "key")?)
        .build_with(simulator.router())?;
    // In a service of yours: a file on a local disk that outlives the process.
    let folder = tempfile::tempdir()?;
    let spool = Spool::new(folder.path().join("queue.db"));
    let (queue, worker) = open(&client, &spool)?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = Router::new()
        .route("/people/{id}", post(sign_up))
        .with_state(queue.clone());
    let mut terminated = signal(SignalKind::terminate())?;
    let users = tokio::spawn(users(url));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            terminated.recv().await;
        })
        .await?;

    println!("SIGTERM: {}", queue.stats());
    let drained = queue.drain(DRAIN).await;
    println!("drained: {drained:?}");
    worker.await?;
    users.await??;
    assert!(drained.kept > 0);

    // The next start of the service.
    let (queue, worker) = open(&client, &spool)?;
    println!("started again: {}", queue.stats());
    let drained = queue.drain(Duration::from_secs(20)).await;
    println!("drained: {drained:?}");
    worker.await?;
    assert!(drained.is_complete());
    assert_eq!(simulator.totals().people, 200);
    assert_eq!(simulator.totals().events, 200);
    Ok(())
}

/// Opens the queue and spawns its worker.
fn open(client: &Client, spool: &Spool) -> Result<(Queue, JoinHandle<()>), SpoolError> {
    let (queue, worker) = Queue::builder(client)
        .when_full(WhenFull::Reject) // a handler must not wait for the API
        .monitor(Duration::from_secs(10), |stats| println!("queue: {stats}"))
        .open(spool)?;
    Ok((queue, tokio::spawn(worker)))
}

/// Signs up 200 people, then stops the service as a supervisor does.
async fn users(url: String) -> Result<(), Box<dyn Error + Send + Sync>> {
    let client = HttpClient::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut sign_ups = JoinSet::new();
    for id in 0..200 {
        let request = Request::post(format!("{url}/people/{id}")).body(Empty::new())?;
        sign_ups.spawn(client.request(request));
    }
    while let Some(response) = sign_ups.join_next().await {
        assert_eq!(response??.status(), StatusCode::ACCEPTED);
    }
    let process = std::process::id().to_string();
    Command::new("kill").args(["-TERM", &process]).status()?;
    Ok(())
}
