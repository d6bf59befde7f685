use std::time::Duration;

use http::{HeaderMap, header};
use httpdate::parse_http_date;

/// The field in which a response names its request.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The longest wait that is returned. It is longer than any caller waits, and short enough that
/// `Instant + LONGEST` does not overflow.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// How many bytes of a request id are kept. The ids of common gateways are shorter.
const MAX_ID: usize = 100;

/// Returns the id by which Customer.io's support finds a request, if the response has one.
///
/// An id with a character that gateways do not use is dropped: it may repeat a path, an email
/// address or a header of the request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_id = !id.is_empty() && id.bytes().all(is_id_byte);
    is_id.then(|| id[..id.len().min(MAX_ID)].into())
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:+=".contains(&byte)
}

/// Returns the time for which the response asks to wait, at most [`LONGEST`].
///
/// A date counts from the response's own `Date`, so the clocks of client and server may differ. It
/// is ignored without a `Date`.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(header::RETRY_AFTER)?;
    if !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number that is too large fails to parse.
        let seconds = asked.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let until = parse_http_date(asked).ok()?;
    let responded = parse_http_date(text(header::DATE)?).ok()?;
    Some(
        until
            .duration_since(responded)
            .unwrap_or_default()
            .min(LONGEST),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "Wed, 25 Nov 2026 00:00:30 GMT";

    fn headers(name: &'static str, value: &str, date: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(header::DATE, date.parse().unwrap());
        }
        headers
    }

    fn check_id(value: &str, expected: Option<&str>) {
        let headers = headers(REQUEST_ID, value, None);
        assert_eq!(request_id(&headers).as_deref(), expected, "{value}");
    }

    #[test]
    fn ids_of_gateways_are_kept() {
        check_id(
            "01HB4HBDKTFWYZCK01DMRSWRFD",
            Some("01HB4HBDKTFWYZCK01DMRSWRFD"),
        );
        check_id("Root=1-67891233-abcdef", Some("Root=1-67891233-abcdef"));
        check_id(&"a".repeat(500), Some(&"a".repeat(100)));
    }

    #[test]
    fn an_id_that_may_repeat_the_request_is_dropped() {
        check_id("jane@example.com", None);
        check_id("/api/v1/customers/jane", None);
        check_id("jane%40example.com", None);
        check_id("Basic c2l0ZTprZXk=", None);
        check_id("", None);
    }

    fn check_wait(value: &str, date: Option<&str>, expected: Option<u64>) {
        let headers = headers("retry-after", value, date);
        let wait = retry_after(&headers).map(|wait| wait.as_secs());
        assert_eq!(wait, expected, "{value} at {date:?}");
    }

    #[test]
    fn retry_after_is_in_seconds_or_a_date_on_the_servers_clock() {
        check_wait("7", None, Some(7));
        check_wait("18446744073709551615", None, Some(LONGEST.as_secs()));
        check_wait("18446744073709551616", None, Some(LONGEST.as_secs()));
        check_wait("+5", None, None);
        check_wait(
            "Fri, 31 Dec 9999 23:59:59 GMT",
            Some(AT),
            Some(LONGEST.as_secs()),
        );
        check_wait("soon", Some(AT), None);
        check_wait("-1", None, None);
        check_wait("Wed, 25 Nov 2026 00:01:00 GMT", Some(AT), Some(30));
        check_wait("Wed, 25 Nov 2026 00:00:00 GMT", Some(AT), Some(0));
        check_wait("Wed, 25 Nov 2026 00:01:00 GMT", None, None);
    }
}
