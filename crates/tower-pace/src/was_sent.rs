#[cfg(feature = "hyper")]
use crate::never_left::never_left;

/// Says whether a request that ended in `error` may have left: false only if the error proves that it did not.
///
/// The rate limit gives the slot of a request that never left back, and a retry may send it again whatever it does.
/// The error is tested as it is or boxed, and not its sources: what an outer client did before it met a source is unknown.
/// Without the feature `hyper` no error proves anything. With it these do: a failure to connect of hyper-util's client,
/// and hyper's cancellation of a request that was queued and never written, as it is or in hyper-util's error. A message
/// that broke off, a reset and a timeout prove nothing. A [`TimedOut`](crate::TimedOut) around one of these is looked through.
///
/// hyper's error of an upgrade that never came (`hyper::upgrade::on`) is a cancellation too, though its request was
/// answered: a service must wrap it in an error of its own.
///
/// It speaks of one attempt: ask it inside of whatever sends again or follows redirects, not outside.
///
/// ```
/// let error = std::io::Error::other("reset");
/// assert!(tower_pace::was_sent(&error));
/// ```
#[must_use]
pub fn was_sent<E: 'static>(error: &E) -> bool {
    !never_left(error)
}

#[cfg(not(feature = "hyper"))]
fn never_left<E>(_: &E) -> bool {
    false
}
