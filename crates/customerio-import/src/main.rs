//! Sends files of people and events to Customer.io.

fn main() {}
