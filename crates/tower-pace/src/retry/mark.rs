use http::{HeaderMap, HeaderName, HeaderValue};

const RETRY_COUNT: HeaderName = HeaderName::from_static("x-retry-count");

/// Marks a request, in its extensions, as one that has the same effect however often it arrives.
///
/// An example is a POST whose body carries an identifier that the server deduplicates.
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

/// The number of an attempt, in the extensions of a request that is sent again: `Attempt(2)` and
/// so on. The first attempt carries only the extensions of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(
    /// The number of the attempt, counting from 1.
    pub u32,
);

impl Attempt {
    /// Writes how often the request was sent before.
    pub(super) fn write_retry_count(self, headers: &mut HeaderMap) {
        headers.insert(RETRY_COUNT, HeaderValue::from(self.0 - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retry_count_is_the_number_of_attempts_before() {
        let mut headers = HeaderMap::new();
        Attempt(3).write_retry_count(&mut headers);
        assert_eq!(headers["x-retry-count"], "2");
    }
}
