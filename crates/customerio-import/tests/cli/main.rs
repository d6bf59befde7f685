//! The real binary against the simulator, over the loopback.

mod bad_input;
mod events;
mod models;
mod people;
mod run_again;
mod secrets;
mod stops;
mod waits;
mod world;
