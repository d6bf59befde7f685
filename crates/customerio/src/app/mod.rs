//! The App API: transactional messages, triggers of broadcasts, and every other endpoint.
//!
#![cfg_attr(feature = "client", doc = "```")]
#![cfg_attr(not(feature = "client"), doc = "```ignore")]
//! use customerio::app::{Email, Trigger};
//! use customerio::{Client, Person};
//! use http::Method;
//! use serde_json::{Value, json};
//!
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/simulator.rs"));
//! # fn main() { simulated(async {
//! let app = Client::from_env()?.app(); // CUSTOMERIO_APP_API_KEY
//! let email = Email::new("receipt", &Person::id("u1")?, "ada@example.com");
//! let sent = app.send(&email.data(&json!({"total": "23.45"}))?).await?;
//! println!("{}", sent.delivery_id);
//! app.trigger(&Trigger::new(5)).await?; // one in 10 seconds
//! let exports: Value = app.request(Method::GET, "/v1/exports").send().await?.json()?;
//! # assert!(exports["exports"].is_null());
//! # Ok(()) }) }
//! ```
//!
//! Each value is checked against the documented limits when it is turned into an [`AppRequest`],
//! which `Client::app` does. Without feature `client`, send the request with any HTTP client: see
//! [`AppRequest::settle`].
//!
//! # What is sent again
//!
//! The API has no id by which it could ignore a second copy of a message or a trigger. Both are
//! sent again only after a 429, or if the request was certainly not sent. After every other failure
//! their outcome is unknown.
//!
//! # Limits
//!
//! | requests | limit | counted with |
//! |---|---|---|
//! | messages | 1,000 per second | the requests of the Track API |
//! | triggers of broadcasts | 1 per 10 s | nothing else |
//! | everything else | 10 per second | nothing else |
//!
//! A wait for one limit delays no request of another.

mod activity;
mod activity_type;
mod credentials;
mod endpoint;
mod export;
mod failure_query;
mod filter;
mod import;
mod message;
mod message_record;
mod people;
mod reply;
mod request;
mod route;
mod trigger;

pub use activity::{Activity, ActivityQuery};
pub use activity_type::{
    ActivityType, MessageActivity, MessageChannel, ObjectActivity, PersonActivity,
};
#[cfg(feature = "client")]
pub(crate) use credentials::APP_API_KEY;
pub use credentials::AppCredentials;
pub use endpoint::AppEndpoint;
pub use export::{Export, ExportStatus};
pub use failure_query::FailureQuery;
pub use filter::Filter;
pub use import::{Import, ImportIdentifier, ImportState, ImportStatus};
pub use message::{
    Email, InApp, InboxMessage, Message, Push, PushTo, Sms, Sound, Template, WhatsApp,
};
pub use message_record::{MessageQuery, MessageRecord};
pub use people::{
    Customer, CustomerDevice, ObjectIdentifiers, ObjectRelationship, OptOut, PersonOptOuts,
    Segment, SubscriptionPreferences, TopicSubscription,
};
#[cfg(feature = "client")]
pub(crate) use reply::member;
pub use reply::{FoundPerson, Identifiers, Sent, TriggerErrors, TriggerStatus, Triggered};
pub use request::AppRequest;
#[cfg(feature = "client")]
pub(crate) use route::Kind;
pub use trigger::{Audience, PersonData, Trigger};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::InvalidInput;
use crate::attributes::check_numbers;
use crate::error::Problem;
use crate::person::{check_segment, encode};

/// Percent-encodes a value as one segment of a path.
///
/// ```
/// use customerio::app::segment;
/// assert_eq!(segment("dgO=")?, "dgO%3D");
/// assert!(segment("..").is_err());
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
///
/// # Errors
///
/// The value is empty, `.` or `..`, which URL libraries drop.
pub fn segment(value: &str) -> Result<String, InvalidInput> {
    if value.is_empty() {
        return Err(InvalidInput::new("path segment", Problem::Empty));
    }
    check_segment("path segment", value)?;
    Ok(encode(value).to_string())
}

/// Returns the members of a value that serializes to a JSON object.
fn object(
    field: &'static str,
    value: &(impl Serialize + ?Sized),
) -> Result<Map<String, Value>, InvalidInput> {
    let invalid = |problem| InvalidInput::new(field, problem);
    check_numbers(value).map_err(invalid)?;
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(invalid(Problem::NotAnObject)),
        Err(_) => Err(invalid(Problem::NotSerializable)),
    }
}
