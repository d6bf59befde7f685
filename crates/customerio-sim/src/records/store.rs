use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::broadcasts::{Broadcasts, Trigger};
use super::busiest_window::BusiestWindow;
use super::event::{Dedupe, Event};
use super::messages::{Message, Messages};
use super::object::{Object, Objects};
use super::people::People;
use super::person::Person;
use super::reports::{Delivery, Form, Reports};
use super::retention::Records;
use super::totals::Totals;
use super::visitors::Visitors;
use crate::api::{
    BroadcastTrigger, Identifier, Identify, Membership, ObjectChange, ObjectIdentifier, Operation,
    OutgoingMessage, RelatedPerson, Relationship, Source, TrackedEvent, ulid,
};

/// All records. Applies the operations that the API accepted.
#[derive(Debug)]
pub(crate) struct Store {
    records: Records,
    dedupe: Dedupe,
    totals: Totals,
    busiest_window: BusiestWindow,
    people: People,
    visitors: Visitors,
    events: HashMap<String, Event>,
    objects: Objects,
    reports: Reports,
    messages: Messages,
    broadcasts: Broadcasts,
}

impl Store {
    /// Creates an empty store, whose busiest window is `window` long.
    pub(crate) fn new(records: Records, dedupe: Dedupe, window: Duration) -> Self {
        Self {
            records,
            dedupe,
            totals: Totals::default(),
            busiest_window: BusiestWindow::new(window),
            people: People::default(),
            visitors: Visitors::default(),
            events: HashMap::new(),
            objects: Objects::default(),
            reports: Reports::default(),
            messages: Messages::default(),
            broadcasts: Broadcasts::default(),
        }
    }

