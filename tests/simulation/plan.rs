//! What is sent in a world.

use customerio::{Attributes, Batch, Event, EventId, Operation, Person, Request};
use rand::RngExt;
use rand::rngs::SmallRng;

/// One call of the client.
pub(crate) struct Call {
    pub(crate) request: Request,
    /// What each of its operations leaves in the books.
    pub(crate) marks: Vec<Mark>,
}

/// The trace of one accepted operation in the books.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    Person(String),
    Event(String),
    /// An event without an id: sent again, it would be a second one.
    Unrepeatable,
}

/// Some single operations of every kind, and some batches.
pub(crate) fn calls(rng: &mut SmallRng) -> Vec<Call> {
    let calls = rng.random_range(50..250);
    (0..calls).map(|n| call(n, rng)).collect()
}

fn call(n: usize, rng: &mut SmallRng) -> Call {
    match rng.random_range(0..10) {
        0..=4 => single(identify(n, 0)),
        5..=7 => single(event(n, 0)),
        8 => single(unrepeatable(n)),
        _ => batch(n, rng.random_range(2..20)),
    }
}

fn single((operation, mark): (Operation, Mark)) -> Call {
    Call {
        request: operation.into(),
        marks: vec![mark],
    }
}

fn batch(n: usize, items: usize) -> Call {
    let (mut batch, mut marks) = (Batch::new(), Vec::new());
    for item in 0..items {
        let (operation, mark) = if item % 2 == 0 {
            identify(n, item)
        } else {
            event(n, item)
        };
        batch.push(operation).expect("small operations fit");
        marks.push(mark);
    }
    Call {
        request: batch.into(),
        marks,
    }
}

fn person(n: usize, item: usize) -> (Person, String) {
    let id = format!("person-{n}-{item}");
    (Person::id(&id).expect("a good id"), id)
}

fn identify(n: usize, item: usize) -> (Operation, Mark) {
    let (person, id) = person(n, item);
    let mut attributes = Attributes::new();
    attributes.insert("n", n).expect("a small value");
    let operation = Operation::identify(&person, &attributes).expect("a small operation");
    (operation, Mark::Person(id))
}

fn event(n: usize, item: usize) -> (Operation, Mark) {
    let id = EventId::derive("simulation", format!("{n}-{item}"), None);
    let event = Event::new("happened").expect("a good name").id(id);
    let operation = Operation::event(&person(n, item).0, &event).expect("a small operation");
    (operation, Mark::Event(id.to_string()))
}

fn unrepeatable(n: usize) -> (Operation, Mark) {
    let event = Event::new("happened once").expect("a good name");
    let operation = Operation::event(&person(n, 0).0, &event).expect("a small operation");
    (operation, Mark::Unrepeatable)
}
