use crate::moment::Span;
use crate::unit::Load;
use crate::{Departure, Moment};

/// The number of round trips before the typical one is trusted. The first ones are often faster or
/// slower than the rest. With fewer, one fast answer lets the cap hold a slow path back. With more,
/// a blocked path is noticed late for longer.
const WARM_UP: u32 = 20;
/// Until then a round trip is assumed to take at least a quarter of `max_transit`. A shorter time
/// would make the cap probe slow paths at the start. A longer one lets more requests depart on a
/// path that is blocked from the start.
const UNKNOWN_ROUND_TRIP: u64 = 4;
/// A round trip moves the typical one by a fiftieth of itself, 2 %. With larger steps a few stalls
/// raise the cap. With smaller ones it takes too long to follow a path that got slower.
const STEP: u64 = 50;
/// A silence is longer than half of `max_transit`. Requests of a shorter silence still hold their
/// slots when the path opens. With a longer minimum a path could release a block that the slots no
/// longer cover; with a shorter one ordinary gaps would hold slots again.
const SILENCE: u64 = 2;

/// The path to the server: its typical round trip, and the load that is not yet proven to have
/// arrived.
///
/// Departures are numbered. The latest departure with an answer is `proven`. Later departures are
/// unproven. An answer to one of them is a proof: the path delivers, and that departure becomes
/// `proven`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// The typical round trip.
    typical: Span,
    /// The number of observed round trips.
    answers: u32,
    /// The latest departure.
    latest: Mark,
    last_departure: Option<Moment>,
    proven: Mark,
    proven_departure: Option<Moment>,
    /// The time of the latest proof, or of the first departure after it if nothing was unproven.
    last_proof: Moment,
    /// The load after `proven` that was refunded.
    refunded: Load,
}

/// A departure by its number, and the cost of all departures up to it. Both wrap: only their
/// distances are used.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    number: u32,
    cost: u64,
}

/// The evidence that an answer gives about the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof {
    /// The load that departed after the previously proven departure.
    pub(crate) unproven: Load,
    /// The time of that departure; none if this is the first proof.
    pub(crate) since: Option<Moment>,
    /// Whether the time without a proof was a silence: the unproven load may arrive all at once.
    pub(crate) ends_silence: bool,
}

impl Path {
    /// Returns a path without departures or round trips.
    pub(crate) fn new() -> Self {
        Self {
            typical: Span::ZERO,
            answers: 0,
            latest: Mark::default(),
            last_departure: None,
            proven: Mark::default(),
            proven_departure: None,
            last_proof: Moment::FIRST,
            refunded: Load::default(),
        }
    }

    /// Returns a path with this typical round trip, on which `unproven` departed until `last`.
    #[cfg(test)]
    pub(crate) fn with(round_trip: Span, unproven: Load, last: Moment) -> Self {
        Self {
            typical: round_trip,
            answers: WARM_UP,
            latest: Mark {
                number: unproven.requests as u32,
                cost: unproven.cost,
            },
            last_departure: Some(last),
            ..Self::new()
        }
    }

    /// Returns the number of the next departure.
    #[inline]
    pub(crate) fn next_number(&self) -> u32 {
        self.latest.number.wrapping_add(1)
    }

    /// Records a departure and returns the cost of all departures so far.
    #[inline]
    pub(crate) fn depart(&mut self, cost: u64, now: Moment) -> u64 {
        if self.unproven().requests == 0 {
            // A silence starts when a request waits for an answer. Idle time is not a silence.
            self.last_proof = self.last_proof.max(now);
        }
        self.last_departure = Some(now);
        self.latest = Mark {
            number: self.next_number(),
            cost: self.latest.cost.wrapping_add(cost),
        };
        self.latest.cost
    }

    /// Adds cost to the departures so far: `departure` cost more than was estimated.
    pub(crate) fn add_cost(&mut self, departure: Departure, cost: u64) {
        self.latest.cost = self.latest.cost.wrapping_add(cost);
        // Its cost has arrived, so the unproven load stays as it is.
        if !self.is_unproven(departure) {
            self.proven.cost = self.proven.cost.wrapping_add(cost);
        }
    }

    /// Records that `load` of a departure was never sent.
    pub(crate) fn refund(&mut self, departure: Departure, load: Load) {
        if self.is_unproven(departure) {
            self.refunded.requests += load.requests;
            self.refunded.cost += load.cost;
        }
    }

