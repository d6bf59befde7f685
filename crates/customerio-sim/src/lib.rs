//! A Customer.io on your laptop that keeps books, enforces a rate limit and misbehaves on request.
//!
//! The simulator speaks the public Track API, v1 and v2, and shares no code with any client, so that it can referee one:
//! it counts what arrived, refuses what a limit refuses, and loses, delays and repeats as its weather says. Everything
//! random comes from one seed, and time is tokio's clock, so a test on paused time replays exactly.
//!
//! # Example: a referee in a test
//!
//! ```
//! use customerio_sim::{Limit, Script, Server, Simulator};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let simulator = Simulator::builder()
//!     .limit(Limit::parse("100/1s")?)
//!     .script(Script::new([503, 429]))
//!     .seed(7)
//!     .build();
//! let server = Server::bind("127.0.0.1:0", simulator.clone()).await?;
//! // ... point a client at server.url() ...
//! assert_eq!(simulator.books().throttled, 0);
//! # drop(server);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # What is kept
//!
//! Memory grows with the people, objects, deliveries, forms and events with an id that were accepted, and with nothing
//! else: a limit's counter
//! holds at most as many moments as the limit has requests, the busiest window as many as one window held, and the trace
//! as many arrivals as it was told to keep. A request's body is bounded by 1 MiB.

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod api;
mod books;
mod builder;
mod clock;
mod http;
mod limit;
mod scenario;
mod server;
mod setting;
mod simulator;
mod weather;
mod world;

pub use books::{Arrival, Dedupe, Delivery, Event, Form, Object, Person, Totals};
pub use builder::Builder;
pub use limit::{Limit, Model};
pub use scenario::{InvalidScenario, from_toml};
pub use server::{Server, serve_connection};
pub use setting::{InvalidSetting, parse_duration};
pub use simulator::Simulator;
pub use weather::{Chance, Outage, Script, Stall, Step, Weather, When};
