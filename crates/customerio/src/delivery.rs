use std::collections::HashSet;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{Cause, Failure, Lane, Outcome, Request, Settlement};

/// Carries one request to the outcomes of all its operations, through every resending that the
/// responses ask for.
///
/// Loop: send [`request`](Self::request), then give its [`answer`](Self::answer) or
/// [`failure`](Self::fail), until none is left. Attempts and their waits are the sender's business;
/// give only what counts in the end.
///
/// After a part whose fate is unknown, the rest is not sent: it may hold later operations of the
/// same people. Where [other requests succeed](Self::others_succeed), only these people's later
/// operations are not sent.
#[derive(Debug)]
#[must_use]
pub struct Delivery {
    /// What is still to be sent, the next one last.
    pending: Vec<Part>,
    /// One place for each operation of the whole request; empty until the operation is settled.
    outcomes: Vec<Option<Outcome>>,
}

#[derive(Debug)]
struct Part {
    request: Request,
    /// The places of its operations in the whole request.
    positions: Vec<usize>,
    /// Whether an earlier attempt may have been applied.
    may_have_arrived: bool,
    /// Whether other requests succeeded while this one was tried.
    others_succeed: bool,
    /// Whether the half that is next after it may go before it, and so tell whether the server is
    /// down for all.
    may_go_second: bool,
}

impl Delivery {
    /// Starts with the whole request.
    pub fn new(request: impl Into<Request>) -> Self {
        let request = request.into();
        let positions = (0..request.len()).collect();
        let outcomes = vec![None; request.len()];
        let whole = Part::new(request, positions);
        let pending = Some(whole).filter(|whole| !whole.request.is_empty());
        Self {
            pending: pending.into_iter().collect(),
            outcomes,
        }
    }

