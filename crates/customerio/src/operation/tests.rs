use crate::{Attributes, Event, EventId, InvalidInput, Operation, Person};

fn person() -> Person {
    Person::id("u1").unwrap()
}

fn event(bytes: usize) -> Result<Operation, InvalidInput> {
    let id = EventId::from_parts(0, 0);
    let fixed = Operation::event(&person(), &Event::new("e").unwrap().id(id))
        .unwrap()
        .size();
    let mut attributes = Attributes::new();
    attributes
        .insert(
            "a",
            "x".repeat(bytes - fixed - r#","attributes":{"a":""}"#.len()),
        )
        .unwrap();
    Operation::event(
        &person(),
        &Event::new("e").unwrap().id(id).attributes(attributes),
    )
}

#[test]
fn an_operation_takes_at_most_32000_bytes() {
    assert_eq!(event(32_000).unwrap().size(), 32_000);
    assert!(event(32_001).unwrap_err().is_too_large());
}

#[test]
fn only_what_changes_nothing_is_replayed() {
    let check = |operation: Result<Operation, _>, replay, alone| {
        let operation = operation.unwrap();
        assert_eq!(
            (operation.may_replay(), operation.goes_alone()),
            (replay, alone)
        );
    };
    check(
        Operation::identify(&person(), &Attributes::new()),
        true,
        false,
    );
    check(event(1_000), true, false);
    check(
        Operation::event(&person(), &Event::new("e").unwrap()),
        false,
        true,
    );
    check(Operation::suppress(&person()), true, true);
    check(Operation::delete(&person()), true, true);
}

#[test]
fn debug_shows_no_data() {
    let debug = format!("{:?}", Operation::delete(&person()).unwrap());
    assert!(!debug.contains("u1"), "{debug}");
}
