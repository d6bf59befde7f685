//! The question "was it sent?": what the error of an attempt proves of its request.

use std::any::Any;
use std::convert::Infallible;
use std::error;
use std::io;

use crate::error::{BoxError, Error};

#[cfg(feature = "hyper")]
mod hyper;

/// Returns false if `error` proves that the request was not sent, or that the server did not
/// process it.
///
/// The rate limit then gives the slot back, and a retry may send the request again whatever it
/// does. True means that the request may have been processed.
///
/// ```
/// let error = std::io::Error::other("reset");
/// assert!(tower_pace::was_sent(&error));
/// ```
///
/// Ask it about one attempt: inside of a layer that sends again or follows redirects, not outside.
///
/// # Which errors prove it
///
/// Without the feature `hyper`: an [`Error`] whose wait was rejected, and one whose deadline had
/// passed before the call.
///
/// With the feature `hyper`, the errors of hyper-util's clients, of hyper and of h2 as well:
///
/// | what happened | proof |
/// |---|---|
/// | hyper-util's legacy client could not connect | yes |
/// | hyper-util's `HttpConnector` failed, alone or below a pool of `client::pool` | yes |
/// | hyper-util's `client::pool::singleton` could not make its service | yes |
/// | hyper had the request in its queue, and did not write it | yes |
/// | HTTP/2: the stream was reset with `REFUSED_STREAM` (RFC 9113, section 8.7) | yes |
/// | HTTP/2: a GOAWAY came whose last stream was before this one, whatever its reason | yes |
/// | HTTP/2: the stream was reset for another reason, such as `CANCEL` or `ENHANCE_YOUR_CALM` | no |
/// | HTTP/2: a GOAWAY came whose last stream was this one or a later one, and then the connection ended | no |
/// | HTTP/2: the connection ended while the request waited for a stream of its own: hyper does not say so | no |
/// | the connection ended or a message broke off, with or without an error | no |
/// | a timeout | no |
///
/// hyper's error of an upgrade that never came (`hyper::upgrade::on`) is a cancellation too, though
/// its request was answered. A service must wrap it in an error of its own.
///
/// # Which wrappers are looked through
///
/// The error is tested as it is, in a `Box<dyn Error + Send + Sync>`, and in up to three nested
/// [`Error`]s: those of a bounded rate limit, a bounded concurrency limit and a deadline. The
/// innermost error must be one of those above, an `io::Error`, an `Infallible` or a box; otherwise
/// even a rejected wait is not recognized.
///
/// The sources of an error are not tested. A client that wraps an error may have sent the request
/// before it met that error. [`Classifier::not_sent_if`](crate::Classifier::not_sent_if) adds the
/// errors of such a client.
#[must_use]
pub fn was_sent<E: 'static>(error: &E) -> bool {
    proof(error) == Proof::None
}

/// The evidence that an error gives about the request that ended in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A limit rejected the wait, or the deadline had passed before the call. The request was not
    /// sent, and a retry is of no use: it would wait as long or be as late.
    Rejected,
    /// The request was not sent, or the server says that it did not process it.
    NotSent,
    /// The request may have been sent.
    None,
}

impl Proof {
    pub(crate) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::None => other(),
            Self::Rejected | Self::NotSent => self,
        }
    }
}

/// Returns what `error` proves; see [`was_sent`] for the errors and wrappers that it knows.
pub(crate) fn proof<E: 'static>(error: &E) -> Proof {
    let error: &dyn Any = error;
    let proof = proof_by(error, &|never: &Infallible| match *never {});
    // An `io::Error` proves nothing itself. It is known so that a rejection around it is
    // recognized.
    let proof = proof.or_else(|| proof_by(error, &|_: &io::Error| Proof::None));
    #[cfg(feature = "hyper")]
    let proof = proof.or_else(|| hyper::proof(error));
    proof
}

/// Returns what `innermost` says of an `E` that is `error` itself or in its wrappers, or what the
/// wrappers prove themselves. Returns [`Proof::None`] for an error of another type.
pub(crate) fn proof_by<E>(error: &dyn Any, innermost: &dyn Fn(&E) -> Proof) -> Proof
where
    E: error::Error + 'static,
{
    let in_box = |boxed: &BoxError| in_boxed_wrappers(&**boxed, innermost);
    in_wrappers(error, innermost).or_else(|| in_wrappers(error, &in_box))
}

/// Looks for an `E` as it is and in up to three wrappers. Each depth is a type of its own: `Any`
/// knows the concrete type of an error, not the generic one.
fn in_wrappers<E: 'static>(error: &dyn Any, innermost: &dyn Fn(&E) -> Proof) -> Proof {
    let once = |error: &Error<E>| in_error(error, innermost);
    let twice = |error: &Error<Error<E>>| in_error(error, &once);
    let thrice = |error: &Error<Error<Error<E>>>| in_error(error, &twice);
    let proof = error.downcast_ref().map(innermost);
    let proof = proof.or_else(|| error.downcast_ref().map(once));
    let proof = proof.or_else(|| error.downcast_ref().map(twice));
    let proof = proof.or_else(|| error.downcast_ref().map(thrice));
    proof.unwrap_or(Proof::None)
}

