//! Which signatures are valid, and which part of the others is wrong.

use std::time::{Duration, UNIX_EPOCH};

use customerio::webhooks::{SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, Verifier};
use http::{HeaderName, HeaderValue};

use super::{NOW, headers, key};

const SIGNATURE: &str = "7d06e4dcbb54167f0033658ac8c45abe35b1fa257ff38a448e290762b595f902";
const BODY: &[u8] = br#"{"a":1}"#;

fn verifier(key: &str) -> Verifier {
    Verifier::new(SigningKey::new(key).unwrap())
}

/// The signatures were not computed with this crate. The first is that of the official SDK for
/// Node, the others are those of Python's `hmac` and OpenSSL.
#[test]
fn signatures_are_those_of_other_programs() {
    let bytes: Vec<u8> = (0..=255).collect();
    let long = "k".repeat(65);
    let large = vec![b'x'; 100_000];
    #[rustfmt::skip]
    let vectors: [(&str, u64, &[u8], &str); 6] = [
        ("secret", 1_700_000_000, BODY, SIGNATURE),
        ("secret", 1_700_000_000, b"", "de310687eb633ace5ba2c1f28576085a71c1380f166eecf6b078f7a8a9c43b69"),
        ("schlüssel", 1_700_000_000, "{\"name\":\"Zoë\"}".as_bytes(), "4d7c3bef36e2fb014eff866a53c4b9a5e133d7ae049034821611f01ee38f3d8f"),
        // Longer than a block of SHA-256
        (&long, 0, b"{}", "1186708954afdc8ed1660930fe0fa32bd041812649a3c0788b1987d033339a0f"),
        ("secret", NOW, &bytes, "16c8869fb839dbdbcb98c2b008fb6f1b979faaa5ea86e282545ed98e67f18936"),
        ("secret", NOW, &large, "0485c91b6fa658983f91c8ef4e5a16fda1f2ddc8c9ff7503e9677910c5650dab"),
    ];
    for (key, timestamp, body, signature) in vectors {
        assert_eq!(
            SigningKey::new(key).unwrap().sign(timestamp, body),
            signature
        );
        let headers = headers(timestamp.to_string(), signature);
        let verified = verifier(key).verify(&headers, body).unwrap();
        assert_eq!((verified.timestamp(), verified.key_index()), (timestamp, 0));
    }
}

#[test]
fn the_timestamp_is_verified_as_it_was_received() {
    let signature = "bbf27d0e3d81c9387a9a3f89b1438c7b136249fdc5cfe442e0650547a94446e0";
    let verified = verifier("secret").verify(&headers("0001700000000", signature), b"{}");
    assert_eq!(verified.unwrap().timestamp(), 1_700_000_000);
}

/// The signature covers `v0:timestamp:body`, so both requests have the same signature.
#[test]
fn the_start_of_a_body_cannot_move_into_the_timestamp() {
    let signature = SigningKey::new("secret")
        .unwrap()
        .sign(1_700_000_000, "1:{}");
    let verifier = verifier("secret");
    assert!(
        verifier
            .verify(&headers("1700000000", &signature), b"1:{}")
            .is_ok()
    );
    let shifted = verifier.verify(&headers("1700000000:1", &signature), b"{}");
    assert!(shifted.unwrap_err().is_malformed());
}

#[test]
fn an_absent_header_is_missing() {
    for header in [TIMESTAMP_HEADER, SIGNATURE_HEADER] {
        let mut headers = headers("1700000000", SIGNATURE);
        headers.remove(&header);
        let error = verifier("secret").verify(&headers, BODY).unwrap_err();
        assert!(error.is_missing() && !error.is_malformed(), "{error}");
        assert_eq!(error.header(), Some(header.as_str()));
    }
}

#[test]
fn a_repeated_header_is_malformed_also_if_both_are_valid() {
    for header in [TIMESTAMP_HEADER, SIGNATURE_HEADER] {
        let mut headers = headers("1700000000", SIGNATURE);
        headers.append(&header, headers[&header].clone());
        let error = verifier("secret").verify(&headers, BODY).unwrap_err();
        assert!(error.is_malformed(), "{error}");
        assert_eq!(error.header(), Some(header.as_str()));
    }
}

