use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::api::{Identifier, OutgoingMessage};

/// The record of one transactional message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// The id in the response.
    pub delivery_id: String,
    /// The channel, as the path of the request names it: `email`, `in_app`, `inbox_message`,
    /// `push`, `sms` or `whatsapp`.
    pub channel: String,
    /// The identifier of the person. `None` for an email without identifiers.
    pub person: Option<String>,
    /// When the request arrived, in Unix seconds.
    pub queued_at: i64,
    /// When it is sent, in Unix seconds, if it is scheduled.
    pub send_at: Option<i64>,
    /// The members of the request, without attachments and without a device.
    pub request: Map<String, Value>,
    /// The length of each attachment in bytes.
    pub attachments: BTreeMap<String, usize>,
    /// The person with the kind of the identifier.
    #[serde(skip)]
    pub(super) recipient: Option<Identifier>,
    /// The channel as activities name it.
    #[serde(skip)]
    pub(super) in_activities: Option<&'static str>,
}

impl Message {
    /// Returns the record of a message. `number` counts the messages from 1: there is no id by
    /// which the API would recognize a repetition, so each request is a message of its own.
    pub(super) fn new(
        number: u64,
        sent: OutgoingMessage,
        person: Option<Identifier>,
        now: i64,
    ) -> Self {
        Self {
            // Opaque, as the API's ids are. Some have a `=`, which a path must escape.
            delivery_id: BASE64_URL_SAFE.encode(format!("message:{number}")),
            channel: sent.channel.name().to_owned(),
            person: person.as_ref().map(|person| person.text().to_owned()),
            queued_at: now,
            send_at: sent.send_at,
            request: sent.request,
            attachments: sent.attachments,
            recipient: person,
            in_activities: sent.channel.in_activities(),
        }
    }
}

/// All messages in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Messages {
    messages: Vec<Message>,
    by_id: HashMap<String, usize>,
}

impl Messages {
    pub(super) fn record(&mut self, message: Message) {
        let id = message.delivery_id.clone();
        self.by_id.insert(id, self.messages.len());
        self.messages.push(message);
    }

    pub(super) fn get(&self, delivery_id: &str) -> Option<&Message> {
        Some(&self.messages[*self.by_id.get(delivery_id)?])
    }

    pub(super) fn all(&self) -> &[Message] {
        &self.messages
    }
}
