use crate::proof::{Proof, proof};

/// Says whether a request that ended in `error` may have been processed: false only if the error
/// proves that it never left, or that the server did not process it.
///
/// The rate limit gives the slot of such a request back, and a retry may send it again whatever it
/// does. The error is tested as it is or boxed, and not its sources: what an outer client did
/// before it met a source is unknown. The refusal of a bounded wait proves it, before a service
/// that fails with one of the errors named here, an `io::Error`, an `Infallible` or a box. Up to
/// three wrappers around one of these are looked through, each a [`TimedOut`](crate::TimedOut) or a
/// [`Bounded`](crate::Bounded).
///
/// With the feature `hyper` the errors of hyper-util's client, of hyper and of h2 are known:
///
/// | what happened | proof |
/// |---|---|
/// | hyper-util's client could not connect | yes |
/// | hyper had the request in its queue, and did not write it | yes |
/// | HTTP/2: the stream was reset with `REFUSED_STREAM` (RFC 9113, section 8.7) | yes |
/// | HTTP/2: a GOAWAY came whose last stream was before this one, whatever its reason | yes |
/// | HTTP/2: the stream was reset for another reason, `CANCEL` or `ENHANCE_YOUR_CALM` say | no |
/// | HTTP/2: a GOAWAY came whose last stream was this one or a later one, and then the connection ended | no |
/// | HTTP/2: the connection ended while the request waited for a stream of its own: hyper does not say so | no |
/// | the connection ended or a message broke off, with or without an error | no |
/// | a timeout | no |
///
/// hyper's error of an upgrade that never came (`hyper::upgrade::on`) is a cancellation too, though
/// its request was answered: a service must wrap it in an error of its own.
///
/// It speaks of one attempt: ask it inside of whatever sends again or follows redirects, not
/// outside.
///
/// ```
/// let error = std::io::Error::other("reset");
/// assert!(tower_pace::was_sent(&error));
/// ```
#[must_use]
pub fn was_sent<E: 'static>(error: &E) -> bool {
    proof(error) == Proof::None
}
