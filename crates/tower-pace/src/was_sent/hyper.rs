use std::error::Error;

use h2::Reason;
use hyper_util::client::legacy::Error as ClientError;

use crate::proof::{Known, Proof};

/// hyper-util's client could not connect, or got the request back from hyper unwritten: exactly
/// then hyper's error is a cancellation, and hyper-util has no predicate of its own for that. Else
/// it is as with hyper's error.
impl Known for ClientError {
    fn proof(&self) -> Proof {
        let source = self.source().and_then(<dyn Error>::downcast_ref);
        match self.is_connect() {
            true => Proof::NeverLeft,
            false => source.map_or(Proof::None, hyper::Error::proof),
        }
    }
}

/// hyper has no predicate for what h2 says, but keeps h2's error as the source. Should that change,
/// nothing is proven.
impl Known for hyper::Error {
    fn proof(&self) -> Proof {
        let source = self.source().and_then(<dyn Error>::downcast_ref);
        match self.is_canceled() {
            true => Proof::NeverLeft,
            false => source.map_or(Proof::None, h2::Error::proof),
        }
    }
}

/// The server closed the stream before any processing (RFC 9113, section 8.7): by a reset with
/// `REFUSED_STREAM`, or by a GOAWAY whose last stream came before this one, whatever its reason
/// (section 6.8).
///
/// h2 ends a stream with a received GOAWAY only if it is above the last one. Streams up to that one
/// live on, and end with an answer, a reset or an error of the connection, which prove nothing; and
/// so does what h2 itself finds wrong. A new request on a connection that got a GOAWAY fails with
/// it, too, and was not written.
///
/// One gap is left, in hyper's client on several threads: a request without a body that it hands to
/// h2 in the very moment, between two calls, in which the first GOAWAY of a graceful shutdown
/// arrives fails with it, and its head and a reset are written all the same. h2's error does not
/// say which stream was the last, so that nothing here can tell it apart.
impl Known for h2::Error {
    fn proof(&self) -> Proof {
        let is_refused = self.is_reset() && self.reason() == Some(Reason::REFUSED_STREAM);
        match self.is_remote() && (is_refused || self.is_go_away()) {
            true => Proof::NeverLeft,
            false => Proof::None,
        }
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
    use http::{Request, Response, Uri, Version};
    use http_body_util::Empty;
    use hyper::client::conn::http1;
    use hyper::rt::{Executor, Read, ReadBufCursor, Write};
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::{Connected, Connection};
    use tokio_test::{assert_pending, task};
    use tower::{Layer, ServiceExt};

    use super::*;
    use crate::line::Refused;
    use crate::proof::BoxError;
    use crate::{Bounded, Retried, RetryLayer, RetryPolicy, TimedOut, was_sent};

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
    async fn given_back() -> ClientError {
        let tasks = Tasks::default();
        let dial = tower::service_fn(|_: Uri| ready(Ok::<_, io::Error>(Idle)));
        let client = Client::builder(tasks.clone()).build(dial);
        let mut call = task::spawn(client.request(get()));
        assert_pending!(call.poll());
        tasks.0.lock().unwrap().clear();
        call.await.unwrap_err()
    }

    async fn of_no_known_version() -> ClientError {
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
    fn check<E: 'static>(error: &E, expected: bool) {
        assert_eq!(!was_sent(error), expected);
    }

    fn boxed(error: impl Error + Send + Sync + 'static) -> BoxError {
        Box::new(error)
    }

    fn refused<E>() -> Bounded<E> {
        Bounded::refused(Refused::too_heavy())
    }

    #[tokio::test]
    async fn what_was_not_written_is_known_by_its_error_typed_or_boxed() {
        let error = given_back().await;
        assert!(!error.is_connect(), "{error:?}");
        check(&error, true);
        check(&boxed(given_back().await), true);
        check(&unconnected().await, true);
        check(&boxed(unconnected().await), true);
        check(&canceled().await, true);
        check(&boxed(canceled().await), true);
    }

    #[tokio::test]
    async fn no_other_error_proves_anything() {
        // It was made on this side.
        check(&h2::Error::from(Reason::REFUSED_STREAM), false);
        check(&of_no_known_version().await, false);
        check(&boxed(of_no_known_version().await), false);
        check(&closed().await, false);
        check(&boxed(closed().await), false);
        check(&io::Error::other("reset"), false);
        check(&boxed(io::Error::other("reset")), false);
        check(&io::Error::other(canceled().await), false);
    }

    #[tokio::test]
    async fn a_deadline_is_looked_through_and_proves_nothing_itself() {
        check(&TimedOut::inner(unconnected().await), true);
        check(&boxed(TimedOut::inner(unconnected().await)), true);
        check(&TimedOut::inner(canceled().await), true);
        check(&boxed(TimedOut::inner(canceled().await)), true);
        check(&TimedOut::inner(boxed(canceled().await)), true);
        check(&TimedOut::inner(of_no_known_version().await), false);
        check(&TimedOut::inner(closed().await), false);
        check(&TimedOut::inner(boxed(closed().await)), false);
        check(&TimedOut::<ClientError>::elapsed(), false);
        check(&TimedOut::<hyper::Error>::elapsed(), false);
        check(&TimedOut::<BoxError>::elapsed(), false);
    }

    #[tokio::test]
    async fn a_refusal_proves_it_and_a_limits_error_is_looked_through() {
        check(&refused::<ClientError>(), true);
        check(&refused::<hyper::Error>(), true);
        check(&refused::<BoxError>(), true);
        check(&boxed(refused::<ClientError>()), true);
        check(&boxed(refused::<hyper::Error>()), true);
        check(&Bounded::failed(unconnected().await), true);
        check(&Bounded::failed(canceled().await), true);
        check(&Bounded::failed(boxed(canceled().await)), true);
        check(&Bounded::failed(of_no_known_version().await), false);
        check(&Bounded::failed(closed().await), false);
        check(&Bounded::failed(boxed(closed().await)), false);
    }

    fn behind_limits<E>(error: E) -> Bounded<Bounded<TimedOut<E>>> {
        Bounded::failed(Bounded::failed(TimedOut::inner(error)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_post_that_never_left_is_sent_again_behind_every_limit() {
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
    async fn a_stack_that_is_bounded_everywhere_hides_no_proof() {
        check(&behind_limits(unconnected().await), true);
        check(&behind_limits(boxed(given_back().await)), true);
        check(&boxed(behind_limits(canceled().await)), true);
        check(&behind_limits(closed().await), false);
        check(&boxed(behind_limits(of_no_known_version().await)), false);
    }
}
