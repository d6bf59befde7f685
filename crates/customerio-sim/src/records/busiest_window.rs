use std::collections::VecDeque;
use std::time::Duration;

/// The most arrivals in any half-open window of one length.
///
/// Memory is bounded by the arrivals of one window.
#[derive(Debug)]
pub(super) struct BusiestWindow {
    window: Duration,
    recent: VecDeque<Duration>,
    most: u64,
}

impl BusiestWindow {
    pub(super) fn new(window: Duration) -> Self {
        Self {
            window,
            recent: VecDeque::new(),
            most: 0,
        }
    }

    pub(super) fn record(&mut self, now: Duration) {
        // The window is half-open: an arrival leaves it exactly one window later.
        while self
            .recent
            .front()
            .is_some_and(|first| *first + self.window <= now)
        {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.most = self.most.max(self.recent.len() as u64);
    }

    pub(super) fn window(&self) -> Duration {
        self.window
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_busiest_window_is_the_maximum_over_all_windows(
            window in 1_u64..40,
            gaps in prop::collection::vec(0_u64..12, 0..80),
        ) {
            let arrivals: Vec<_> =
                gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut busiest = BusiestWindow::new(Duration::from_nanos(window));
            arrivals.iter().for_each(|at| busiest.record(Duration::from_nanos(*at)));
            let in_window_from = |from: &u64| {
                arrivals.iter().filter(|at| (*from..from + window).contains(at)).count()
            };
            let expected = arrivals.iter().map(in_window_from).max().unwrap_or(0);
            prop_assert_eq!(busiest.most(), expected as u64);
        }
    }
}
