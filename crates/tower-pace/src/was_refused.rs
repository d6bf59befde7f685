use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::io;

use crate::{Bounded, TimedOut};

type BoxError = Box<dyn Error + Send + Sync>;

/// Says whether an error, as it is or boxed, is that of a refused wait, which nobody should try again: the limit has said
/// how long it would take.
///
/// The errors that a bounded limit may wrap have to be named, as in [`was_sent`](crate::was_sent): without the feature
/// `hyper` they are `Infallible`, `io::Error` and a box. One deadline, or a second bound, around or within is looked through.
pub(crate) fn was_refused<E: 'static>(error: &E) -> bool {
    let typed: &dyn Any = error;
    let boxed = typed.downcast_ref::<BoxError>();
    is_refusal::<BoxError>(typed.downcast_ref())
        || is_one::<Infallible>(typed, boxed)
        || is_one::<io::Error>(typed, boxed)
        || is_of_a_client(typed, boxed)
}

/// Whether it is a refusal before a service that fails with `E`, of which a deadline or a second bound may be a part.
fn is_one<E: Error + 'static>(typed: &dyn Any, boxed: Option<&BoxError>) -> bool {
    let late: Option<&TimedOut<Bounded<E>>> = find(typed, boxed);
    let twice: Option<&Bounded<Bounded<E>>> = find(typed, boxed);
    is_refusal::<E>(find(typed, boxed))
        || is_refusal::<TimedOut<E>>(find(typed, boxed))
        || is_refusal(late.and_then(TimedOut::get_ref))
        || is_refusal(twice)
        || is_refusal(twice.and_then(Bounded::get_ref))
}

fn find<'a, T: Error + 'static>(typed: &'a dyn Any, boxed: Option<&'a BoxError>) -> Option<&'a T> {
    let unboxed = boxed.and_then(|error| error.downcast_ref());
    typed.downcast_ref().or(unboxed)
}

fn is_refusal<E>(error: Option<&Bounded<E>>) -> bool {
    error.is_some_and(|error| error.refusal().is_some())
}

#[cfg(feature = "hyper")]
fn is_of_a_client(typed: &dyn Any, boxed: Option<&BoxError>) -> bool {
    is_one::<hyper_util::client::legacy::Error>(typed, boxed)
        || is_one::<hyper::Error>(typed, boxed)
}

#[cfg(not(feature = "hyper"))]
fn is_of_a_client(_: &dyn Any, _: Option<&BoxError>) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Refused;

    #[track_caller]
    fn check<E: 'static>(error: &E, expected: bool) {
        assert_eq!(was_refused(error), expected);
    }

    fn boxed(error: impl Error + Send + Sync + 'static) -> BoxError {
        Box::new(error)
    }

    fn refused<E>() -> Bounded<E> {
        Bounded::refused(Refused::too_heavy())
    }

    #[test]
    fn a_refusal_is_one_typed_or_boxed() {
        check(&refused::<BoxError>(), true);
        check(&refused::<Infallible>(), true);
        check(&boxed(refused::<Infallible>()), true);
        check(&refused::<io::Error>(), true);
        check(&boxed(refused::<io::Error>()), true);
    }

    #[test]
    fn a_deadline_or_a_second_bound_hides_no_refusal() {
        check(&refused::<TimedOut<Infallible>>(), true);
        check(&boxed(refused::<TimedOut<io::Error>>()), true);
        check(&TimedOut::inner(refused::<io::Error>()), true);
        check(&boxed(TimedOut::inner(refused::<Infallible>())), true);
        check(&refused::<Bounded<io::Error>>(), true);
        check(&Bounded::failed(refused::<Infallible>()), true);
        check(&TimedOut::<Bounded<io::Error>>::elapsed(), false);
        check(&Bounded::failed(TimedOut::<io::Error>::elapsed()), false);
    }

    #[test]
    fn what_failed_behind_the_limit_was_not_refused() {
        let reset = || io::Error::other("reset");
        check(&reset(), false);
        check(&boxed(reset()), false);
        check(&Bounded::failed(reset()), false);
        check(&boxed(Bounded::failed(reset())), false);
        check(&Bounded::failed(boxed(reset())), false);
    }

    #[cfg(feature = "hyper")]
    #[test]
    fn the_refusals_before_a_client_of_hyper_are_known() {
        use hyper_util::client::legacy::Error as ClientError;

        check(&refused::<ClientError>(), true);
        check(&boxed(refused::<ClientError>()), true);
        check(&refused::<hyper::Error>(), true);
        check(&boxed(refused::<hyper::Error>()), true);
    }
}
