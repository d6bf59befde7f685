use crate::proof::{Proof, proof};

/// Says whether a request that ended in `error` may have left: false only if the error proves that it did not.
///
/// The rate limit gives the slot of a request that never left back, and a retry may send it again whatever it does.
/// The error is tested as it is or boxed, and not its sources: what an outer client did before it met a source is unknown.
/// The refusal of a bounded wait proves it, before a service that fails with one of the errors named here, an `io::Error`,
/// an `Infallible` or a box. With the feature `hyper` these do as well: a failure to connect of hyper-util's client, and
/// hyper's cancellation of a request that was queued and never written, as it is or in hyper-util's error. A message that
/// broke off, a reset and a timeout prove nothing. Up to three wrappers around one of these are looked through, each a
/// [`TimedOut`](crate::TimedOut) or a [`Bounded`](crate::Bounded).
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
    proof(error) == Proof::None
}
