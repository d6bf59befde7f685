use http::{HeaderMap, HeaderName, HeaderValue};

const RETRY_COUNT: HeaderName = HeaderName::from_static("x-retry-count");

/// Marks a request, in its extensions, as safe to replay: it has the same effect if it arrives more
/// than once.
///
/// An example is a POST whose body has an identifier by which the server removes duplicates.
///
/// ```
/// use tower_pace::Replay;
///
/// let mut request = http::Request::post("/events").body(()).unwrap();
/// request.extensions_mut().insert(Replay);
/// assert!(request.extensions().get::<Replay>().is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay;

/// The number of an attempt, in the extensions of a request that is sent again: `Attempt(2)` for
/// the first retry. The first attempt has only the caller's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(
    /// The number of the attempt, counting from 1.
    pub u32,
);

impl Attempt {
    /// Writes the number of earlier attempts into the header `X-Retry-Count`.
    pub(super) fn write_retry_count(self, headers: &mut HeaderMap) {
        headers.insert(RETRY_COUNT, HeaderValue::from(self.0 - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retry_count_is_the_number_of_earlier_attempts() {
        let mut headers = HeaderMap::new();
        Attempt(3).write_retry_count(&mut headers);
        assert_eq!(headers["x-retry-count"], "2");
    }
}
