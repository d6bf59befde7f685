//! Reporting webhooks: their settings, and how their events are signed and delivered.

mod delivery;
mod settings;
mod signature;

pub(crate) use delivery::deliver_all;
pub use settings::Webhook;
