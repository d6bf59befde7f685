use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::setting::{InvalidSetting, LONGEST, parse_duration};

/// So many requests in any window, and how the server counts them.
///
/// A new limit is an exact sliding log; refused requests do not count against it.
///
/// ```
/// use customerio_sim::{Limit, Model};
///
/// let limit = Limit::parse("100/1s")?.model(Model::SlidingCounter);
/// assert_eq!(limit.to_string(), "100 requests per 1s");
/// # Ok::<(), customerio_sim::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Limit {
    pub(super) requests: NonZeroU32,
    /// Between one microsecond and a day.
    pub(super) window: Duration,
    pub(super) model: Model,
    pub(super) phase: Duration,
    pub(super) counts_refused: bool,
}

/// How a server counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Model {
    /// Starts at nothing at every multiple of the window.
    FixedWindow,
    /// Weighs the previous fixed window by what of it a sliding window still covers: refuses a request when
    /// `previous * (1 - f) + current + 1` exceeds the limit, `f` being the elapsed part of the current window.
    SlidingCounter,
    /// Remembers every request of the last window, the half-open `(now - window, now]`.
    SlidingLog,
    /// Holds up to `size` tokens, full at the start, and gains the limit's requests in every window, evenly.
    TokenBucket {
        /// The most tokens that the bucket holds.
        size: NonZeroU32,
    },
}

impl Limit {
    /// Allows `requests` in any `window`.
    ///
    /// # Errors
    ///
    /// No requests, or a window under a microsecond or over a day.
    pub fn new(requests: u32, window: Duration) -> Result<Self, InvalidSetting> {
        let invalid = || InvalidSetting::new("limit", format!("{requests}/{window:?}"), EXPECTED);
        let requests = NonZeroU32::new(requests).ok_or_else(invalid)?;
        if window < Duration::from_micros(1) || window > LONGEST {
            return Err(invalid());
        }
        Ok(Self::of(requests, window))
    }

    const fn of(requests: NonZeroU32, window: Duration) -> Self {
        Self {
            requests,
            window,
            model: Model::SlidingLog,
            phase: Duration::ZERO,
            counts_refused: false,
        }
    }

    /// Allows `requests` in any second.
    ///
    /// # Panics
    ///
    /// If `requests` is 0.
    pub const fn per_second(requests: u32) -> Self {
        let requests = NonZeroU32::new(requests).expect("a limit allows at least one request");
        Self::of(requests, Duration::from_secs(1))
    }

    /// Reads a limit written as requests, a slash and a window, such as `100/1s`.
    ///
    /// # Errors
    ///
    /// Any other text, and what [`Limit::new`] refuses.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let invalid = || InvalidSetting::new("limit", text, EXPECTED);
        let (requests, window) = text.split_once('/').ok_or_else(invalid)?;
        let requests = requests.parse().map_err(|_| invalid())?;
        let window = parse_duration(window).map_err(|_| invalid())?;
        Self::new(requests, window).map_err(|_| invalid())
    }

    /// Counts by `model`.
    pub fn model(mut self, model: Model) -> Self {
        self.model = model;
        self
    }

    /// Lets fixed windows, also those of the sliding counter, begin `phase` before the simulator's start.
    pub fn phase(mut self, phase: Duration) -> Self {
        self.phase = phase.min(LONGEST);
        self
    }

    /// Counts refused requests as well: whoever does not back off stays refused. They empty a token bucket.
    pub fn count_refused(mut self) -> Self {
        self.counts_refused = true;
        self
    }

    /// The requests allowed in a window.
    #[must_use]
    pub fn requests(&self) -> NonZeroU32 {
        self.requests
    }

    /// The length of the window.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }
}

impl FromStr for Limit {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Self, InvalidSetting> {
        Self::parse(text)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests per {:?}", self.requests, self.window)
    }
}

const EXPECTED: &str = "at least one request and a window from 1us to 24h, such as 100/1s";
