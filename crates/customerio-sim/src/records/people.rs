use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::person::Person;
use crate::api::Identifier;

/// All people, the ids that the service assigned to them, and the suppressed identifiers.
///
/// A person is stored under the identifier with which it was created, which is never a `cio_id`:
/// those exist only for people that exist.
#[derive(Debug, Default)]
pub(super) struct People {
    by_identifier: HashMap<Identifier, Person>,
    /// In the order of their creation, since the ids count up.
    by_cio_id: BTreeMap<String, Identifier>,
    suppressed: HashSet<Identifier>,
    /// The person who last got each address as the attribute `email`, unless they are identified by
    /// one. Entries that no longer hold are left: the attribute of the person decides.
    by_address: HashMap<String, Identifier>,
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
        self.resolved(identifier).cloned()
    }

    fn resolved<'a>(&'a self, identifier: &'a Identifier) -> Option<&'a Identifier> {
        let resolved = match identifier {
            Identifier::CioId(id) => self.by_cio_id.get(id)?,
            other => other,
        };
        (!self.suppressed.contains(resolved)).then_some(resolved)
    }

    /// Returns the identifier of a person that exists.
    pub(super) fn existing(&self, identifier: &Identifier) -> Option<Identifier> {
        self.resolve(identifier)
            .filter(|resolved| self.by_identifier.contains_key(resolved))
    }

    /// Returns whether a person exists.
    pub(super) fn exists(&self, identifier: &Identifier) -> bool {
        self.get(identifier).is_some()
    }

    pub(super) fn get(&self, identifier: &Identifier) -> Option<&Person> {
        self.by_identifier.get(self.resolved(identifier)?)
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

    /// Returns whether an update would give the person an address that another person has: both
    /// identifiers would name one person. People who are identified by an address are not compared,
    /// since identifiers are not linked here.
    pub(super) fn conflicts(&self, resolved: &Identifier, attributes: &Map<String, Value>) -> bool {
        let Some(address) = address(resolved, attributes) else {
            return false;
        };
        let owner = self
            .by_address
            .get(&address)
            .filter(|owner| *owner != resolved);
        let owner = owner.and_then(|owner| Some((owner, self.by_identifier.get(owner)?)));
        owner.is_some_and(|(owner, person)| {
            self::address(owner, &person.attributes).as_ref() == Some(&address)
        })
    }

    /// Records the address that an update gave to a person.
    pub(super) fn record_address(&mut self, resolved: &Identifier) {
        let Some(person) = self.by_identifier.get(resolved) else {
            return;
        };
        if let Some(address) = address(resolved, &person.attributes) {
            self.by_address.insert(address, resolved.clone());
        }
    }

    /// Returns the identifiers of a person, as the App API shows them.
    pub(super) fn identifiers(&self, identifier: &Identifier) -> Value {
        let resolved = self.existing(identifier);
        let person = resolved
            .as_ref()
            .and_then(|resolved| self.by_identifier.get(resolved));
        let identifier = resolved.as_ref().unwrap_or(identifier);
        let attribute = |name| person.and_then(|person| person.attributes.get(name)?.as_str());
        let own = |is_own: bool| is_own.then(|| identifier.text());
        let cio_id = own(matches!(identifier, Identifier::CioId(_)));
        json!({
            "email": own(matches!(identifier, Identifier::Email(_))).or_else(|| attribute("email")),
            "id": own(matches!(identifier, Identifier::Id(_))).or_else(|| attribute("id")),
            "cio_id": person.map(|person| person.cio_id.as_str()).or(cio_id),
        })
    }

    /// Returns all people in the order of their creation, or those after a `cio_id`.
    pub(super) fn after(
        &self,
        cio_id: Option<&str>,
    ) -> impl Iterator<Item = (&Identifier, &Person)> {
        let start = cio_id.map_or(Bound::Unbounded, Bound::Excluded);
        let people = self.by_cio_id.range::<str, _>((start, Bound::Unbounded));
        people.filter_map(|(_, known)| Some((known, self.by_identifier.get(known)?)))
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

/// Returns the attribute `email`, in lower case as addresses are compared. `None` for a person who
/// is identified by an address.
fn address(identifier: &Identifier, attributes: &Map<String, Value>) -> Option<String> {
    let address = attributes.get("email")?.as_str()?;
    let is_own = matches!(identifier, Identifier::Email(_));
    (!is_own && !address.is_empty()).then(|| address.to_lowercase())
}

/// The first `cio_id` is `03000001`, which looks like those in the API's documents.
const FIRST_CIO_ID: u32 = 0x0300_0001;
