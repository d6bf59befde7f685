use std::task::Waker;
use std::time::Duration;

use pacing::shared::{InvalidReply, NextCall, Reply, Reservations, SharedStatus};
use pacing::{Cost, Departure, Feedback, Hold, Limiter, Moment, Quota};
use rand::rngs::SmallRng;

use super::limits::Process;
use crate::random::seeded_by_system;

/// The part of a rate limit whose quota is shared: the departure times of this process.
///
/// The limiter beside it guards the share of this process. While the store is away, it has an equal
/// part of the quota.
#[derive(Debug)]
pub(crate) struct Shared {
    reservations: Reservations,
    /// The quota that the limiter has.
    own: Quota,
    rng: SmallRng,
    driver: Waker,
    /// Whether the driver has something new to do.
    is_needed: bool,
    /// The status after the last call.
    last: SharedStatus,
}

impl Shared {
    pub(in crate::rate) fn new(quota: Quota, process: Process, driver: Waker) -> Self {
        let mut rng = seeded_by_system();
        let reservations = Reservations::new(quota, process.number, &mut rng);
        let mut reservations = reservations.least_processes(process.least_processes);
        Self {
            own: reservations.own_quota(Moment::ORIGIN),
            last: reservations.status(Moment::ORIGIN),
            reservations,
            rng,
            driver,
            is_needed: false,
        }
    }

    /// Returns the quota of the limiter.
    pub(in crate::rate) fn own_quota(&self) -> Quota {
        self.own
    }

    /// Gives the limiter the quota that it should have: that of a guard, or a part while the store
    /// is away.
    pub(in crate::rate) fn follow(&mut self, limiter: &mut Limiter, now: Moment) {
        let own = self.reservations.own_quota(now);
        if own != self.own {
            self.own = own;
            limiter.set_quota(own, now);
        }
    }

    pub(in crate::rate) fn hold(
        &mut self,
        limiter: &mut Limiter,
        cost: Cost,
        now: Moment,
    ) -> Option<Hold> {
        // First, since a cost that is higher than those before changes the part.
        let hold = self.reservations.hold(cost, now);
        self.follow(limiter, now);
        match (limiter.hold(cost, now), hold) {
            (Some(own), Some(hold)) => Some(own.longer(hold)),
            (own, hold) => own.or(hold),
        }
    }

    pub(in crate::rate) fn try_depart(
        &mut self,
        limiter: &mut Limiter,
        cost: Cost,
        now: Moment,
    ) -> Result<Departure, Hold> {
        let hold = self.reservations.hold(cost, now);
        self.follow(limiter, now);
        if let Some(hold) = hold {
            return Err(hold);
        }
        let departure = limiter.try_depart(cost, now)?;
        self.reservations.depart(cost, now);
        Ok(departure)
    }

    /// Records the server's own answer. Returns what the limiter has to know of it: the store
    /// closes the gate and lowers the rate of all processes, this one included.
    pub(in crate::rate) fn record(
        &mut self,
        departure: Departure,
        feedback: Feedback,
        now: Moment,
    ) -> Feedback {
        if self.reservations.status(now).is_away {
            return feedback;
        }
        match feedback {
            Feedback::Throttled(retry_after) => {
                self.throttle(departure, retry_after, now);
                Feedback::Failed
            }
            Feedback::Accepted => {
                self.reservations.accepted(departure.sent());
                feedback
            }
            Feedback::Failed => feedback,
        }
    }

    /// Records the answer of a gateway that asks for a pause, likewise.
    pub(in crate::rate) fn record_gateway(
        &mut self,
        departure: Departure,
        retry_after: Option<Duration>,
        now: Moment,
    ) -> Option<Duration> {
        if self.reservations.status(now).is_away {
            return retry_after;
        }
        self.throttle(departure, retry_after, now);
        None
    }

    fn throttle(&mut self, departure: Departure, retry_after: Option<Duration>, now: Moment) {
        self.reservations
            .throttled(departure.sent(), retry_after, now);
        self.is_needed = true;
    }

    pub(in crate::rate) fn set_quota(&mut self, quota: Quota, limiter: &mut Limiter, now: Moment) {
        self.reservations.set_quota(quota);
        self.follow(limiter, now);
    }

    pub(in crate::rate) fn open_from(&self) -> Moment {
        self.reservations.open_from()
    }

    pub(in crate::rate) fn quota(&self) -> &Quota {
        self.reservations.quota()
    }

    pub(in crate::rate) fn interval(&self) -> Duration {
        self.reservations.interval()
    }

    pub(in crate::rate) fn is_asking(&self) -> bool {
        self.reservations.is_asking()
    }

    pub(in crate::rate) fn status(&mut self, now: Moment) -> SharedStatus {
        self.reservations.status(now)
    }

    pub(in crate::rate) fn want(&mut self, cost: Cost, now: Moment) {
        self.is_needed |= self.reservations.want(cost, now);
    }

    /// Returns the waker of the driver, if it has something new to do.
    pub(in crate::rate) fn take_driver(&mut self) -> Option<Waker> {
        std::mem::take(&mut self.is_needed).then(|| self.driver.clone())
    }

    pub(in crate::rate) fn next_call(&mut self, waiting: usize, now: Moment) -> NextCall {
        self.reservations.next_call(waiting, now, &mut self.rng)
    }

    /// Returns the status after the call before and after the last one.
    pub(super) fn change(&mut self, now: Moment) -> (SharedStatus, SharedStatus) {
        let status = self.reservations.status(now);
        (std::mem::replace(&mut self.last, status), status)
    }

    pub(super) fn reply(&mut self, reply: &Reply, now: Moment) -> Result<(), InvalidReply> {
        self.reservations.reply(reply, now, &mut self.rng)
    }

    pub(super) fn fail(&mut self, now: Moment) {
        self.reservations.fail(now, &mut self.rng);
    }
}
