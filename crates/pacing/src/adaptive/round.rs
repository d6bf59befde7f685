use std::time::Duration;

use crate::Moment;
use crate::moment::nanos;

/// As many answers as were awaited at once: what can be seen of one limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    began: Moment,
    awaited: usize,
    answers: usize,
    /// The latencies of all that came back, and of the answers alone.
    returned: u128,
    sum: u128,
    squares: u128,
    /// Whether the limit was reached.
    pub(super) used: bool,
}

/// The mean latency of a round, and its standard error, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Latency {
    pub(super) mean: u64,
    error: u64,
}

impl Round {
    /// One answer has no spread, and of three it says little.
    const LEAST: usize = 4;

    pub(super) fn beginning(now: Moment, awaited: usize) -> Self {
        Self {
            began: now,
            awaited,
            answers: 0,
            returned: 0,
            sum: 0,
            squares: 0,
            used: false,
        }
    }

    pub(super) fn depart(&mut self, awaited: usize) {
        self.awaited = self.awaited.max(awaited);
    }

    /// Notes what came back without telling anything of the load.
    pub(super) fn returns(&mut self, latency: Duration) {
        self.returned = self.returned.saturating_add(nanos(latency).into());
    }

    pub(super) fn add(&mut self, latency: Duration) {
        self.returns(latency);
        let latency = u128::from(nanos(latency));
        self.answers += 1;
        self.sum = self.sum.saturating_add(latency);
        self.squares = self.squares.saturating_add(latency.saturating_mul(latency));
    }

    pub(super) fn is_over(&self) -> bool {
        self.answers >= self.awaited.max(Self::LEAST)
    }

    /// Whether at least half of what was awaited comes back, by Little's law: more for a server that is silent is no use.
    pub(super) fn comes_back(&self, now: Moment) -> bool {
        let awaited = self.awaited as u128 * u128::from(nanos(now.since(self.began)));
        self.returned >= awaited / 2
    }

    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    /// What a round with answers says of the latency.
    pub(super) fn latency(&self) -> Latency {
        let count = self.answers.max(1) as u128;
        let mean = self.sum / count;
        let variance = (self.squares / count).saturating_sub(mean * mean);
        let error = (variance / count).isqrt();
        Latency {
            mean: u64::try_from(mean).unwrap_or(u64::MAX),
            error: u64::try_from(error).unwrap_or(u64::MAX),
        }
    }
}

impl Latency {
    /// What the latency is at least, and at most, but for one round in six on each side.
    pub(super) fn at_least(self) -> u64 {
        self.mean.saturating_sub(self.error)
    }

    pub(super) fn at_most(self) -> u64 {
        self.mean.saturating_add(self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(awaited: usize, latencies: &[u64]) -> Round {
        let mut round = Round::beginning(Moment::ORIGIN, 0);
        round.depart(awaited);
        for &latency in latencies {
            round.add(Duration::from_nanos(latency));
        }
        round
    }

    #[test]
    fn a_round_is_over_with_the_last_answer_that_was_awaited() {
        assert!(!round(5, &[1; 4]).is_over());
        assert!(round(5, &[1; 5]).is_over());
        assert!(!round(0, &[1; 3]).is_over(), "four at least");
        assert!(round(0, &[1; 4]).is_over());
    }

    #[test]
    fn the_most_that_were_awaited_at_once_count() {
        let mut round = round(5, &[1; 5]);
        round.depart(6);
        assert!(!round.is_over());
        round.depart(3);
        round.add(Duration::from_nanos(1));
        assert!(round.is_over());
    }

    #[test]
    fn a_server_of_which_half_is_silent_still_comes_back() {
        let round = round(10, &[100; 10]);
        assert!(round.comes_back(Moment::from_nanos(100)));
        assert!(round.comes_back(Moment::from_nanos(200)));
        assert!(!round.comes_back(Moment::from_nanos(201)));
    }

    #[test]
    fn what_tells_nothing_of_the_load_comes_back_all_the_same() {
        let mut round = round(10, &[100; 4]);
        assert!(!round.comes_back(Moment::from_nanos(200)));
        for _ in 0..6 {
            round.returns(Duration::from_nanos(100));
        }
        assert!(round.comes_back(Moment::from_nanos(200)));
        assert_eq!((round.answers(), round.is_over()), (4, false));
    }

    #[test]
    fn the_more_answers_agree_the_more_is_known() {
        fn check(latencies: &[u64], least: u64, mean: u64, most: u64) {
            let latency = round(0, latencies).latency();
            assert_eq!(
                (latency.at_least(), latency.mean, latency.at_most()),
                (least, mean, most)
            );
        }
        check(&[100; 4], 100, 100, 100);
        // A standard deviation of 20, and of 20 / sqrt(4) in the mean.
        check(&[80, 120, 80, 120], 90, 100, 110);
        check(&[80, 120].repeat(50), 98, 100, 102);
        check(&[u64::MAX; 4], u64::MAX, u64::MAX, u64::MAX);
    }
}
