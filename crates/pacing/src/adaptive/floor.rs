/// A mean above this many floors is a queue, whoever made it. At 1.25 it is often chance; without
/// it two clients raise each other to 17 times the latency.
const QUEUE: f64 = 1.4;

/// How much of the way to a mean that is not our queue the floor goes up. At a half it follows the
/// queue of another client.
const RELEARN: f64 = 0.3;

/// The mean latency without a queue, as far as it was seen: the only memory of latency that
/// outlives a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Floor(Option<f64>);

impl Floor {
    /// Takes note of a mean. The floor goes halfway to a lower one, since one cohort can err.
    pub(super) fn see(&mut self, mean: f64) {
        let floor = self.0.unwrap_or(mean);
        self.0 = Some(floor - (floor - mean).max(0.0) / 2.0);
    }

    /// Takes note of a mean that less in flight did not lower: the path is longer, or others queue.
    pub(super) fn rise_to(&mut self, mean: f64) {
        let floor = self.0.unwrap_or(mean);
        self.0 = Some(floor + (mean - floor).max(0.0) * RELEARN);
    }

    /// Forgets what was seen, for a mean that nothing can lower.
    pub(super) fn set(&mut self, mean: f64) {
        self.0 = Some(mean);
    }

    /// Returns whether a mean tells of a queue, or of a longer path.
    pub(super) fn is_below(&self, mean: f64) -> bool {
        self.0.is_some_and(|floor| mean > QUEUE * floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_100() -> Floor {
        let mut floor = Floor::default();
        floor.see(100.0);
        floor
    }

    #[test]
    fn it_goes_halfway_down_and_three_tenths_up() {
        fn check(change: fn(&mut Floor, f64), mean: f64, expected: f64) {
            let mut floor = at_100();
            change(&mut floor, mean);
            assert_eq!(floor, Floor(Some(expected)), "{mean}");
        }
        check(Floor::see, 80.0, 90.0);
        check(Floor::see, 120.0, 100.0);
        check(Floor::rise_to, 80.0, 100.0);
        check(Floor::rise_to, 120.0, 106.0);
        check(Floor::set, 120.0, 120.0);
    }

    #[test]
    fn the_first_mean_is_the_floor() {
        assert_eq!(at_100(), Floor(Some(100.0)));
        let mut floor = Floor::default();
        floor.rise_to(100.0);
        assert_eq!(floor, at_100());
    }

    #[test]
    fn more_than_seven_fifths_of_it_is_a_queue() {
        assert!(!at_100().is_below(140.0));
        assert!(at_100().is_below(140.1));
        assert!(!Floor::default().is_below(140.1), "nothing was seen");
    }
}
