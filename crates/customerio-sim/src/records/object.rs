use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::person::set;
use crate::api::{Identifier, ObjectChange, ObjectIdentifier, RelatedPerson, Relationship};

/// The record of one object.
///
/// People appear under their identifiers as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Object {
    /// The id that the service assigns: `ob1`, `ob2` and so on.
    pub cio_object_id: String,
    /// The attributes as last set. `null` and an empty string remove one.
    pub attributes: Map<String, Value>,
    /// The related people, with the attributes of each relationship.
    pub people: BTreeMap<String, Map<String, Value>>,
    /// The related people that are not identified yet, by their anonymous ids.
    pub anonymous: BTreeMap<String, Map<String, Value>>,
}

/// All objects, by type and id.
#[derive(Debug, Default)]
pub(super) struct Objects {
    by_id: HashMap<(String, String), Object>,
    /// How many objects were created: the number in the last `cio_object_id`.
    created: u64,
}

impl Objects {
    pub(super) fn object(&self, type_id: &str, id: &str) -> Option<&Object> {
        self.by_id.get(&(type_id.to_owned(), id.to_owned()))
    }

    /// Returns the types of the activities that a change causes. The type of an object that is
    /// named by an unknown `cio_object_id` is not known, so it has none.
    pub(super) fn activities(
        &self,
        identifier: &ObjectIdentifier,
        change: &ObjectChange,
    ) -> Vec<String> {
        let (type_id, is_known) = match identifier {
            ObjectIdentifier::Typed { type_id, id } => (
                type_id,
                self.by_id.contains_key(&(type_id.clone(), id.clone())),
            ),
            ObjectIdentifier::CioObjectId(id) => {
                let mut objects = self.by_id.iter();
                match objects.find(|(_, object)| object.cio_object_id == *id) {
                    Some(((type_id, _), _)) => (type_id, true),
                    None => return Vec::new(),
                }
            }
        };
        let mut kinds = Vec::new();
        match change {
            ObjectChange::Delete if is_known => kinds.push("delete"),
            ObjectChange::Delete => {}
            ObjectChange::Identify { attributes, people } => {
                kinds.extend((!is_known).then_some("create"));
                kinds.extend((!attributes.is_empty()).then_some("attribute_change"));
                kinds.extend(people.iter().map(|_| "add_relationship"));
            }
            ObjectChange::DeleteRelationships(people) => {
                kinds.extend(people.iter().map(|_| "delete_relationship"));
            }
        }
        kinds
            .into_iter()
            .map(|kind| format!("_o:{type_id}:{kind}"))
            .collect()
    }

    pub(super) fn change(&mut self, identifier: ObjectIdentifier, change: ObjectChange) {
        match change {
            ObjectChange::Delete => self.delete(&identifier),
            ObjectChange::Identify { attributes, people } => {
                self.identify(identifier, attributes, people)
            }
            ObjectChange::DeleteRelationships(people) => {
                if let Some(object) = self.find(&identifier) {
                    people
                        .into_iter()
                        .for_each(|relationship| object.unrelate(&relationship.with));
                }
            }
        }
    }

    fn identify(
        &mut self,
        object: ObjectIdentifier,
        attributes: Map<String, Value>,
        people: Vec<Relationship<RelatedPerson>>,
    ) {
        let Some(object) = self.find_or_create(object) else {
            return;
        };
        for (name, value) in attributes {
            set(&mut object.attributes, name, value);
        }
        people
            .into_iter()
            .for_each(|relationship| object.relate(relationship));
    }

    /// Relates a person to an object. Creates the object if it is unknown.
    pub(super) fn relate(
        &mut self,
        person: &Identifier,
        relationship: Relationship<ObjectIdentifier>,
    ) {
        let person = RelatedPerson::Identified(person.clone());
        if let Some(object) = self.find_or_create(relationship.with) {
            object.relate(Relationship {
                with: person,
                attributes: relationship.attributes,
            });
        }
    }