    /// Records the answer to `departure` at `now`, and returns the proof.
    ///
    /// Returns none if this departure or a later one was proven before.
    #[inline]
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
        let silence = now.span_since(self.last_proof);
        let proof = Proof {
            unproven: self.unproven(),
            since: self.proven_departure,
            ends_silence: silence.nanos() > transit.nanos() / SILENCE
                && silence > self.round_trip(transit) + jitter,
        };
        self.proven = Mark {
            number: departure.number,
            cost: departure.total,
        };
        self.proven_departure = Some(departure.sent);
        self.last_proof = now;
        // This also drops the refunds of requests that departed later. The unproven load is then
        // too large, which holds more back. It must never be too small.
        self.refunded = Load::default();
        Some(proof)
    }

    /// Records one round trip. The typical one moves towards it by 2 % of itself at most, so a
    /// single stall has little effect.
    #[inline]
    pub(crate) fn observe(&mut self, round_trip: Span) {
        let step = Span::from_nanos((self.typical.nanos() / STEP).max(1));
        self.typical = match self.answers {
            0 => round_trip,
            _ if round_trip > self.typical => (self.typical + step).min(round_trip),
            _ => (self.typical - step).max(round_trip),
        };
        self.answers = self.answers.saturating_add(1);
    }

    /// Returns the typical round trip, and at least a quarter of the transit at first.
    #[inline]
    pub(crate) fn round_trip(&self, transit: Span) -> Span {
        match self.answers {
            0..WARM_UP => {
                let unknown = Span::from_nanos(transit.nanos() / UNKNOWN_ROUND_TRIP);
                self.typical.max(unknown)
            }
            _ => self.typical,
        }
    }

    /// Returns the load that departed after the latest departure with an answer.
    #[inline]
    pub(crate) fn unproven(&self) -> Load {
        let requests = u64::from(self.latest.number.wrapping_sub(self.proven.number));
        let cost = self.latest.cost.wrapping_sub(self.proven.cost);
        Load {
            requests: requests.saturating_sub(self.refunded.requests),
            cost: cost.saturating_sub(self.refunded.cost),
        }
    }

    /// Returns the load that departed after `departure`.
    pub(crate) fn since(&self, departure: Departure) -> Load {
        Load {
            requests: self.latest.number.wrapping_sub(departure.number).into(),
            cost: self.latest.cost.wrapping_sub(departure.total),
        }
    }

    /// Returns whether nothing departed after `departure`.
    #[inline]
    pub(crate) fn is_latest(&self, departure: Departure) -> bool {
        departure.number == self.latest.number
    }

    /// Returns the time of the last departure.
    #[inline]
    pub(crate) fn last_departure(&self) -> Option<Moment> {
        self.last_departure
    }

    /// Returns whether a departure is later than `proven`. Numbers wrap, so their distances are
    /// compared.
    #[inline]
    fn is_unproven(&self, departure: Departure) -> bool {
        let after = departure.number.wrapping_sub(self.proven.number);
        after != 0 && after <= self.latest.number.wrapping_sub(self.proven.number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Cost;

    const JITTER: Span = Span::of(Duration::from_millis(100));
    const TRANSIT: Span = Span::of(Duration::from_secs(1));

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn millis(millis: u64) -> Span {
        Span::of(Duration::from_millis(millis))
    }

    fn depart(path: &mut Path, cost: u32, now: u64) -> Departure {
        Departure {
            sent: at(now),
            number: path.next_number(),
            total: path.depart(cost.into(), at(now)),
            cost: Cost::of(cost),
            before: (0, 0),
        }
    }

    fn prove(path: &mut Path, departure: Departure, now: u64) -> Option<Proof> {
        path.prove(departure, at(now), JITTER, TRANSIT)
    }

    fn load(requests: u64, cost: u64) -> Load {
        Load { requests, cost }
    }

    #[test]
    fn only_an_answer_to_a_later_departure_is_a_proof_with_the_load_since() {
        let mut path = Path::new();
        let [one, two, three] = [(3, 10), (4, 20), (5, 30)].map(|(c, t)| depart(&mut path, c, t));
        assert_eq!(path.unproven(), load(3, 12));
        assert_eq!(path.since(one), load(2, 9));
        let proof = prove(&mut path, two, 40).expect("nothing was proven before");
        assert_eq!((proof.unproven, proof.since), (load(3, 12), None));
        assert_eq!(path.unproven(), load(1, 5));
        assert!(prove(&mut path, one, 41).is_none());
        assert!(prove(&mut path, two, 42).is_none());
        let proof = prove(&mut path, three, 43).expect("it departed later");
        assert_eq!((proof.unproven, proof.since), (load(1, 5), Some(at(20))));
        assert_eq!(path.unproven(), load(0, 0));
        assert!(path.is_latest(three) && !path.is_latest(two));
        assert_eq!(path.last_departure(), Some(at(30)));
    }

    #[test]
    fn refunds_lower_the_unproven_load_and_added_costs_raise_it() {
        let mut path = Path::new();
        let [one, two] = [(3, 10), (4, 20)].map(|(c, t)| depart(&mut path, c, t));
        path.refund(two, load(1, 4));
        assert_eq!(path.unproven(), load(1, 3));
        path.add_cost(two, 6);
        assert_eq!(path.unproven(), load(1, 9));
        prove(&mut path, one, 30).expect("nothing was proven before");
        // The refund is forgotten, so the load is too large.
        assert_eq!(path.unproven(), load(1, 10));
        path.add_cost(one, 7);
        assert_eq!(path.unproven(), load(1, 10), "it has arrived");
        path.refund(one, load(1, 3));
        assert_eq!(path.unproven(), load(1, 10), "it was proven");
        path.refund(two, load(1, 4));
        path.refund(two, load(1, 40));
        assert_eq!(path.unproven(), load(0, 0));
    }

    #[test]
    fn numbers_and_sums_wrap() {
        let mut path = Path::new();
        let before = Mark {
            number: u32::MAX - 1,
            cost: u64::MAX - 4,
        };
        (path.latest, path.proven) = (before, before);
        let departures = [(3, 10), (4, 20), (5, 30)].map(|(c, t)| depart(&mut path, c, t));
        assert_eq!(departures.map(|one| one.number), [u32::MAX, 0, 1]);
        assert_eq!(path.unproven(), load(3, 12));
        assert_eq!(path.since(departures[0]), load(2, 9));
        let proof = prove(&mut path, departures[1], 40).expect("it departed later");
        assert_eq!(proof.unproven, load(3, 12));
        assert!(prove(&mut path, departures[0], 41).is_none());
        assert_eq!(path.unproven(), load(1, 5));
    }

    #[test]
    fn a_silence_is_longer_than_half_of_the_transit_and_than_the_usual_round_trip() {
        fn ends_silence(round_trip: u64, answers: u32, answered: u64) -> bool {
            let mut path = Path::new();
            for _ in 0..answers {
                path.observe(millis(round_trip));
            }
            let departure = depart(&mut path, 1, 1_000);
            let proof = prove(&mut path, departure, answered);
            proof.expect("nothing was proven before").ends_silence
        }
        assert!(!ends_silence(10, 20, 1_500));
        assert!(ends_silence(10, 20, 1_501));
        // A quarter of the transit and the jitter are less than half of the transit.
        assert!(ends_silence(10, 0, 1_501));
        assert!(!ends_silence(600, 20, 1_700));
        assert!(ends_silence(600, 20, 1_701));
    }

    #[test]
    fn a_silence_starts_with_the_last_proof_or_the_first_request_after_it() {
        let mut path = Path::new();
        let ends = |path: &mut Path, departure, now| {
            let proof = prove(path, departure, now);
            proof.expect("it departed later").ends_silence
        };
        let first = depart(&mut path, 1, 0);
        let second = depart(&mut path, 1, 400);
        let third = depart(&mut path, 1, 800);
        assert!(!ends(&mut path, first, 450));
        assert!(!ends(&mut path, second, 900), "the last proof came at 450");
        assert!(ends(&mut path, third, 1_401), "the last proof came at 900");
        let later = depart(&mut path, 1, 9_000);
        let last = depart(&mut path, 1, 9_400);
        assert!(
            !ends(&mut path, later, 9_500),
            "no request waited for an answer"
        );
        assert!(!ends(&mut path, last, 9_999));
        // A refunded request waits for no answer.
        let unsent = depart(&mut path, 1, 20_000);
        path.refund(unsent, load(1, 1));
        let sent = depart(&mut path, 1, 20_400);
        assert!(!ends(&mut path, sent, 20_900));
    }

    #[test]
    fn the_typical_round_trip_moves_by_a_fiftieth_and_is_a_quarter_of_the_transit_at_first() {
        let mut path = Path::new();
        assert_eq!(path.round_trip(TRANSIT), millis(250));
        path.observe(millis(500));
        assert_eq!(path.round_trip(TRANSIT), millis(500), "it is slower");
        path.observe(millis(9_000));
        assert_eq!(path.typical, millis(510));
        path.observe(millis(515));
        assert_eq!(path.typical, millis(515), "no further than the round trip");
        path.observe(millis(1));
        assert_eq!(path.typical, Span::from_nanos(504_700_000));
        path.observe(millis(500));
        assert_eq!(path.typical, millis(500));
        for _ in 5..20 {
            assert!(path.round_trip(TRANSIT) >= millis(250));
            path.typical = millis(100);
            path.observe(millis(100));
        }
        assert_eq!(path.round_trip(TRANSIT), millis(100), "20 are enough");
        path.typical = Span::from_nanos(3);
        path.observe(millis(1));
        assert_eq!(path.typical, Span::from_nanos(4), "it moves at all");
    }
}
