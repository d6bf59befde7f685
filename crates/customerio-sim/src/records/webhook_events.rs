use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::messages::Message;

/// An event of a reporting webhook.
#[derive(Clone, Debug)]
pub(crate) struct WebhookEvent {
    /// Its place among all events, from 1.
    pub(crate) number: u64,
    /// When it happened, in Unix seconds.
    pub(crate) created: i64,
    /// The JSON object, as it is signed.
    pub(crate) body: Bytes,
}

/// The events that wait for their delivery, for each webhook.
#[derive(Debug, Default)]
pub(super) struct WebhookEvents {
    created: u64,
    queues: Vec<VecDeque<WebhookEvent>>,
}

/// The parts of a report about a message that its event has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Details<'a> {
    pub(super) href: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
}

impl WebhookEvents {
    pub(super) fn add_webhook(&mut self) {
        self.queues.push(VecDeque::new());
    }

    pub(super) fn is_enabled(&self) -> bool {
        !self.queues.is_empty()
    }

    pub(super) fn next(&self, webhook: usize) -> Option<WebhookEvent> {
        self.queues.get(webhook)?.front().cloned()
    }

    pub(super) fn done(&mut self, webhook: usize) {
        if let Some(queue) = self.queues.get_mut(webhook) {
            queue.pop_front();
        }
    }

    /// Adds an event for each webhook. Returns for how many it was dropped.
    pub(super) fn add(&mut self, object_type: &str, metric: &str, data: &Value, now: i64) -> u64 {
        self.created += 1;
        let event = json!({
            "event_id": ulid(now, self.created),
            "object_type": object_type,
            "metric": metric,
            "timestamp": now,
            "data": data,
        });
        let event = WebhookEvent {
            number: self.created,
            created: now,
            body: event.to_string().into(),
        };
        let mut dropped = 0;
        for queue in &mut self.queues {
            match queue.len() < MAX_WAITING {
                true => queue.push_back(event.clone()),
                false => dropped += 1,
            }
        }
        dropped
    }
}

/// Returns the data of an event about a message.
pub(super) fn delivery_data(
    message: &Message,
    metric: &str,
    details: Details<'_>,
    identifiers: &Value,
    devices: &[Value],
) -> Value {
    let text = |name: &str| {
        message
            .request
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("")
    };
    let mut data = person_data(identifiers);
    let mut add = |name: &str, value: Value| data.insert(name.to_owned(), value);
    add("delivery_id", message.delivery_id.as_str().into());
    let template = message
        .request
        .get("transactional_message_id")
        .and_then(Value::as_u64);
    // A template that is named by its trigger has a number too, which the simulator does not know.
    add("transactional_message_id", template.unwrap_or(0).into());
    match message.channel.as_str() {
        "push" => add("recipients", devices.into()),
        _ => add("recipient", text("to").into()),
    };
    if message.channel == "email" {
        add("subject", text("subject").into());
    }
    if metric == "clicked" {
        add("href", details.href.unwrap_or("").into());
        add("link_id", 1.into());
    }
    if FAILURES.contains(&metric) {
        add("failure_message", details.reason.unwrap_or("").into());
    }
    data.into()
}

/// Returns the data that every event has.
pub(super) fn person_data(identifiers: &Value) -> Map<String, Value> {
    let customer_id = identifiers["id"].as_str().unwrap_or_default();
    Map::from_iter([
        ("customer_id".to_owned(), customer_id.into()),
        ("identifiers".to_owned(), identifiers.clone()),
    ])
}

/// Returns a ULID: 48 bits of milliseconds and 80 bits that are random in the service, and count
/// here, in Crockford's base 32.
pub(super) fn ulid(now: i64, number: u64) -> String {
    const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let milliseconds = u128::try_from(now).unwrap_or(0) * 1_000;
    let bits = (milliseconds << 80) | u128::from(number);
    let symbols = (0..26).rev().map(|place| {
        let symbol = (bits >> (5 * place)) & 31;
        char::from(SYMBOLS[usize::try_from(symbol).unwrap_or(0)])
    });
    symbols.collect()
}

/// The metrics of failures.
const FAILURES: [&str; 5] = ["attempted", "bounced", "dropped", "failed", "undeliverable"];

/// How many events wait for one webhook. Further ones are dropped, so that a receiver that never
/// answers does not exhaust the memory.
const MAX_WAITING: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_ulid_that_counts_up() {
        let ids = [1, 2, 31, 32].map(|number| ulid(1_767_225_600, number));
        assert!(
            ids.iter()
                .all(|id| crate::api::ulid(id).as_ref() == Some(id))
        );
        assert!(ids.is_sorted());
        assert!(ulid(1_767_225_600, u64::MAX) < ulid(1_767_225_601, 1));
    }

    #[test]
    fn the_number_of_waiting_events_is_bounded() {
        let mut events = WebhookEvents::default();
        assert_eq!(events.add("email", "sent", &json!({}), 1), 0);
        events.add_webhook();
        let dropped = (0..=MAX_WAITING).map(|_| events.add("email", "sent", &json!({}), 1));
        assert_eq!(dropped.sum::<u64>(), 1);
        assert_eq!(events.next(0).unwrap().number, 2);
        events.done(0);
        assert_eq!(events.next(0).unwrap().number, 3);
    }
}
