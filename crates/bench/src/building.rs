//! What it takes to build one identify request of version 2: by the values of `customerio`, and by
//! hand.

use bytes::Bytes;
use customerio::{Attributes, Credentials, Endpoint, Operation, Person, Region};
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::inner::Body;
use crate::measure::Contestant;

const URL: &str = "https://track.customer.io/api/v2/entity";
const ID: &str = "customer-0123456789";

/// What is known of somebody, as a program has it.
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

/// The body that both send.
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

/// From JSON values, as those of a file or another service.
pub(crate) fn building() -> Vec<Contestant> {
    contestants(map())
}

/// From a struct of the program's own.
pub(crate) fn building_from_a_struct() -> Vec<Contestant> {
    contestants(CUSTOMER)
}

fn contestants(attributes: impl Serialize + Clone + 'static) -> Vec<Contestant> {
    let credentials = Credentials::new("site", "key").expect("they are valid");
    let endpoint = Endpoint::for_region(Region::Us, credentials);
    let authorization = HeaderValue::from_static("Basic c2l0ZTprZXk=");
    let [ours, alone] = [attributes.clone(), attributes.clone()];
    vec![
        Contestant::of_work("serde_json alone", move || body(&alone)),
        Contestant::of_work("customerio", move || by_values(&ours, &endpoint)),
        Contestant::of_work("serde_json and http::Request", move || {
            by_hand(&attributes, &authorization)
        }),
    ]
}

fn by_values(attributes: &impl Serialize, endpoint: &Endpoint) -> Request<Body> {
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
