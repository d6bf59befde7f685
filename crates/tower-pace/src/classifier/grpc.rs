//! The status of gRPC responses without a message, and the delays for which they ask.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use pacing::retry::Verdict;

const RESOURCE_EXHAUSTED: &[u8] = b"8";
const UNAVAILABLE: &[u8] = b"14";

/// The most bytes of `grpc-status-details-bin` that are read. Details of a common kind take a few
/// hundred bytes; a response must not cost more memory than this.
const LONGEST_DETAILS: usize = 16 * 1024;

/// Returns the verdict for a response that has its gRPC status in the header fields.
///
/// A server whose `grpc-retry-pushback-ms` is no number from zero asks for no retry (gRFC A6). The
/// rule for `RESOURCE_EXHAUSTED` is that of OTLP: it may pass only if the server says when.
pub(super) fn verdict(_: StatusCode, headers: &HeaderMap) -> Option<Verdict> {
    let status = headers.get("grpc-status")?.as_bytes().trim_ascii();
    let pushback = headers.get("grpc-retry-pushback-ms");
    let is_asked_not_to = pushback.is_some() && self::pushback(headers).is_none();
    Some(match status {
        _ if is_asked_not_to => Verdict::Final,
        UNAVAILABLE => Verdict::Transient,
        RESOURCE_EXHAUSTED if retry_after(headers).is_some() => Verdict::Throttled,
        _ => Verdict::Final,
    })
}

/// Returns the delay for which a gRPC server asks: in `grpc-retry-pushback-ms`, or else in the
/// `google.rpc.RetryInfo` of its status.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    pushback(headers).or_else(|| {
        let details = headers.get("grpc-status-details-bin")?;
        retry_info(&from_base64(details.as_bytes())?)
    })
}

fn pushback(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-retry-pushback-ms")?.to_str().ok()?;
    let millis: u32 = value.trim().parse().ok()?;
    Some(Duration::from_millis(millis.into()))
}

/// Reads `retry_delay` of the first `google.rpc.RetryInfo` in a `google.rpc.Status`.
fn retry_info(status: &[u8]) -> Option<Duration> {
    /// The field `details` of `google.rpc.Status`.
    const DETAILS: u64 = 3;
    /// The fields of `google.protobuf.Any`.
    const TYPE_URL: u64 = 1;
    const VALUE: u64 = 2;
    /// The field of `google.rpc.RetryInfo`.
    const RETRY_DELAY: u64 = 1;
    /// The fields of `google.protobuf.Duration`.
    const SECONDS: u64 = 1;
    const NANOS: u64 = 2;

    let mut details = Fields(status).filter(|&(number, _)| number == DETAILS);
    let info = details.find_map(|(_, detail)| {
        let detail = detail.bytes();
        let is_info = last(detail, TYPE_URL)?
            .bytes()
            .ends_with(b"/google.rpc.RetryInfo");
        is_info.then(|| last(detail, VALUE).map_or(&[][..], Value::bytes))
    })?;
    let delay = last(info, RETRY_DELAY)?.bytes();
    let number = |field| last(delay, field).map_or(0, Value::number);
    // Negative numbers are above these bounds: they are written as 64 bits of two's complement.
    let seconds = u32::try_from(number(SECONDS)).ok()?;
    let nanos = u32::try_from(number(NANOS)).ok();
    let nanos = nanos.filter(|&nanos| nanos < 1_000_000_000)?;
    Some(Duration::new(seconds.into(), nanos))
}

/// Returns the last field of this number: of a field that comes more than once, it counts.
fn last(message: &[u8], number: u64) -> Option<Value<'_>> {
    let fields = Fields(message).filter(|&(found, _)| found == number);
    fields.last().map(|(_, value)| value)
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }

    fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(_) => 0,
        }
    }
}

/// The fields of a protobuf message, up to its end or to the first malformed one.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        // Ten bytes have 70 bits: those beyond 64 are dropped, as protobuf does.
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        // The wire types: varint, 64 bits, bytes with their length, 32 bits. Groups are obsolete.
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

/// Decodes base64, with or without padding, as gRPC demands of its receivers. Of several values,
/// which a proxy joins by commas, it decodes the first.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.split(|&byte| byte == b',').next()?.trim_ascii();
    if text.len() > LONGEST_DETAILS {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut known) = (0_u32, 0);
    for &byte in text {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        known += 6;
        if known >= 8 {
            known -= 8;
            bytes.push((bits >> known) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// A `google.rpc.Status`: the code 8, the message "slow down", and a `RetryInfo` of 2.5 s.
    const IN_2_5_SECONDS: &str = concat!(
        "CAgSCXNsb3cgZG93bho2Cih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMuUmV0cnlJbmZv",
        "EgoKCAgCEIDKte4B"
    );

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter();
        let fields = fields.map(|&(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        fields.collect()
    }

    #[test]
    fn the_status_decides_and_an_exhausted_resource_must_say_when() {
        fn check(fields: &[(&'static str, &'static str)], expected: Option<Verdict>) {
            assert_eq!(
                verdict(StatusCode::OK, &headers(fields)),
                expected,
                "{fields:?}"
            );
        }
        check(&[], None);
        for code in ["0", "1", "4", "10", "12", "13", "15", "16", "x", ""] {
            check(&[("grpc-status", code)], Some(Verdict::Final));
        }
        let (exhausted, unavailable) = (("grpc-status", "8"), ("grpc-status", "14"));
        check(&[unavailable], Some(Verdict::Transient));
        check(&[exhausted], Some(Verdict::Final));
        let info = ("grpc-status-details-bin", IN_2_5_SECONDS);
        check(&[exhausted, info], Some(Verdict::Throttled));
        let (soon, never) = (
            ("grpc-retry-pushback-ms", "20"),
            ("grpc-retry-pushback-ms", "-1"),
        );
        check(&[exhausted, soon], Some(Verdict::Throttled));
        check(&[unavailable, soon], Some(Verdict::Transient));
        check(&[unavailable, never], Some(Verdict::Final));
        check(&[exhausted, never, info], Some(Verdict::Final));
    }

    #[test]
    fn the_delay_is_that_of_the_pushback_or_of_the_retry_info() {
        fn check(fields: &[(&'static str, &'static str)], millis: Option<u64>) {
            let expected = millis.map(Duration::from_millis);
            assert_eq!(retry_after(&headers(fields)), expected, "{fields:?}");
        }
        let info = ("grpc-status-details-bin", IN_2_5_SECONDS);
        check(&[], None);
        check(&[info], Some(2_500));
        check(&[("grpc-retry-pushback-ms", "20"), info], Some(20));
        check(&[("grpc-retry-pushback-ms", "x")], None);
        check(&[("grpc-status-details-bin", "CAg=")], None);
        check(&[("grpc-status-details-bin", "CAg!")], None);
    }

    proptest! {
        /// Whatever a server sends, reading it ends without a panic.
        #[test]
        fn no_details_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = retry_info(&bytes);
            let _ = from_base64(&bytes);
        }
    }
}
