//! The bounds of one attempt: no replay after a reset, one mebibyte of a body, and the timeout.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use customerio::client::Limits;
use customerio::{Channel, Client, Event, Metric, Operation, PushEvent, Request, v1};
use customerio_sim::{FailurePoint, Faults, Script, Simulator, Step};
use http::Response;
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::service_fn;

use crate::scripted_service::builder;
use crate::support::{identify, person};

/// Returns a request that may not be replayed.
fn unreplayable(number: u64) -> Request {
    match number % 5 {
        0 => Operation::merge(&person("1"), &person("2")).unwrap().into(),
        1 => v1::merge(&person("1"), &person("2")).unwrap(),
        2 => Operation::event(&person("1"), &Event::new("e").unwrap())
            .unwrap()
            .into(),
        3 => Operation::delivery_event("d", PushEvent::Opened, "t")
            .unwrap()
            .into(),
        _ => v1::metric(&Metric::new(Channel::Push, "opened", "d").unwrap()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_not_be_replayed_is_sent_once_if_the_connection_resets() {
    let limits = Limits::documented();
    for seed in 0..1_000 {
        let faults = Faults::none()
            .latency(Duration::from_millis(1))
            .jitter(Duration::from_millis(20));
        let when = if seed % 2 == 0 {
            FailurePoint::AfterEffect
        } else {
            FailurePoint::BeforeEffect
        };
        let simulator = Simulator::builder()
            .faults(faults)
            .script(Script::new([Step::reset(when)]))
            .seed(seed)
            .build();
        let client = builder().limits(limits.clone()).jitter_seed(seed);
        let client = client.build_with(simulator.router()).unwrap();
        let error = client.submit(unreplayable(seed)).await.unwrap_err();
        assert!(error.may_have_been_applied(), "seed {seed}: {error:?}");
        let totals = simulator.totals();
        assert_eq!((totals.requests, totals.resets), (1, 1), "seed {seed}");
    }
}

/// A gigabyte in pieces of 64 KiB, counted as they are read.
struct Gigabyte(Arc<AtomicUsize>);

const PIECE: &[u8] = &[b' '; 64 * 1024];

impl Body for Gigabyte {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let read = self.0.fetch_add(PIECE.len(), Relaxed);
        let piece = (read < 1 << 30).then(|| Ok(Frame::data(Bytes::from_static(PIECE))));
        Poll::Ready(piece)
    }
}

async fn read_of_a_gigabyte(status: u16) -> (usize, usize) {
    let read = Arc::new(AtomicUsize::new(0));
    let attempts = Arc::new(AtomicUsize::new(0));
    let (counted, tried) = (Arc::clone(&read), Arc::clone(&attempts));
    let api = service_fn(move |_| {
        tried.fetch_add(1, Relaxed);
        let body = Gigabyte(Arc::clone(&counted));
        let response = Response::builder().status(status).body(body).unwrap();
        async { Ok::<_, Infallible>(response) }
    });
    let client: Client = builder().build_with(api).unwrap();
    assert!(client.submit(identify("1")).await.is_err());
    (read.load(Relaxed), attempts.load(Relaxed))
}

#[tokio::test(start_paused = true)]
async fn only_a_mebibyte_is_read_of_a_response_of_a_gigabyte() {
    for status in [200, 400, 503] {
        let (read, attempts) = read_of_a_gigabyte(status).await;
        let most = attempts * ((1 << 20) + 2 * PIECE.len());
        assert!(
            read <= most,
            "{status}: {read} bytes in {attempts} attempts"
        );
    }
}

/// A transport that uses up the budget of its task at each poll. Each timer of tokio is then
/// pending.
async fn busy(_: http::Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    loop {
        tokio::task::coop::consume_budget().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_times_out_even_if_it_keeps_its_task_busy() {
    let client = builder().timeout(Duration::from_secs(10));
    let client = client.build_with(service_fn(busy)).unwrap();
    let call = tokio::spawn(async move { client.submit(unreplayable(0)).await });
    for second in 0..=11 {
        tokio::task::yield_now().await;
        assert!(second > 9 || !call.is_finished());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(call.is_finished());
    assert!(call.await.unwrap().unwrap_err().may_have_been_applied());
}
