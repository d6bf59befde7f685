use std::error::Error;
use std::fmt;

/// Why a call with a deadline has failed: the deadline passed, or the inner service failed before
/// it.
///
/// What became of a request whose deadline passed is unknown: [`was_sent`](crate::was_sent) is true
/// for it. If the deadline had passed before the call, nothing was sent, and `was_sent` is false.
#[derive(Debug)]
pub struct TimedOut<E> {
    kind: Kind<E>,
}

#[derive(Debug)]
enum Kind<E> {
    /// Before the call.
    Late,
    Elapsed,
    Inner(E),
}

impl<E> TimedOut<E> {
    pub(crate) fn elapsed() -> Self {
        Self {
            kind: Kind::Elapsed,
        }
    }

    pub(crate) fn late() -> Self {
        Self { kind: Kind::Late }
    }

    pub(crate) fn inner(error: E) -> Self {
        Self {
            kind: Kind::Inner(error),
        }
    }

    /// Says whether the deadline has passed. A bounded limit that refused the wait because it would
    /// have passed is an inner service that failed: see
    /// [`Bounded::refusal`](crate::Bounded::refusal).
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        matches!(self.kind, Kind::Elapsed | Kind::Late)
    }

    /// Says whether the deadline had passed before the call, so that nothing was sent.
    pub(crate) fn is_late(&self) -> bool {
        matches!(self.kind, Kind::Late)
    }

    /// Returns the inner service's error, if that is what failed the call.
    #[must_use]
    pub fn get_ref(&self) -> Option<&E> {
        match &self.kind {
            Kind::Elapsed | Kind::Late => None,
            Kind::Inner(error) => Some(error),
        }
    }

    /// Returns the inner service's error, if that is what failed the call.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self.kind {
            Kind::Elapsed | Kind::Late => None,
            Kind::Inner(error) => Some(error),
        }
    }
}

impl<E> fmt::Display for TimedOut<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Late => f.write_str("nothing was sent, since the deadline had passed"),
            Kind::Elapsed => f.write_str("the call was ended at its deadline"),
            Kind::Inner(_) => f.write_str("the inner service failed"),
        }
    }
}

impl<E: Error + 'static> Error for TimedOut<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Elapsed | Kind::Late => Some(&Elapsed),
            Kind::Inner(error) => Some(error),
        }
    }
}

/// The deadline of a call passed before its answer came. It is the source of a [`TimedOut`] that
/// says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer did not come in time")
    }
}

impl Error for Elapsed {}
