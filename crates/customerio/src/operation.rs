use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use serde::Serialize;

use crate::error::check_bytes;
use crate::{Attributes, Event, EventId, InvalidInput, Person, Timestamp};

/// The documented 32 kB of one operation, read as thousands for safety.
const MAX_OPERATION: usize = 32_000;

/// Holds one operation of version 2 about one person: checked, and serialized once.
///
/// Cloning shares the bytes.
///
/// ```
/// use customerio::{Attributes, Operation, Person};
/// let mut attributes = Attributes::new();
/// attributes.insert("plan", "pro")?;
/// let operation = Operation::identify(&Person::id("u1")?, &attributes)?;
/// assert_eq!(
///     operation.json(),
///     br#"{"type":"person","action":"identify","identifiers":{"id":"u1"},"attributes":{"plan":"pro"}}"#,
/// );
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone)]
pub struct Operation {
    json: Bytes,
    lane: Lane,
    replay: Replay,
    company: Company,
}

/// Names the operations whose order must be kept: those of one person, by the identifier as given.
///
/// It is a digest. Should two people ever share one, they wait for each other, and nothing else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(u64);

/// Whether sending again changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replay {
    Harmless,
    Repeats,
}

/// Whether an operation may share its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Company {
    Alone,
    Batch,
}

impl Lane {
    pub(crate) fn of(identifier: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        identifier.hash(&mut hasher);
        Self(hasher.finish())
    }
}

#[derive(Serialize)]
struct Json<'a> {
    r#type: &'static str,
    action: &'static str,
    identifiers: &'a Person,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a Attributes>,
}

impl Operation {
    /// Creates a person or updates their attributes.
    ///
    /// # Errors
    ///
    /// There are more than 300 attributes, a value takes more than 1,000 bytes, or the whole more than 32,000.
    pub fn identify(person: &Person, attributes: &Attributes) -> Result<Self, InvalidInput> {
        attributes.check_person()?;
        let json = Json::about("identify", person, Some(attributes));
        Self::new(&json, Replay::Harmless, Company::Batch)
    }

    /// Reports what a person did.
    ///
    /// Without an id the event cannot be told from its repetition: it then goes alone, and is not
    /// replayed after a failure that leaves open whether it arrived.
    ///
    /// # Errors
    ///
    /// The whole takes more than 32,000 bytes.
    pub fn event(person: &Person, event: &Event) -> Result<Self, InvalidInput> {
        let json = Json {
            name: Some(&event.name),
            id: event.id,
            timestamp: event.timestamp,
            ..Json::about("event", person, Some(&event.attributes))
        };
        match event.id {
            Some(_) => Self::new(&json, Replay::Harmless, Company::Batch),
            None => Self::new(&json, Replay::Repeats, Company::Alone),
        }
    }

    /// Deletes a person and blocks their identifiers.
    ///
    /// # Errors
    ///
    /// Never for a [`Person`] as it can be made today.
    pub fn suppress(person: &Person) -> Result<Self, InvalidInput> {
        Self::new(
            &Json::about("suppress", person, None),
            Replay::Harmless,
            Company::Alone,
        )
    }

    /// Deletes a person. A later operation about them may create them again.
    ///
    /// # Errors
    ///
    /// Never for a [`Person`] as it can be made today.
    pub fn delete(person: &Person) -> Result<Self, InvalidInput> {
        Self::new(
            &Json::about("delete", person, None),
            Replay::Harmless,
            Company::Alone,
        )
    }

    fn new(json: &Json<'_>, replay: Replay, company: Company) -> Result<Self, InvalidInput> {
        let lane = json.identifiers.lane();
        let json = to_bytes(json);
        check_bytes("operation", json.len(), MAX_OPERATION)?;
        Ok(Self {
            json,
            lane,
            replay,
            company,
        })
    }

    /// Returns the serialized operation.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Returns the size in bytes, at most 32,000.
    #[must_use]
    pub fn size(&self) -> usize {
        self.json.len()
    }

    /// Returns the key of the operations that must keep their order with this one.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Returns whether sending it again changes nothing.
    #[must_use]
    pub fn may_replay(&self) -> bool {
        self.replay == Replay::Harmless
    }

    /// Returns whether it must not share a request: deletions, suppressions, and what may not be replayed.
    #[must_use]
    pub fn goes_alone(&self) -> bool {
        self.company == Company::Alone
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.json.clone()
    }
}

impl<'a> Json<'a> {
    fn about(action: &'static str, person: &'a Person, attributes: Option<&'a Attributes>) -> Self {
        Self {
            r#type: "person",
            action,
            identifiers: person,
            name: None,
            id: None,
            timestamp: None,
            attributes: attributes.filter(|attributes| !attributes.is_empty()),
        }
    }
}

/// Serializes what this crate builds, which cannot fail.
pub(crate) fn to_bytes(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body)
        .expect("keys are strings and every value was checked")
        .into()
}

impl fmt::Debug for Operation {
    /// Shows size and lane; the payload is a person's data and stays out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("size", &self.size())
            .field("lane", &self.lane)
            .field("replay", &self.replay)
            .field("company", &self.company)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Person {
        Person::id("u1").unwrap()
    }

    fn event(bytes: usize) -> Result<Operation, InvalidInput> {
        let id = EventId::from_parts(0, 0);
        let fixed = Operation::event(&person(), &Event::new("e").unwrap().id(id))
            .unwrap()
            .size();
        let mut attributes = Attributes::new();
        attributes
            .insert(
                "a",
                "x".repeat(bytes - fixed - r#","attributes":{"a":""}"#.len()),
            )
            .unwrap();
        Operation::event(
            &person(),
            &Event::new("e").unwrap().id(id).attributes(attributes),
        )
    }

    #[test]
    fn an_operation_takes_at_most_32000_bytes() {
        assert_eq!(event(32_000).unwrap().size(), 32_000);
        assert!(event(32_001).unwrap_err().is_too_large());
    }

    #[test]
    fn only_what_changes_nothing_is_replayed() {
        let check = |operation: Result<Operation, _>, replay, alone| {
            let operation = operation.unwrap();
            assert_eq!(
                (operation.may_replay(), operation.goes_alone()),
                (replay, alone)
            );
        };
        check(
            Operation::identify(&person(), &Attributes::new()),
            true,
            false,
        );
        check(event(1_000), true, false);
        check(
            Operation::event(&person(), &Event::new("e").unwrap()),
            false,
            true,
        );
        check(Operation::suppress(&person()), true, true);
        check(Operation::delete(&person()), true, true);
    }

    #[test]
    fn debug_shows_no_data() {
        let debug = format!("{:?}", Operation::delete(&person()).unwrap());
        assert!(!debug.contains("u1"), "{debug}");
    }
}
