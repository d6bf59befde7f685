//! The cost of building one identify request of version 2: with the types of `customerio`, and by
//! hand.

use bytes::Bytes;
use customerio::{Attributes, Credentials, Endpoint, Operation, Person, Region};
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::inner::Body;
use crate::measure::Case;

const URL: &str = "https://track.customer.io/api/v2/entity";
const ID: &str = "customer-0123456789";

/// The data of a customer in a user's program.
#[derive(Clone, Serialize)]
struct Customer {
    email: &'static str,
    first_name: &'static str,
    city: &'static str,
    plan: &'static str,
    seats: u32,
    balance: f64,
    is_admin: bool,
    created_at: i64,
}

const CUSTOMER: Customer = Customer {
    email: "ada.lovelace@example.com",
    first_name: "Ada",
    city: "Zürich",
    plan: "enterprise",
    seats: 250,
    balance: 1234.56,
    is_admin: true,
    created_at: 1_700_000_000,
};

/// The body of the request that is built by hand.
#[derive(Serialize)]
struct Identify<'a, A> {
    r#type: &'static str,
    action: &'static str,
    identifiers: Identifiers<'a>,
    attributes: &'a A,
}

#[derive(Serialize)]
struct Identifiers<'a> {
    id: &'a str,
}

/// Returns the cases with attributes from JSON values, as a file or another service has them.
pub(crate) fn building() -> Vec<Case> {
    cases(map())
}

/// Returns the cases with attributes from a struct of the program.
pub(crate) fn building_from_a_struct() -> Vec<Case> {
    cases(CUSTOMER)
}

fn cases(attributes: impl Serialize + Clone + 'static) -> Vec<Case> {
    let credentials = Credentials::new("site", "key").expect("they are valid");
    let endpoint = Endpoint::for_region(Region::Us, credentials);
    let authorization = HeaderValue::from_static("Basic c2l0ZTprZXk=");
    let [ours, alone] = [attributes.clone(), attributes.clone()];
    vec![
        Case::of_work("serde_json alone", move || body(&alone)),
        Case::of_work("customerio", move || with_customerio(&ours, &endpoint)),
        Case::of_work("serde_json and http::Request", move || {
            by_hand(&attributes, &authorization)
        }),
    ]
}

fn with_customerio(attributes: &impl Serialize, endpoint: &Endpoint) -> Request<Body> {
    let person = Person::id(ID).expect("it is valid");
    let attributes = Attributes::from_serialize(attributes).expect("they are within the limits");
    let operation = Operation::identify(&person, &attributes);
    customerio::Request::from(operation.expect("it is within the limits")).to_http(endpoint)
}

fn by_hand(attributes: &impl Serialize, authorization: &HeaderValue) -> Request<Body> {
    Request::post(URL)
        .header(header::AUTHORIZATION, authorization)
        .header(header::USER_AGENT, "bench/0.1.0")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body(attributes)))
        .expect("the parts are valid")
}

fn body(attributes: &impl Serialize) -> Bytes {
    let body = Identify {
        r#type: "person",
        action: "identify",
        identifiers: Identifiers { id: ID },
        attributes,
    };
    let json = serde_json::to_vec(&body).expect("keys are strings");
    json.into()
}

fn map() -> Map<String, Value> {
    let Ok(Value::Object(map)) = serde_json::to_value(&CUSTOMER) else {
        unreachable!("a struct is an object")
    };
    map
}
