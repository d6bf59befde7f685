use std::any::Any;
use std::error::Error;

use hyper_util::client::legacy::Error as ClientError;

use crate::{Bounded, TimedOut};

type BoxError = Box<dyn Error + Send + Sync>;

/// Whether an error of hyper or hyper-util, typed or boxed or in a wrapper of ours, proves that the request was not written.
pub(crate) fn never_left<E: 'static>(error: &E) -> bool {
    let typed: &dyn Any = error;
    let boxed = typed.downcast_ref::<BoxError>();
    Seen {
        typed,
        boxed: boxed.map(|error| &**error as _),
    }
    .never_left()
}

/// An error as it is and, if it is boxed, the error in the box.
struct Seen<'a> {
    typed: &'a dyn Any,
    boxed: Option<&'a (dyn Error + 'static)>,
}

impl Seen<'_> {
    fn never_left(&self) -> bool {
        self.find().is_some_and(client_never_left)
            || self.find().is_some_and(hyper::Error::is_canceled)
            || self.inner_never_left()
    }

    fn find<E: Error + 'static>(&self) -> Option<&E> {
        let typed = self.typed.downcast_ref();
        typed.or_else(|| self.boxed?.downcast_ref())
    }

    /// Looks through a [`TimedOut`] and a [`Bounded`]. What they may wrap has to be named: an error tells its own type and
    /// not the kind of it.
    fn inner_never_left(&self) -> bool {
        let client: Option<&TimedOut<ClientError>> = self.find();
        let hyper: Option<&TimedOut<hyper::Error>> = self.find();
        let boxed: Option<&TimedOut<BoxError>> = self.typed.downcast_ref();
        client.and_then(TimedOut::get_ref).is_some_and(never_left)
            || hyper.and_then(TimedOut::get_ref).is_some_and(never_left)
            || boxed.and_then(TimedOut::get_ref).is_some_and(never_left)
            || self.bounded_never_left()
    }

    fn bounded_never_left(&self) -> bool {
        let client: Option<&Bounded<ClientError>> = self.find();
        let hyper: Option<&Bounded<hyper::Error>> = self.find();
        let boxed: Option<&Bounded<BoxError>> = self.typed.downcast_ref();
        client.is_some_and(|error| error.get_ref().is_none_or(never_left))
            || hyper.is_some_and(|error| error.get_ref().is_none_or(never_left))
            || boxed.is_some_and(|error| error.get_ref().is_none_or(never_left))
    }
}

/// Whether hyper-util's client could not connect, or got the request back from hyper unwritten: exactly then hyper's error
/// is a cancellation, and hyper-util has no predicate of its own for that.
fn client_never_left(error: &ClientError) -> bool {
    let source = error.source().and_then(<dyn Error>::downcast_ref);
    error.is_connect() || source.is_some_and(hyper::Error::is_canceled)
}