/// Does the same for an error from a box, which is no `Any`.
fn in_boxed_wrappers<E>(
    error: &(dyn error::Error + 'static),
    innermost: &dyn Fn(&E) -> Proof,
) -> Proof
where
    E: error::Error + 'static,
{
    let once = |error: &Error<E>| in_error(error, innermost);
    let twice = |error: &Error<Error<E>>| in_error(error, &once);
    let thrice = |error: &Error<Error<Error<E>>>| in_error(error, &twice);
    let proof = error.downcast_ref().map(innermost);
    let proof = proof.or_else(|| error.downcast_ref().map(once));
    let proof = proof.or_else(|| error.downcast_ref().map(twice));
    let proof = proof.or_else(|| error.downcast_ref().map(thrice));
    proof.unwrap_or(Proof::None)
}

fn in_error<E>(error: &Error<E>, innermost: &dyn Fn(&E) -> Proof) -> Proof {
    match error.get_ref() {
        Some(error) => innermost(error),
        None if error.is_unsent() => Proof::Rejected,
        // The deadline passed while the request was waiting or in flight.
        None => Proof::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{LimitKind, Rejected};

    #[track_caller]
    fn check<E: 'static>(error: &E, is_rejected: bool) {
        assert_eq!(proof(error) == Proof::Rejected, is_rejected);
    }

    fn boxed(error: impl error::Error + Send + Sync + 'static) -> BoxError {
        Box::new(error)
    }

    fn rejected<E>() -> Error<E> {
        Error::rejected(Rejected::too_heavy(LimitKind::Rate))
    }

    #[test]
    fn a_rejection_is_recognized_typed_or_boxed() {
        check(&rejected::<BoxError>(), true);
        check(&rejected::<Infallible>(), true);
        check(&boxed(rejected::<Infallible>()), true);
        check(&rejected::<io::Error>(), true);
        check(&boxed(rejected::<io::Error>()), true);
    }

    #[test]
    fn a_rejection_is_recognized_around_and_inside_of_a_second_error() {
        check(&rejected::<Error<Infallible>>(), true);
        check(&rejected::<Error<io::Error>>(), true);
        check(&boxed(rejected::<Error<io::Error>>()), true);
        check(&Error::inner(rejected::<Infallible>()), true);
        check(&Error::inner(rejected::<io::Error>()), true);
        check(&boxed(Error::inner(rejected::<Infallible>())), true);
    }

    #[test]
    fn a_deadline_that_had_passed_before_the_call_counts_as_a_rejection() {
        check(&Error::<io::Error>::late(), true);
        check(&Error::inner(boxed(Error::<Infallible>::late())), true);
        check(&Error::<Error<io::Error>>::elapsed(), false);
        check(&Error::inner(Error::<io::Error>::elapsed()), false);
    }

    #[test]
    fn a_rejection_is_recognized_at_each_depth_of_three_errors() {
        fn innermost<E>() -> Error<Error<Error<E>>> {
            Error::inner(Error::inner(rejected()))
        }
        check(&rejected::<Error<Error<io::Error>>>(), true);
        check(&Error::inner(rejected::<Error<BoxError>>()), true);
        check(&boxed(Error::inner(rejected::<Error<io::Error>>())), true);
        check(&innermost::<BoxError>(), true);
        check(&innermost::<io::Error>(), true);
        check(&boxed(innermost::<Infallible>()), true);
        check(&Error::inner(boxed(rejected::<io::Error>())), true);
        let elapsed = || Error::inner(Error::<io::Error>::elapsed());
        check(&Error::inner(elapsed()), false);
        check(&boxed(Error::inner(elapsed())), false);
    }

    #[test]
    fn a_failure_behind_the_limit_is_no_rejection() {
        let reset = || io::Error::other("reset");
        check(&reset(), false);
        check(&boxed(reset()), false);
        check(&Error::inner(reset()), false);
        check(&boxed(Error::inner(reset())), false);
        check(&Error::inner(boxed(reset())), false);
    }

    #[test]
    fn a_rejected_request_was_not_sent() {
        assert!(!was_sent(&rejected::<io::Error>()));
        assert!(!was_sent(&boxed(rejected::<Infallible>())));
    }

    #[test]
    fn an_error_that_was_put_in_a_box_proves_the_same() {
        check(&rejected::<io::Error>().into_box(), true);
        check(&rejected::<BoxError>().into_box(), true);
        check(&Error::<BoxError>::late().into_box(), true);
        check(&Error::<BoxError>::elapsed().into_box(), false);
        check(&Error::inner(rejected::<BoxError>()).into_box(), true);
        check(&Error::inner(rejected::<io::Error>()).into_box(), true);
        check(&Error::inner(io::Error::other("reset")).into_box(), false);
    }

    #[cfg(feature = "hyper")]
    #[test]
    fn a_rejection_around_an_error_of_hyper_is_recognized() {
        use hyper_util::client::legacy::Error as ClientError;

        check(&rejected::<ClientError>(), true);
        check(&boxed(rejected::<ClientError>()), true);
        check(&rejected::<::hyper::Error>(), true);
        check(&boxed(rejected::<::hyper::Error>()), true);
    }
}
