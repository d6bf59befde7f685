//! The simulator over a pipe on paused time, over a socket, and as the program `cio-sim`.

mod api;
mod client;
mod faults;
mod limits;
mod program;
mod records;
mod socket;
