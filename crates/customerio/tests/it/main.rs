//! The tests of the public API, in one binary.

mod api_pitfalls;
#[cfg(feature = "client")]
mod app;
#[cfg(feature = "client")]
mod app_pages;
#[cfg(feature = "client")]
mod app_people;
#[cfg(feature = "client")]
mod app_recorded;
#[cfg(feature = "client")]
mod app_simulated;
#[cfg(feature = "client")]
mod attempt;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod connections;
#[cfg(feature = "client")]
mod dead_connections;
#[cfg(feature = "client")]
mod deadline;
mod delivery;
#[cfg(feature = "client")]
mod departure;
mod fuzzed;
#[cfg(feature = "client")]
mod goaway;
mod golden;
mod golden_v1;
mod golden_v2;
#[cfg(feature = "client")]
mod http2;
#[cfg(feature = "client")]
mod hyper_pipe;
mod packer;
#[cfg(feature = "queue")]
mod queue;
#[cfg(feature = "client")]
mod receive_limit;
mod recorded;
#[cfg(feature = "client")]
mod redact;
mod response_bodies;
#[cfg(feature = "client")]
mod scripted_service;
mod secrets;
#[cfg(feature = "client")]
mod simulated;
mod support;
#[cfg(feature = "testing")]
mod testing;
#[cfg(feature = "tracing")]
mod traced;
mod validation;
#[cfg(feature = "webhooks")]
mod webhooks;
