//! Operations of version 2 as values: checked, and serialized once.

mod body;

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::body::{DeliveryBody, DeliveryId, DeviceToken, MergeBody, ObjectBody, PersonBody};
use crate::device::{DeviceBody, check_token};
use crate::error::{check_bytes, check_length, check_some};
use crate::json::to_vec;
use crate::relationship::AnonymousId;
use crate::{
    Attributes, Device, Event, Identify, InvalidInput, Object, Person, PushEvent, Relationship,
};

/// The documented limit of 32 kB for one operation, read as 32,000 bytes to be safe.
const MAX_OPERATION: usize = 32_000;

/// The longest delivery id. No limit is documented; Customer.io's own ids are far shorter.
const MAX_DELIVERY_ID: usize = 1_000;

/// One operation of version 2, such as an identify or an event: checked, and serialized once.
///
/// Cloning shares the bytes. Constructors return an error if the operation takes more than 32,000
/// bytes.
///
/// ```
/// use customerio::{Attributes, Operation, Person};
/// let mut attributes = Attributes::new();
/// attributes.insert("plan", "pro")?;
/// let operation = Operation::identify(&Person::id("u1")?, &attributes)?;
/// let json = concat!(
///     r#"{"type":"person","action":"identify","identifiers":{"id":"u1"},"#,
///     r#""attributes":{"plan":"pro"}}"#,
/// );
/// assert_eq!(operation.json(), json.as_bytes());
/// # Ok::<(), customerio::InvalidInput>(())
/// ```
#[derive(Clone)]
pub struct Operation {
    json: Bytes,
    lane: Lane,
    other_lane: Option<Lane>,
    replay: Replay,
    batching: Batching,
}

/// The parts of an operation in a file.
#[cfg(feature = "spool")]
pub(crate) struct StoredOperation {
    pub(crate) json: Bytes,
    pub(crate) lane: Lane,
    pub(crate) other_lane: Option<Lane>,
    pub(crate) may_replay: bool,
    pub(crate) goes_alone: bool,
}

/// The key of the operations whose order is kept: those on one person or on one object.
///
/// A person has one lane for each of their identifiers, since two identifiers of one person look
/// like two people. The key is a 64-bit hash. If two people have the same one, their operations
/// wait for each other; there is no other effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(u64);

/// Whether an operation may be sent again after a failure that leaves open whether it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replay {
    /// A second copy changes nothing.
    Safe,
    /// A second copy may have an effect of its own.
    Unsafe,
}

/// Whether an operation may share a request with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batching {
    Allowed,
    Alone,
    /// Alone, since it is an event without an id.
    NoEventId,
}

impl Lane {
    /// Returns the lane of an identifier: the first 8 bytes of the SHA-256 of its parts, each
    /// behind its length as 8 bytes.
    ///
    /// Files keep lanes over releases of this crate and of Rust, so the hash never changes.
    /// `std`'s hasher may change.
    pub(crate) fn of(parts: &[&str]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let digest = hasher.finalize();
        let first = digest.first_chunk().expect("a digest has 32 bytes");
        Self(u64::from_be_bytes(*first))
    }
}

#[cfg(feature = "spool")]
impl Lane {
    /// Returns the hash as files keep it.
    pub(crate) fn to_stored(self) -> i64 {
        self.0.cast_signed()
    }

    pub(crate) fn from_stored(stored: i64) -> Self {
        Self(stored.cast_unsigned())
    }
}

/// Operations on people.
impl Operation {
    /// Creates a person or updates their attributes. [`Identify`] has more settings.
    ///
    /// # Errors
    ///
    /// There are more than 300 attributes, a value takes more than 1,000 bytes, or the operation
    /// takes more than 32,000 bytes.
    pub fn identify(person: &Person, attributes: &Attributes) -> Result<Self, InvalidInput> {
        attributes.check_person()?;
        Self::batched(
            &PersonBody::new("identify", person).attributes(attributes),
            person,
        )
    }

    /// Creates or updates a person, with the settings of an [`Identify`].
    ///
    /// # Errors
    ///
    /// As for [`Operation::identify`].
    pub fn identify_with(identify: &Identify) -> Result<Self, InvalidInput> {
        identify.attributes.check_person()?;
        let person = &identify.person;
        let body = PersonBody {
            timestamp: identify.timestamp,
            cio_relationships: &identify.relationships,
            ..PersonBody::new("identify", person).attributes(&identify.attributes)
        };
        Self::batched(&body, person)
    }

