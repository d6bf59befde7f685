use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::request::Parts;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::headers::SignatureHeaders;
use super::layer::Settings;
use super::{Rejection, Verified};

/// Frames without data that a body may have. A server passes on at most one, the trailers, and
/// some empty ones. Without the bound, a body of empty frames would be read forever.
const MAX_EMPTY_FRAMES: usize = 1_000;

pin_project! {
    /// The response of [`Verify`](super::Verify).
    ///
    /// If it is dropped, the rest of the body is not read. The inner service is not called unless
    /// the signature was verified.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<Full<Bytes>>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<Request<Full<Bytes>>>,
    {
        // Rejected without its body => Ended
        Rejected { rejection: Option<Rejection> },
        // The body arrives => Verified | Ended
        Reading { #[pin] body: B, call: Option<Call<S>> },
        // The inner service gets ready => Responding | Ended
        Verified { request: Option<Request<Full<Bytes>>>, inner: S },
        // The inner service works => Ended
        Responding { #[pin] response: S::Future },
        // Holds nothing, since a future may be kept after its end
        Ended,
    }
}

/// The parts of a call whose body is still arriving.
struct Call<S> {
    parts: Parts,
    headers: SignatureHeaders,
    received: Received,
    inner: S,
    settings: Arc<Settings>,
}

/// The part of the body that has arrived.
#[derive(Default)]
struct Received {
    bytes: BytesMut,
    empty_frames: usize,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
    B: Body,
{
    pub(super) fn new(request: Request<B>, inner: S, settings: Arc<Settings>) -> Self {
        let (parts, body) = request.into_parts();
        let state = match check_head(&parts, &body, settings.max_body) {
            Ok(headers) => {
                let call = Some(Call {
                    parts,
                    headers,
                    received: Received::default(),
                    inner,
                    settings,
                });
                State::Reading { body, call }
            }
            Err(rejection) => {
                let rejection = Some(rejection);
                State::Rejected { rejection }
            }
        };
        Self { state }
    }
}

/// Rejects a request that no body makes valid, before the body takes memory.
fn check_head(
    parts: &Parts,
    body: &impl Body,
    max_body: usize,
) -> Result<SignatureHeaders, Rejection> {
    let headers = SignatureHeaders::from_map(&parts.headers)?;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    match announced <= max_body {
        true => Ok(headers),
        false => Err(Rejection::too_large(max_body)),
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    B: Body,
    R: Default,
{
    type Output = Result<Response<R>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Rejected { rejection } => {
                    let rejection = rejection.take().expect("the state ends with the response");
                    this.state.set(State::Ended);
                    return Poll::Ready(Ok(respond(rejection)));
                }
                StateProj::Reading { body, call } => {
                    let reading = call.as_mut().expect("the state ends with the body");
                    let read = ready!(reading.poll_body(body, cx));
                    let call = call.take().expect("the state ends with the body");
                    match read.and_then(|()| call.verify()) {
                        Ok((request, inner)) => State::Verified {
                            request: Some(request),
                            inner,
                        },
                        Err(rejection) => State::Rejected {
                            rejection: Some(rejection),
                        },
                    }
                }
                StateProj::Verified { request, inner } => match ready!(inner.poll_ready(cx)) {
                    Ok(()) => {
                        let request = request.take().expect("the state ends with the call");
                        let response = inner.call(request);
                        State::Responding { response }
                    }
                    Err(error) => {
                        this.state.set(State::Ended);
                        return Poll::Ready(Err(error));
                    }
                },
                StateProj::Responding { response } => {
                    let response = ready!(response.poll(cx));
                    this.state.set(State::Ended);
                    return Poll::Ready(response);
                }
                StateProj::Ended => panic!("polled after its end"),
            };
            this.state.set(next);
        }
    }
}

impl<S> Call<S> {
    /// Reads the body to its end, within the bound.
    fn poll_body<B: Body>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        while let Some(frame) = ready!(body.as_mut().poll_frame(cx)) {
            let frame = frame.map_err(|_| Rejection::incomplete())?;
            self.received.push(frame, self.settings.max_body)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Verifies the whole body. Returns the request for the inner service.
    fn verify(mut self) -> Result<(Request<Full<Bytes>>, S), Rejection> {
        let body = self.received.bytes.freeze();
        let verified = self.settings.verifier.verify_body(&self.headers, &body)?;
        self.settings.check_age(verified)?;
        self.parts.extensions.insert::<Verified>(verified);
        let request = Request::from_parts(self.parts, Full::new(body));
        Ok((request, self.inner))
    }
}

impl Received {
    /// Appends the data of a frame. Trailers are dropped: the signature does not cover them.
    fn push<D: Buf>(&mut self, frame: Frame<D>, max_body: usize) -> Result<(), Rejection> {
        let data = frame.into_data().ok().filter(D::has_remaining);
        let Some(mut data) = data else {
            self.empty_frames += 1;
            return match self.empty_frames <= MAX_EMPTY_FRAMES {
                true => Ok(()),
                false => Err(Rejection::incomplete()),
            };
        };
        // The memory grows with the bytes that arrive. An announced length allocates nothing, since
        // announcing it costs the client nothing.
        if data.remaining() > max_body - self.bytes.len() {
            return Err(Rejection::too_large(max_body));
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            self.bytes.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
        Ok(())
    }
}

fn respond<R: Default>(rejection: Rejection) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = rejection.status();
    response.extensions_mut().insert(rejection);
    response
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<Full<Bytes>>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Rejected { .. } => "rejected",
            State::Reading { .. } => "reading",
            State::Verified { .. } => "verified",
            State::Responding { .. } => "responding",
            State::Ended => "ended",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