#[test]
fn a_value_of_another_format_is_malformed() {
    let check = |timestamp: &[u8], signature: &[u8], header: HeaderName| {
        let error = verifier("secret").verify_values(timestamp, signature, BODY);
        let error = error.unwrap_err();
        assert!(error.is_malformed() && !error.is_mismatch(), "{error}");
        assert_eq!(error.header(), Some(header.as_str()));
    };
    let timestamps: [&[u8]; 10] = [
        b"",
        b" 1700000000",
        b"1700000000 ",
        b"+1700000000",
        b"-1",
        b"1700000000.0",
        b"0x6553f100",
        b"18446744073709551616", // one more than the greatest u64
        b"000000000000000000001",
        "１７".as_bytes(),
    ];
    for timestamp in timestamps {
        check(timestamp, SIGNATURE.as_bytes(), TIMESTAMP_HEADER);
    }
    let upper = SIGNATURE.to_uppercase();
    let prefixed = format!("v0={SIGNATURE}");
    let signatures = [
        "",
        &SIGNATURE[..63],
        &SIGNATURE[..62],
        &format!("{SIGNATURE}00"),
        &upper,
        &prefixed,
        &SIGNATURE.replace('7', "g"),
        &SIGNATURE.replacen("7d", "+7", 1),
        &format!(" {}", &SIGNATURE[..63]),
    ];
    for signature in signatures {
        check(b"1700000000", signature.as_bytes(), SIGNATURE_HEADER);
    }
    check(b"1700000000", &[0xff; 64], SIGNATURE_HEADER);
}

#[test]
fn another_key_timestamp_or_body_is_a_mismatch() {
    let check = |key: &str, timestamp: &str, body: &[u8]| {
        let result = verifier(key).verify(&headers(timestamp, SIGNATURE), body);
        let error = result.unwrap_err();
        assert!(error.is_mismatch() && error.header().is_none(), "{error}");
    };
    check("secret2", "1700000000", BODY);
    check("Secret", "1700000000", BODY);
    check("secret", "1700000001", BODY);
    check("secret", "17000000000", BODY);
    check("secret", "01700000000", BODY);
    check("secret", "1700000000", br#"{"a": 1}"#);
    check("secret", "1700000000", b"{\"a\":1}\n");
    check("secret", "1700000000", b"");
}

#[test]
fn each_of_several_keys_is_valid_and_the_index_says_which() {
    let keys = ["new", "old", "older"].map(|key| SigningKey::new(key).unwrap());
    let [new, old, older] = keys.clone();
    let verifier = Verifier::new(new).also(old).also(older);
    for (index, key) in keys.iter().enumerate() {
        let headers = headers(NOW.to_string(), key.sign(NOW, BODY));
        let verified = verifier.verify(&headers, BODY).unwrap();
        assert_eq!(verified.key_index(), index);
    }
    let headers = headers(NOW.to_string(), key().sign(NOW, BODY));
    let error = verifier.verify(&headers, BODY).unwrap_err();
    assert!(error.is_mismatch());
    assert!(error.to_string().contains("3 tried"), "{error}");
}

#[test]
fn a_signature_of_any_age_is_valid_and_its_age_can_be_checked() {
    let five_minutes = Duration::from_secs(300);
    let check = |signed: u64, now: Duration, fresh: bool| {
        let signature = key().sign(signed, BODY);
        let verifier = Verifier::new(key());
        let verified = verifier.verify(&headers(signed.to_string(), signature), BODY);
        let age = verified.unwrap().check_age(UNIX_EPOCH + now, five_minutes);
        assert_eq!(age.is_ok(), fresh, "{signed} {now:?}");
        assert!(age.is_ok() || age.unwrap_err().is_stale());
    };
    let now = Duration::from_secs(NOW);
    check(NOW, now, true);
    check(NOW - 300, now, true);
    check(NOW - 300, now + Duration::from_millis(999), true);
    check(NOW - 301, now, false);
    check(NOW + 300, now, true);
    check(NOW + 301, now, false);
    check(0, now, false);
    check(u64::MAX, now, false);
    check(0, Duration::ZERO, true);
}

#[test]
fn header_names_match_in_any_case() {
    let mut headers = http::HeaderMap::new();
    for (name, value) in [
        ("X-CIO-Timestamp", "1700000000"),
        ("X-Cio-SIGNATURE", SIGNATURE),
    ] {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.insert(name, HeaderValue::from_static(value));
    }
    assert!(verifier("secret").verify(&headers, BODY).is_ok());
}
