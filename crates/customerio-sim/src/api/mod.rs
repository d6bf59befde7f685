//! The public rules of the Track API and the App API as pure functions. They turn the bytes of a
//! request into operations, messages and triggers, or into a rejection in the API's words.

mod check;
pub(crate) mod delivery;
mod device;
mod event;
pub(crate) mod export;
mod filter;
mod identifier;
pub(crate) mod import;
pub(crate) mod live_notification;
mod object;
mod operation;
pub(crate) mod opt_out;
mod rejection;
mod relationship;
pub(crate) mod segment;
pub(crate) mod send;
pub(crate) mod trigger;
pub(crate) mod v1;
pub(crate) mod v2;

pub(crate) use check::MAX_ATTRIBUTES;
pub(crate) use event::{TrackedEvent, ulid};
pub(crate) use export::DeliveriesExport;
pub(crate) use filter::{Filter, as_text};
pub(crate) use identifier::Identifier;
pub(crate) use import::ImportRequest;
pub(crate) use live_notification::NewNotification;
pub(crate) use object::ObjectIdentifier;
pub(crate) use operation::{
    DeliveryReport, Identify, Membership, ObjectChange, Operation, Source, Subscription,
};
pub(crate) use opt_out::Sender;
pub(crate) use rejection::Rejection;
pub(crate) use relationship::{RelatedPerson, Relationship};
pub(crate) use segment::NewSegment;
pub(crate) use send::{Channel, OutgoingMessage};
pub(crate) use trigger::BroadcastTrigger;
