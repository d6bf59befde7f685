use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::io;

use crate::{Bounded, TimedOut};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What an error proves of the request that ended in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A limit refused the wait, or the deadline had passed before the call. The request never
    /// left, and nobody should try again: the limit has said how long it would take.
    Refused,
    /// The request never left, or the server says that it did not process it.
    #[cfg_attr(
        not(feature = "hyper"),
        expect(dead_code, reason = "only errors of hyper prove it")
    )]
    NeverLeft,
    /// Nothing: the request may have left.
    None,
}

/// What an error proves if it is of this type, or of this type in wrappers.
macro_rules! in_wrappers {
    ($error:expr, $known:ty) => {
        in_wrappers!(@any $error,
            $known,
            Bounded<$known>,
            TimedOut<$known>,
            Bounded<Bounded<$known>>,
            Bounded<TimedOut<$known>>,
            TimedOut<Bounded<$known>>,
            TimedOut<TimedOut<$known>>,
            Bounded<Bounded<Bounded<$known>>>,
            Bounded<Bounded<TimedOut<$known>>>,
            Bounded<TimedOut<Bounded<$known>>>,
            Bounded<TimedOut<TimedOut<$known>>>,
            TimedOut<Bounded<Bounded<$known>>>,
            TimedOut<Bounded<TimedOut<$known>>>,
            TimedOut<TimedOut<Bounded<$known>>>,
            TimedOut<TimedOut<TimedOut<$known>>>
        )
    };
    (@any $error:expr, $($known:ty),+) => {
        None$(.or_else(|| $error.downcast_ref::<$known>().map(Known::proof)))+
    };
}

/// Says what an error proves, as it is or boxed, and in up to three wrappers of ours, whatever
/// their order: those of a bounded rate limit, a bounded concurrency limit and a deadline. What
/// they wrap has to be [`Known`]: an error tells its own type and not the kind of it.
pub(crate) fn proof<E: 'static>(error: &E) -> Proof {
    let error: &dyn Any = error;
    let proof = in_wrappers!(error, BoxError);
    proof
        .or_else(|| Unknown::Typed(error).proof())
        .unwrap_or(Proof::None)
}

/// An error of which it is known what it proves.
pub(crate) trait Known: 'static {
    fn proof(&self) -> Proof;
}

impl Known for Infallible {
    fn proof(&self) -> Proof {
        match *self {}
    }
}

impl Known for io::Error {
    fn proof(&self) -> Proof {
        Proof::None
    }
}

impl Known for BoxError {
    fn proof(&self) -> Proof {
        Unknown::Boxed(&**self).proof().unwrap_or(Proof::None)
    }
}

impl<E: Known> Known for Bounded<E> {
    fn proof(&self) -> Proof {
        self.get_ref().map_or(Proof::Refused, E::proof)
    }
}

impl<E: Known> Known for TimedOut<E> {
    fn proof(&self) -> Proof {
        match self.is_late() {
            true => Proof::Refused,
            false => self.get_ref().map_or(Proof::None, E::proof),
        }
    }
}

/// An error that may be one of those that are known, as it is or from its box.
#[derive(Clone, Copy)]
enum Unknown<'a> {
    Typed(&'a dyn Any),
    Boxed(&'a (dyn Error + 'static)),
}

impl Unknown<'_> {
    fn proof(self) -> Option<Proof> {
        let proof = self.find::<Infallible>();
        let proof = proof.or_else(|| self.find::<io::Error>());
        #[cfg(feature = "hyper")]
        let proof = proof
            .or_else(|| self.find::<hyper_util::client::legacy::Error>())
            .or_else(|| self.find::<hyper::Error>())
            .or_else(|| self.find::<h2::Error>());
        proof
    }

    fn find<E: Known + Error>(self) -> Option<Proof> {
        match self {
            Self::Typed(error) => in_wrappers!(error, E),
            Self::Boxed(error) => in_wrappers!(error, E),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Refused;

    #[track_caller]
    fn check<E: 'static>(error: &E, expected: bool) {
        assert_eq!(proof(error) == Proof::Refused, expected);
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
        check(&TimedOut::<io::Error>::late(), true);
        check(
            &Bounded::failed(boxed(TimedOut::<Infallible>::late())),
            true,
        );
        check(&TimedOut::<Bounded<io::Error>>::elapsed(), false);
        check(&Bounded::failed(TimedOut::<io::Error>::elapsed()), false);
    }

    #[test]
    fn a_stack_that_is_bounded_everywhere_hides_no_refusal() {
        fn deadline_around_both<E>() -> TimedOut<Bounded<Bounded<E>>> {
            TimedOut::inner(Bounded::failed(refused()))
        }
        check(&refused::<Bounded<TimedOut<io::Error>>>(), true);
        check(&Bounded::failed(refused::<TimedOut<BoxError>>()), true);
        check(
            &boxed(Bounded::failed(refused::<TimedOut<io::Error>>())),
            true,
        );
        check(&deadline_around_both::<BoxError>(), true);
        check(&deadline_around_both::<io::Error>(), true);
        check(&boxed(deadline_around_both::<Infallible>()), true);
        check(&Bounded::failed(boxed(refused::<io::Error>())), true);
        let late = || Bounded::failed(TimedOut::<io::Error>::elapsed());
        check(&Bounded::failed(late()), false);
        check(&boxed(Bounded::failed(late())), false);
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

    #[test]
    fn what_was_refused_never_left() {
        assert!(!crate::was_sent(&refused::<io::Error>()));
        assert!(!crate::was_sent(&boxed(refused::<Infallible>())));
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