    /// Reports an event of a person, or a page or screen that they saw.
    ///
    /// Without an id the API cannot detect a second copy of the event. Such an operation goes
    /// alone, and is not replayed after a failure that leaves open whether it arrived.
    /// `Client::track` adds an id; an operation cannot get one later.
    ///
    /// # Errors
    ///
    /// The operation takes more than 32,000 bytes.
    pub fn event(person: &Person, event: &Event) -> Result<Self, InvalidInput> {
        let body = PersonBody {
            name: Some(&event.name),
            id: event.id,
            timestamp: event.timestamp,
            ..PersonBody::new(event.kind.name(), person).attributes(&event.attributes)
        };
        match event.id {
            Some(_) => Self::batched(&body, person),
            // In a batch, it would keep the whole batch from being replayed.
            None => Self::new(
                body.to_json(),
                person.lane(),
                Replay::Unsafe,
                Batching::NoEventId,
            ),
        }
    }

    /// Deletes a person and blocks their identifiers.
    ///
    /// # Errors
    ///
    /// None at present: every [`Person`] fits.
    pub fn suppress(person: &Person) -> Result<Self, InvalidInput> {
        Self::alone(&PersonBody::new("suppress", person), person)
    }

    /// Unblocks a person's identifiers. The deleted data is not restored.
    ///
    /// # Errors
    ///
    /// None at present: every [`Person`] fits.
    pub fn unsuppress(person: &Person) -> Result<Self, InvalidInput> {
        Self::alone(&PersonBody::new("unsuppress", person), person)
    }

    /// Deletes a person. A later operation on them may create them again.
    ///
    /// # Errors
    ///
    /// None at present: every [`Person`] fits.
    pub fn delete(person: &Person) -> Result<Self, InvalidInput> {
        Self::alone(&PersonBody::new("delete", person), person)
    }

    /// Adds a device to a person or updates it.
    ///
    /// # Errors
    ///
    /// The operation takes more than 32,000 bytes.
    pub fn add_device(person: &Person, device: &Device) -> Result<Self, InvalidInput> {
        let body = PersonBody {
            device: Some(device.named_token()),
            ..PersonBody::new("add_device", person)
        };
        Self::batched(&body, person)
    }

    /// Removes a device from a person.
    ///
    /// # Errors
    ///
    /// The token is empty or takes more than 4,000 bytes.
    pub fn delete_device(person: &Person, token: &str) -> Result<Self, InvalidInput> {
        check_token(token)?;
        let body = PersonBody {
            device: Some(DeviceBody::of_token(token)),
            ..PersonBody::new("delete_device", person)
        };
        Self::batched(&body, person)
    }

    /// Relates a person to objects.
    ///
    /// # Errors
    ///
    /// The list is empty, or the operation takes more than 32,000 bytes.
    pub fn add_relationships(
        person: &Person,
        relationships: &[Relationship<Object>],
    ) -> Result<Self, InvalidInput> {
        Self::relationships("add_relationships", person, relationships)
    }

    /// Ends the relationships of a person with objects.
    ///
    /// # Errors
    ///
    /// As for [`Operation::add_relationships`].
    pub fn delete_relationships(
        person: &Person,
        relationships: &[Relationship<Object>],
    ) -> Result<Self, InvalidInput> {
        Self::relationships("delete_relationships", person, relationships)
    }

    /// Merges two people: `primary` gets the data that it lacks, and `secondary` is deleted.
    ///
    /// A merge cannot be undone, and is never replayed after a failure that leaves open whether it
    /// arrived. If `primary` does not exist, the API accepts the request and does nothing.
    ///
    /// # Errors
    ///
    /// A person is identified by a phone number, which merges do not support, or both people are
    /// the same.
    pub fn merge(primary: &Person, secondary: &Person) -> Result<Self, InvalidInput> {
        primary.check_merge(secondary)?;
        let body = MergeBody {
            r#type: "person",
            action: "merge",
            primary,
            secondary,
        };
        let merge = Self::new(
            to_vec(&body),
            primary.lane(),
            Replay::Unsafe,
            Batching::Alone,
        )?;
        // An operation that overtook the merge, on either person, would change the wrong profile.
        Ok(merge.and_lane(secondary.lane()))
    }
}

