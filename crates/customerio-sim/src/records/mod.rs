//! Records of the requests that arrived, and of the people, events and objects in them.

mod activities;
mod arrivals;
mod broadcasts;
mod busiest_window;
mod event;
mod imports;
mod messages;
mod object;
mod people;
mod person;
mod reports;
mod retention;
mod store;
#[cfg(test)]
mod tests;
mod totals;
mod visitors;
mod webhook_events;

pub(crate) use activities::{ActivityFilter, LogSettings};
pub use arrivals::Arrival;
pub(crate) use arrivals::ArrivalLog;
pub use broadcasts::Trigger;
pub use event::{Dedupe, Event};
pub use messages::Message;
pub use object::Object;
pub use person::Person;
pub use reports::{Delivery, Form};
pub use retention::Records;
pub(crate) use store::Store;
pub use totals::Totals;
pub(crate) use webhook_events::WebhookEvent;
