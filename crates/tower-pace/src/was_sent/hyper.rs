//! What the errors of hyper-util's clients, of hyper and of h2 prove.

use std::any::Any;
use std::convert::Infallible;
use std::error::Error;
use std::future::Ready;

use h2::Reason;
use http::Uri;
use hyper_util::client::legacy::Error as ClientError;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::pool::singleton::Singleton;
use tower_service::Service;

use super::{Proof, proof_by};

/// hyper-util does not export the names of these two types.
type ConnectError = <HttpConnector as Service<Uri>>::Error;
type SingletonError = <Singleton<Maker, ()> as Service<()>>::Error;

/// Any service that a singleton accepts: its error has the same type for all of them.
type Maker =
    Box<dyn Service<(), Response = (), Error = Infallible, Future = Ready<Result<(), Infallible>>>>;

/// Returns what an error of one of these types proves, in the wrappers of
/// [`was_sent`](super::was_sent).
pub(super) fn proof(error: &dyn Any) -> Proof {
    proof_by(error, &of_client)
        .or_else(|| proof_by(error, &of_hyper))
        .or_else(|| proof_by(error, &of_h2))
        // The connection did not exist yet. A pool passes such an error on, or boxes it.
        .or_else(|| proof_by(error, &|_: &ConnectError| Proof::NotSent))
        // A singleton fails only while it makes its service, which is a connection.
        .or_else(|| proof_by(error, &|_: &SingletonError| Proof::NotSent))
}

/// It proves that nothing was sent if the client could not connect, or got the request back from
/// hyper unwritten. hyper-util has no predicate for the latter; hyper's error is then a
/// cancellation. Otherwise hyper's error decides.
fn of_client(error: &ClientError) -> Proof {
    let source = error.source().and_then(<dyn Error>::downcast_ref);
    match error.is_connect() {
        true => Proof::NotSent,
        false => source.map_or(Proof::None, of_hyper),
    }
}

/// hyper has no predicate for h2's errors, and keeps them as the source. Should that change, they
/// prove nothing.
fn of_hyper(error: &hyper::Error) -> Proof {
    let source = error.source().and_then(<dyn Error>::downcast_ref);
    match error.is_canceled() {
        true => Proof::NotSent,
        false => source.map_or(Proof::None, of_h2),
    }
}

