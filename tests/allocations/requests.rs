//! The allocations of building one identify request, step by step. With four attributes there are
//! 9, of which 2 are those of the attributes.

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
fn building_an_identify_request_takes_nine_allocations() {
    println!(
        "\n| one identify request with four attributes | allocations | bytes |\n|---|--:|--:|"
    );
    let endpoint = Endpoint::for_region(Region::Us, Credentials::new("site", "key").unwrap());
    let (person, prepared) = (Person::id("u1").unwrap(), attributes());
    let request = Request::from(Operation::identify(&person, &prepared).unwrap());
    // The first clone of the header's bytes moves them to shared memory.
    drop(request.to_http(&endpoint));

    check("the person", || Person::id("u1").unwrap(), 1);
    check("the attributes", attributes, 2);
    check(
        "the operation",
        || Operation::identify(&person, &prepared).unwrap(),
        2,
    );
    check("the HTTP request", || request.to_http(&endpoint), 4);
}
