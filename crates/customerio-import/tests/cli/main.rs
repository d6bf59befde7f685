//! The real binary against the simulator, over the loopback.

mod bad_input;
mod cases;
mod damaged;
mod events;
#[cfg(unix)]
mod files;
#[expect(dead_code, reason = "the client's own tests use the rest")]
#[path = "../../../customerio/tests/it/http2.rs"]
mod http2;
mod models;
mod people;
mod run_again;
mod secrets;
#[cfg(unix)]
mod signals;
mod stops;
mod waits;
mod world;
