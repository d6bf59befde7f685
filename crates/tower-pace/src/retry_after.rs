use std::time::Duration;

use http::{HeaderMap, header};
use pacing::retry::parse_retry_after;

/// What a response asked for with `Retry-After`: of several fields the longest, since none is to be undercut.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::RETRY_AFTER).iter();
    values
        .filter_map(|value| parse_retry_after(value.as_bytes()))
        .max()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_longest_of_several_fields_counts_and_garbage_hides_none() {
        fn check(values: &[&'static [u8]], seconds: Option<u64>) {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value).unwrap();
                headers.append(header::RETRY_AFTER, value);
            }
            assert_eq!(
                retry_after(&headers),
                seconds.map(Duration::from_secs),
                "{values:?}"
            );
        }
        check(&[], None);
        check(&[b"1", b"60"], Some(60));
        check(&[b"soon", b"7"], Some(7));
        check(&[b"\xff\xfe"], None);
    }
}
