use bytes::Bytes;
use http::{Response, StatusCode};

use crate::request::Content;
use crate::response::{Answer, Errors, Reading, read};
use crate::{Batch, Failure, Outcome, Rejection, Request};

/// Says what follows from a response: the outcomes, or what to send instead.
#[derive(Debug)]
pub enum Settlement {
    /// One outcome for each operation, in the order of the request.
    Settled(Vec<Outcome>),
    /// The response says nothing about single operations. These requests carry the same operations in the
    /// same order; send them one after the other, so that each person's operations keep their order.
    /// After a response with a 2xx status they may have been applied already, which changes nothing.
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
        match (read(response, self.success()), self.content) {
            (Reading::Answered(answer), Content::Batch(batch)) => {
                settle_items(batch, response, answer)
            }
            (Reading::Answered(answer), _) => all(single(response, answer)),
            (Reading::Rejected(_), Content::Batch(batch)) if is_divisible(&batch, status) => {
                Settlement::Resend(batch.halves().map(Self::from).into())
            }
            (Reading::Rejected(rejection), _) => all(Outcome::Rejected(rejection)),
            (Reading::Unknown(_), Content::Batch(batch)) if status == StatusCode::MULTI_STATUS => {
                one_by_one(batch)
            }
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

fn single(response: &Response<Bytes>, answer: Answer) -> Outcome {
    let first = answer.into_errors().and_then(Errors::into_first);
    outcome(response, first)
}

fn settle_items(batch: Batch, response: &Response<Bytes>, answer: Answer) -> Settlement {
    let errors = match answer.into_errors() {
        Some(errors) => errors.by_position(batch.len()),
        // A 207 says that there is an error; any other success without a list has none.
        None if response.status() == StatusCode::MULTI_STATUS => None,
        None => Some(vec![None; batch.len()]),
    };
    match errors {
        Some(errors) => Settlement::Settled(
            errors
                .into_iter()
                .map(|error| outcome(response, error))
                .collect(),
        ),
        None => one_by_one(batch),
    }
}

fn one_by_one(batch: Batch) -> Settlement {
    Settlement::Resend(
        batch
            .into_operations()
            .into_iter()
            .map(Request::from)
            .collect(),
    )
}

fn outcome(response: &Response<Bytes>, error: Option<String>) -> Outcome {
    match error {
        Some(words) => Outcome::Rejected(Rejection::new(response, &words)),
        None => Outcome::Accepted,
    }
}
