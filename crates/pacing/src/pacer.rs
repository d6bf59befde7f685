use std::mem;
use std::time::Duration;

use crate::meter::{Conditions, Meter};
use crate::moment::Span;
use crate::policy::Slip;
use crate::unit::{Flights, Unit};
use crate::window::Sent;
use crate::{Cost, FlightCap, Gate, Jitter, Moment, Quota, Recovery, Refusal, Room};

/// Decides when a request may leave, for everyone who shares one quota.
///
/// Ask [`due`](Self::due), then [`depart`](Self::depart), and tell how every departure ended: exactly one of
/// [`answer`](Self::answer), [`abandon`](Self::abandon) and [`refund`](Self::refund).
#[derive(Clone, Debug)]
pub struct Pacer {
    quota: Quota,
    /// One for each limit, from the first question on.
    meters: Vec<Meter>,
    flights: Flights,
    /// The number of the latest departure; it wraps.
    latest: u32,
    jitter: Jitter,
    cap: FlightCap,
    gate: Gate,
    recovery: Recovery,
}

/// When the next request may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// It may leave now.
    Now,
    /// It may not leave before this moment. An answer that comes in between can move it in either direction.
    At(Moment),
    /// It may leave when a request that is in flight has ended.
    OnAnswer,
}

/// A request that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "tell the pacer how the request ended"]
pub struct Departure {
    sent: Moment,
    number: u32,
    cost: Cost,
}

impl Departure {
    /// Returns what left, as a limit counts it.
    fn counted(self, unit: Unit) -> Sent {
        Sent {
            at: self.sent,
            cost: unit.of(self.cost).get(),
        }
    }
}

/// What an answer says of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// The server took the request.
    Accepted,
    /// The server refused it and may have said for how long (429, or 503 with `Retry-After`).
    Refused(Option<Duration>),
    /// The server failed, which says nothing of the limit.
    Failed,
}

