//! The simulator as its clients meet it: over a pipe on virtual time, over a socket, and as a program.

mod api;
mod books;
mod client;
mod limits;
mod program;
mod socket;
mod weather;
