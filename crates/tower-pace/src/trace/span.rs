use std::any::type_name;

use http::{Method, Request, Response, StatusCode};
use tracing::field::Empty;
use tracing::{Span, info_span};

use crate::Attempt;

/// The template of a request's path, in the extensions of the request, such as `/people/{id}`. It
/// names the operation in the request's span, where the path itself would show an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UrlTemplate(
    /// The template.
    pub &'static str,
);

/// The names that are recorded after the span was made.
const STATUS: &str = "http.response.status_code";
const ERROR_TYPE: &str = "error.type";
const RESULT: &str = "otel.status_code";

/// The value of the conventions for a method that is none of the standard's. A server or a caller
/// could otherwise make any number of names.
const OTHER: &str = "_OTHER";

/// The span of one attempt. Its drop ends the span.
#[derive(Debug)]
pub(super) struct AttemptSpan {
    /// None once its end was recorded. A future that lives on keeps no span open.
    span: Option<Span>,
}

impl AttemptSpan {
    /// Returns the span of an attempt that departs now.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let (uri, extensions) = (request.uri(), request.extensions());
        let method = method(request.method());
        let template: Option<&UrlTemplate> = extensions.get();
        let template = template.map(|template| template.0);
        let resent = extensions
            .get()
            .map(|Attempt(number)| number.saturating_sub(1));
        let name = template.map(|template| format!("{method} {template}"));
        let span = info_span!(
            "http.client",
            "otel.name" = name.as_deref().unwrap_or(method),
            "otel.kind" = "client",
            "http.request.method" = method,
            "server.address" = uri.host(),
            "server.port" = uri.port_u16(),
            "url.template" = template,
            "http.request.resend_count" = resent,
            "http.response.status_code" = Empty,
            "error.type" = Empty,
            "otel.status_code" = Empty,
        );
        Self { span: Some(span) }
    }

    /// Runs `work` within the span.
    pub(super) fn in_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.span {
            Some(span) => span.in_scope(work),
            None => work(),
        }
    }

    /// Records the result of the attempt, and ends the span.
    pub(super) fn end<C, E>(&mut self, result: &Result<Response<C>, E>) {
        let Some(span) = self.span.take() else {
            return;
        };
        match result {
            Ok(response) => record_status(&span, response.status()),
            // The type and not the text, which may hold an address or data.
            Err(_) => record_error(&span, type_name::<E>()),
        }
    }
}

impl Drop for AttemptSpan {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            record_error(&span, "cancelled");
        }
    }
}

fn record_status(span: &Span, status: StatusCode) {
    span.record(STATUS, status.as_u16());
    if status.is_client_error() || status.is_server_error() {
        record_error(span, status.as_str());
    }
}

fn record_error(span: &Span, error_type: &str) {
    span.record(ERROR_TYPE, error_type);
    span.record(RESULT, "ERROR");
}

/// Returns the method, if it is one of the standard's.
fn method(method: &Method) -> &str {
    match method.as_str() {
        known @ ("CONNECT" | "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT"
        | "QUERY" | "TRACE") => known,
        _ => OTHER,
    }
}
