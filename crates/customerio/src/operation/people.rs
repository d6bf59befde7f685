use super::Operation;
use super::body::{About, Merge};
use super::value::{Company, Replay};
use crate::device::{DeviceBody, check_token};
use crate::error::check_some;
use crate::json::to_bytes;
use crate::{Attributes, Device, Event, Identify, InvalidInput, Object, Person, Relationship};

impl Operation {
    /// Creates a person or updates their attributes. [`Identify`] says more at once.
    ///
    /// # Errors
    ///
    /// There are more than 300 attributes, a value takes more than 1,000 bytes, or the whole more than 32,000.
    pub fn identify(person: &Person, attributes: &Attributes) -> Result<Self, InvalidInput> {
        attributes.check_person()?;
        Self::harmless(
            &About::new("identify", person).attributes(attributes),
            person,
        )
    }

    /// Creates or updates a person as `identify` says.
    ///
    /// # Errors
    ///
    /// As for [`Operation::identify`].
    pub fn identify_with(identify: &Identify) -> Result<Self, InvalidInput> {
        identify.attributes.check_person()?;
        let person = &identify.person;
        let body = About {
            timestamp: identify.timestamp,
            cio_relationships: &identify.relationships,
            ..About::new("identify", person).attributes(&identify.attributes)
        };
        Self::harmless(&body, person)
    }

    /// Reports what a person did, or which page or screen they saw.
    ///
    /// Without an id the event cannot be told from its repetition: it then goes alone, and is not
    /// replayed after a failure that leaves open whether it arrived. `Client::track` gives it one; nothing does later,
    /// since an operation is serialized once.
    ///
    /// # Errors
    ///
    /// The whole takes more than 32,000 bytes.
    pub fn event(person: &Person, event: &Event) -> Result<Self, InvalidInput> {
        let body = About {
            name: Some(&event.name),
            id: event.id,
            timestamp: event.timestamp,
            ..About::new(event.kind.name(), person).attributes(&event.attributes)
        };
        match event.id {
            Some(_) => Self::harmless(&body, person),
            None => Self::new(
                body.to_json(),
                person.lane(),
                Replay::Repeats,
                Company::Alone,
            ),
        }
    }

    /// Deletes a person and blocks their identifiers.
    ///
    /// # Errors
    ///
    /// Never for a [`Person`] as it can be made today.
    pub fn suppress(person: &Person) -> Result<Self, InvalidInput> {
        Self::alone(&About::new("suppress", person), person)
    }

    /// Lifts the block of a person's identifiers. What was deleted does not come back.
    ///
    /// # Errors
    ///
    /// Never for a [`Person`] as it can be made today.
    pub fn unsuppress(person: &Person) -> Result<Self, InvalidInput> {
        Self::alone(&About::new("unsuppress", person), person)
    }

    /// Deletes a person. A later operation about them may create them again.
    ///
    /// # Errors
    ///
    /// Never for a [`Person`] as it can be made today.
    pub fn delete(person: &Person) -> Result<Self, InvalidInput> {
        Self::alone(&About::new("delete", person), person)
    }

    /// Adds a device to a person or updates it.
    ///
    /// # Errors
    ///
    /// The whole takes more than 32,000 bytes.
    pub fn add_device(person: &Person, device: &Device) -> Result<Self, InvalidInput> {
        let body = About {
            device: Some(device.named_token()),
            ..About::new("add_device", person)
        };
        Self::harmless(&body, person)
    }

    /// Removes a device from a person.
    ///
    /// # Errors
    ///
    /// The token is empty, or the whole takes more than 32,000 bytes.
    pub fn delete_device(person: &Person, token: &str) -> Result<Self, InvalidInput> {
        check_token(token)?;
        let body = About {
            device: Some(DeviceBody::of_token(token)),
            ..About::new("delete_device", person)
        };
        Self::harmless(&body, person)
    }

    /// Relates a person to objects.
    ///
    /// # Errors
    ///
    /// There is none, or the whole takes more than 32,000 bytes.
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

    /// Makes one person of two: `secondary` is deleted, and what `primary` lacks of theirs becomes theirs.
    ///
    /// It cannot be undone, and is never replayed after a failure that leaves open whether it arrived. A `primary`
    /// that does not exist makes it an accepted request without effect.
    ///
    /// # Errors
    ///
    /// A person is named by a phone number, which a merge does not take, or both are the same.
    pub fn merge(primary: &Person, secondary: &Person) -> Result<Self, InvalidInput> {
        primary.check_merge(secondary)?;
        let body = Merge {
            r#type: "person",
            action: "merge",
            primary,
            secondary,
        };
        let merge = Self::new(
            to_bytes(&body),
            primary.lane(),
            Replay::Repeats,
            Company::Alone,
        )?;
        Ok(merge.and_lane(secondary.lane()))
    }

    fn relationships(
        action: &'static str,
        person: &Person,
        relationships: &[Relationship<Object>],
    ) -> Result<Self, InvalidInput> {
        check_some("relationships", relationships.len())?;
        let body = About {
            cio_relationships: relationships,
            ..About::new(action, person)
        };
        Self::harmless(&body, person)
    }

    fn harmless(body: &About<'_>, person: &Person) -> Result<Self, InvalidInput> {
        Self::new(
            body.to_json(),
            person.lane(),
            Replay::Harmless,
            Company::Batch,
        )
    }

    fn alone(body: &About<'_>, person: &Person) -> Result<Self, InvalidInput> {
        Self::new(
            body.to_json(),
            person.lane(),
            Replay::Harmless,
            Company::Alone,
        )
    }
}
