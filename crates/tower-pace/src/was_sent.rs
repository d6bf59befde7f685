use std::any::Any;
use std::error::Error;

/// Says whether a request that ended in `error` may have left: false only if the error proves that it did not.
///
/// The rate limit gives the slot of a request that never left back, and a retry may send it again whatever it does.
/// The error is tested as it is or boxed, and not its sources: what an outer client did before it met a source is unknown.
/// Without the feature `hyper` no error proves anything. With it these do: a failure to connect of hyper-util's client,
/// and hyper's cancellation of a request that was queued and never written, as it is or in hyper-util's error. A message
/// that broke off, a reset and a timeout prove nothing.
///
/// ```
/// let error = std::io::Error::other("reset");
/// assert!(tower_pace::was_sent(&error));
/// ```
#[must_use]
pub fn was_sent<E: 'static>(error: &E) -> bool {
    let typed: &dyn Any = error;
    let boxed = typed.downcast_ref::<Box<dyn Error + Send + Sync>>();
    !never_left(typed, boxed.map(|error| &**error as &(dyn Error + 'static)))
}

#[cfg(feature = "hyper")]
fn never_left(typed: &dyn Any, boxed: Option<&(dyn Error + 'static)>) -> bool {
    use hyper_util::client::legacy::Error as ClientError;

    let client: Option<&ClientError> = typed
        .downcast_ref()
        .or_else(|| boxed.and_then(|error| error.downcast_ref()));
    let hyper: Option<&hyper::Error> = typed
        .downcast_ref()
        .or_else(|| boxed.and_then(|error| error.downcast_ref()));
    // hyper-util gives its own kind of cancellation exactly to what hyper returned unwritten, and has no predicate for it.
    let source = || client?.source()?.downcast_ref::<hyper::Error>();
    client.is_some_and(ClientError::is_connect)
        || hyper.or_else(source).is_some_and(hyper::Error::is_canceled)
}

#[cfg(not(feature = "hyper"))]
fn never_left(_: &dyn Any, _: Option<&(dyn Error + 'static)>) -> bool {
    false
}
