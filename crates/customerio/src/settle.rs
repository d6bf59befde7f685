use bytes::Bytes;
use http::{Response, StatusCode};

use crate::request::Content;
use crate::response::{ErrorList, Reading, ResponseBody, read};
use crate::{Batch, Outcome, Rejection, Request};

/// The result of reading a response: the outcomes, or the requests to send next.
#[derive(Debug)]
pub enum Settlement {
    /// One outcome for each operation, in the order of the request.
    Settled(Vec<Outcome>),
    /// The response does not say how single operations ended. These requests carry the same
    /// operations in the same order.
    ///
    /// Send one after the other, so that each person's operations keep their order. After a 2xx
    /// status the operations may have been applied already; sending them again changes nothing.
    Resend(Vec<Request>),
}

/// Reads a response to `request`; see [`Request::settle`].
pub(crate) fn settle(request: Request, response: &Response<Bytes>) -> Settlement {
    let status = response.status();
    let len = request.len();
    let all = |outcome| Settlement::Settled(vec![outcome; len]);
    match (read(response, request.success()), request.content) {
        (Reading::Accepted(body), Content::Batch(batch)) => settle_items(batch, response, body),
        (Reading::Accepted(body), _) => all(single(response, body)),
        // One operation may make the API reject the whole batch: halve it until that one is alone.
        (Reading::Rejected(_), Content::Batch(batch)) if is_divisible(&batch, status) => {
            Settlement::Resend(batch.halves().map(Request::from).into())
        }
        (Reading::Rejected(rejection), _) => all(Outcome::Rejected(rejection)),
        // A 207 means that the API read the batch; without readable items, ask about each.
        (Reading::Unknown(_), Content::Batch(batch)) if status == StatusCode::MULTI_STATUS => {
            one_by_one(batch)
        }
        (Reading::Unknown(cause), _) => all(Outcome::Unknown(cause)),
        (Reading::NotSent(cause), _) => all(Outcome::NotSent(cause)),
    }
}

fn is_divisible(batch: &Batch, status: StatusCode) -> bool {
    let is_rejected_whole = matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE
    );
    is_rejected_whole && batch.len() > 1
}

fn single(response: &Response<Bytes>, body: ResponseBody) -> Outcome {
    let first = body.into_errors().and_then(ErrorList::into_first);
    outcome(response, first)
}

fn settle_items(batch: Batch, response: &Response<Bytes>, body: ResponseBody) -> Settlement {
    let errors = match body.into_errors() {
        Some(errors) => errors.by_position(batch.len()),
        // A 207 means that at least one operation failed; another success without a list has none.
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
        Some(message) => Outcome::Rejected(Rejection::new(response, &message)),
        None => Outcome::Accepted,
    }
}
