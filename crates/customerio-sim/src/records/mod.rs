//! Records of the requests that arrived, and of the people, events and objects in them.

mod activities;
mod arrivals;
mod broadcasts;
mod busiest_window;
mod event;
mod exports;
mod imports;
mod live_notifications;
mod messages;
mod object;
mod people;
mod person;
mod reports;
mod retention;
mod segments;
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
pub(crate) use live_notifications::{NotChanged, NotificationChange};
pub use messages::Message;
pub(crate) use messages::MessageFilter;
pub use object::Object;
pub use person::Person;
pub use reports::{Delivery, Form};
pub use retention::Records;
pub(crate) use store::Store;
pub use totals::Totals;
pub(crate) use webhook_events::WebhookEvent;
