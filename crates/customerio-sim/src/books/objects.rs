use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Map, Value};

use super::records::set;
use crate::api::{Identifier, Link, ObjectChange, ObjectName, Party};

/// What the simulator knows of one object.
///
/// People are named here by their identifiers as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Object {
    /// What the service itself calls it: `ob1` the first one, and so on.
    pub cio_object_id: String,
    /// The attributes as last set; `null` or an empty string has removed one.
    pub attributes: Map<String, Value>,
    /// The people related to it, with the attributes of each relationship.
    pub people: BTreeMap<String, Map<String, Value>>,
    /// Those related to it who are not identified yet.
    pub anonymous: BTreeMap<String, Map<String, Value>>,
}

/// The objects by type and id, whom they are related to, and what the service itself calls them.
#[derive(Debug, Default)]
pub(super) struct Objects {
    by_name: HashMap<(String, String), Object>,
    made: u64,
}

impl Objects {
    pub(super) fn object(&self, type_id: &str, id: &str) -> Option<&Object> {
        self.by_name.get(&(type_id.to_owned(), id.to_owned()))
    }

    pub(super) fn change(&mut self, name: ObjectName, change: ObjectChange) {
        match change {
            ObjectChange::Delete => self.delete(&name),
            ObjectChange::Identify {
                attributes,
                parties,
            } => self.identify(name, attributes, parties),
            ObjectChange::Unrelate(parties) => {
                if let Some(object) = self.known(&name) {
                    parties
                        .into_iter()
                        .for_each(|link| object.unrelate(&link.with));
                }
            }
        }
    }

    fn identify(
        &mut self,
        name: ObjectName,
        attributes: Map<String, Value>,
        parties: Vec<Link<Party>>,
    ) {
        let Some(object) = self.known_or_new(name) else {
            return;
        };
        for (name, value) in attributes {
            set(&mut object.attributes, name, value);
        }
        parties.into_iter().for_each(|link| object.relate(link));
    }

    /// Relates a person to an object, which is created if unknown.
    pub(super) fn relate(&mut self, person: &Identifier, link: Link<ObjectName>) {
        let party = Party::Person(person.clone());
        if let Some(object) = self.known_or_new(link.with) {
            object.relate(Link {
                with: party,
                attributes: link.attributes,
            });
        }
    }

    pub(super) fn unrelate(&mut self, person: &Identifier, name: &ObjectName) {
        if let Some(object) = self.known(name) {
            object.people.remove(person.text());
        }
    }

    fn delete(&mut self, name: &ObjectName) {
        match name {
            ObjectName::Typed { type_id, id } => {
                self.by_name.remove(&(type_id.clone(), id.clone()));
            }
            ObjectName::CioObjectId(id) => {
                self.by_name.retain(|_, object| object.cio_object_id != *id);
            }
        }
    }

    fn known(&mut self, name: &ObjectName) -> Option<&mut Object> {
        match name {
            ObjectName::Typed { type_id, id } => {
                self.by_name.get_mut(&(type_id.clone(), id.clone()))
            }
            ObjectName::CioObjectId(id) => self
                .by_name
                .values_mut()
                .find(|object| object.cio_object_id == *id),
        }
    }

    /// The object, created if unknown; none if it is named as one that exists and does not.
    fn known_or_new(&mut self, name: ObjectName) -> Option<&mut Object> {
        let ObjectName::Typed { type_id, id } = name else {
            return self.known(&name);
        };
        Some(self.by_name.entry((type_id, id)).or_insert_with(|| {
            self.made += 1;
            Object {
                cio_object_id: format!("ob{}", self.made),
                ..Object::default()
            }
        }))
    }
}

impl Object {
    fn relate(&mut self, link: Link<Party>) {
        match link.with {
            Party::Anonymous(id) => self.anonymous.insert(id, link.attributes),
            Party::Person(person) => self
                .people
                .insert(person.text().to_owned(), link.attributes),
        };
    }

    fn unrelate(&mut self, party: &Party) {
        match party {
            Party::Anonymous(id) => self.anonymous.remove(id),
            Party::Person(person) => self.people.remove(person.text()),
        };
    }
}
