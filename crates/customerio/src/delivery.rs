use std::collections::HashSet;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{Cause, Failure, Lane, Outcome, Request, Settlement};

/// The state of one request until each of its operations has an outcome.
///
/// Send the next [`request`](Self::request) and pass its response to [`answer`](Self::answer), or
/// its failure to [`fail`](Self::fail). Repeat until `request` returns `None`. Some responses make
/// it split a batch; `request` then returns the parts. Retries are up to the sender: pass the
/// result of the last attempt only.
///
/// After a part whose outcome is unknown, the rest is not sent, since it may hold later operations
/// on the same people. If [other requests succeed](Self::others_succeed), only the later operations
/// on these people are not sent.
#[derive(Debug)]
#[must_use]
pub struct Delivery {
    /// The requests that are still to be sent, the next one last.
    pending: Vec<Part>,
    /// One entry for each operation of the whole request: `None` until it has its outcome.
    outcomes: Vec<Option<Outcome>>,
}

#[derive(Debug)]
struct Part {
    request: Request,
    /// The positions of its operations in the whole request.
    positions: Vec<usize>,
    /// Whether an earlier attempt may have been applied.
    may_have_arrived: bool,
    /// Whether other requests succeeded while this one was sent.
    others_succeed: bool,
    /// Whether the other half may be sent before this one. Its result shows whether the server
    /// fails for every request.
    may_go_second: bool,
}

impl Delivery {
    /// Creates the delivery of a request.
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

    /// Returns the request to send next, or `None` if every operation has its outcome.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.pending.last().map(|part| &part.request)
    }

    /// Records that an earlier attempt at the next request may have arrived, as after a timeout.
    ///
    /// If the last attempt is throttled or not sent, its outcome is then unknown instead of not
    /// sent.
    pub fn attempt_may_have_arrived(&mut self) {
        if let Some(part) = self.pending.last_mut() {
            part.may_have_arrived = true;
        }
    }

    /// Records that other requests succeeded while the next one was sent.
    ///
    /// If the next one then gets a 500, one of its operations makes the server fail. A batch is
    /// halved until that operation is alone; its outcome is unknown.
    pub fn others_succeed(&mut self) {
        if let Some(part) = self.pending.last_mut() {
            part.others_succeed = true;
        }
    }

    /// Records the response to the next request. Does nothing if there is none.
    pub fn answer(&mut self, response: &Response<Bytes>) {
        let Some(part) = self.pending.pop() else {
            return;
        };
        // Only a 500 comes from the API's own code. Other 5xx come from gateways and overload.
        let is_500 = response.status() == StatusCode::INTERNAL_SERVER_ERROR;
        let makes_server_fail = is_500 && part.others_succeed;
        if makes_server_fail && part.request.len() > 1 {
            return self.halve(part);
        }
        if is_500 && !part.others_succeed && part.may_go_second {
            return self.put_second(part);
        }
        let Part {
            request,
            positions,
            may_have_arrived,
            ..
        } = part;
        let lane = request.lane().filter(|_| makes_server_fail);
        match request.settle(response) {
            Settlement::Settled(outcomes) => {
                let stop = self.record(positions, outcomes, may_have_arrived);
                match (lane, stop) {
                    // The operation that makes the server fail was found: the others go on.
                    (Some(lane), _) => self.withhold_lane(lane),
                    (None, Some(cause)) => self.withhold(&cause),
                    (None, None) => {}
                }
            }
            // After a success the operations may be applied already. After a rejection none is,
            // since every attempt was rejected.
            Settlement::Resend(requests) => {
                self.resend(requests, positions, response.status().is_success());
            }
        }
    }

    /// Records that the next request got no response. Does nothing if there is none.
    pub fn fail(&mut self, failure: Failure) {
        let Some(part) = self.pending.pop() else {
            return;
        };
        let outcomes = part.request.settle_failure(failure);
        if let Some(cause) = self.record(part.positions, outcomes, part.may_have_arrived) {
            self.withhold(&cause);
        }
    }

    fn halve(&mut self, part: Part) {
        let (mut first, mut second) = (part.request.clone(), part.request);
        let half = first.len() / 2;
        first.retain(|position| position < half);
        second.retain(|position| position >= half);
        // Only halves without a common lane may change places: a person's operations keep their
        // order.
        let is_apart = first.lanes().is_disjoint(&second.lanes());
        self.resend([first, second], part.positions, true);
        if let Some(first) = self.pending.last_mut() {
            first.may_go_second = is_apart;
        }
    }

    /// Sends the other half first. Its success shows that the server does not fail for every
    /// request.
    fn put_second(&mut self, part: Part) {
        let other_half = self.pending.pop();
        self.pending.push(Part {
            may_have_arrived: true,
            may_go_second: false,
            ..part
        });
        self.pending.extend(other_half);
    }

    /// Schedules requests to be sent before all others. Together they carry the operations of
    /// `positions`.
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
        // The next one is last in `pending`.
        self.pending[first..].reverse();
    }

    /// Records the outcomes of the operations of `positions`. Returns the cause for which the
    /// requests that are still to be sent must not be sent, if there is one.
    fn record(
        &mut self,
        positions: Vec<usize>,
        outcomes: Vec<Outcome>,
        may_have_arrived: bool,
    ) -> Option<Cause> {
        let mut stop = None;
        for (position, outcome) in positions.into_iter().zip(outcomes) {
            let outcome = outcome.unless_arrived(may_have_arrived);
            match &outcome {
                Outcome::Unknown(_) => stop = Some(Cause::follows_unknown()),
                // It may be sent again later. A later operation of the same lane must not come
                // before it, and the cause, such as a 429, is about the whole server.
                Outcome::NotSent(cause) if stop.is_none() => stop = Some(cause.clone()),
                _ => {}
            }
            self.outcomes[position] = Some(outcome);
        }
        stop
    }

    /// Settles all requests that are still to be sent, as not sent.
    fn withhold(&mut self, cause: &Cause) {
        while let Some(part) = self.pending.pop() {
            let outcomes = vec![Outcome::NotSent(cause.clone()); part.request.len()];
            self.record(part.positions, outcomes, part.may_have_arrived);
        }
    }

    /// Settles the operations of a lane that are still to be sent, as not sent.
    fn withhold_lane(&mut self, lane: Lane) {
        let pending = std::mem::take(&mut self.pending);
        for mut part in pending {
            let late: HashSet<usize> = part.request.positions_of(lane).collect();
            let (withheld, kept): (Vec<_>, Vec<_>) = (0..part.positions.len())
                .zip(part.positions)
                .partition(|(index, _)| late.contains(index));
            let positions: Vec<_> = withheld.into_iter().map(|(_, position)| position).collect();
            let outcomes = vec![Outcome::NotSent(Cause::follows_unknown()); positions.len()];
            self.record(positions, outcomes, part.may_have_arrived);
            part.request.retain(|index| !late.contains(&index));
            part.positions = kept.into_iter().map(|(_, position)| position).collect();
            if !part.request.is_empty() {
                self.pending.push(part);
            }
        }
    }

    /// Returns one outcome for each operation, in their order. Operations without an outcome are
    /// settled as not sent, with [`Cause::stopped`].
    #[must_use]
    pub fn into_outcomes(mut self) -> Vec<Outcome> {
        self.withhold(&Cause::stopped());
        let outcomes = self.outcomes.into_iter();
        outcomes
            .map(|outcome| outcome.expect("an operation that is not pending is settled"))
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