/// Operations on objects.
impl Operation {
    /// Creates an object or updates its attributes, and relates people to it. An object identified
    /// by its `cio_object_id` must exist.
    ///
    /// The operation keeps its order with other operations on the object, not with those on the
    /// people.
    ///
    /// # Errors
    ///
    /// There are more than 300 attributes, a person is identified by a phone number, or the
    /// operation takes more than 32,000 bytes.
    pub fn identify_object(
        object: &Object,
        attributes: &Attributes,
        people: &[Relationship<Person>],
    ) -> Result<Self, InvalidInput> {
        attributes.check_count()?;
        Self::on_object_with_people("identify", object, Some(attributes), people)
    }

    /// Creates an object or updates its attributes, and relates an anonymous visitor to it.
    ///
    /// # Errors
    ///
    /// The `anonymous_id` is empty or takes more than 150 bytes, there are more than 300
    /// attributes, or the operation takes more than 32,000 bytes.
    pub fn identify_anonymous_object(
        object: &Object,
        attributes: &Attributes,
        anonymous_id: &str,
    ) -> Result<Self, InvalidInput> {
        attributes.check_count()?;
        let related = [AnonymousId::new(anonymous_id)?.related()];
        Self::on_object("identify_anonymous", object, Some(attributes), &related)
    }

    /// Deletes an object.
    ///
    /// # Errors
    ///
    /// None at present: every [`Object`] fits.
    pub fn delete_object(object: &Object) -> Result<Self, InvalidInput> {
        let body = ObjectBody::<()> {
            r#type: "object",
            action: "delete",
            identifiers: object,
            attributes: None,
            cio_relationships: &[],
        };
        Self::new(body.to_json(), object.lane(), Replay::Safe, Batching::Alone)
    }

    /// Relates people to an object.
    ///
    /// # Errors
    ///
    /// The list is empty, a person is identified by a phone number, or the operation takes more
    /// than 32,000 bytes.
    pub fn add_people(
        object: &Object,
        people: &[Relationship<Person>],
    ) -> Result<Self, InvalidInput> {
        check_some("relationships", people.len())?;
        Self::on_object_with_people("add_relationships", object, None, people)
    }

    /// Ends the relationships of people with an object.
    ///
    /// # Errors
    ///
    /// As for [`Operation::add_people`].
    pub fn delete_people(
        object: &Object,
        people: &[Relationship<Person>],
    ) -> Result<Self, InvalidInput> {
        check_some("relationships", people.len())?;
        Self::on_object_with_people("delete_relationships", object, None, people)
    }
}

/// Operations on deliveries.
impl Operation {
    /// Reports an event of a push notification on a device. [`v1::metric`](crate::v1::metric)
    /// supports all channels.
    ///
    /// The API does not document whether a second copy counts twice. The operation therefore goes
    /// alone, and is not replayed after a failure that leaves open whether it arrived.
    ///
    /// # Errors
    ///
    /// The delivery id is empty or takes more than 1,000 bytes, or the token is empty or takes more
    /// than 4,000 bytes.
    pub fn delivery_event(
        delivery_id: &str,
        event: PushEvent,
        device_token: &str,
    ) -> Result<Self, InvalidInput> {
        check_delivery_id(delivery_id)?;
        check_token(device_token)?;
        let body = DeliveryBody {
            r#type: "delivery",
            action: "event",
            identifiers: DeliveryId { id: delivery_id },
            name: event.name(),
            attributes: DeviceToken { device_token },
        };
        let lane = Lane::of(&["delivery", delivery_id]);
        Self::new(to_vec(&body), lane, Replay::Unsafe, Batching::Alone)
    }
}

/// What is common to all operations.
impl Operation {
    /// Returns the operation as JSON.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Returns the size in bytes, at most 32,000.
    #[must_use]
    pub fn size(&self) -> usize {
        self.json.len()
    }

    /// Returns the lane of the operation: operations of one lane are applied in their order.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Returns the lane of the second person of a merge, which must keep its order in both lanes.
    #[must_use]
    pub fn other_lane(&self) -> Option<Lane> {
        self.other_lane
    }

