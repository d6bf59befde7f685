//! The layer: which requests reach the inner service, and how much of the others is read.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, Pending, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body as AxumBody;
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use customerio::webhooks::{
    Rejection, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, Verified, Verifier, VerifyLayer,
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{NOW, full, key, request};

const BODY: &str = r#"{"event_id":"1"}"#;

fn layer() -> VerifyLayer {
    VerifyLayer::new(Verifier::new(key()))
}

/// A body of given frames. It counts the bytes that were read, and is pending after the last frame
/// if it does not end.
#[derive(Default)]
struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, &'static str>>,
    announced: u64,
    is_endless: bool,
    read: Arc<AtomicUsize>,
    /// Shows by its count whether the body was dropped.
    alive: Arc<()>,
}

impl Frames {
    fn of(frames: impl IntoIterator<Item = &'static str>) -> Self {
        let data = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
        Self {
            frames: frames.into_iter().map(data).collect(),
            ..Self::default()
        }
    }

    fn then(mut self, frame: Result<Frame<Bytes>, &'static str>) -> Self {
        self.frames.push_back(frame);
        self
    }

    fn endless(mut self) -> Self {
        self.is_endless = true;
        self
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let Some(frame) = self.frames.pop_front() else {
            return match self.is_endless {
                true => Poll::Pending,
                false => Poll::Ready(None),
            };
        };
        if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
            self.read.fetch_add(data.len(), SeqCst);
        }
        Poll::Ready(Some(frame))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.announced);
        hint
    }
}

/// Returns the request as the inner service received it.
async fn passed<B>(layer: VerifyLayer, request: Request<B>) -> Result<Request<Bytes>, Rejection>
where
    B: Body,
{
    let (sender, receiver) = std::sync::mpsc::channel();
    let inner = service_fn(move |request: Request<Full<Bytes>>| {
        sender.send(request).unwrap();
        async { Ok::<_, Infallible>(Response::new(String::from("done"))) }
    });
    // Each body here is ready or never will be, so one poll is enough, and no test hangs.
    let Poll::Ready(response) = poll(pin!(layer.layer(inner).oneshot(request))) else {
        panic!("the call waits for more of the body")
    };
    let response = response.unwrap();
    match receiver.try_recv() {
        Ok(request) => {
            assert_eq!(
                (response.status().as_u16(), response.body().as_str()),
                (200, "done")
            );
            let (parts, body) = request.into_parts();
            Ok(Request::from_parts(
                parts,
                body.collect().await.unwrap().to_bytes(),
            ))
        }
        Err(_) => {
            let rejection = response.extensions().get::<Rejection>().unwrap().clone();
            assert_eq!(response.status(), rejection.status());
            assert!(response.body().is_empty());
            Err(rejection)
        }
    }
}

#[tokio::test]
async fn a_valid_request_arrives_with_its_head_its_bytes_and_the_proof() {
    let mut request = request(BODY, Frames::of([&BODY[..3], "", &BODY[3..]]));
    request.extensions_mut().insert("kept");
    let passed = passed(layer(), request).await.unwrap();
    assert_eq!(passed.body(), BODY);
    assert_eq!(
        (passed.method().as_str(), passed.uri().path()),
        ("POST", "/webhooks")
    );
    assert!(passed.headers().contains_key(SIGNATURE_HEADER));
    assert_eq!(passed.extensions().get(), Some(&"kept"));
    let verified = passed.extensions().get::<Verified>().unwrap();
    assert_eq!((verified.timestamp(), verified.key_index()), (NOW, 0));
}

#[tokio::test]
async fn a_body_that_was_not_signed_is_401() {
    let rejection = passed(layer(), request(BODY, full("{}")))
        .await
        .unwrap_err();
    assert_eq!(rejection.status(), StatusCode::UNAUTHORIZED);
    assert!(rejection.signature_error().unwrap().is_mismatch());
}

