use std::collections::HashMap;

use crate::api::Identifier;

/// The visitors with an anonymous id: their events until they are identified, and then the person
/// they are.
#[derive(Debug, Default)]
pub(super) struct Visitors {
    events: HashMap<String, Vec<Waiting>>,
    people: HashMap<String, Identifier>,
}

/// An event that no person has yet.
#[derive(Debug)]
struct Waiting {
    /// When it was received, in Unix seconds.
    received: i64,
    /// Its id, if it has a record.
    id: Option<String>,
}

impl Visitors {
    /// Returns the person who was identified with this anonymous id.
    pub(super) fn person(&self, anonymous_id: &str) -> Option<&Identifier> {
        self.people.get(anonymous_id)
    }

    pub(super) fn record(&mut self, anonymous_id: String, id: Option<String>, now: i64) {
        let waiting = self.events.entry(anonymous_id).or_default();
        // No identification can adopt these any more, and a visitor must not grow without bound.
        waiting.retain(|event| now - event.received <= ADOPTION_SECONDS);
        waiting.push(Waiting { received: now, id });
    }

    /// Identifies a visitor. Returns the ids of the events that the person adopts, with `None` for
    /// those without a record.
    pub(super) fn identify(
        &mut self,
        anonymous_id: &str,
        person: &Identifier,
        now: i64,
    ) -> Vec<Option<String>> {
        self.people.insert(anonymous_id.to_owned(), person.clone());
        let waiting = self.events.remove(anonymous_id).unwrap_or_default();
        waiting
            .into_iter()
            .filter(|event| now - event.received <= ADOPTION_SECONDS)
            .map(|event| event.id)
            .collect()
    }

    /// Moves the anonymous ids of a person to the one into which it is merged.
    pub(super) fn merge(&mut self, primary: &Identifier, secondary: &Identifier) {
        self.people
            .values_mut()
            .filter(|person| *person == secondary)
            .for_each(|person| *person = primary.clone());
    }
}

/// 30 days: the documented age of the oldest event that an identification adopts.
const ADOPTION_SECONDS: i64 = 30 * 24 * 60 * 60;
