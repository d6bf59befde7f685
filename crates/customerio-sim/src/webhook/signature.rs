use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Returns the signature of a request: the lower-case hex form of HMAC-SHA256 over version,
/// timestamp and the bytes of the body.
pub(super) fn signature(key: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC accepts a key of any length");
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_known_vector() {
        assert_eq!(
            signature("secret", "1700000000", br#"{"a":1}"#),
            "7d06e4dcbb54167f0033658ac8c45abe35b1fa257ff38a448e290762b595f902",
        );
    }
}
