//! Compares an adaptive limit with the best fixed one, before simulated servers of many kinds.
//!
//! `-- --nocapture` prints a table. A row is a level of a scenario with one seed. It has the best
//! fixed limit, the throughput and the latency as multiples of those of that limit, the number of
//! round trips until the adaptive limit had settled, the limit at the end, the mean number in
//! flight, and the share of failures.
//!
//! By default each scenario runs with one seed, and is shortened if the server is fast.
//! `ADAPTIVE_SEEDS=8` runs whole scenarios with 8 seeds each. Use a release build for that.

mod callers;
mod changes;
mod properties;
mod record;
mod scenario;
mod server;
mod simulation;
mod steady;
