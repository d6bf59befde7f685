//! The simulator over a pipe on paused time, over a socket, and as the program `cio-sim`.

mod api;
mod app;
mod client;
mod effects;
mod faults;
mod limits;
mod people;
mod program;
mod questions;
mod recorded;
mod records;
mod rejections;
mod socket;
mod webhooks;
