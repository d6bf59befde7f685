use std::time::Duration;

use crate::moment::Span;

/// Replies that are needed before the cap starts.
const WARM_UP: u32 = 20;

/// Holds back while more is in flight than the rate and the usual round trip explain.
///
/// A path that blocks for a while would otherwise flush what has piled up as one lump, which a server with a sliding
/// counter refuses.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlightCap {
    median: Span,
    replies: u32,
}

impl FlightCap {
    /// Learns one round trip. The estimate of the median moves by 2 % a reply, so single stalls do not move it.
    pub fn observe(&mut self, round_trip: Duration) {
        let round_trip = Span::of(round_trip);
        let step = Span::from_nanos((self.median.nanos() / 50).max(1));
        self.median = match self.replies {
            0 => round_trip,
            _ if round_trip > self.median => (self.median + step).min(round_trip),
            _ => (self.median - step).max(round_trip),
        };
        self.replies = self.replies.saturating_add(1);
    }

    /// Says whether one more may leave: not while in flight >= rate x (median + jitter) + lump, where a lump is what may
    /// leave at once: 1 without bursts and heavy requests.
    pub(crate) fn allows(&self, in_flight: u32, interval: Span, jitter: Span, lump: u32) -> bool {
        if self.replies < WARM_UP {
            return true;
        }
        let beyond = in_flight.saturating_sub(lump.saturating_sub(1));
        interval * beyond < self.median + jitter + interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Span = Span::of(Duration::from_millis(10));
    const JITTER: Span = Span::of(Duration::from_millis(100));

    fn warm(round_trip: Duration) -> FlightCap {
        let mut cap = FlightCap::default();
        for _ in 0..WARM_UP {
            cap.observe(round_trip);
        }
        cap
    }

    #[test]
    fn it_starts_after_twenty_replies() {
        let mut cap = FlightCap::default();
        for _ in 1..WARM_UP {
            cap.observe(Duration::ZERO);
        }
        assert!(cap.allows(1_000, INTERVAL, JITTER, 1));
        cap.observe(Duration::ZERO);
        assert!(!cap.allows(1_000, INTERVAL, JITTER, 1));
    }

    #[test]
    fn it_allows_what_rate_and_round_trip_explain_and_one_more() {
        let cap = warm(Duration::from_millis(50));
        assert!(cap.allows(15, INTERVAL, JITTER, 1));
        assert!(!cap.allows(16, INTERVAL, JITTER, 1));
    }

    #[test]
    fn a_lump_may_be_in_flight_beside_what_the_rate_explains() {
        let cap = warm(Duration::from_millis(50));
        assert!(cap.allows(20, INTERVAL, JITTER, 6));
        assert!(!cap.allows(21, INTERVAL, JITTER, 6));
    }

    #[test]
    fn one_stall_moves_the_median_by_two_percent() {
        let mut cap = warm(Duration::from_millis(50));
        cap.observe(Duration::from_secs(30));
        assert_eq!(cap.median.duration(), Duration::from_millis(51));
    }

    #[test]
    fn one_fast_reply_moves_the_median_by_two_percent_too() {
        let mut cap = warm(Duration::from_millis(50));
        cap.observe(Duration::ZERO);
        assert_eq!(cap.median.duration(), Duration::from_millis(49));
    }

    #[test]
    fn the_median_follows_a_lasting_change() {
        let mut cap = warm(Duration::from_millis(5));
        for _ in 0..300 {
            cap.observe(Duration::from_secs(1));
        }
        assert_eq!(cap.median.duration(), Duration::from_secs(1));
    }
}
