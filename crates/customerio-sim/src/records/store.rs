use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value};

use super::busiest_window::BusiestWindow;
use super::event::{Dedupe, Event};
use super::object::{Object, Objects};
use super::person::Person;
use super::reports::{Delivery, Form, Reports};
use super::totals::Totals;
use crate::api::{Identifier, Membership, ObjectIdentifier, Operation, Relationship, TrackedEvent};

/// All records. Applies the operations that the API accepted.
#[derive(Debug)]
pub(crate) struct Store {
    dedupe: Dedupe,
    totals: Totals,
    busiest_window: BusiestWindow,
    people: HashMap<Identifier, Person>,
    suppressed: HashSet<Identifier>,
    events: HashMap<String, Event>,
    objects: Objects,
    reports: Reports,
}

impl Store {
    /// Creates an empty store, whose busiest window is `window` long.
    pub(crate) fn new(dedupe: Dedupe, window: Duration) -> Self {
        Self {
            dedupe,
            totals: Totals::default(),
            busiest_window: BusiestWindow::new(window),
            people: HashMap::new(),
            suppressed: HashSet::new(),
            events: HashMap::new(),
            objects: Objects::default(),
            reports: Reports::default(),
        }
    }

    /// Records a request that reaches the counter.
    pub(crate) fn record_arrival(&mut self, now: Duration) {
        self.totals.requests += 1;
        self.busiest_window.record(now);
    }

    /// Returns the counts that `http` adds to. [`totals`](Self::totals) computes the others.
    pub(crate) fn counts(&mut self) -> &mut Totals {
        &mut self.totals
    }

    pub(crate) fn totals(&self) -> Totals {
        // The rest is counted as it happens.
        Totals {
            people: self.people.len() as u64,
            busiest_window: self.busiest_window.most(),
            window_us: u64::try_from(self.busiest_window.window().as_micros()).unwrap_or(u64::MAX),
            ..self.totals.clone()
        }
    }

    pub(crate) fn person(&self, identifier: &Identifier) -> Option<&Person> {
        self.people.get(identifier)
    }

    pub(crate) fn event(&self, id: &str) -> Option<&Event> {
        self.events.get(id)
    }

    pub(crate) fn object(&self, type_id: &str, id: &str) -> Option<&Object> {
        self.objects.object(type_id, id)
    }

    pub(crate) fn delivery(&self, id: &str) -> Option<&Delivery> {
        self.reports.deliveries.get(id)
    }

    pub(crate) fn form(&self, id: &str) -> Option<&Form> {
        self.reports.forms.get(id)
    }

    pub(crate) fn segment(&self, id: u64) -> Option<&BTreeSet<String>> {
        self.reports.segments.get(&id)
    }

    /// Creates an empty manual segment. The Track API cannot do this.
    pub(crate) fn add_segment(&mut self, id: u64) {
        self.reports.segments.entry(id).or_default();
    }

    /// Applies an operation. It counts as accepted, whether or not it then has an effect.
    pub(crate) fn apply(&mut self, operation: Operation) {
        self.totals.accepted += 1;
        match operation {
            Operation::AddDevice {
                person,
                token,
                device,
            } => self.add_device(person, token, device),
            Operation::Delete(person) => self.delete(&person),
            Operation::DeleteDevice { person, token } => self.delete_device(&person, &token),
            Operation::Delivery { id, report } => self.reports.delivery(id, report),
            Operation::Event { person, event } => self.receive_event(person, event),
            // A form creates or updates its person, and its fields become attributes.
            Operation::Form { id, person, data } => {
                self.identify(person, data.clone());
                self.reports.form_submitted(id, data);
            }
            Operation::Identify {
                person,
                attributes,
                objects,
            } => {
                self.relate(&person, objects);
                self.identify(person, attributes);
            }
            Operation::Merge { primary, secondary } => self.merge(&primary, &secondary),
            Operation::Object { object, change } => self.objects.change(object, change),
            Operation::AddRelationships { person, objects } => self.relate(&person, objects),
            Operation::Segment {
                id,
                people,
                membership,
            } => self.change_segment(id, &people, membership),
            Operation::Suppress(person) => self.suppress(person),
            Operation::DeleteRelationships { person, objects } => objects
                .iter()
                .for_each(|relationship| self.objects.unrelate(&person, &relationship.with)),
            Operation::Unsuppress(person) => self.unsuppress(&person),
        }
    }

