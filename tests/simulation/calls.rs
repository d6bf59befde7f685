//! The calls of one case.

use customerio::{Attributes, Batch, Event, EventId, Operation, Person, Request};
use rand::RngExt;
use rand::rngs::SmallRng;

/// One call of the client.
pub(crate) struct Call {
    pub(crate) request: Request,
    /// The record that each of its operations leaves in the simulator.
    pub(crate) records: Vec<Record>,
}

/// The record of one accepted operation in the simulator.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Person(String),
    Event(String),
    /// An event without an id. The simulator cannot find it, and would count a repetition as a
    /// second event.
    EventWithoutId,
}

/// Draws single operations of every kind and some batches.
pub(crate) fn calls(rng: &mut SmallRng) -> Vec<Call> {
    let calls = rng.random_range(50..250);
    (0..calls).map(|n| call(n, rng)).collect()
}

fn call(n: usize, rng: &mut SmallRng) -> Call {
    match rng.random_range(0..10) {
        0..=4 => single(identify(n, 0)),
        5..=7 => single(event(n, 0)),
        8 => single(event_without_id(n)),
        _ => batch(n, rng.random_range(2..20)),
    }
}

fn single((operation, record): (Operation, Record)) -> Call {
    Call {
        request: operation.into(),
        records: vec![record],
    }
}

fn batch(n: usize, items: usize) -> Call {
    let (mut batch, mut records) = (Batch::new(), Vec::new());
    for item in 0..items {
        let (operation, record) = if item % 2 == 0 {
            identify(n, item)
        } else {
            event(n, item)
        };
        batch.push(operation).expect("small operations fit");
        records.push(record);
    }
    Call {
        request: batch.into(),
        records,
    }
}

fn person(n: usize, item: usize) -> (Person, String) {
    let id = format!("person-{n}-{item}");
    (Person::id(&id).expect("a good id"), id)
}

fn identify(n: usize, item: usize) -> (Operation, Record) {
    let (person, id) = person(n, item);
    let mut attributes = Attributes::new();
    attributes.insert("n", n).expect("a small value");
    let operation = Operation::identify(&person, &attributes).expect("a small operation");
    (operation, Record::Person(id))
}

fn event(n: usize, item: usize) -> (Operation, Record) {
    let id = EventId::derive("simulation", format!("{n}-{item}"), None);
    let event = Event::new("happened").expect("a good name").id(id);
    let operation = Operation::event(&person(n, item).0, &event).expect("a small operation");
    (operation, Record::Event(id.to_string()))
}

fn event_without_id(n: usize) -> (Operation, Record) {
    let event = Event::new("happened once").expect("a good name");
    let operation = Operation::event(&person(n, 0).0, &event).expect("a small operation");
    (operation, Record::EventWithoutId)
}
