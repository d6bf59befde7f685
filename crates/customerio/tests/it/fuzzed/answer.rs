//! The properties of any response to any request.

use std::sync::LazyLock;

use bytes::Bytes;
use customerio::v1::{self, Account};
use customerio::{Attributes, Batch, Delivery, Operation, Outcome, Person, Request};
use http::{HeaderValue, Response, header};

/// The most that an error shows: a thousand bytes of the server's words, and ours.
const MOST_SHOWN: usize = 1_200;

static REQUESTS: LazyLock<[Request; 4]> = LazyLock::new(requests);

/// Settles requests by an answer of which every field that is read has the value `field`.
pub(crate) fn check(status: u16, field: &[u8], body: &[u8]) {
    let response = response(status, field, body);
    for request in &*REQUESTS {
        let operations = request.len();
        let outcomes = outcomes(request.clone(), &response);
        assert_eq!(outcomes.len(), operations);
        outcomes.iter().for_each(is_bounded_and_harmless);
    }
    let _account = Account::from_response(&response);
}

fn response(status: u16, field: &[u8], body: &[u8]) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    if let Ok(value) = HeaderValue::from_bytes(field) {
        for name in ["location", "retry-after", "x-request-id"] {
            response = response.header(name, value.clone());
        }
    }
    let response = response.header(header::CONTENT_TYPE, "application/json");
    response.body(Bytes::copy_from_slice(body)).unwrap()
}

fn requests() -> [Request; 4] {
    let person = Person::id("1").unwrap();
    let identify = Operation::identify(&person, &Attributes::new()).unwrap();
    let mut batch = Batch::new();
    for _ in 0..3 {
        batch.push(identify.clone()).unwrap();
    }
    [
        identify.into(),
        batch.into(),
        v1::delete(&person).unwrap(),
        v1::region(),
    ]
}

/// Responds until no request is left. A batch may be resent one by one, and no more than that.
fn outcomes(request: Request, response: &Response<Bytes>) -> Vec<Outcome> {
    let most = 2 * request.len();
    let mut delivery = Delivery::new(request);
    let mut sent = 0;
    while delivery.request().is_some() {
        delivery.answer(response);
        sent += 1;
        assert!(sent <= most, "it is sent again and again");
    }
    delivery.into_outcomes()
}

fn is_bounded_and_harmless(outcome: &Outcome) {
    let (shown, request_id) = match outcome {
        Outcome::Accepted => return,
        Outcome::Rejected(rejection) => (rejection.to_string(), rejection.request_id()),
        Outcome::Unknown(cause) | Outcome::NotSent(cause) => {
            (cause.to_string(), cause.request_id())
        }
    };
    assert!(shown.len() <= MOST_SHOWN, "{} bytes", shown.len());
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(request_id.is_none_or(|id| id.len() <= 100));
}
