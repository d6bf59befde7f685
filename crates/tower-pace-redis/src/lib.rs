//! One rate limit for many processes: the shared store of `tower-pace`, on Redis or Valkey.
//!
//! ```no_run
//! # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_pace::rate::shared::SharedLimits;
//! use tower_pace::{Quota, RateLimitLayer};
//! use tower_pace_redis::RedisStore;
//!
//! let store = RedisStore::connect("redis://127.0.0.1:6379", "my-app").await?;
//! let (limits, driver) = SharedLimits::new(store);
//! tokio::spawn(driver.run());
//! let layer = RateLimitLayer::new(Quota::per_second(100)).shared("api.example.com", &limits)?;
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! All processes with the same prefix and the same name of a quota share it. A
//! [`SharedStore`](tower_pace::rate::shared::SharedStore) hands out departure times, at most 50 ms
//! ahead, from the clock of the server.
//!
//! # What it writes
//!
//! Each quota has four keys, which start with `{prefix:name}`: the record, the processes that run,
//! those that need more departure times, and a marker. All but the marker expire when the quota is
//! idle for long enough. The marker tells an idle quota, which starts at once, from one whose data
//! was lost. The README lists the keys, the memory that they take, and the commands that a user of
//! the server must be allowed.
//!
//! # Faults
//!
//! | fault | error | cost |
//! |---|---|---|
//! | the server is away or stopped | [`is_unreachable`](StoreError::is_unreachable) | each process departs by its part of the quota |
//! | it returns with an old snapshot | | nothing: the script goes on after the latest departure time that a process knows |
//! | it returns without data | | one window without departures |
//! | a key holds data of another program | [`is_wrong_type`](StoreError::is_wrong_type), for this quota only | as if it were away |
//! | it is a read-only replica | [`is_read_only`](StoreError::is_read_only) | likewise |
//! | the user may not run a command | [`is_permission`](StoreError::is_permission) | likewise |
//! | the password is wrong | [`is_authentication`](StoreError::is_authentication) | likewise |
//! | it is another kind of server | [`is_invalid_reply`](StoreError::is_invalid_reply) | likewise |
//!
//! The connection needs a tokio runtime with I/O and a timer. If the runtime ends, the next call
//! connects again in its own.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `tls` | `rediss://` URLs, with rustls and the certificate authorities of the platform |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod bounded;
mod clock;
mod connection;
mod error;
mod random;
mod script;
mod store;
#[cfg(feature = "tls")]
mod tls;

pub use error::{ConnectError, StoreError};
pub use store::RedisStore;
