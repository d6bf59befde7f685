use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use crate::{
    Batch, Cause, Failure, Outcome, Rejection, Request,
    request::Content,
    response::{Reading, first_error, item_errors, read},
};

/// Says what follows from a response: the outcomes, or what to send instead.
#[derive(Debug)]
pub enum Settlement {
    /// One outcome for each operation, in the order of the request.
    Settled(Vec<Outcome>),
    /// The response says nothing about single operations. These requests carry the same operations in the
    /// same order; send them one after the other, so that each person's operations keep their order.
    Resend(Vec<Request>),
}

impl Request {
    /// Reads a response to this request, with its whole body.
    ///
    /// A batch that is refused as a whole (400, 413) is to be sent again in halves, until the guilty operation stands
    /// alone. A batch whose item errors cannot be read is to be sent again one by one.
    ///
    /// ```
    /// use customerio::{Attributes, Operation, Outcome, Person, Request, Settlement};
    /// let request: Request = Operation::identify(&Person::id("u1")?, &Attributes::new())?.into();
    /// let refusal = http::Response::builder().status(400).body(r#"{"errors":[{"message":"no"}]}"#.into())?;
    /// let Settlement::Settled(outcomes) = request.settle(&refusal) else { unreachable!() };
    /// assert!(matches!(&outcomes[..], [Outcome::Rejected(rejection)] if rejection.reason() == "no"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn settle(self, response: &Response<Bytes>) -> Settlement {
        let status = response.status();
        let len = self.len();
        let all = |outcome| Settlement::Settled(vec![outcome; len]);
        match (read(response), self.content) {
            (Reading::Answered(body), Content::Batch(batch)) => settle_items(batch, status, &body),
            (Reading::Answered(body), _) => all(single(status, &body)),
            (Reading::Rejected(_), Content::Batch(batch)) if is_divisible(&batch, status) => {
                Settlement::Resend(batch.halves().map(Self::from).into())
            }
            (Reading::Rejected(rejection), _) => all(Outcome::Rejected(rejection)),
            (Reading::Unknown(cause), _) => all(Outcome::Unknown(cause)),
            (Reading::NotSent(cause), _) => all(Outcome::NotSent(cause)),
        }
    }

    /// Settles a request to which no response came, without another attempt.
    #[must_use]
    pub fn settle_failure(self, failure: Failure) -> Vec<Outcome> {
        let Failure {
            may_have_left,
            cause,
        } = failure;
        let outcome = if may_have_left {
            Outcome::Unknown(cause)
        } else {
            Outcome::NotSent(cause)
        };
        vec![outcome; self.len()]
    }
}

fn is_divisible(batch: &Batch, status: StatusCode) -> bool {
    let refused_as_a_whole = matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE
    );
    refused_as_a_whole && batch.len() > 1
}

fn single(status: StatusCode, body: &Map<String, Value>) -> Outcome {
    match body.get("errors").and_then(first_error) {
        Some(words) => Outcome::Rejected(Rejection::new(status, &words)),
        None => Outcome::Accepted,
    }
}

fn settle_items(batch: Batch, status: StatusCode, body: &Map<String, Value>) -> Settlement {
    let errors = match body.get("errors") {
        Some(errors) => item_errors(errors, batch.len()),
        // A 207 says that there is an error; any other success without a list has none.
        None if status == StatusCode::MULTI_STATUS => None,
        None => Some(vec![None; batch.len()]),
    };
    let Some(errors) = errors else {
        return Settlement::Resend(
            batch
                .into_operations()
                .into_iter()
                .map(Request::from)
                .collect(),
        );
    };
    Settlement::Settled(
        errors
            .into_iter()
            .map(|error| item(status, error))
            .collect(),
    )
}

fn item(status: StatusCode, error: Option<String>) -> Outcome {
    match error {
        Some(words) => Outcome::Rejected(Rejection::new(status, &words)),
        None => Outcome::Accepted,
    }
}

/// Carries one request to the outcomes of all its operations, through every resending that the responses ask for.
///
/// Loop: send [`request`](Self::request), then give its [`answer`](Self::answer) or [`failure`](Self::fail), until none is left.
/// Attempts and their waits are the sender's business; give only what counts in the end.
///
/// After a part whose fate is unknown, the rest is not sent: it may hold later operations of the same people.
#[derive(Debug)]
#[must_use]
pub struct Delivery {
    /// What is still to be sent, the next one last.
    pending: Vec<Request>,
    outcomes: Vec<Outcome>,
}

impl Delivery {
    /// Starts with the whole request.
    pub fn new(request: impl Into<Request>) -> Self {
        let request = request.into();
        let pending = if request.is_empty() {
            Vec::new()
        } else {
            vec![request]
        };
        Self {
            pending,
            outcomes: Vec::new(),
        }
    }

    /// Returns what to send next, or nothing if every operation has its outcome.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.pending.last()
    }

    /// Takes the response to the request that is next. Without such a request it does nothing.
    pub fn answer(&mut self, response: &Response<Bytes>) {
        let Some(request) = self.pending.pop() else {
            return;
        };
        match request.settle(response) {
            Settlement::Settled(outcomes) => self.settled(outcomes),
            Settlement::Resend(requests) => self.pending.extend(requests.into_iter().rev()),
        }
    }

    /// Takes the news that no response came to the request that is next. Without such a request it does nothing.
    pub fn fail(&mut self, failure: Failure) {
        if let Some(request) = self.pending.pop() {
            self.settled(request.settle_failure(failure));
        }
    }

    fn settled(&mut self, outcomes: Vec<Outcome>) {
        let unknown = outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Unknown(_)));
        self.outcomes.extend(outcomes);
        if unknown {
            let rest = self.pending.drain(..).map(|request| request.len()).sum();
            self.outcomes
                .extend(vec![Outcome::NotSent(Cause::follows_unknown()); rest]);
        }
    }

    /// Returns one outcome for each operation, in their order; those that were not carried to the end are missing.
    #[must_use]
    pub fn into_outcomes(self) -> Vec<Outcome> {
        self.outcomes
    }
}