    /// Returns whether sending the operation again changes nothing.
    #[must_use]
    pub fn may_replay(&self) -> bool {
        self.replay == Replay::Safe
    }

    /// Returns whether the operation needs a request of its own: a merge, a deletion, a
    /// suppression, or an operation that may not be replayed.
    #[must_use]
    pub fn goes_alone(&self) -> bool {
        self.batching != Batching::Allowed
    }

    /// Returns whether the operation is an event that goes alone because it has no id.
    pub(crate) fn has_no_event_id(&self) -> bool {
        self.batching == Batching::NoEventId
    }

    /// Creates an operation from its parts. Returns `None` if they are those of no operation.
    #[cfg(feature = "spool")]
    pub(crate) fn from_stored(stored: StoredOperation) -> Option<Self> {
        let is_valid = stored.json.first() == Some(&b'{') && stored.json.last() == Some(&b'}');
        (is_valid && stored.json.len() <= MAX_OPERATION).then(|| Self {
            json: stored.json,
            lane: stored.lane,
            other_lane: stored.other_lane,
            replay: match stored.may_replay {
                true => Replay::Safe,
                false => Replay::Unsafe,
            },
            batching: match stored.goes_alone {
                false => Batching::Allowed,
                true => Batching::Alone,
            },
        })
    }

    pub(crate) fn bytes(&self) -> Bytes {
        self.json.clone()
    }

    fn new(
        json: Vec<u8>,
        lane: Lane,
        replay: Replay,
        batching: Batching,
    ) -> Result<Self, InvalidInput> {
        check_bytes("operation", json.len(), MAX_OPERATION)?;
        Ok(Self {
            // Serialization leaves up to as much memory again unused. Queues hold many operations,
            // and count the bytes of the JSON only.
            json: json.into_boxed_slice().into(),
            lane,
            other_lane: None,
            replay,
            batching,
        })
    }

    /// Adds the lane of the second person.
    fn and_lane(self, other: Lane) -> Self {
        Self {
            other_lane: Some(other),
            ..self
        }
    }

    fn relationships(
        action: &'static str,
        person: &Person,
        relationships: &[Relationship<Object>],
    ) -> Result<Self, InvalidInput> {
        check_some("relationships", relationships.len())?;
        let body = PersonBody {
            cio_relationships: relationships,
            ..PersonBody::new(action, person)
        };
        Self::batched(&body, person)
    }

    fn batched(body: &PersonBody<'_>, person: &Person) -> Result<Self, InvalidInput> {
        Self::new(
            body.to_json(),
            person.lane(),
            Replay::Safe,
            Batching::Allowed,
        )
    }

    fn alone(body: &PersonBody<'_>, person: &Person) -> Result<Self, InvalidInput> {
        Self::new(body.to_json(), person.lane(), Replay::Safe, Batching::Alone)
    }

    fn on_object_with_people(
        action: &'static str,
        object: &Object,
        attributes: Option<&Attributes>,
        people: &[Relationship<Person>],
    ) -> Result<Self, InvalidInput> {
        for relationship in people {
            relationship.with.check_not_phone()?;
        }
        Self::on_object(action, object, attributes, people)
    }

    fn on_object<R: Serialize>(
        action: &'static str,
        object: &Object,
        attributes: Option<&Attributes>,
        related: &[Relationship<R>],
    ) -> Result<Self, InvalidInput> {
        let body = ObjectBody {
            r#type: "object",
            action,
            identifiers: object,
            attributes,
            cio_relationships: related,
        };
        Self::new(
            body.to_json(),
            object.lane(),
            Replay::Safe,
            Batching::Allowed,
        )
    }
}

impl fmt::Debug for Operation {
    /// Leaves out the JSON, which holds personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("size", &self.size())
            .field("lane", &self.lane)
            .field("replay", &self.replay)
            .field("batching", &self.batching)
            .finish_non_exhaustive()
    }
}

pub(crate) fn check_delivery_id(delivery_id: &str) -> Result<(), InvalidInput> {
    check_length("delivery id", delivery_id, MAX_DELIVERY_ID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventId;

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
    fn only_operations_without_a_second_effect_are_replayed() {
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
