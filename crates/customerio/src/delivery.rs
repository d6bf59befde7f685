use bytes::Bytes;
use http::Response;

use crate::{Cause, Failure, Outcome, Request, Settlement};

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
    pending: Vec<Part>,
    outcomes: Vec<Outcome>,
}

#[derive(Debug)]
struct Part {
    request: Request,
    /// Whether an earlier attempt may have been applied.
    may_have_arrived: bool,
}

impl Delivery {
    /// Starts with the whole request.
    pub fn new(request: impl Into<Request>) -> Self {
        let whole = Part {
            request: request.into(),
            may_have_arrived: false,
        };
        let pending = Some(whole).filter(|whole| !whole.request.is_empty());
        Self {
            pending: pending.into_iter().collect(),
            outcomes: Vec::new(),
        }
    }

    /// Returns what to send next, or nothing if every operation has its outcome.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.pending.last().map(|part| &part.request)
    }

    /// Says that an earlier attempt at the request that is next may have arrived, as after a timeout.
    ///
    /// If its last attempt is turned away unread, the request then ends unknown instead of not sent.
    pub fn attempt_may_have_arrived(&mut self) {
        if let Some(part) = self.pending.last_mut() {
            part.may_have_arrived = true;
        }
    }

    /// Takes the response to the request that is next. Without such a request it does nothing.
    pub fn answer(&mut self, response: &Response<Bytes>) {
        let Some(Part {
            request,
            may_have_arrived,
        }) = self.pending.pop()
        else {
            return;
        };
        match request.settle(response) {
            Settlement::Settled(outcomes) => self.settled(outcomes, may_have_arrived),
            Settlement::Resend(requests) => {
                // A batch that was refused as a whole was refused by every attempt; one that was taken may be applied.
                let may_have_arrived = response.status().is_success();
                let parts = requests.into_iter().map(|request| Part {
                    request,
                    may_have_arrived,
                });
                self.pending.extend(parts.rev());
            }
        }
    }

    /// Takes the news that no response came to the request that is next. Without such a request it does nothing.
    pub fn fail(&mut self, failure: Failure) {
        if let Some(Part {
            request,
            may_have_arrived,
        }) = self.pending.pop()
        {
            self.settled(request.settle_failure(failure), may_have_arrived);
        }
    }

    fn settled(&mut self, outcomes: Vec<Outcome>, may_have_arrived: bool) {
        let first = self.outcomes.len();
        self.outcomes.extend(
            outcomes
                .into_iter()
                .map(|outcome| corrected(outcome, may_have_arrived)),
        );
        if self.outcomes[first..].iter().any(Outcome::is_unknown) {
            self.withhold(&Cause::follows_unknown());
        }
    }

    /// Settles what is still to be sent without sending it.
    fn withhold(&mut self, cause: &Cause) {
        while let Some(Part {
            request,
            may_have_arrived,
        }) = self.pending.pop()
        {
            let outcome = corrected(Outcome::NotSent(cause.clone()), may_have_arrived);
            self.outcomes.extend(vec![outcome; request.len()]);
        }
    }

    /// Returns one outcome for each operation, in their order. What was not carried to its end counts as stopped.
    #[must_use]
    pub fn into_outcomes(mut self) -> Vec<Outcome> {
        self.withhold(&Cause::stopped());
        self.outcomes
    }
}

/// Takes "not sent" back where an earlier attempt may have arrived.
fn corrected(outcome: Outcome, may_have_arrived: bool) -> Outcome {
    match outcome {
        Outcome::NotSent(cause) if may_have_arrived => Outcome::Unknown(cause),
        outcome => outcome,
    }
}
