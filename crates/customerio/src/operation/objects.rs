use serde::Serialize;

use super::Operation;
use super::body::AboutObject;
use super::value::{Company, Replay};
use crate::error::check_some;
use crate::relationship::AnonymousId;
use crate::{Attributes, InvalidInput, Object, Person, Relationship};

impl Operation {
    /// Creates an object or updates its attributes, and relates people to it. An object named by its `cio_object_id`
    /// is only updated.
    ///
    /// The order is kept with the object's other operations, not with those of the people.
    ///
    /// # Errors
    ///
    /// There are more than 300 attributes, a person is named by a phone number, or the whole takes more than 32,000
    /// bytes.
    pub fn identify_object(
        object: &Object,
        attributes: &Attributes,
        people: &[Relationship<Person>],
    ) -> Result<Self, InvalidInput> {
        attributes.check_count()?;
        Self::about_object("identify", object, Some(attributes), people)
    }

    /// Creates an object or updates its attributes, and relates somebody to it who is not identified yet.
    ///
    /// # Errors
    ///
    /// The `anonymous_id` is empty, there are more than 300 attributes, or the whole takes more than 32,000 bytes.
    pub fn identify_anonymous_object(
        object: &Object,
        attributes: &Attributes,
        anonymous_id: &str,
    ) -> Result<Self, InvalidInput> {
        attributes.check_count()?;
        let related = [AnonymousId::new(anonymous_id)?.related()];
        Self::object("identify_anonymous", object, Some(attributes), &related)
    }

    /// Deletes an object.
    ///
    /// # Errors
    ///
    /// Never for an [`Object`] as it can be made today.
    pub fn delete_object(object: &Object) -> Result<Self, InvalidInput> {
        let body = AboutObject::<()> {
            r#type: "object",
            action: "delete",
            identifiers: object,
            attributes: None,
            cio_relationships: &[],
        };
        Self::new(
            body.to_json(),
            object.lane(),
            Replay::Harmless,
            Company::Alone,
        )
    }

    /// Relates people to an object.
    ///
    /// # Errors
    ///
    /// There is none, one is named by a phone number, or the whole takes more than 32,000 bytes.
    pub fn add_people(
        object: &Object,
        people: &[Relationship<Person>],
    ) -> Result<Self, InvalidInput> {
        check_some("relationships", people.len())?;
        Self::about_object("add_relationships", object, None, people)
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
        Self::about_object("delete_relationships", object, None, people)
    }

    fn about_object(
        action: &'static str,
        object: &Object,
        attributes: Option<&Attributes>,
        people: &[Relationship<Person>],
    ) -> Result<Self, InvalidInput> {
        for relationship in people {
            relationship.with.check_not_phone()?;
        }
        Self::object(action, object, attributes, people)
    }

    fn object<R: Serialize>(
        action: &'static str,
        object: &Object,
        attributes: Option<&Attributes>,
        related: &[Relationship<R>],
    ) -> Result<Self, InvalidInput> {
        let body = AboutObject {
            r#type: "object",
            action,
            identifiers: object,
            attributes,
            cio_relationships: related,
        };
        Self::new(
            body.to_json(),
            object.lane(),
            Replay::Harmless,
            Company::Batch,
        )
    }
}
