//! An adaptive limit beside the best fixed one, before simulated servers of many kinds, event by
//! event.
//!
//! `-- --nocapture` prints a table. A row is a level of a scenario by one seed: the best fixed
//! limit, the throughput and the latency beside it, after how many of its round trips the limit had
//! settled, the limit at the end, the mean number in flight, and the share of failures.
//!
//! Each scenario is played once, and shortened where the server is fast. `ADAPTIVE_SEEDS=8` plays
//! all of it, by 8 seeds, and asks for a release build.

mod callers;
mod changes;
mod properties;
mod record;
mod scenario;
mod server;
mod steady;
mod world;