    /// Returns what to send next, or nothing if every operation has its outcome.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.pending.last().map(|part| &part.request)
    }

    /// Says that an earlier attempt at the request that is next may have arrived, as after a
    /// timeout.
    ///
    /// If its last attempt is turned away unread, the request then ends unknown instead of not
    /// sent.
    pub fn attempt_may_have_arrived(&mut self) {
        if let Some(part) = self.pending.last_mut() {
            part.may_have_arrived = true;
        }
    }

    /// Says that the server took other requests while the one that is next was tried.
    ///
    /// If that one is answered with 500, the server is not down for all: a batch is halved, until
    /// the operation that breaks the server stands alone and ends unknown.
    pub fn others_succeed(&mut self) {
        if let Some(part) = self.pending.last_mut() {
            part.others_succeed = true;
        }
    }

    /// Takes the response to the request that is next. Without such a request it does nothing.
    pub fn answer(&mut self, response: &Response<Bytes>) {
        let Some(part) = self.pending.pop() else {
            return;
        };
        let failed = response.status() == StatusCode::INTERNAL_SERVER_ERROR;
        let breaks_the_server = failed && part.others_succeed;
        if breaks_the_server && part.request.len() > 1 {
            return self.halve(part);
        }
        if failed && !part.others_succeed && part.may_go_second {
            return self.put_second(part);
        }
        let Part {
            request,
            positions,
            may_have_arrived,
            ..
        } = part;
        let lane = request.lane().filter(|_| breaks_the_server);
        match request.settle(response) {
            Settlement::Settled(outcomes) => {
                let is_unknown = self.put(positions, outcomes, may_have_arrived);
                match lane {
                    Some(lane) => self.withhold_lane(lane),
                    None if is_unknown => self.withhold(&Cause::follows_unknown()),
                    None => {}
                }
            }
            // A batch that was refused as a whole was refused by every attempt; one that was taken
            // may be applied.
            Settlement::Resend(requests) => {
                self.resend(requests, positions, response.status().is_success());
            }
        }
    }

    /// Takes the news that no response came to the request that is next. Without such a request it
    /// does nothing.
    pub fn fail(&mut self, failure: Failure) {
        let Some(part) = self.pending.pop() else {
            return;
        };
        let outcomes = part.request.settle_failure(failure);
        if self.put(part.positions, outcomes, part.may_have_arrived) {
            self.withhold(&Cause::follows_unknown());
        }
    }

    fn halve(&mut self, part: Part) {
        let (mut first, mut second) = (part.request.clone(), part.request);
        let half = first.len() / 2;
        first.retain(|position| position < half);
        second.retain(|position| position >= half);
        let is_apart = first.lanes().is_disjoint(&second.lanes());
        self.resend([first, second], part.positions, true);
        if let Some(first) = self.pending.last_mut() {
            first.may_go_second = is_apart;
        }
    }

    /// Lets the other half go first: its success shows that the server is not down for all.
    fn put_second(&mut self, part: Part) {
        let other_half = self.pending.pop();
        self.pending.push(Part {
            may_have_arrived: true,
            may_go_second: false,
            ..part
        });
        self.pending.extend(other_half);
    }

    /// Puts requests that together carry the operations of `positions` in front of what is still to
    /// be sent.
    fn resend(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
        mut positions: Vec<usize>,
        may_have_arrived: bool,
    ) {
        let first = self.pending.len();
        for request in requests {
            let rest = positions.split_off(request.len());
            self.pending.push(Part {
                may_have_arrived,
                ..Part::new(request, positions)
            });
            positions = rest;
        }
        self.pending[first..].reverse();
    }

    /// Settles the operations of `positions`. Returns whether the fate of any is unknown.
    fn put(
        &mut self,
        positions: Vec<usize>,
        outcomes: Vec<Outcome>,
        may_have_arrived: bool,
    ) -> bool {
        let mut is_unknown = false;
        for (position, outcome) in positions.into_iter().zip(outcomes) {
            let outcome = corrected(outcome, may_have_arrived);
            is_unknown |= outcome.is_unknown();
            self.outcomes[position] = Some(outcome);
        }
        is_unknown
    }

    /// Settles what is still to be sent without sending it.
    fn withhold(&mut self, cause: &Cause) {
        while let Some(part) = self.pending.pop() {
            let outcomes = vec![Outcome::NotSent(cause.clone()); part.request.len()];
            self.put(part.positions, outcomes, part.may_have_arrived);
        }
    }

    /// Settles what is still to be sent of a lane without sending it.
    fn withhold_lane(&mut self, lane: Lane) {
        let pending = std::mem::take(&mut self.pending);
        for mut part in pending {
            let late: HashSet<usize> = part.request.positions_of(lane).collect();
            let (withheld, kept): (Vec<_>, Vec<_>) = (0..part.positions.len())
                .zip(part.positions)
                .partition(|(index, _)| late.contains(index));
            let positions: Vec<_> = withheld.into_iter().map(|(_, position)| position).collect();
            let outcomes = vec![Outcome::NotSent(Cause::follows_unknown()); positions.len()];
            self.put(positions, outcomes, part.may_have_arrived);
            part.request.retain(|index| !late.contains(&index));
            part.positions = kept.into_iter().map(|(_, position)| position).collect();
            if !part.request.is_empty() {
                self.pending.push(part);
            }
        }
    }

    /// Returns one outcome for each operation, in their order. What was not carried to its end
    /// counts as stopped.
    #[must_use]
    pub fn into_outcomes(mut self) -> Vec<Outcome> {
        self.withhold(&Cause::stopped());
        let outcomes = self.outcomes.into_iter();
        outcomes
            .map(|outcome| outcome.expect("what is not pending is settled"))
            .collect()
    }
}

impl Part {
    fn new(request: Request, positions: Vec<usize>) -> Self {
        Self {
            request,
            positions,
            may_have_arrived: false,
            others_succeed: false,
            may_go_second: false,
        }
    }
}

/// Takes "not sent" back where an earlier attempt may have arrived.
fn corrected(outcome: Outcome, may_have_arrived: bool) -> Outcome {
    match outcome {
        Outcome::NotSent(cause) if may_have_arrived => Outcome::Unknown(cause),
        outcome => outcome,
    }
}
