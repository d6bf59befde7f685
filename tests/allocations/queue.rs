//! The memory of a queue while the server is down and the producer goes on: under its bound in
//! bytes, plus a tenth.

use std::future::pending;
use std::io;
use std::time::Duration;

use customerio::client::Limits;
use customerio::queue::{Queue, WhenFull};
use customerio::{Attributes, Client, Credentials, Operation, Person};
use http::Response;
use tokio::time::sleep;
use tower::service_fn;

use crate::{counted, runtime};

const BOUND: usize = 16 << 20;

/// How many times over the producer fills the queue.
const ROUNDS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Server {
    /// Each connection is refused.
    Refuses,
    /// Each request is read and never answered.
    Hangs,
}

fn client(server: Server) -> Client {
    let service = service_fn(move |_| async move {
        match server {
            Server::Refuses => Err::<Response<String>, _>(io::ErrorKind::ConnectionRefused.into()),
            Server::Hangs => pending::<io::Result<_>>().await,
        }
    });
    Client::builder()
        .credentials(Credentials::new("site", "key").unwrap())
        .limits(Limits::documented())
        .build_with(service)
        .unwrap()
}

/// Returns an identify of one of `people`, with about `bytes` of JSON.
fn operation(number: usize, people: usize, bytes: usize) -> Operation {
    let mut attributes = Attributes::new();
    for field in 0..bytes.div_ceil(900) {
        let value = "x".repeat(bytes.min(900));
        attributes.insert(format!("f{field}"), value).unwrap();
    }
    let person = Person::id(&format!("person-{}", number % people)).unwrap();
    Operation::identify(&person, &attributes).unwrap()
}

fn check(server: Server, people: usize, bytes: usize) {
    let used = counted(|| {
        runtime().block_on(async {
            let (queue, worker) = Queue::builder(&client(server))
                .max_len(usize::MAX)
                .max_bytes(BOUND)
                .when_full(WhenFull::DropOldest)
                .build();
            tokio::spawn(worker);
            let most = ROUNDS * BOUND / (bytes + 768);
            for number in 0..most {
                let operation = operation(number, people, bytes);
                queue.enqueue(operation).await.unwrap();
                if number % 500 == 0 {
                    sleep(Duration::from_millis(100)).await;
                }
            }
            let stats = queue.stats();
            assert!(stats.dropped > 0, "the bound was reached: {stats}");
        });
    });
    let share = used.bytes_max as f64 / BOUND as f64;
    println!("| {server:?} | {people} | {bytes} | {share:.2} |");
    assert!(
        share <= 1.1,
        "{server:?}, {people} people, {bytes} bytes: {share:.2}"
    );
}

#[test]
fn a_queue_stays_under_its_bound_while_the_server_is_down() {
    println!("\n| server | people | bytes of an operation | memory / bound |\n|---|--:|--:|--:|");
    // The most memory beside the JSON: short operations, and a lane for each.
    check(Server::Refuses, usize::MAX, 60);
    check(Server::Refuses, usize::MAX, 300);
    // The most in one lane, and in the bodies of requests in flight.
    check(Server::Refuses, 1, 300);
    check(Server::Refuses, 100, 3_000);
    check(Server::Hangs, usize::MAX, 3_000);
}
