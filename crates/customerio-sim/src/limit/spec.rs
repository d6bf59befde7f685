use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::setting::{InvalidSetting, LONGEST, parse_duration};

/// A number of requests per window, and the model by which the server counts them.
///
/// A new limit is an exact sliding log that does not count throttled requests.
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
    pub(super) counts_throttled: bool,
}

/// The way in which a server counts requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Model {
    /// Counts from zero at every multiple of the window.
    FixedWindow,
    /// Weights the previous fixed window by the part of it that a sliding window still covers: a
    /// request is throttled if `previous * (1 - f) + current + 1` exceeds the limit, where `f` is
    /// the elapsed part of the current window.
    SlidingCounter,
    /// Counts every request of the half-open window `(now - window, now]`.
    SlidingLog,
    /// Takes a token for each request. The bucket is full at the start, and refills evenly: in each
    /// window it gains as many tokens as the limit has requests.
    TokenBucket {
        /// The capacity of the bucket in tokens.
        size: NonZeroU32,
    },
}

impl Limit {
    /// Allows `requests` per `window`.
    ///
    /// # Errors
    ///
    /// If `requests` is 0, or `window` is shorter than a microsecond or longer than a day.
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
            counts_throttled: false,
        }
    }

    /// Allows `requests` per second.
    ///
    /// # Panics
    ///
    /// If `requests` is 0.
    pub const fn per_second(requests: u32) -> Self {
        let requests = NonZeroU32::new(requests).expect("a limit allows at least one request");
        Self::of(requests, Duration::from_secs(1))
    }

    /// Parses a limit: the requests, a slash and the window, such as `100/1s`.
    ///
    /// # Errors
    ///
    /// If the text has another form, or [`Limit::new`] fails.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let invalid = || InvalidSetting::new("limit", text, EXPECTED);
        let (requests, window) = text.split_once('/').ok_or_else(invalid)?;
        let requests = requests.parse().map_err(|_| invalid())?;
        let window = parse_duration(window).map_err(|_| invalid())?;
        Self::new(requests, window).map_err(|_| invalid())
    }

    /// Sets the model. The default is [`Model::SlidingLog`].
    pub fn model(mut self, model: Model) -> Self {
        self.model = model;
        self
    }

    /// Begins the fixed windows, and those of the sliding counter, `phase` before the simulator's
    /// start. The default is 0, the maximum one day.
    pub fn phase(mut self, phase: Duration) -> Self {
        self.phase = phase.min(LONGEST);
        self
    }

    /// Counts throttled requests too. A client that does not back off stays throttled, and takes
    /// the tokens of a bucket.
    pub fn count_throttled(mut self) -> Self {
        self.counts_throttled = true;
        self
    }

    /// Returns the requests that are allowed per window.
    #[must_use]
    pub fn requests(&self) -> NonZeroU32 {
        self.requests
    }

    /// Returns the length of the window.
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

/// The count of one [`Model`]. The limiter decides by it whether to
/// admit a request.
pub(super) trait Counter: fmt::Debug + Send {
    /// Moves to `now`, which is never earlier than before, and drops requests that no longer count.
    fn advance(&mut self, now: Duration);

    /// Returns whether one more request fits.
    fn fits(&self) -> bool;

    /// Counts one request, whether or not it fits.
    fn count(&mut self);

    /// Returns the time until one more request fits if no other arrives. Zero if one fits now.
    fn wait(&self) -> Duration;
}

const EXPECTED: &str = "at least one request and a window from 1us to 24h, such as 100/1s";