    pub(super) fn unrelate(&mut self, person: &Identifier, identifier: &ObjectIdentifier) {
        if let Some(object) = self.find(identifier) {
            object.people.remove(person.text());
        }
    }

    /// Removes the relationships of a person that is deleted.
    pub(super) fn forget_person(&mut self, person: &Identifier) {
        // A scan, as in `find`: people are rarely deleted, and most tests have few objects.
        for object in self.by_id.values_mut() {
            object.people.remove(person.text());
        }
    }

    /// Moves the relationships of a visitor to the person who was identified as this visitor.
    pub(super) fn identify_visitor(&mut self, anonymous_id: &str, person: &Identifier) {
        for object in self.by_id.values_mut() {
            if let Some(attributes) = object.anonymous.remove(anonymous_id) {
                let people = object.people.entry(person.text().to_owned());
                people.or_insert(attributes);
            }
        }
    }

    /// Returns the relationships of a person after a position, in the order of the objects'
    /// creation: each with its position, as the App API shows it.
    pub(super) fn related_to(&self, person: &Identifier, after: u64) -> Vec<(u64, Value)> {
        let related = self.by_id.iter().filter_map(|((type_id, id), object)| {
            let attributes = object.people.get(person.text())?;
            let position = object.cio_object_id.strip_prefix("ob")?.parse().ok()?;
            let shown = json!({
                // An integer, unless it is no number.
                "object_type_id": type_id.parse::<u64>().map_or_else(|_| json!(type_id), Value::from),
                "identifiers": {"object_id": id, "cio_object_id": object.cio_object_id},
                "attributes": attributes,
                "timestamps": {},
            });
            (position > after).then_some((position, shown))
        });
        let mut related: Vec<_> = related.collect();
        related.sort_unstable_by_key(|(position, _)| *position);
        related
    }

    fn delete(&mut self, identifier: &ObjectIdentifier) {
        match identifier {
            ObjectIdentifier::Typed { type_id, id } => {
                self.by_id.remove(&(type_id.clone(), id.clone()));
            }
            ObjectIdentifier::CioObjectId(id) => {
                self.by_id.retain(|_, object| object.cio_object_id != *id);
            }
        }
    }

    fn find(&mut self, identifier: &ObjectIdentifier) -> Option<&mut Object> {
        match identifier {
            ObjectIdentifier::Typed { type_id, id } => {
                self.by_id.get_mut(&(type_id.clone(), id.clone()))
            }
            // A scan: requests with this id are rare, and a second index would need care in
            // `delete`.
            ObjectIdentifier::CioObjectId(id) => self
                .by_id
                .values_mut()
                .find(|object| object.cio_object_id == *id),
        }
    }

    /// Returns the object, and creates it if it is unknown. Returns `None` for an unknown
    /// `cio_object_id`: the service assigns those itself.
    fn find_or_create(&mut self, identifier: ObjectIdentifier) -> Option<&mut Object> {
        let ObjectIdentifier::Typed { type_id, id } = identifier else {
            return self.find(&identifier);
        };
        Some(self.by_id.entry((type_id, id)).or_insert_with(|| {
            self.created += 1;
            Object {
                cio_object_id: format!("ob{}", self.created),
                ..Object::default()
            }
        }))
    }
}

impl Object {
    fn relate(&mut self, relationship: Relationship<RelatedPerson>) {
        match relationship.with {
            RelatedPerson::Anonymous(id) => self.anonymous.insert(id, relationship.attributes),
            RelatedPerson::Identified(person) => self
                .people
                .insert(person.text().to_owned(), relationship.attributes),
        };
    }

    fn unrelate(&mut self, person: &RelatedPerson) {
        match person {
            RelatedPerson::Anonymous(id) => self.anonymous.remove(id),
            RelatedPerson::Identified(person) => self.people.remove(person.text()),
        };
    }
}
