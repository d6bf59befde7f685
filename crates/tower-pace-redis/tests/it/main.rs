//! The store against a real `redis-server`, which each test starts for itself.
//!
//! Where `redis-server` is not installed, the tests print that they are skipped. With the
//! environment variable `CI_REQUIRES_REDIS=1` they fail there. `REDIS_SERVER` names another
//! program, such as the path of a `valkey-server`.

mod calls;
mod differential;
mod faults;
// The pure half of the crate: its keys, arguments and replies are the ones under test.
#[path = "../../src/script.rs"]
mod script;
mod server;
#[cfg(feature = "tls")]
mod tls;
