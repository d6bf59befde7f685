//! Building one identify request, step by step: 9 allocations with four attributes, of which 2 are
//! the attributes' own.

use customerio::{Attributes, Credentials, Endpoint, Operation, Person, Region, Request};

use crate::counted;

fn attributes() -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert("plan", "pro").unwrap();
    attributes.insert("seats", 5).unwrap();
    attributes.insert("vip", false).unwrap();
    attributes.insert("city", "Zürich").unwrap();
    attributes
}

#[track_caller]
fn check<T>(step: &str, work: impl FnMut() -> T, allocations: u64) {
    let counted = counted(work);
    println!(
        "| {step} | {} | {} |",
        counted.count_total, counted.bytes_total
    );
    assert_eq!(counted.count_total, allocations, "{step}");
}

#[test]
fn an_identify_request_is_built_with_the_allocations_that_are_stated() {
    println!(
        "\n| one identify request with four attributes | allocations | bytes |\n|---|--:|--:|"
    );
    let endpoint = Endpoint::for_region(Region::Us, Credentials::new("site", "key").unwrap());
    let (person, attributes_at_hand) = (Person::id("u1").unwrap(), attributes());
    let request = Request::from(Operation::identify(&person, &attributes_at_hand).unwrap());
    // The first clone of the header's bytes moves them to where they are shared.
    drop(request.to_http(&endpoint));

    check("the person", || Person::id("u1").unwrap(), 1);
    check("the attributes", attributes, 2);
    check(
        "the operation",
        || Operation::identify(&person, &attributes_at_hand).unwrap(),
        2,
    );
    check("the HTTP request", || request.to_http(&endpoint), 4);
}
