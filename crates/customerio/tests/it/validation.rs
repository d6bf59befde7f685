//! What each kind of validation refuses.

use customerio::{Attributes, Event, InvalidInput, Operation, Person, Timestamp, Validation, v1};

use crate::support::person;

use Validation::{Lenient, Off, Strict};

/// Checks which kinds refuse what `make` makes.
fn check<T>(make: impl Fn(Validation) -> Result<T, InvalidInput>, refusing: &[Validation]) {
    for validation in [Strict, Lenient, Off] {
        let refused = make(validation).err();
        let expected = refusing.contains(&validation);
        assert_eq!(refused.is_some(), expected, "{validation:?}: {refused:?}");
    }
}

fn identify(
    validation: Validation,
    fill: impl Fn(&mut Attributes) -> Result<(), InvalidInput>,
) -> Result<Operation, InvalidInput> {
    let mut attributes = Attributes::with(validation);
    fill(&mut attributes)?;
    Operation::identify(&person("u1"), &attributes)
}

#[test]
fn forms_and_lengths_that_only_the_documentation_limits_are_refused_by_strict_alone() {
    check(|kind| Person::id_with(kind, &"x".repeat(151)), &[Strict]);
    check(|kind| Person::email_with(kind, "nobody"), &[Strict]);
    check(|kind| Person::phone_with(kind, "555"), &[Strict]);
    check(|kind| Event::with(kind, "x".repeat(101)), &[Strict]);
    check(|kind| Event::with(kind, "x".repeat(100)), &[]);
}

#[test]
fn what_the_server_answers_400_to_is_refused_unless_off() {
    let refusing = &[Strict, Lenient];
    check(|kind| Event::with(kind, " "), refusing);
    let long_value =
        |attributes: &mut Attributes| attributes.insert("a", "x".repeat(1_001)).map(|_| ());
    check(|kind| identify(kind, long_value), refusing);
    let long_name = |attributes: &mut Attributes| attributes.insert("x".repeat(151), 1).map(|_| ());
    check(|kind| identify(kind, long_name), refusing);
    let many = |attributes: &mut Attributes| {
        (0..301).try_for_each(|n| attributes.insert(n.to_string(), n).map(|_| ()))
    };
    check(|kind| identify(kind, many), refusing);
    let data = |kind| {
        let mut attributes = Attributes::with(kind);
        attributes.insert("a", "x".repeat(100_001))?;
        v1::event(&person("u1"), &Event::new("e")?.attributes(attributes))
    };
    check(data, refusing);
}

#[test]
fn what_cannot_travel_is_refused_by_every_kind() {
    let refusing = &[Strict, Lenient, Off];
    for id in ["", " ", ".", ".."] {
        check(|kind| Person::id_with(kind, id), refusing);
    }
    let nan = |attributes: &mut Attributes| attributes.insert("a", f64::NAN).map(|_| ());
    check(|kind| identify(kind, nan), refusing);
    let huge = |attributes: &mut Attributes| {
        (0..40).try_for_each(|n| {
            attributes
                .insert(n.to_string(), "x".repeat(900))
                .map(|_| ())
        })
    };
    check(|kind| identify(kind, huge), refusing);
    check(|_| Timestamp::new(1_700_000_000_000), refusing);
}
