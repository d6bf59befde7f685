use crate::moment::Span;
use crate::unit::Load;
use crate::{Departure, Moment};

/// The first round trips tell little of the typical one: up to this number the path is taken to be slower.
const WARM_UP: u32 = 20;
/// Before that, a round trip is taken to be this part of `max_transit` at least.
const UNKNOWN_ROUND_TRIP: u64 = 4;
/// How far one round trip moves the typical one: a single stall moves it by 2 %.
const STEP: u64 = 50;
/// Of `max_transit`: shorter silences than half of it let nothing pile up that a slot does not still count.
const SILENCE: u64 = 2;

/// The path to the server: its typical round trip, and the requests that left since it was last known to deliver.
///
/// Departures are numbered. The latest one whose answer came is `proven`. An answer to a later one is a proof that the
/// path delivers; what left after `proven` is unproven.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    typical: Span,
    replies: u32,
    latest: Mark,
    last_departure: Option<Moment>,
    proven: Mark,
    proven_departure: Option<Moment>,
    last_proof: Option<Moment>,
    /// What left after `proven` and turned out never to have left.
    refunded: Load,
}

/// A departure by its number, and the cost of all departures up to it. Both wrap: only their distances are used.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    number: u32,
    cost: u64,
}

/// What an answer proves of the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof {
    /// What left after the departure that was proven before.
    pub(crate) unproven: Load,
    /// That departure; none if this is the first proof.
    pub(crate) since: Option<Moment>,
    /// Whether no proof came for so long that what left meanwhile may arrive all at once.
    pub(crate) ends_silence: bool,
}

impl Path {
    pub(crate) fn new() -> Self {
        Self {
            typical: Span::ZERO,
            replies: 0,
            latest: Mark::default(),
            last_departure: None,
            proven: Mark::default(),
            proven_departure: None,
            last_proof: None,
            refunded: Load::default(),
        }
    }

    /// Returns the number of the next departure.
    pub(crate) fn next_number(&self) -> u32 {
        self.latest.number.wrapping_add(1)
    }

    /// Records a departure and returns the cost of all departures so far.
    pub(crate) fn depart(&mut self, cost: u64, now: Moment) -> u64 {
        if self.unproven().requests == 0 {
            // A silence starts when something waits for an answer, not while there is nothing to answer.
            self.last_proof = self.last_proof.max(Some(now));
        }
        self.last_departure = Some(now);
        self.latest = Mark {
            number: self.next_number(),
            cost: self.latest.cost.wrapping_add(cost),
        };
        self.latest.cost
    }

    /// Adds to the cost of the latest departures: one of them cost more than it was counted for.
    pub(crate) fn charge(&mut self, cost: u64) {
        self.latest.cost = self.latest.cost.wrapping_add(cost);
    }

    /// Records that `load` of a departure never left.
    pub(crate) fn refund(&mut self, departure: Departure, load: Load) {
        if self.is_unproven(departure) {
            self.refunded.requests += load.requests;
            self.refunded.cost += load.cost;
        }
    }

    /// Records that the answer to `departure` came at `now`, and returns what that proves.
    ///
    /// It proves nothing if a later departure was answered before.
    pub(crate) fn prove(
        &mut self,
        departure: Departure,
        now: Moment,
        jitter: Span,
        transit: Span,
    ) -> Option<Proof> {
        if !self.is_unproven(departure) {
            return None;
        }
        let silence = self
            .last_proof
            .map_or(Span::ZERO, |last| now.span_since(last));
        let usual = self.round_trip(transit) + jitter;
        let proof = Proof {
            unproven: self.unproven(),
            since: self.proven_departure,
            ends_silence: silence > usual.max(Span::from_nanos(transit.nanos() / SILENCE)),
        };
        self.proven = Mark {
            number: departure.number,
            cost: departure.total,
        };
        self.proven_departure = Some(departure.sent);
        self.last_proof = Some(now);
        // Refunds of what left after this departure are forgotten, too: that counts too much as unproven, never too little.
        self.refunded = Load::default();
        Some(proof)
    }

    /// Learns one round trip. The typical one moves by 2 % of itself towards each, so single stalls do not move it.
    pub(crate) fn learn(&mut self, round_trip: Span) {
        let step = Span::from_nanos((self.typical.nanos() / STEP).max(1));
        self.typical = match self.replies {
            0 => round_trip,
            _ if round_trip > self.typical => (self.typical + step).min(round_trip),
            _ => (self.typical - step).max(round_trip),
        };
        self.replies = self.replies.saturating_add(1);
    }

    /// Returns the typical round trip.
    pub(crate) fn round_trip(&self, transit: Span) -> Span {
        match self.replies {
            0..WARM_UP => {
                let unknown = Span::from_nanos(transit.nanos() / UNKNOWN_ROUND_TRIP);
                self.typical.max(unknown)
            }
            _ => self.typical,
        }
    }

    /// Returns what left after the latest departure whose answer came.
    pub(crate) fn unproven(&self) -> Load {
        let requests = u64::from(self.latest.number.wrapping_sub(self.proven.number));
        let cost = self.latest.cost.wrapping_sub(self.proven.cost);
        Load {
            requests: requests.saturating_sub(self.refunded.requests),
            cost: cost.saturating_sub(self.refunded.cost),
        }
    }

    /// Returns what left after `departure`.
    pub(crate) fn since(&self, departure: Departure) -> Load {
        Load {
            requests: self.latest.number.wrapping_sub(departure.number).into(),
            cost: self.latest.cost.wrapping_sub(departure.total),
        }
    }

    pub(crate) fn is_latest(&self, departure: Departure) -> bool {
        departure.number == self.latest.number
    }

    pub(crate) fn last_departure(&self) -> Option<Moment> {
        self.last_departure
    }

    /// Numbers wrap, so they are compared by their distance.
    fn is_unproven(&self, departure: Departure) -> bool {
        let after = departure.number.wrapping_sub(self.proven.number);
        after != 0 && after <= self.latest.number.wrapping_sub(self.proven.number)
    }
}