    /// Records a request that reaches the counter, and whether it counts under the limit of the
    /// Track API.
    pub(crate) fn record_arrival(&mut self, now: Duration, is_ingress: bool) {
        self.totals.requests += 1;
        if is_ingress {
            self.busiest_window.record(now);
        }
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
        self.events.get(&ulid(id)?)
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

    pub(crate) fn message(&self, delivery_id: &str) -> Option<&Message> {
        self.messages.get(delivery_id)
    }

    pub(crate) fn messages(&self) -> &[Message] {
        self.messages.all()
    }

    /// Returns the triggers of a broadcast, or `None` if it does not exist.
    pub(crate) fn triggers(&self, broadcast: u64) -> Option<&[Trigger]> {
        self.broadcasts.triggers(broadcast)
    }

    /// Creates a broadcast. No API can do this.
    pub(crate) fn add_broadcast(&mut self, id: u64) {
        self.broadcasts.add(id);
    }

    pub(crate) fn set_trigger_time(&mut self, time: Duration) {
        self.broadcasts.set_trigger_time(time);
    }

    /// Records a transactional message. The device in a push is added to the person, if it exists.
    pub(crate) fn send(&mut self, mut message: OutgoingMessage, now: i64) -> Message {
        self.totals.accepted += 1;
        self.totals.messages += 1;
        let person = message.person.take();
        let existing = person
            .as_ref()
            .and_then(|person| self.people.get_mut(person));
        if let (Some(person), Some((token, device))) = (existing, message.device.take()) {
            person.devices.insert(token, device);
        }
        let resolved = person.map(|person| self.people.existing(&person).unwrap_or(person));
        let person = resolved.map(|person| person.text().to_owned());
        let message = Message::new(self.totals.messages, message, person, now);
        if self.records == Records::All {
            self.messages.record(message.clone());
        }
        message
    }

    /// Returns the person of a trigger who must exist and does not. Without records, everyone may
    /// exist.
    pub(crate) fn missing<'a>(&self, trigger: &'a BroadcastTrigger) -> Option<&'a Identifier> {
        if self.records == Records::CountsOnly {
            return None;
        }
        let mut required = trigger.required.iter();
        required.find(|person| self.people.existing(person).is_none())
    }

    /// Returns the time until the next trigger fits, if too many wait.
    pub(crate) fn queue_full_for(&mut self, now: Duration) -> Option<Duration> {
        self.broadcasts.full_for(now)
    }

    /// Records a trigger and returns its id, or `None` if the broadcast does not exist.
    pub(crate) fn trigger(
        &mut self,
        broadcast: u64,
        trigger: BroadcastTrigger,
        now: Duration,
        date: i64,
    ) -> Option<u64> {
        let records = self.records;
        let id = self
            .broadcasts
            .record(broadcast, trigger.request, now, date, records)?;
        self.totals.accepted += 1;
        self.totals.triggers += 1;
        Some(id)
    }

    /// Applies an operation. It counts as accepted, whether or not it then has an effect. `now` is
    /// the time of its arrival in Unix seconds.
    pub(crate) fn apply(&mut self, operation: Operation, now: i64) {
        self.totals.accepted += 1;
        match self.records {
            Records::All => self.record(operation, now),
            Records::CountsOnly => self.count(&operation),
        }
    }

    /// Counts an operation that leaves no record. Whether an event repeats an earlier one is
    /// unknown, so each of them counts as applied.
    fn count(&mut self, operation: &Operation) {
        self.totals.events += u64::from(matches!(operation, Operation::Event { .. }));
    }

    fn record(&mut self, operation: Operation, now: i64) {
        match operation {
            Operation::AddDevice {
                person,
                token,
                device,
            } => {
                if let Some(person) = self.people.resolve(&person) {
                    let person = self.people.find_or_create(&person);
                    person.devices.insert(token, device);
                }
            }
            Operation::AddRelationships { person, objects } => self.relate(&person, objects),
            Operation::Delete(person) => {
                self.delete(&person);
            }
            Operation::DeleteDevice { person, token } => {
                if let Some(person) = self.people.get_mut(&person) {
                    person.devices.remove(&token);
                }
            }
            Operation::DeleteRelationships { person, objects } => self.unrelate(&person, &objects),
            Operation::Delivery { id, report } => self.reports.delivery(id, report),
            Operation::Event { source, event } => self.receive_event(source, event, now),
            // A form creates or updates its person, and its fields become attributes.
            Operation::Form { id, person, data } => {
                self.identify(Identify::new(person, data.clone()), now);
                self.reports.form_submitted(id, data);
            }
            Operation::Identify(update) => self.identify(update, now),
            Operation::Merge { primary, secondary } => self.merge(&primary, &secondary),
            Operation::Object { object, change } => self.change_object(object, change),
            Operation::Segment {
                id,
                people,
                membership,
            } => self.change_segment(id, &people, membership),
            Operation::Suppress(person) => self.suppress(&person),
            Operation::Unsuppress(person) => self.people.unsuppress(&person),
        }
    }

    /// Has no effect on a suppressed person, on an unknown `cio_id`, and on any unknown person if
    /// the update must not create one.
    fn identify(&mut self, update: Identify, now: i64) {
        let Some(person) = self.people.resolve(&update.person) else {
            return;
        };
        if update.update_only && self.people.existing(&person).is_none() {
            return;
        }
        // It stays an attribute too.
        let anonymous_id = update.anonymous_id();
        let record = self.people.find_or_create(&person);
        record.update(update.attributes, update.timestamp.unwrap_or(now));
        self.relate(&person, update.related);
        self.unrelate(&person, &update.unrelated);
        if let Some(anonymous_id) = anonymous_id {
            self.identify_visitor(&anonymous_id, &person, now);
        }
    }

    /// Gives a visitor's events and relationships to the person. An anonymous id belongs to the
    /// first person who is identified with it, until that person is deleted.
    fn identify_visitor(&mut self, anonymous_id: &str, person: &Identifier, now: i64) {
        if self.person_of_visitor(anonymous_id).is_some() {
            return;
        }
        let adopted = self.visitors.identify(anonymous_id, person, now);
        self.people.find_or_create(person).events += adopted.len() as u64;
        for id in adopted.into_iter().flatten() {
            if let Some(event) = self.events.get_mut(&id) {
                event.person = Some(person.text().to_owned());
            }
        }
        self.objects.identify_visitor(anonymous_id, person);
    }

    /// Returns the person who was identified as this visitor, and exists.
    fn person_of_visitor(&self, anonymous_id: &str) -> Option<Identifier> {
        self.people.existing(self.visitors.person(anonymous_id)?)
    }

    fn relate(&mut self, person: &Identifier, objects: Vec<Relationship<ObjectIdentifier>>) {
        if let Some(person) = self.people.resolve(person) {
            for relationship in objects {
                self.objects.relate(&person, relationship);
            }
        }
    }

    fn unrelate(&mut self, person: &Identifier, objects: &[Relationship<ObjectIdentifier>]) {
        if let Some(person) = self.people.resolve(person) {
            for relationship in objects {
                self.objects.unrelate(&person, &relationship.with);
            }
        }
    }

    fn change_object(&mut self, object: ObjectIdentifier, change: ObjectChange) {
        let change = match change {
            ObjectChange::Delete => ObjectChange::Delete,
            ObjectChange::Identify { attributes, people } => ObjectChange::Identify {
                attributes,
                people: self.resolved(people),
            },
            ObjectChange::DeleteRelationships(people) => {
                ObjectChange::DeleteRelationships(self.resolved(people))
            }
        };
        self.objects.change(object, change);
    }

    /// Returns the relationships without those to people that the API ignores. A visitor that was
    /// identified is a person.
    fn resolved(
        &self,
        people: Vec<Relationship<RelatedPerson>>,
    ) -> Vec<Relationship<RelatedPerson>> {
        let resolve = |Relationship { with, attributes }| {
            let with = match with {
                RelatedPerson::Identified(person) => {
                    RelatedPerson::Identified(self.people.resolve(&person)?)
                }
                RelatedPerson::Anonymous(id) => match self.person_of_visitor(&id) {
                    Some(person) => RelatedPerson::Identified(person),
                    None => RelatedPerson::Anonymous(id),
                },
            };
            Some(Relationship { with, attributes })
        };
        people.into_iter().filter_map(resolve).collect()
    }

    /// Ignores unknown people, as the API does.
    fn change_segment(&mut self, id: u64, people: &[Identifier], membership: Membership) {
        for person in people {
            if let Some(person) = self.people.existing(person) {
                self.reports.change_segment(id, &person, membership);
            }
        }
    }

    fn receive_event(&mut self, source: Source, event: TrackedEvent, now: i64) {
        let person = match &source {
            Source::Invite => None,
            Source::Anonymous(id) => self.person_of_visitor(id),
            // Before the id is counted: an event that the API ignores does not use up its id.
            Source::Person(person) => match self.people.resolve(person) {
                Some(person) => Some(person),
                None => return,
            },
        };
        let is_duplicate = self.count_duplicate(event.id.as_deref());
        self.totals.duplicate_events += u64::from(is_duplicate);
        if is_duplicate && self.dedupe == Dedupe::On {
            return;
        }
        self.totals.events += 1;
        let id = event.id.clone();
        self.record_event(person.as_ref(), event);
        match (person, source) {
            (Some(person), _) => self.people.find_or_create(&person).events += 1,
            (None, Source::Anonymous(visitor)) => self.visitors.record(visitor, id, now),
            (None, _) => {}
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

    /// Deletes the person, and ignores all later operations on it until it is unsuppressed.
    fn suppress(&mut self, person: &Identifier) {
        if let Some(person) = self.people.resolve(person) {
            self.delete(&person);
            self.people.suppress(person);
        }
    }

    /// Deletes a person with its relationships and its memberships of segments.
    fn delete(&mut self, person: &Identifier) -> Option<Person> {
        let person = self.people.existing(person)?;
        self.objects.forget_person(&person);
        self.reports.forget_person(&person);
        self.people.remove(&person)
    }

    /// Does nothing if one of the two does not exist, as the API does.
    fn merge(&mut self, primary: &Identifier, secondary: &Identifier) {
        let existing = |person| self.people.existing(person);
        let (Some(primary), Some(secondary)) = (existing(primary), existing(secondary)) else {
            return;
        };
        if primary == secondary {
            return;
        }
        self.reports.merge(&primary, &secondary);
        self.visitors.merge(&primary, &secondary);
        if let Some(merged) = self.delete(&secondary) {
            self.people.find_or_create(&primary).merge(merged);
        }
    }
}
