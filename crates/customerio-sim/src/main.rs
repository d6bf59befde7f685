//! Serves a simulated Customer.io on a local port.

fn main() {}
