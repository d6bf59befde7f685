use std::collections::{HashMap, HashSet};

use super::person::Person;
use crate::api::Identifier;

/// All people, the ids that the service assigned to them, and the suppressed identifiers.
///
/// A person is stored under the identifier with which it was created, which is never a `cio_id`:
/// those exist only for people that exist.
#[derive(Debug, Default)]
pub(super) struct People {
    by_identifier: HashMap<Identifier, Person>,
    by_cio_id: HashMap<String, Identifier>,
    suppressed: HashSet<Identifier>,
    /// How many people were created: the number in the last `cio_id`.
    created: u32,
}

impl People {
    pub(super) fn len(&self) -> usize {
        self.by_identifier.len()
    }

    /// Returns the identifier under which a person is or would be stored. Returns `None` for an
    /// unknown `cio_id`, and for a suppressed identifier: the API ignores what follows.
    pub(super) fn resolve(&self, identifier: &Identifier) -> Option<Identifier> {
        let resolved = match identifier {
            Identifier::CioId(id) => self.by_cio_id.get(id)?,
            other => other,
        };
        (!self.suppressed.contains(resolved)).then(|| resolved.clone())
    }

    /// Returns the identifier of a person that exists.
    pub(super) fn existing(&self, identifier: &Identifier) -> Option<Identifier> {
        self.resolve(identifier)
            .filter(|resolved| self.by_identifier.contains_key(resolved))
    }

    pub(super) fn get(&self, identifier: &Identifier) -> Option<&Person> {
        self.by_identifier.get(&self.resolve(identifier)?)
    }

    pub(super) fn get_mut(&mut self, identifier: &Identifier) -> Option<&mut Person> {
        let resolved = self.resolve(identifier)?;
        self.by_identifier.get_mut(&resolved)
    }

    /// Returns a person by its resolved identifier, and creates it if it does not exist.
    pub(super) fn find_or_create(&mut self, resolved: &Identifier) -> &mut Person {
        if !self.by_identifier.contains_key(resolved) {
            let cio_id = format!("{:08x}", FIRST_CIO_ID.wrapping_add(self.created));
            self.created = self.created.wrapping_add(1);
            self.by_cio_id.insert(cio_id.clone(), resolved.clone());
            self.by_identifier
                .insert(resolved.clone(), Person::new(cio_id));
        }
        self.by_identifier
            .get_mut(resolved)
            .expect("a missing person was inserted above")
    }

    pub(super) fn remove(&mut self, resolved: &Identifier) -> Option<Person> {
        let person = self.by_identifier.remove(resolved)?;
        self.by_cio_id.remove(&person.cio_id);
        Some(person)
    }

    pub(super) fn suppress(&mut self, resolved: Identifier) {
        self.suppressed.insert(resolved);
    }

    pub(super) fn unsuppress(&mut self, identifier: &Identifier) {
        self.suppressed.remove(identifier);
    }
}

/// The first `cio_id` is `03000001`, which looks like those in the API's documents.
const FIRST_CIO_ID: u32 = 0x0300_0001;
