//! How servers count, by the plain definitions: the books of a server whose limit is 100 requests a
//! second.

/// The requests per second that the server accepts.
pub(super) const LIMIT: f64 = 100.0;

/// A model of a server, and the part of its window that has passed at the origin.
#[derive(Clone, Copy, Debug)]
pub(super) enum Model {
    SlidingLog,
    FixedWindow(f64),
    /// The current window, plus the previous one weighted by its part in the sliding window.
    SlidingCounter(f64),
    /// A bucket of 100 tokens that is full at the origin.
    TokenBucket,
}

impl Model {
    /// Returns all models, those with a window at eight phases.
    pub(super) fn all() -> Vec<Self> {
        let phases = (0..8).map(|phase| f64::from(phase) / 8.0);
        let windows =
            phases.flat_map(|phase| [Self::FixedWindow(phase), Self::SlidingCounter(phase)]);
        windows
            .chain([Self::SlidingLog, Self::TokenBucket])
            .collect()
    }

    /// Returns the arrivals, in seconds and in order, that the server throttles.
    pub(super) fn throttled(self, arrivals: &[f64]) -> Vec<f64> {
        let mut admitted: Vec<f64> = Vec::new();
        let mut tokens: f64 = LIMIT;
        let mut throttled = Vec::new();
        for &now in arrivals {
            let before = admitted.last().copied().unwrap_or_default();
            let refilled = (tokens + (now - before) * LIMIT).min(LIMIT);
            // The sum of many small refills has as many rounding errors.
            if self.used(&admitted, now, LIMIT - refilled) + 1.0 <= LIMIT + 1e-6 {
                admitted.push(now);
                tokens = refilled - 1.0;
            } else {
                throttled.push(now);
            }
        }
        throttled
    }

    /// Returns the part of the limit that is used at `now`. `missing` are the tokens that miss in
    /// the bucket.
    fn used(self, admitted: &[f64], now: f64, missing: f64) -> f64 {
        let recent = || admitted.iter().rev().take_while(|&&at| at > now - 2.0);
        let in_window = |phase: f64, back: f64| {
            let window = (now + phase).floor() - back;
            recent()
                .filter(|&&at| (at + phase).floor() == window)
                .count() as f64
        };
        match self {
            Self::SlidingLog => recent().filter(|&&at| at > now - 1.0).count() as f64,
            Self::FixedWindow(phase) => in_window(phase, 0.0),
            Self::SlidingCounter(phase) => {
                let left = 1.0 - (now + phase).fract();
                in_window(phase, 0.0) + in_window(phase, 1.0) * left
            }
            Self::TokenBucket => missing,
        }
    }
}

/// Books that never throttle would prove nothing.
#[test]
fn each_model_throttles_what_is_over_its_limit_and_nothing_else() {
    for model in Model::all() {
        let burst = [5.0; 101];
        assert_eq!(model.throttled(&burst), [5.0], "{model:?}");
        let steady: Vec<f64> = (0..1_000).map(|index| f64::from(index) / 99.0).collect();
        assert_eq!(model.throttled(&steady), [0.0; 0], "{model:?}");
        // A tenth too fast: the bucket has a burst of 100 first.
        let fast: Vec<f64> = (0..2_200).map(|index| f64::from(index) / 110.0).collect();
        let throttled = model.throttled(&fast).len();
        assert!((90..=230).contains(&throttled), "{model:?}: {throttled}");
    }
}
