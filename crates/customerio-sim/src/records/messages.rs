use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use serde::Serialize;
use serde_json::{Map, Value, json};

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
    /// When each metric was first reported, in Unix seconds.
    pub metrics: BTreeMap<String, i64>,
    /// The reason in the last report that has one.
    pub failure_message: Option<String>,
    /// Its place among all messages, from 1.
    #[serde(skip)]
    pub(super) number: u64,
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
            metrics: BTreeMap::new(),
            failure_message: None,
            number,
            recipient: person,
            in_activities: sent.channel.in_activities(),
        }
    }

    /// Returns whether the message waits as a draft, and is not sent.
    pub(super) fn is_draft(&self) -> bool {
        self.is_set("queue_draft")
    }

    fn is_set(&self, member: &str) -> bool {
        self.request.get(member) == Some(&Value::Bool(true))
    }

    /// Returns the type as the App API names it.
    fn kind(&self) -> &'static str {
        // The documents name none for a message in an inbox.
        self.in_activities.unwrap_or("inbox")
    }

    /// Returns the time of each metric by `now`, in Unix seconds.
    fn metrics(&self, now: i64) -> BTreeMap<&str, i64> {
        let reported = self.metrics.iter();
        let mut metrics: BTreeMap<_, _> = reported.map(|(name, at)| (name.as_str(), *at)).collect();
        metrics.insert("created", self.queued_at);
        let sent_at = self.send_at.unwrap_or(self.queued_at);
        if self.is_draft() {
            metrics.insert("drafted", self.queued_at);
        } else if sent_at <= now {
            metrics.insert("sent", sent_at);
        }
        metrics
    }

    pub(super) fn is_selected(&self, filter: &MessageFilter, now: i64) -> bool {
        let template = self.request.get("transactional_message_id");
        let is = |wanted: Option<&str>, found: &str| wanted.is_none_or(|wanted| wanted == found);
        (filter.person.is_none() || filter.person == self.recipient)
            && is(filter.kind.as_deref(), self.kind())
            && filter.draft.is_none_or(|draft| draft == self.is_draft())
            && filter.created.contains(&self.queued_at)
            && !filter.has_other_parent
            && filter
                .template
                .is_none_or(|id| template.and_then(Value::as_u64) == Some(id))
            && filter
                .metric
                .as_deref()
                .is_none_or(|metric| self.metrics(now).contains_key(metric))
    }

    /// Returns the message as the App API shows it. `identifiers` are those of its person.
    pub(super) fn shown(&self, identifiers: &Value, now: i64) -> Value {
        let text = |name: &str| self.request.get(name).and_then(Value::as_str);
        let template = self.request.get("transactional_message_id");
        let metrics = self.metrics(now);
        let updated_at = metrics.values().max().copied().unwrap_or(self.queued_at);
        json!({
            "id": self.delivery_id,
            "deduplicate_id": format!("{}:{updated_at}", self.delivery_id),
            "type": self.kind(),
            "customer_id": identifiers["id"],
            "customer_identifiers": identifiers,
            "recipient": text("to").unwrap_or_default(),
            "subject": text("subject").unwrap_or_default(),
            "created": self.queued_at,
            "metrics": metrics,
            "failure_message": self.failure_message,
            // A transactional message has none of these parents.
            "campaign_id": null,
            "newsletter_id": null,
            "broadcast_id": null,
            "action_id": null,
            "parent_action_id": null,
            "content_id": null,
            "message_template_id": template.and_then(Value::as_u64),
            "trigger_event_id": null,
            "forgotten": self.is_set("disable_message_retention"),
        })
    }
}

/// A question for messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MessageFilter {
    pub(crate) person: Option<Identifier>,
    /// The type, as the App API names it.
    pub(crate) kind: Option<String>,
    /// A metric that the messages have.
    pub(crate) metric: Option<String>,
    /// Whether the messages are drafts. `None` selects drafts and others.
    pub(crate) draft: Option<bool>,
    /// The number of the template.
    pub(crate) template: Option<u64>,
    /// In Unix seconds.
    pub(crate) created: RangeInclusive<i64>,
    /// Whether the messages belong to something else than a template, as no message here does.
    pub(crate) has_other_parent: bool,
}

impl MessageFilter {
    /// Returns a filter that selects all messages.
    pub(crate) fn all() -> Self {
        Self {
            person: None,
            kind: None,
            metric: None,
            draft: None,
            template: None,
            created: i64::MIN..=i64::MAX,
            has_other_parent: false,
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

    /// Records a report about a message that was sent here.
    pub(super) fn report(
        &mut self,
        delivery_id: &str,
        metric: &str,
        reason: Option<&str>,
        now: i64,
    ) {
        if let Some(index) = self.by_id.get(delivery_id) {
            let message = &mut self.messages[*index];
            message.metrics.entry(metric.to_owned()).or_insert(now);
            if let Some(reason) = reason {
                message.failure_message = Some(reason.to_owned());
            }
        }
    }

    /// Returns the messages before a number, the newest first.
    pub(super) fn before(&self, number: Option<u64>) -> impl Iterator<Item = &Message> {
        let end = number.map_or(self.messages.len(), |number| {
            // Messages are numbered from 1.
            usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX)
        });
        self.messages[..end.min(self.messages.len())].iter().rev()
    }
}
