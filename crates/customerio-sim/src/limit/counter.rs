use std::fmt;
use std::time::Duration;

/// What every model answers. The verdict and the refusal of what is refused are the limiter's.
pub(super) trait Counter: fmt::Debug + Send {
    /// Moves to `now`, which never lies before an earlier one, and forgets what no longer counts.
    fn advance(&mut self, now: Duration);

    /// Whether one more request fits.
    fn fits(&self) -> bool;

    /// Counts one request, whether or not it fits.
    fn count(&mut self);

    /// How long until one more fits if nothing else arrives; zero if one fits already.
    fn wait(&self) -> Duration;
}
