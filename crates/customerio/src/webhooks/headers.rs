use http::{HeaderMap, HeaderName};

use super::SignatureError;

/// The header with the signature: 64 lower-case hexadecimal digits.
pub const SIGNATURE_HEADER: HeaderName = HeaderName::from_static(SIGNATURE);

/// The header with the time of the signature, in unix seconds.
pub const TIMESTAMP_HEADER: HeaderName = HeaderName::from_static(TIMESTAMP);

const SIGNATURE: &str = "x-cio-signature";
const TIMESTAMP: &str = "x-cio-timestamp";

/// The bytes of a SHA-256.
const SIGNATURE_BYTES: usize = 32;

/// The digits of the greatest `u64`. Bounds the text that is kept until the body has arrived.
const MAX_DIGITS: usize = 20;

/// The parsed values of the two headers. Nothing of them is verified.
#[derive(Clone)]
pub(super) struct SignatureHeaders {
    /// The text as received: the signature covers its leading zeros too.
    pub(super) timestamp: String,
    pub(super) seconds: u64,
    pub(super) signature: [u8; SIGNATURE_BYTES],
}

impl SignatureHeaders {
    pub(super) fn from_map(headers: &HeaderMap) -> Result<Self, SignatureError> {
        let timestamp = only(headers, TIMESTAMP)?;
        Self::from_values(timestamp, only(headers, SIGNATURE)?)
    }

    pub(super) fn from_values(timestamp: &[u8], signature: &[u8]) -> Result<Self, SignatureError> {
        let (timestamp, seconds) =
            parse_timestamp(timestamp).ok_or_else(|| SignatureError::malformed(TIMESTAMP))?;
        let signature =
            parse_signature(signature).ok_or_else(|| SignatureError::malformed(SIGNATURE))?;
        Ok(Self {
            timestamp,
            seconds,
            signature,
        })
    }
}

/// Returns the value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a [u8], SignatureError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| SignatureError::missing(name))?;
    match values.next() {
        None => Ok(value.as_bytes()),
        Some(_) => Err(SignatureError::repeated(name)),
    }
}

/// Parses digits and nothing else.
///
/// The signature covers `v0:timestamp:body`. If the timestamp could contain a colon, a part of the
/// body could move into it, and a valid signature would verify a body that was not signed.
fn parse_timestamp(value: &[u8]) -> Option<(String, u64)> {
    if value.len() > MAX_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = String::from_utf8(value.to_vec()).ok()?;
    let seconds = text.parse().ok()?;
    Some((text, seconds))
}

fn parse_signature(value: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
    let mut signature = [0; SIGNATURE_BYTES];
    if value.len() != 2 * SIGNATURE_BYTES {
        return None;
    }
    for (byte, digits) in signature.iter_mut().zip(value.chunks_exact(2)) {
        *byte = parse_digit(digits[0])? << 4 | parse_digit(digits[1])?;
    }
    Some(signature)
}

/// Upper-case digits are an error: the official SDK rejects them too.
const fn parse_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
