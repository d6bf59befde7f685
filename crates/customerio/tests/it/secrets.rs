//! `Debug` and errors contain neither the key nor personal data.

use customerio::{AnonymousEvent, Attributes, Credentials, Event, Operation, Person, Request, v1};

use crate::support::{KEY, batch, endpoint};

const DATA: &str = "jane-doe";

fn check(printed: &str) {
    for hidden in [KEY, "c2l0ZTp0b3Atc2VjcmV0", "dG9wLXNlY3JldA", DATA] {
        assert!(!printed.contains(hidden), "{hidden} is in {printed}");
    }
}

fn attributes() -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert("name", DATA).unwrap();
    attributes
}

#[test]
fn the_key_is_in_no_debug_output() {
    check(&format!("{:#?}", Credentials::new("site", KEY)));
    check(&format!("{:#?} {}", endpoint(), endpoint()));
    check(&format!(
        "{:#?}",
        Request::from(batch(&["u1"])).to_http(&endpoint()).headers()
    ));
}

#[test]
fn a_persons_data_is_in_no_debug_output() {
    let person = Person::id(DATA).unwrap();
    let event = Event::new("e").unwrap().attributes(attributes());
    check(&format!(
        "{person:?} {event:?} {:?}",
        AnonymousEvent::new(DATA, event.clone())
    ));
    check(&format!(
        "{:?}",
        Request::from(Operation::identify(&person, &attributes()).unwrap())
    ));
    check(&format!("{:?}", v1::event(&person, &event)));
    check(&format!("{:?}", Request::from(batch(&[DATA]))));
}

#[test]
fn a_persons_data_is_in_no_error() {
    let long = DATA.repeat(200);
    check(&format!("{:?}", Person::id(&long)));
    check(&format!("{:?}", Person::email(DATA)));
    check(&format!(
        "{:?}",
        v1::delete(&Person::id(&format!("{DATA}@example.com")).unwrap())
    ));
    let mut attributes = attributes();
    attributes.insert("long", &long).unwrap();
    let rejected = Operation::identify(&Person::id("u1").unwrap(), &attributes);
    check(&format!("{rejected:?} {}", rejected.as_ref().unwrap_err()));
}