impl Pacer {
    /// Returns a pacer that starts with the first question it is asked.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self {
            quota,
            meters: Vec::with_capacity(quota.policies().count()),
            flights: Flights::default(),
            latest: 0,
            jitter: Jitter::new(quota.jitter_ceiling),
            cap: FlightCap::default(),
            gate: Gate::default(),
            recovery: Recovery::full(shortest_window(&quota)),
        }
    }

    /// Says when the next request may leave.
    pub fn due(&mut self, now: Moment) -> Due {
        self.due_for(Cost::ONE, now)
    }

    /// Says when a request of such a cost may leave.
    ///
    /// A cost that can never leave counts as the most that can; ask [`Quota::fits`] to refuse it.
    pub fn due_for(&mut self, cost: Cost, now: Moment) -> Due {
        let (conditions, meters) = self.at(now);
        let rooms = meters.iter_mut().map(|meter| meter.room(cost, conditions));
        let room = rooms.fold(Room::Now, Room::and);
        match (room, self.gate.open_from()) {
            (Room::At(at), opens) => Due::At(at.max(opens)),
            (_, opens) if opens > now => Due::At(opens),
            (Room::OnAnswer, _) => Due::OnAnswer,
            (Room::Now, _) => Due::Now,
        }
    }

    /// Records that a request leaves at `now`. Only call it while [`due`](Self::due) says [`Due::Now`].
    pub fn depart(&mut self, now: Moment) -> Departure {
        self.depart_with(Cost::ONE, now)
    }

    /// Records that a request of such a cost leaves. Only call it while [`due_for`](Self::due_for) says [`Due::Now`].
    pub fn depart_with(&mut self, cost: Cost, now: Moment) -> Departure {
        let (conditions, meters) = self.at(now);
        for meter in meters {
            meter.depart(cost, conditions);
        }
        self.flights.depart(cost);
        self.latest = self.latest.wrapping_add(1);
        Departure {
            sent: now,
            number: self.latest,
            cost,
        }
    }

    /// Records that the server answered at `now`.
    pub fn answer(&mut self, departure: Departure, now: Moment, feedback: Feedback) {
        self.flights.end(departure.cost);
        for meter in &mut self.meters {
            meter
                .window
                .answer(departure.counted(meter.policy.unit), now);
        }
        let round_trip = now.since(departure.sent);
        self.cap.observe(round_trip);
        self.learn(|jitter| jitter.observe(round_trip));
        match feedback {
            Feedback::Accepted => self.gate.succeed(departure.sent),
            Feedback::Refused(retry_after) => self.refuse(departure, now, retry_after),
            Feedback::Failed => {}
        }
    }

    /// Records that a request ended at `now` without an answer of the server's own: it may still be on its way.
    pub fn abandon(&mut self, departure: Departure, now: Moment) {
        self.flights.end(departure.cost);
        for meter in &mut self.meters {
            meter
                .window
                .abandon(departure.counted(meter.policy.unit), now);
        }
    }

    /// Records that a request provably never left: it gives back its slot in the window, and its departure if that was
    /// the latest one. After a later departure an earlier one could not be spaced.
    pub fn refund(&mut self, departure: Departure) {
        self.flights.end(departure.cost);
        let is_latest = departure.number == self.latest;
        for meter in &mut self.meters {
            meter.window.refund(departure.counted(meter.policy.unit));
            if is_latest {
                meter.undo();
            }
        }
    }

    /// Holds another quota from now on. What has left is remembered, and counted by the new windows.
    ///
    /// A rate that refusals have lowered stays lowered by as much. For a window the pace is that of a new process. A limit
    /// in [`Cost`] after limits in requests alone knows what is in flight, but of what has ended only how many there were:
    /// there let a window pass before the change.
    pub fn set_quota(&mut self, quota: Quota, now: Moment) {
        if quota.jitter_ceiling != self.quota.jitter_ceiling {
            self.jitter = Jitter::new(quota.jitter_ceiling);
        }
        self.recovery.set_window(shortest_window(&quota));
        self.quota = quota;
        let (known, flights) = (mem::take(&mut self.meters), self.flights);
        let (conditions, meters) = self.at(now);
        for meter in meters {
            let in_flight = flights.counted(meter.policy.unit);
            meter.remember(&known, in_flight, conditions);
        }
        self.assume();
    }

    /// Lets nothing leave before `until`, whatever the quota says. A gate that is closed for longer stays closed.
    pub fn penalize(&mut self, until: Moment) {
        self.gate.close_until(until);
    }

    /// Returns the quota in force.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Returns the time between departures at the rate in force.
    #[must_use]
    pub fn interval(&self, now: Moment) -> Duration {
        let conditions = self.conditions(now);
        let intervals = self
            .meters
            .iter()
            .map(|meter| meter.pace(1, &conditions).interval);
        let longest = intervals.max();
        longest.map_or_else(|| self.quota.spacing(), Span::duration)
    }

    /// Returns the cost of what has left and has not ended, by the limit that was named first.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.meters
            .first()
            .map_or(0, |meter| meter.window.in_flight())
    }

    /// Returns the cost of what may still count at the server, by the limit that was named first.
    #[must_use]
    pub fn counted(&mut self, now: Moment) -> u64 {
        self.meters
            .first_mut()
            .map_or(0, |meter| meter.window.counted(now))
    }

    /// Returns the moment from which requests may leave again after a refusal; it has passed if the gate is open.
    #[must_use]
    pub fn open_from(&self) -> Moment {
        self.gate.open_from()
    }

    /// Returns how much the way to the server is assumed to vary.
    #[must_use]
    pub fn assumed_jitter(&self) -> Duration {
        self.jitter.assumed()
    }

    /// Starts the meters if this is the first question.
    fn at(&mut self, now: Moment) -> (Conditions, &mut [Meter]) {
        if self.meters.is_empty() {
            let quota = &self.quota;
            let meters = quota
                .policies()
                .map(|policy| Meter::starting(policy, quota, now));
            self.meters.extend(meters);
        }
        (self.conditions(now), &mut self.meters)
    }

    fn conditions(&self, now: Moment) -> Conditions {
        Conditions {
            now,
            cap: self.cap,
            share: self.recovery.share_at(now),
        }
    }

    /// Changes what is known of the path, and tells the meters if that changes what is assumed of it.
    fn learn(&mut self, change: impl FnOnce(&mut Jitter)) {
        let before = self.jitter.span();
        change(&mut self.jitter);
        if self.jitter.span() != before {
            self.assume();
        }
    }

    fn assume(&mut self) {
        let slip = Slip {
            jitter: self.jitter.span(),
            ..self.quota.widest_slip()
        };
        for meter in &mut self.meters {
            meter.assume(slip);
        }
    }

    fn refuse(&mut self, departure: Departure, now: Moment, retry_after: Option<Duration>) {
        self.learn(Jitter::distrust);
        // "At once" to a request that was just refused is no time to name.
        let hint = retry_after
            .filter(|time| !time.is_zero())
            .map(|time| time.min(self.quota.max_retry_after));
        let pause = shortest_window(&self.quota) + self.jitter.assumed();
        match self.gate.refuse(departure.sent, now, hint, pause) {
            Refusal::New => self.recovery.lower(now, self.gate.open_from()),
            Refusal::Known => self.recovery.postpone(self.gate.open_from()),
        }
    }
}

/// A refusal does not say which limit it is about. The shortest window is tried first, and the pause doubles from there.
fn shortest_window(quota: &Quota) -> Duration {
    let windows = quota.policies().map(|policy| policy.counted_window());
    windows.min().unwrap_or_default().duration()
}

#[cfg(test)]
mod tests;
