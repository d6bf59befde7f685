//! The checks of each validation.

use customerio::{Attributes, Event, InvalidInput, Operation, Person, Timestamp, Validation, v1};

use crate::support::person;

use Validation::{Lenient, Off, Strict};

/// Checks which validations reject the input that `make` creates.
fn check<T>(make: impl Fn(Validation) -> Result<T, InvalidInput>, rejecting: &[Validation]) {
    for validation in [Strict, Lenient, Off] {
        let rejected = make(validation).err();
        let expected = rejecting.contains(&validation);
        assert_eq!(rejected.is_some(), expected, "{validation:?}: {rejected:?}");
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
fn only_strict_validation_checks_limits_that_the_server_may_not_enforce() {
    check(|kind| Person::id_with(kind, &"x".repeat(151)), &[Strict]);
    check(|kind| Person::email_with(kind, "nobody"), &[Strict]);
    check(|kind| Person::phone_with(kind, "555"), &[Strict]);
    check(|kind| Event::with(kind, "x".repeat(101)), &[Strict]);
    check(|kind| Event::with(kind, "x".repeat(100)), &[]);
}

#[test]
fn limits_that_the_server_enforces_are_checked_unless_off() {
    let rejecting = &[Strict, Lenient];
    check(|kind| Event::with(kind, " "), rejecting);
    let long_value =
        |attributes: &mut Attributes| attributes.insert("a", "x".repeat(1_001)).map(|_| ());
    check(|kind| identify(kind, long_value), rejecting);
    let long_name = |attributes: &mut Attributes| attributes.insert("x".repeat(151), 1).map(|_| ());
    check(|kind| identify(kind, long_name), rejecting);
    let many = |attributes: &mut Attributes| {
        (0..301).try_for_each(|n| attributes.insert(n.to_string(), n).map(|_| ()))
    };
    check(|kind| identify(kind, many), rejecting);
    let data = |kind| {
        let mut attributes = Attributes::with(kind);
        attributes.insert("a", "x".repeat(100_001))?;
        v1::event(&person("u1"), &Event::new("e")?.attributes(attributes))
    };
    check(data, rejecting);
}

#[test]
fn input_that_cannot_be_sent_is_an_error_with_every_validation() {
    let rejecting = &[Strict, Lenient, Off];
    for id in ["", " ", ".", ".."] {
        check(|kind| Person::id_with(kind, id), rejecting);
    }
    let nan = |attributes: &mut Attributes| attributes.insert("a", f64::NAN).map(|_| ());
    check(|kind| identify(kind, nan), rejecting);
    let huge = |attributes: &mut Attributes| {
        (0..40).try_for_each(|n| {
            attributes
                .insert(n.to_string(), "x".repeat(900))
                .map(|_| ())
        })
    };
    check(|kind| identify(kind, huge), rejecting);
    check(|_| Timestamp::new(1_700_000_000_000), rejecting);
}