#[tokio::test]
async fn headers_that_are_absent_are_401_and_malformed_ones_400_and_no_body_is_read() {
    for (header, repeat, status) in [
        (SIGNATURE_HEADER, false, StatusCode::UNAUTHORIZED),
        (TIMESTAMP_HEADER, false, StatusCode::UNAUTHORIZED),
        (SIGNATURE_HEADER, true, StatusCode::BAD_REQUEST),
        (TIMESTAMP_HEADER, true, StatusCode::BAD_REQUEST),
    ] {
        let body = Frames::of([BODY]).endless();
        let read = Arc::clone(&body.read);
        let mut request = request(BODY, body);
        let value = request.headers_mut().remove(&header).unwrap();
        if repeat {
            request.headers_mut().append(&header, value.clone());
            request.headers_mut().append(&header, value);
        }
        let rejection = passed(layer(), request).await.unwrap_err();
        assert_eq!((rejection.status(), read.load(SeqCst)), (status, 0));
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_bound_is_accepted_and_one_byte_more_is_413() {
    for (body, max_body, is_accepted) in [
        (Frames::of(["1234", "5678"]), 8, true),
        (Frames::of(["1234", "5678"]), 7, false),
        (Frames::of(["12345678"]), 7, false),
        (Frames::of([""]), 0, true),
        (Frames::of(["1"]), 0, false),
    ] {
        let signed: String = ["12345678", ""][usize::from(max_body == 0)].into();
        let result = passed(layer().max_body(max_body), request(signed, body)).await;
        assert_eq!(result.is_ok(), is_accepted, "{max_body}");
        if let Err(rejection) = result {
            assert!(rejection.is_too_large());
            assert_eq!(rejection.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
    }
}

#[tokio::test]
async fn the_default_bound_is_two_mebibytes() {
    for (bytes, is_accepted) in [(2 << 20, true), ((2 << 20) + 1, false)] {
        let body = "x".repeat(bytes);
        let result = passed(layer(), request(&body, full(body.clone()))).await;
        assert_eq!(result.is_ok(), is_accepted, "{bytes}");
    }
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_not_read() {
    let mut body = Frames::of([BODY]).endless();
    body.announced = 101;
    let read = Arc::clone(&body.read);
    let rejection = passed(layer().max_body(100), request(BODY, body))
        .await
        .unwrap_err();
    assert!(rejection.is_too_large());
    assert_eq!(read.load(SeqCst), 0);
}

#[tokio::test]
async fn a_body_without_a_length_is_read_to_the_bound_at_most() {
    let body = Frames::of(["0123456789"; 1_000]).endless();
    let read = Arc::clone(&body.read);
    let rejection = passed(layer().max_body(100), request(BODY, body))
        .await
        .unwrap_err();
    assert!(rejection.is_too_large());
    // The frame that exceeds the bound was read, and none after it.
    assert_eq!(read.load(SeqCst), 110);
}

#[tokio::test]
async fn a_body_of_empty_frames_ends() {
    let rejection = passed(layer(), request("", Frames::of([""; 5_000]).endless())).await;
    assert!(rejection.unwrap_err().is_incomplete());
    assert!(
        passed(layer(), request("", Frames::of([""; 900])))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_body_that_fails_is_400() {
    let body = Frames::of([&BODY[..3]]).then(Err("connection reset"));
    let rejection = passed(layer(), request(BODY, body)).await.unwrap_err();
    assert!(rejection.is_incomplete() && rejection.signature_error().is_none());
    assert_eq!(rejection.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn trailers_are_dropped() {
    let body = Frames::of([BODY]).then(Ok(Frame::trailers(HeaderMap::new())));
    assert_eq!(
        passed(layer(), request(BODY, body)).await.unwrap().body(),
        BODY
    );
}

#[tokio::test]
async fn signatures_have_any_age_unless_it_is_bounded() {
    let at = |seconds: u64| move || UNIX_EPOCH + Duration::from_secs(seconds);
    let minute = Duration::from_secs(60);
    for (now, is_accepted) in [(NOW + 60, true), (NOW + 61, false), (NOW - 61, false)] {
        let layer = layer().max_age(minute, at(now));
        let result = passed(layer, request(BODY, full(BODY))).await;
        assert_eq!(result.is_ok(), is_accepted, "{now}");
        if let Err(rejection) = result {
            assert_eq!(rejection.status(), StatusCode::UNAUTHORIZED);
            assert!(rejection.signature_error().unwrap().is_stale());
        }
    }
    let mut old = request(BODY, full(BODY));
    *old.headers_mut() = super::headers("1", key().sign(1, BODY));
    assert!(passed(layer(), old).await.is_ok());
}

#[tokio::test]
async fn a_setting_of_a_clone_leaves_the_original_as_it_is() {
    let original = layer();
    let _smaller = original.clone().max_body(1);
    assert!(passed(original, request(BODY, full(BODY))).await.is_ok());
}

#[tokio::test]
async fn the_previous_key_is_accepted_during_a_rotation() {
    let verifier = Verifier::new(SigningKey::new("new").unwrap()).also(key());
    let passed = passed(VerifyLayer::new(verifier), request(BODY, full(BODY))).await;
    let verified = *passed.unwrap().extensions().get::<Verified>().unwrap();
    assert_eq!(verified.key_index(), 1);
}

/// An inner service that counts polls of its readiness, and whose response never comes.
#[derive(Clone)]
struct Inner {
    is_ready: Arc<AtomicBool>,
    polled_ready: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    fails: bool,
}

impl Inner {
    fn new(is_ready: bool) -> Self {
        Self {
            is_ready: Arc::new(is_ready.into()),
            polled_ready: Arc::default(),
            calls: Arc::default(),
            fails: false,
        }
    }

    fn counts(&self) -> (usize, usize) {
        (self.polled_ready.load(SeqCst), self.calls.load(SeqCst))
    }
}

impl<B> Service<Request<B>> for Inner {
    type Response = Response<String>;
    type Error = &'static str;
    type Future = Pending<Result<Response<String>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.polled_ready.fetch_add(1, SeqCst);
        match self.is_ready.load(SeqCst) {
            _ if self.fails => Poll::Ready(Err("closed")),
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        self.calls.fetch_add(1, SeqCst);
        pending()
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_request_without_a_verified_signature_does_not_ask_the_inner_service() {
    let inner = Inner::new(true);
    let mut service = layer().layer(inner.clone());
    let ready = Service::<Request<Frames>>::poll_ready(
        &mut service,
        &mut Context::from_waker(Waker::noop()),
    );
    assert!(ready.is_ready());
    let mut slow = pin!(service.call(request(BODY, Frames::of([&BODY[..3]]).endless())));
    assert!(poll(slow.as_mut()).is_pending());
    let mut forged = pin!(service.call(request(BODY, Frames::of(["{}"]))));
    assert!(poll(forged.as_mut()).is_ready());
    assert_eq!(inner.counts(), (0, 0));
}

#[test]
fn a_verified_request_waits_until_the_inner_service_is_ready() {
    let inner = Inner::new(false);
    let mut service = layer().layer(inner.clone());
    let mut call = pin!(service.call(request(BODY, Frames::of([BODY]))));
    assert!(poll(call.as_mut()).is_pending());
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(inner.counts(), (2, 0));
    inner.is_ready.store(true, SeqCst);
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(inner.counts(), (3, 1));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(inner.counts(), (3, 1));
}

#[test]
fn an_error_of_the_inner_service_is_passed_on() {
    let mut inner = Inner::new(true);
    inner.fails = true;
    let mut call = pin!(layer().layer(inner).call(request(BODY, Frames::of([BODY]))));
    assert!(matches!(poll(call.as_mut()), Poll::Ready(Err("closed"))));
}

#[test]
fn a_dropped_call_drops_its_body_and_its_clone_of_the_inner_service() {
    let reading = (true, Frames::of([&BODY[..3]]).endless(), 0);
    let waiting = (false, Frames::of([BODY]), 0);
    let responding = (true, Frames::of([BODY]), 1);
    for (is_ready, body, calls) in [reading, waiting, responding] {
        let inner = Inner::new(is_ready);
        let mut service = layer().layer(inner.clone());
        let alive = Arc::clone(&body.alive);
        let owners = Arc::strong_count(&inner.calls);
        let mut call = Box::pin(service.call(request(BODY, body)));
        assert!(poll(call.as_mut()).is_pending());
        drop(call);
        assert_eq!(Arc::strong_count(&alive), 1);
        assert_eq!(Arc::strong_count(&inner.calls), owners);
        assert_eq!(inner.counts().1, calls);
    }
}

#[test]
fn a_completed_call_holds_nothing() {
    let mut failing = Inner::new(true);
    failing.fails = true;
    for (inner, body) in [(Inner::new(true), "{}"), (failing, BODY)] {
        let mut service = layer().layer(inner.clone());
        let owners = Arc::strong_count(&inner.calls);
        let mut call = pin!(service.call(request(BODY, Frames::of([body]))));
        assert!(poll(call.as_mut()).is_ready());
        assert_eq!(Arc::strong_count(&inner.calls), owners);
    }
}

/// axum's router, with the layer around all routes and the default bound of its extractors.
fn router(layer: VerifyLayer) -> Router {
    let handler = |Extension(verified): Extension<Verified>, body: Bytes| async move {
        format!("{} {}", verified.timestamp(), body.len())
    };
    Router::new().route("/webhooks", post(handler)).layer(layer)
}

async fn axum_response(router: Router, request: Request<AxumBody>) -> (u16, Bytes) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

#[tokio::test]
async fn an_axum_handler_is_called_with_verified_bytes_only() {
    let valid = axum_response(router(layer()), request(BODY, BODY.into())).await;
    assert_eq!(valid, (200, format!("{NOW} {}", BODY.len()).into()));
    let forged = axum_response(router(layer()), request(BODY, "{}".into())).await;
    assert_eq!(forged, (401, Bytes::new()));
    let small = layer().max_body(BODY.len() - 1);
    let large = axum_response(router(small), request(BODY, BODY.into())).await;
    assert_eq!(large, (413, Bytes::new()));
    let mut malformed = request(BODY, BODY.into());
    malformed
        .headers_mut()
        .insert(SIGNATURE_HEADER, "x".parse().unwrap());
    assert_eq!(axum_response(router(layer()), malformed).await.0, 400);
}

#[tokio::test]
async fn a_body_within_the_default_bound_is_within_that_of_axum() {
    let body = "x".repeat(2 << 20);
    let response = axum_response(router(layer()), request(&body, body.clone().into())).await;
    assert_eq!(response.0, 200);
}

#[tokio::test]
async fn a_handler_that_requires_the_proof_fails_without_the_layer() {
    let handler = |_: Extension<Verified>| async { "called" };
    let router = Router::new().route("/webhooks", post(handler));
    assert_eq!(
        axum_response(router, request(BODY, BODY.into())).await.0,
        500
    );
}

#[tokio::test]
async fn a_layer_around_one_route_leaves_others_alone() {
    let open = Router::new().route("/health", axum::routing::get(|| async { "ok" }));
    let router = open.merge(router(layer()));
    let health = Request::get("/health").body(AxumBody::empty()).unwrap();
    assert_eq!(axum_response(router, health).await.0, 200);
}