    fn identify(&mut self, identifier: Identifier, attributes: Map<String, Value>) {
        // `_update` is an attribute for the API, too: it is stored with the others.
        let is_update_only = attributes.get("_update") == Some(&Value::Bool(true));
        if is_update_only && !self.people.contains_key(&identifier) {
            return;
        }
        if let Some(person) = self.person_for(identifier) {
            person.updates += 1;
            attributes
                .into_iter()
                .for_each(|(name, value)| person.set(name, value));
        }
    }

    fn relate(&mut self, person: &Identifier, objects: Vec<Relationship<ObjectIdentifier>>) {
        for relationship in objects {
            self.objects.relate(person, relationship);
        }
    }

    /// Ignores unknown people, as the API does.
    fn change_segment(&mut self, id: u64, people: &[Identifier], membership: Membership) {
        for person in people {
            if self.people.contains_key(person) {
                self.reports.change_segment(id, person, membership);
            }
        }
    }

    fn receive_event(&mut self, identifier: Option<Identifier>, event: TrackedEvent) {
        if identifier
            .as_ref()
            .is_some_and(|identifier| self.suppressed.contains(identifier))
        {
            return;
        }
        // After the check for suppression: an event of a suppressed person does not use up its id.
        let is_duplicate = self.count_duplicate(event.id.as_deref());
        self.totals.duplicate_events += u64::from(is_duplicate);
        if is_duplicate && self.dedupe == Dedupe::On {
            return;
        }
        self.totals.events += 1;
        self.record_event(identifier.as_ref(), event);
        if let Some(person) = identifier.and_then(|identifier| self.person_for(identifier)) {
            person.events += 1;
        }
    }

    /// Returns whether an event with this id was received before, and counts the repetition.
    fn count_duplicate(&mut self, id: Option<&str>) -> bool {
        let known = id.and_then(|id| self.events.get_mut(id));
        known.map(|event| event.received += 1).is_some()
    }

    /// Records an event that carries an id. An event without one only counts.
    fn record_event(&mut self, person: Option<&Identifier>, event: TrackedEvent) {
        let Some(id) = event.id else { return };
        let person = person.map(|identifier| identifier.text().to_owned());
        let TrackedEvent {
            name,
            timestamp,
            attributes,
            ..
        } = event;
        // With `Dedupe::Off` the id may exist. The record stays that of the first event.
        self.events.entry(id).or_insert(Event {
            name,
            person,
            timestamp,
            attributes,
            received: 1,
        });
    }

    fn add_device(&mut self, identifier: Identifier, token: String, device: Value) {
        if let Some(person) = self.person_for(identifier) {
            person.devices.insert(token, device);
        }
    }

    fn delete_device(&mut self, identifier: &Identifier, token: &str) {
        if let Some(person) = self.people.get_mut(identifier) {
            person.devices.remove(token);
        }
    }

    /// Deletes the person, and ignores its later attributes, events and devices until
    /// [`unsuppress`](Self::unsuppress).
    fn suppress(&mut self, identifier: Identifier) {
        self.people.remove(&identifier);
        self.suppressed.insert(identifier);
    }

    fn unsuppress(&mut self, identifier: &Identifier) {
        self.suppressed.remove(identifier);
    }

    fn delete(&mut self, identifier: &Identifier) {
        self.people.remove(identifier);
    }

    /// Does nothing if the primary does not exist, as the API does.
    fn merge(&mut self, primary: &Identifier, secondary: &Identifier) {
        if primary == secondary || !self.people.contains_key(primary) {
            return;
        }
        // Removed only after the check of the primary: otherwise a merge into an unknown person
        // would delete the secondary.
        let Some(merged) = self.people.remove(secondary) else {
            return;
        };
        if let Some(person) = self.people.get_mut(primary) {
            person.merge(merged);
        }
    }

    /// Returns the person, and creates it if it is unknown. Returns `None` if it is suppressed.
    fn person_for(&mut self, identifier: Identifier) -> Option<&mut Person> {
        if self.suppressed.contains(&identifier) {
            return None;
        }
        Some(self.people.entry(identifier).or_default())
    }
}
