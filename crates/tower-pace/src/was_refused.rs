use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::io;

use crate::Bounded;

type BoxError = Box<dyn Error + Send + Sync>;

/// Says whether an error, as it is or boxed, is that of a refused wait, which nobody should try again: the limit has said
/// how long it would take.
///
/// The errors that a bounded limit may wrap have to be named, as in [`was_sent`](crate::was_sent): without the feature
/// `hyper` they are `Infallible`, `io::Error` and a box.
pub(crate) fn was_refused<E: 'static>(error: &E) -> bool {
    let typed: &dyn Any = error;
    let boxed = typed.downcast_ref::<BoxError>();
    is_refusal::<BoxError>(typed.downcast_ref())
        || is_one::<Infallible>(typed, boxed)
        || is_one::<io::Error>(typed, boxed)
        || is_of_a_client(typed, boxed)
}

fn is_one<E: Error + 'static>(typed: &dyn Any, boxed: Option<&BoxError>) -> bool {
    let unboxed = boxed.and_then(|error| error.downcast_ref());
    is_refusal::<E>(typed.downcast_ref().or(unboxed))
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
