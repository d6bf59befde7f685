use std::collections::HashMap;
use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::reply;
use crate::api::{Identifier, Rejection};

/// The parameters of a query of the App API, decoded.
pub(super) struct Query(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parsed(parts.uri.query().unwrap_or_default())))
    }
}

impl Query {
    /// Returns a parameter that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Invalid> {
        let value = self.get(name).map(str::parse);
        value
            .transpose()
            .map_err(|_| Invalid::new(format!("{name} is not valid")))
    }

    /// Returns the number of items in a page.
    pub(super) fn limit(&self, default: usize, most: usize) -> Result<usize, Invalid> {
        let limit = self.parsed("limit")?.unwrap_or(default);
        match (1..=most).contains(&limit) {
            true => Ok(limit),
            false => Err(Invalid::new(format!("limit must be from 1 to {most}"))),
        }
    }

    /// Returns the person that a path or a parameter names, by the kind in `id_type`.
    pub(super) fn person(&self, text: &str) -> Result<Identifier, Invalid> {
        let kind = self.get("id_type").unwrap_or("id");
        Ok(Identifier::in_app(kind, text)?)
    }
}

fn parsed(query: &str) -> HashMap<String, String> {
    // As in a form: an address with a `+` that is not encoded is another address.
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

/// A request that the App API rejects, with a 400 in its envelope.
#[derive(Debug)]
pub(super) struct Invalid(String);

impl Invalid {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self(detail.into())
    }

    /// Responds as the endpoints do whose envelope is that of v1.
    pub(super) fn in_meta(self) -> Response {
        reply::meta_errors(&Rejection::invalid("query", self.0))
    }
}

impl From<Rejection> for Invalid {
    fn from(rejection: Rejection) -> Self {
        Self(rejection.message)
    }
}

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        reply::app_error(StatusCode::BAD_REQUEST, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_that_is_not_encoded_is_a_space() {
        let query = Query(parsed("email=a%2Bb%40c.co&name=a+b&limit=&x"));
        assert_eq!(query.get("email"), Some("a+b@c.co"));
        assert_eq!(query.get("name"), Some("a b"));
        assert_eq!((query.get("limit"), query.get("x")), (None, None));
        assert_eq!(query.limit(10, 100).unwrap(), 10);
        let limit = |limit: &str| Query(parsed(&format!("limit={limit}"))).limit(10, 100).ok();
        assert_eq!(
            (limit("100"), limit("101"), limit("0"), limit("x")),
            (Some(100), None, None, None)
        );
    }
}
