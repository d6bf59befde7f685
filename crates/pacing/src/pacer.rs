use std::time::Duration;

use crate::{FlightCap, Gate, Moment, Quota, Recovery, Refusal, Room, Schedule, Window};

/// Decides when a request may leave, for everyone who shares one quota.
///
/// Ask [`due`](Self::due), then [`depart`](Self::depart), and tell how every departure ended: exactly one of
/// [`answer`](Self::answer), [`abandon`](Self::abandon) and [`refund`](Self::refund).
#[derive(Clone, Debug)]
pub struct Pacer {
    quota: Quota,
    schedule: Option<Schedule>,
    window: Window,
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
    slot: Moment,
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
            schedule: None,
            window: Window::new(&quota),
            cap: FlightCap::default(),
            gate: Gate::default(),
            recovery: Recovery::full(quota.counted_window()),
        }
    }

    /// Says when the next request may leave.
    pub fn due(&mut self, now: Moment) -> Due {
        let interval = self.interval(now);
        let slot = self.schedule_at(now).next();
        let opens = slot.max(self.gate.open_from());
        if opens > now {
            return Due::At(opens);
        }
        if !self
            .cap
            .allows(self.window.in_flight(), interval, self.quota.jitter())
        {
            return Due::OnAnswer;
        }
        match self.window.room(now) {
            Room::Now => Due::Now,
            Room::At(free) => Due::At(free),
            Room::OnAnswer => Due::OnAnswer,
        }
    }

    /// Records that a request leaves at `now`. Only call it while [`due`](Self::due) says [`Due::Now`].
    pub fn depart(&mut self, now: Moment) -> Departure {
        let interval = self.interval(now);
        let slot = self.schedule_at(now).depart(now, interval);
        self.window.depart();
        Departure { sent: now, slot }
    }

    /// Records that the server answered at `now`.
    pub fn answer(&mut self, departure: Departure, now: Moment, feedback: Feedback) {
        self.window.answer(now);
        self.cap.observe(now.since(departure.sent));
        match feedback {
            Feedback::Accepted => self.gate.succeed(departure.sent),
            Feedback::Refused(retry_after) => self.refuse(departure, now, retry_after),
            Feedback::Failed => {}
        }
    }

    /// Records that a request ended at `now` without an answer of the server's own: it may still be on its way.
    pub fn abandon(&mut self, _: Departure, now: Moment) {
        self.window.abandon(now);
    }

    /// Records that a request provably never left: it gives back its slot in the window, and its departure if that was
    /// the latest one.
    pub fn refund(&mut self, departure: Departure) {
        self.window.refund();
        if let Some(schedule) = &mut self.schedule {
            schedule.refund(departure.slot);
        }
    }

    /// Returns the time between departures at the rate in force.
    #[must_use]
    pub fn interval(&self, now: Moment) -> Duration {
        self.recovery.stretch(self.quota.spacing(), now)
    }

    fn schedule_at(&mut self, now: Moment) -> &mut Schedule {
        let interval = self.interval(now);
        self.schedule
            .get_or_insert_with(|| Schedule::starting(now, interval))
    }

    fn refuse(&mut self, departure: Departure, now: Moment, retry_after: Option<Duration>) {
        let hint = retry_after.map(|time| time.min(self.quota.longest_retry_after()));
        let pause = self.quota.counted_window() + self.quota.jitter();
        match self.gate.refuse(departure.sent, now, hint, pause) {
            Refusal::New => self.recovery.lower(now, self.gate.open_from()),
            Refusal::Known => self.recovery.postpone(self.gate.open_from()),
        }
    }
}
