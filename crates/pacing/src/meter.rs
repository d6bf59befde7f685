use std::cmp::Reverse;

use crate::heaviest::Heaviest;
use crate::policy::{Pace, Policy, Slip};
use crate::recovery::Share;
use crate::{Cost, FlightCap, Moment, Quota, Room, Schedule, Window};

/// One limit of a quota, and what has left under it.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) policy: Policy,
    pub(crate) window: Window,
    schedule: Schedule,
    heaviest: Heaviest,
    slip: Slip,
    /// The pace of usual requests once the start is over, kept because it takes a division to find.
    usual: Pace,
    /// Until then the pace is that of a start.
    starts_until: Moment,
}

/// What holds for every limit when it is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) now: Moment,
    pub(crate) cap: FlightCap,
    pub(crate) share: Share,
}

impl Meter {
    pub(crate) fn starting(policy: Policy, quota: &Quota, now: Moment) -> Self {
        let slip = quota.widest_slip();
        Self {
            policy,
            window: Window::new(&policy, quota),
            schedule: Schedule::starting(now, &policy.starting_pace(slip, 1)),
            heaviest: Heaviest::default(),
            slip,
            usual: policy.pace(slip, 1),
            starts_until: now + policy.counted_window() + slip.jitter,
        }
    }

    /// Assumes another slip from now on.
    pub(crate) fn assume(&mut self, slip: Slip) {
        self.slip = slip;
        self.usual = self.policy.pace(slip, 1);
    }

    /// Says when a request of such a cost has room.
    pub(crate) fn room(&mut self, cost: Cost, conditions: Conditions) -> Room {
        let cost = self.units(cost).min(self.policy.most());
        let heaviest = self.heaviest_at(&conditions);
        let pace = self.pace(heaviest.max(cost), &conditions);
        let slot = self.schedule.next() + self.policy.lead(&pace, cost, heaviest);
        if slot > conditions.now {
            return Room::At(slot);
        }
        if !self.explains_flights(&pace, &conditions) {
            return Room::OnAnswer;
        }
        match self.policy.is_guarded() {
            true => self.window.room(cost, conditions.now),
            false => Room::Now,
        }
    }

    /// Records a departure.
    pub(crate) fn depart(&mut self, cost: Cost, conditions: Conditions) {
        // The window counts what the server counts, even if a lower limit came in between.
        let units = self.units(cost);
        let cost = units.min(self.policy.most());
        let pace = self.pace(self.heaviest_at(&conditions).max(cost), &conditions);
        self.schedule.depart(conditions.now, &pace, cost);
        self.heaviest
            .depart(cost, conditions.now, self.usual.memory);
        self.window.depart(units, conditions.now);
    }

    /// Gives the slot of the latest departure back.
    pub(crate) fn undo(&mut self) {
        self.schedule.undo();
    }

    /// Returns the pace in force for requests of so much at most.
    pub(crate) fn pace(&self, heaviest: u32, conditions: &Conditions) -> Pace {
        let pace = match heaviest {
            _ if conditions.now < self.starts_until => {
                self.policy.starting_pace(self.slip, heaviest)
            }
            1 => self.usual,
            _ => self.policy.pace(self.slip, heaviest),
        };
        if conditions.share.is_full() {
            return pace;
        }
        // A burst would be spent when the gate opens, just when the server is close to its limit.
        Pace {
            interval: conditions.share.stretched(pace.interval),
            memory: conditions.share.stretched(pace.memory),
            ..pace.steady()
        }
    }

    /// Returns what a request of such a cost takes of this limit.
    fn units(&self, cost: Cost) -> u32 {
        self.policy.unit.of(cost).get()
    }

    /// Takes over what has left under other limits, of which one that counts the same knows it best, of these one whose
    /// window is as long as this one's or longer remembers all, and of these the shortest does so most exactly.
    ///
    /// So much is `in_flight` as this limit counts.
    pub(crate) fn remember(&mut self, known: &[Self], in_flight: u32, conditions: Conditions) {
        let best = known.iter().max_by_key(|meter| {
            let counts_the_same = meter.policy.unit == self.policy.unit;
            let (known, own) = (meter.policy.counted_window(), self.policy.counted_window());
            (counts_the_same, known.min(own), Reverse(known))
        });
        if let Some(known) = best {
            self.window
                .remember(&known.window, in_flight, conditions.now);
            self.heaviest = known.heaviest;
            let heaviest = known.heaviest_at(&conditions);
            let charge = self.pace(heaviest, &conditions).charge(heaviest);
            self.schedule.follow(&known.schedule, charge);
        }
    }

    fn heaviest_at(&self, conditions: &Conditions) -> u32 {
        self.heaviest.of_late(conditions.now, self.usual.memory)
    }

    fn explains_flights(&self, pace: &Pace, conditions: &Conditions) -> bool {
        let (in_flight, jitter) = (self.window.in_flight(), self.slip.jitter);
        let cap = conditions.cap;
        !self.policy.is_capped() || cap.allows(in_flight, pace.interval, jitter, pace.lump())
    }
}
