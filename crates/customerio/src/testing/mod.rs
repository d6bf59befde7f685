//! Offline clients for your own tests. They record requests and return given replies.
//!
//! ```
//! use customerio::testing::{self, Reply};
//! use customerio::{Attributes, Client, Person, client::Error};
//!
//! /// The code under test.
//! async fn upgrade(client: &Client, id: &str) -> Result<(), Error> {
//!     let mut attributes = Attributes::new();
//!     attributes.insert("plan", "pro")?;
//!     client.identify(&Person::id(id)?, &attributes).await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let (client, calls) = testing::recorded();
//! upgrade(&client, "u1").await.unwrap();
//! assert_eq!(calls.all()[0].json()["attributes"]["plan"], "pro");
//!
//! let (client, _) = testing::scripted([Reply::rejected("no such plan")]);
//! let error = upgrade(&client, "u1").await.unwrap_err();
//! assert_eq!(error.rejection().unwrap().reason(), "no such plan");
//! # }
//! ```
//!
//! [`recorded`] returns a client whose requests are all accepted. [`scripted`] returns one with
//! given replies. Both use the same layers as a real client, so retries and limits are the same.
//! With `#[tokio::test(start_paused = true)]` waits take no time.

mod api;
mod call;
mod reply;

pub use api::{recorded, scripted};
pub use call::{Call, Calls};
pub use reply::Reply;
