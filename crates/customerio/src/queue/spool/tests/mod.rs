//! Failures that only a store in the place of the real one shows: disks that are full or broken,
//! and crashes between two steps.

mod crash;
mod disk;
mod faulty;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use self::faulty::{Faulty, Plan};
use super::settings::Spool;
use super::sqlite::{Destination, Sqlite};
use super::{Opened, SpoolError};
use crate::queue::{Queue, QueueBuilder, Worker};
use crate::{Attributes, Client, Operation, Person};

const MINUTE: Duration = Duration::from_secs(60);

fn destination() -> Destination {
    Destination {
        base_url: "http://localhost".into(),
        site: "site".into(),
    }
}

/// Opens a queue whose store fails as `plan` says, and spawns its worker.
fn open(
    path: &Path,
    plan: &Arc<Plan>,
    client: &Client,
    settings: impl FnOnce(QueueBuilder) -> QueueBuilder,
) -> (Queue, JoinHandle<()>) {
    let (queue, worker) = try_open(path, plan, client, settings).unwrap();
    (queue, tokio::spawn(worker))
}

fn try_open(
    path: &Path,
    plan: &Arc<Plan>,
    client: &Client,
    settings: impl FnOnce(QueueBuilder) -> QueueBuilder,
) -> Result<(Queue, Worker), SpoolError> {
    let spool = Spool::new(path);
    let (store, found) = Sqlite::open(&spool, &destination())?;
    let store = Box::new(Faulty::new(store, plan));
    let builder = settings(Queue::builder(client).linger(Duration::ZERO));
    builder.open_with(|transit| Ok(Opened::new(store, found, spool, transit)))
}

fn op(number: u64) -> Operation {
    let mut attributes = Attributes::new();
    attributes.insert("n", number).unwrap();
    Operation::identify(&Person::id("a").unwrap(), &attributes).unwrap()
}

/// Returns the number of operations on disk.
fn on_disk(path: &Path) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    let count = "SELECT count(*) FROM operations";
    connection.query_row(count, [], |row| row.get(0)).unwrap()
}

/// Runs `check` until it is true.
async fn until(mut check: impl FnMut() -> bool) {
    let wait = async {
        while !check() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(MINUTE, wait).await.unwrap();
}
