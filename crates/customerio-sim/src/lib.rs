//! A simulated Customer.io for tests: it records everything it receives, enforces a rate limit and
//! injects faults.
//!
//! ```
//! use customerio_sim::{Limit, Server, Simulator};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let simulator = Simulator::builder().limit(Limit::per_second(100)).seed(7).build();
//! let server = Server::bind("127.0.0.1:0", simulator.clone()).await?;
//! // Point a client at `server.url()`, and let it send.
//! assert_eq!(simulator.totals().throttled, 0);
//! assert_eq!(simulator.person("42"), None);
//! # drop(server);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Three settings matter most:
//!
//! - [`Builder::limit`]: the requests per window to the Track API, and the [`Model`] by which the
//!   server counts;
//! - [`Builder::faults`]: latency, jitter, and the probability of each fault, drawn from one
//!   [`seed`](Builder::seed);
//! - [`Builder::script`]: the exact faults of the first requests.
//!
//! [`serve_connection`] serves an in-memory pipe in place of a socket. The simulator's clock is
//! tokio's, so a test on paused time and one thread repeats exactly. [`from_toml`] reads all
//! settings from a file, and the program `cio-sim` serves a simulator on a local port.
//!
//! The simulator speaks the public Track API, v1 and v2, and of the App API transactional messages,
//! triggers of broadcasts, live notifications, imports and exports, and questions about people,
//! their activities, messages and segments. It signs and delivers the events of reporting webhooks.
//! It shares no code with any client, so that a test of a client has an independent reference.
//!
//! # Memory
//!
//! Memory grows with the people, objects, deliveries and forms, with the events whose id is a ULID,
//! with messages, triggers and live notifications, and with the events of visitors of the last 30
//! days. With [`Records::CountsOnly`] none of these is kept. It also grows with segments, and with
//! imports and exports, of which then only the status is kept. All else is bounded:
//!
//! - the counter holds at most as many times as the limit has requests;
//! - [`Totals::busiest_window`] needs the arrivals of one window;
//! - the activity log holds at most twice as many activities as [`Builder::activities`] allows;
//! - the queue of a webhook holds at most 10,000 events;
//! - [`Simulator::trace`] holds at most as many arrivals as [`Builder::trace`] allows;
//! - the body of a request has at most 1 MiB, that of an email 4 MiB and that of a trigger 25 MiB.

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod api;
mod clock;
mod credentials;
mod fault;
mod http;
mod limit;
mod records;
mod scenario;
mod server;
mod setting;
mod shared;
mod simulator;
mod webhook;

pub use fault::{FailurePoint, Faults, Outage, Probability, Script, Stall, Step};
pub use limit::{Limit, Model};
pub use records::{
    Arrival, Dedupe, Delivery, Event, Form, Message, Object, Person, Records, Totals, Trigger,
};
pub use scenario::{InvalidScenario, from_toml};
pub use server::{Server, serve_connection};
pub use setting::{InvalidSetting, parse_duration};
pub use simulator::{Builder, Simulator};
pub use webhook::Webhook;
