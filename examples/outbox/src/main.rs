//! An outbox in the application's own database: an event is sent if and only if the transaction
//! that caused it is committed, across a crash, and once in effect.
//!
//! Run it with `cargo run --manifest-path examples/outbox/Cargo.toml`. It starts a PostgreSQL of
//! its own, which must be installed, and needs no network. The API is a simulator in the same
//! process.
//!
//! [`graphile_worker`] keeps the jobs, and adds a job inside of a transaction of sqlx. The row of a
//! job has the id and the time of its event. A job enqueues the event, and ends when Customer.io
//! has accepted it. After a crash between the two the job runs again. So an event is sent at least
//! once, and its id makes that once in effect.
//!
//! The program signs up 600 people and rolls back 200 of them. It kills the process that sends
//! their events, and starts another one.

mod postgres;

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use customerio::client::Client;
use customerio::queue::Queue;
use customerio::{Credentials, Event, EventId, Operation, Person, Timestamp};
use customerio_sim::{Faults, Server, Simulator};
use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, TaskHandler, WorkerContext, WorkerOptions, WorkerUtils,
};
use postgres::Postgres;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::time::sleep;

type Failure = Box<dyn Error + Send + Sync>;

/// How many jobs run at a time. The queue puts their events into batches.
const JOBS: usize = 50;

/// One event to send, as it is stored in the row of its job.
#[derive(Deserialize, Serialize)]
struct SendEvent {
    person: String,
    name: String,
    /// Fixed in the transaction, so that each attempt has the same one.
    id: String,
    /// In seconds: when it happened, not when it was sent.
    at: i64,
}

impl SendEvent {
    fn operation(&self) -> Result<Operation, Failure> {
        let event = Event::new(&*self.name)?
            .id(self.id.parse()?)
            .timestamp(Timestamp::new(self.at)?);
        Ok(Operation::event(&Person::id(&self.person)?, &event)?)
    }

    async fn send(&self, queue: &Queue) -> Result<(), Failure> {
        let receipt = queue.enqueue(self.operation()?).await?;
        let outcome = receipt.await;
        match outcome.is_accepted() {
            true => Ok(()),
            // The worker runs the job again, later each time, and keeps it after the last one.
            false => Err(format!("{}: {outcome:?}", self.id).into()),
        }
    }
}

impl TaskHandler for SendEvent {
    const IDENTIFIER: &'static str = "send_event";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let queue: &Queue = context.get_ext().expect("the worker has a queue");
        self.send(queue).await
    }
}

/// Stores a person and the job for the event in one transaction. One in three is rolled back.
async fn sign_up(pool: &PgPool, jobs: &WorkerUtils, id: u32) -> Result<(), Failure> {
    let mut transaction = pool.begin().await?;
    let person = format!("person-{id}");
    sqlx::query("INSERT INTO people (id) VALUES ($1)")
        .bind(&person)
        .execute(&mut *transaction)
        .await?;
    let event = SendEvent {
        person,
        name: String::from("signed up"),
        id: EventId::random().to_string(),
        at: 1_795_000_000 + i64::from(id),
    };
    let mut jobs = jobs.clone().with_executor(&mut transaction);
    jobs.add_job(event, JobSpec::default()).await?;
    match id % 3 {
        0 => transaction.rollback().await?, // the job goes with the person
        _ => transaction.commit().await?,
    }
    Ok(())
}

/// Sends events until it is killed.
async fn work(socket: &Path, api: &str) -> Result<(), Failure> {
    // In a service of yours: `Client::from_env()?`.
    let client = Client::builder()
        .credentials(Credentials::new("site", "key")?)
        .base_url(api)
        .build()?;
    let (queue, worker) = Queue::new(&client);
    tokio::spawn(worker);
    WorkerOptions::default()
        .pg_pool(connect(socket).await?)
        .concurrency(JOBS)
        .add_extension(queue)
        .define_job::<SendEvent>()
        // The jobs of a worker that was killed are run by another one. In a service of yours the
        // times are longer: the defaults are 30 s, 60 s, 300 s and 30 s.
        .heartbeat_interval(Duration::from_millis(200))
        .sweep_interval(Duration::from_millis(500))
        .sweep_threshold(Duration::from_secs(1))
        .recovery_delay(Duration::ZERO)
        .init()
        .await?
        .run()
        .await?;
    Ok(())
}

/// Connects once the server listens.
async fn connect(socket: &Path) -> Result<PgPool, Failure> {
    let options = PgConnectOptions::new()
        .socket(socket)
        .username("app")
        .database("postgres");
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_secs(5));
    for _ in 0..100 {
        if let Ok(pool) = pool.clone().connect_with(options.clone()).await {
            return Ok(pool);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(pool.connect_with(options).await?)
}

fn start_worker(postgres: &Postgres, server: &Server) -> std::io::Result<Child> {
    let program = std::env::current_exe()?;
    Command::new(program)
        .arg(postgres.socket())
        .arg(server.url())
        .spawn()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [socket, api] = &arguments[..] {
        return work(Path::new(socket), api).await;
    }

    let postgres = Postgres::start()?;
    let pool = connect(postgres.socket()).await?;
    let faults = Faults::none().latency(Duration::from_millis(50));
    let simulator = Simulator::builder().faults(faults).build();
    let server = Server::bind("127.0.0.1:0", simulator.clone()).await?;

    sqlx::query("CREATE TABLE people (id TEXT PRIMARY KEY)")
        .execute(&pool)
        .await?;
    let jobs = WorkerUtils::new(pool.clone(), "graphile_worker");
    jobs.migrate().await?;
    for id in 0..600 {
        sign_up(&pool, &jobs, id).await?;
    }

    let mut killed = start_worker(&postgres, &server)?;
    while simulator.totals().events < 50 {
        sleep(Duration::from_millis(1)).await;
    }
    killed.kill()?; // SIGKILL
    killed.wait()?;
    let before = left(&pool).await?;
    println!(
        "killed: {} events accepted, {before} jobs left",
        simulator.totals().events
    );
    assert!(before > 0, "the worker was killed too late");

    let mut worker = start_worker(&postgres, &server)?;
    while left(&pool).await? > 0 {
        sleep(Duration::from_millis(50)).await;
    }
    worker.kill()?;
    worker.wait()?;

    let totals = simulator.totals();
    println!(
        "{} events applied, {} sent again and dropped by their ids, {} requests",
        totals.events, totals.duplicate_events, totals.requests
    );
    assert_eq!(totals.events, 400, "those of the people who were committed");
    assert!(
        totals.duplicate_events <= JOBS as u64,
        "those that were in flight at the crash"
    );
    assert_eq!((totals.rejected, totals.throttled), (0, 0));
    Ok(())
}

/// Returns the number of jobs that have not ended.
async fn left(pool: &PgPool) -> sqlx::Result<i64> {
    let count = "SELECT count(*) FROM graphile_worker.jobs";
    sqlx::query_scalar(count).fetch_one(pool).await
}