/// The server closed the stream before any processing (RFC 9113, section 8.7): by a reset with
/// `REFUSED_STREAM`, or by a GOAWAY whose last stream came before this one, whatever its reason
/// (section 6.8).
///
/// h2 ends a stream with a received GOAWAY only if the stream is above the last one. Streams up to
/// that one live on. They end with a response, a reset or an error of the connection, which prove
/// nothing. An error that h2 itself finds proves nothing either. A new request on a connection that
/// got a GOAWAY fails with it, too, and was not written.
///
/// # One gap
///
/// hyper's client on several threads hands a request without a body to h2 in two calls. If the
/// first GOAWAY of a graceful shutdown arrives between them, the request fails with it, and its
/// head and a reset are written all the same. h2's error does not name the last stream, so this
/// case looks like the others.
fn of_h2(error: &h2::Error) -> Proof {
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    match error.is_remote() && (is_refused || error.is_go_away()) {
        true => Proof::NotSent,
        false => Proof::None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, ready};
    use std::io;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use http::{Request, Response, Version};
    use http_body_util::Empty;
    use hyper::client::conn::http1;
    use hyper::rt::{Executor, Read, ReadBufCursor, Write};
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::{Connected, Connection};
    use tokio_test::{assert_pending, task};
    use tower::{Layer, ServiceExt};

    use super::*;
    use crate::error::BoxError;
    use crate::error::{Error as PaceError, LimitKind, Rejected};
    use crate::was_sent::was_sent;
    use crate::{Retried, RetryLayer, RetryPolicy};

    /// A connection on which nothing ever happens.
    struct Idle;

    impl Read for Idle {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Write for Idle {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Connection for Idle {
        fn connected(&self) -> Connected {
            Connected::new()
        }
    }

    /// Polls a task once and keeps it until it is dropped from here: what it would have done is
    /// left undone.
    #[derive(Clone, Default)]
    struct Tasks(Arc<Mutex<Vec<Task>>>);

    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

    impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
        fn execute(&self, task: F) {
            let mut task: Task = Box::pin(task);
            let poll = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_pending());
            self.0.lock().unwrap().push(task);
        }
    }

    fn get() -> Request<Empty<Bytes>> {
        let request = Request::get("http://server/");
        request.body(Empty::new()).unwrap()
    }

    async fn unconnected() -> ClientError {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let dial = tower::service_fn(move |_: Uri| ready(Err::<Idle, _>(refused())));
        let client = Client::builder(Tasks::default()).build(dial);
        client.request(get()).await.unwrap_err()
    }

    /// The connection ends after the request was handed to it and before it was written.
    async fn returned_unwritten() -> ClientError {
        let tasks = Tasks::default();
        let dial = tower::service_fn(|_: Uri| ready(Ok::<_, io::Error>(Idle)));
        let client = Client::builder(tasks.clone()).build(dial);
        let mut call = task::spawn(client.request(get()));
        assert_pending!(call.poll());
        tasks.0.lock().unwrap().clear();
        call.await.unwrap_err()
    }

    async fn unsupported_version() -> ClientError {
        let dial = tower::service_fn(|_: Uri| ready(Ok::<_, io::Error>(Idle)));
        let client = Client::builder(Tasks::default()).build(dial);
        let mut request = get();
        *request.version_mut() = Version::HTTP_09;
        client.request(request).await.unwrap_err()
    }

    async fn canceled() -> hyper::Error {
        let (mut sender, connection) = http1::handshake(Idle).await.unwrap();
        drop(connection);
        sender.send_request(get()).await.unwrap_err()
    }

    async fn closed() -> hyper::Error {
        let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(Idle).await.unwrap();
        drop(connection);
        sender.ready().await.unwrap_err()
    }

    #[track_caller]
    fn check<E: 'static>(error: &E, is_proof: bool) {
        assert_eq!(!was_sent(error), is_proof);
    }

    fn boxed(error: impl Error + Send + Sync + 'static) -> BoxError {
        Box::new(error)
    }

    fn rejected<E>() -> PaceError<E> {
        PaceError::rejected(Rejected::too_heavy(LimitKind::Rate))
    }

    #[tokio::test]
    async fn a_request_that_was_not_written_is_recognized_by_its_error_typed_or_boxed() {
        let error = returned_unwritten().await;
        assert!(!error.is_connect(), "{error:?}");
        check(&error, true);
        check(&boxed(returned_unwritten().await), true);
        check(&unconnected().await, true);
        check(&boxed(unconnected().await), true);
        check(&canceled().await, true);
        check(&boxed(canceled().await), true);
    }

    #[tokio::test]
    async fn a_failure_to_connect_of_a_pool_proves_it_typed_or_boxed() {
        let refuse = || async {
            let mut connector = HttpConnector::new();
            connector.call(Uri::from_static("ftp://server")).await
        };
        let by_connector = refuse().await.unwrap_err();
        check(&by_connector, true);
        check(&PaceError::inner(by_connector), true);
        check(&boxed(refuse().await.unwrap_err()), true);

        let make = || {
            let broken = || ready(Err::<u8, _>(io::Error::other("unreachable")));
            Singleton::new(tower::service_fn(move |()| broken()))
        };
        let by_singleton = make().oneshot(()).await.map(drop).unwrap_err();
        check(&by_singleton, true);
        let by_singleton = make().oneshot(()).await.map(drop).unwrap_err();
        check(&behind_limits(boxed(by_singleton)), true);
        // The same error outside of the singleton may be any other one.
        check(&io::Error::other("unreachable"), false);
    }

    #[tokio::test]
    async fn no_other_error_proves_anything() {
        // It was made on this side.
        check(&h2::Error::from(Reason::REFUSED_STREAM), false);
        check(&unsupported_version().await, false);
        check(&boxed(unsupported_version().await), false);
        check(&closed().await, false);
        check(&boxed(closed().await), false);
        check(&io::Error::other("reset"), false);
        check(&boxed(io::Error::other("reset")), false);
        check(&io::Error::other(canceled().await), false);
    }

    #[tokio::test]
    async fn our_error_is_looked_through_and_an_elapsed_deadline_proves_nothing() {
        check(&PaceError::inner(unconnected().await), true);
        check(&boxed(PaceError::inner(unconnected().await)), true);
        check(&PaceError::inner(canceled().await), true);
        check(&boxed(PaceError::inner(canceled().await)), true);
        check(&PaceError::inner(boxed(canceled().await)), true);
        check(&PaceError::inner(unsupported_version().await), false);
        check(&PaceError::inner(closed().await), false);
        check(&PaceError::inner(boxed(closed().await)), false);
        check(&PaceError::<ClientError>::elapsed(), false);
        check(&PaceError::<hyper::Error>::elapsed(), false);
        check(&PaceError::<BoxError>::elapsed(), false);
    }

    #[tokio::test]
    async fn a_rejection_around_an_error_of_hyper_proves_it() {
        check(&rejected::<ClientError>(), true);
        check(&rejected::<hyper::Error>(), true);
        check(&rejected::<BoxError>(), true);
        check(&boxed(rejected::<ClientError>()), true);
        check(&boxed(rejected::<hyper::Error>()), true);
    }

    fn behind_limits<E>(error: E) -> PaceError<PaceError<PaceError<E>>> {
        PaceError::inner(PaceError::inner(PaceError::inner(error)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_post_that_was_not_sent_is_retried_behind_every_limit() {
        let calls = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn(move |_: Request<String>| {
            let attempt = calls.fetch_add(1, Ordering::Relaxed);
            async move {
                match attempt {
                    0 => Err(behind_limits(canceled().await)),
                    _ => Ok(Response::new(String::new())),
                }
            }
        });
        let layer = RetryLayer::new(RetryPolicy::default());
        let post = Request::post("/").body(String::new()).unwrap();
        let answer = layer.layer(service).oneshot(post).await.unwrap();
        assert_eq!(answer.extensions().get().map(Retried::attempts), Some(2));
    }

    #[tokio::test]
    async fn three_nested_errors_hide_no_proof() {
        check(&behind_limits(unconnected().await), true);
        check(&behind_limits(boxed(returned_unwritten().await)), true);
        check(&boxed(behind_limits(canceled().await)), true);
        check(&behind_limits(closed().await), false);
        check(&boxed(behind_limits(unsupported_version().await)), false);
    }
}
