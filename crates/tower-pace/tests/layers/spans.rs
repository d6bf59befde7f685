//! The spans of the feature `tracing`: one for each attempt, with the names of the conventions and
//! no data of the request.

use std::convert::Infallible;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_pace::trace::{SpanLayer, UrlTemplate};
use tower_pace::{RetryLayer, RetryPolicy};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::subscribe::subscribe;
use crate::support::{Server, get, millis, status};

/// Records the fields of each span, in the order in which they were set, and its end.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut spans = self.0.lock().unwrap();
        let mut text = format!("{} ", span.metadata().name());
        span.record(&mut Text(&mut text));
        spans.push(text);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.0.lock().unwrap();
        let text = &mut spans[span.into_u64() as usize - 1];
        values.record(&mut Text(text));
    }

    fn try_close(&self, span: Id) -> bool {
        let mut spans = self.0.lock().unwrap();
        spans[span.into_u64() as usize - 1].push_str("closed");
        true
    }

    fn event(&self, _: &Event<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Returns the spans of the calls that `run` makes.
async fn spans_of(run: impl Future<Output = ()>) -> Vec<String> {
    let spans = Spans::default();
    let subscribed = subscribe(spans.clone());
    run.await;
    drop(subscribed);
    let spans = spans.0.lock().unwrap();
    spans.clone()
}

/// Returns the spans of one call.
async fn spans_of_call<S>(service: S, request: Request<String>) -> Vec<String>
where
    S: Service<Request<String>>,
{
    spans_of(async {
        service.oneshot(request).await.ok();
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_span_with_the_names_of_the_conventions() {
    let server = Server::new(millis(1), |n| status([503, 200][n]));
    let retry = RetryLayer::new(RetryPolicy::default()).seed(1);
    let mut request = get();
    *request.uri_mut() = "https://api.example.com:8443/people/anna@example.com?token=secret"
        .parse()
        .unwrap();
    request.extensions_mut().insert(UrlTemplate("/people/{id}"));
    let spans = spans_of_call(retry.layer(SpanLayer::new().layer(server)), request).await;
    let common = "http.client otel.name=\"GET /people/{id}\" otel.kind=\"client\" \
                  http.request.method=\"GET\" server.address=\"api.example.com\" \
                  server.port=8443 url.template=\"/people/{id}\" ";
    assert_eq!(
        spans,
        [
            format!(
                "{common}http.response.status_code=503 error.type=\"503\" \
                 otel.status_code=\"ERROR\" closed"
            ),
            format!("{common}http.request.resend_count=1 http.response.status_code=200 closed"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_and_a_dropped_call_have_a_type_and_no_text() {
    let failing = service_fn(|_: Request<String>| async {
        Err::<Response<String>, _>(std::io::Error::other("anna@example.com"))
    });
    let mut request = get();
    *request.method_mut() = "PURGE".parse().unwrap();
    let spans = spans_of_call(SpanLayer::new().layer(failing), request).await;
    let of_other = "http.client otel.name=\"_OTHER\" otel.kind=\"client\" \
                    http.request.method=\"_OTHER\" ";
    let failed = "error.type=\"std::io::error::Error\" otel.status_code=\"ERROR\" closed";
    assert_eq!(spans, [format!("{of_other}{failed}")]);

    let never = service_fn(|_: Request<String>| {
        std::future::pending::<Result<Response<String>, Infallible>>()
    });
    let spans = spans_of(async {
        let call = SpanLayer::new().layer(never).oneshot(get());
        tokio::time::timeout(millis(5), call).await.unwrap_err();
    })
    .await;
    let cancelled = "error.type=\"cancelled\" otel.status_code=\"ERROR\" closed";
    assert!(
        spans.len() == 1 && spans[0].ends_with(cancelled),
        "{spans:?}"
    );
}

/// A future may live on after it has completed, for instance on a stack.
#[tokio::test(start_paused = true)]
async fn a_span_ends_with_the_response_and_not_with_its_future() {
    let spans = Spans::default();
    let subscribed = subscribe(spans.clone());
    let mut service = SpanLayer::new().layer(Server::ok());
    let mut call = Box::pin(service.call(get()));
    call.as_mut().await.unwrap();
    assert!(spans.0.lock().unwrap()[0].ends_with("http.response.status_code=200 closed"));
    drop(call);
    drop(subscribed);
}
