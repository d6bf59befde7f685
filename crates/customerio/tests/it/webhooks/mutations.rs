//! 100,000 changes to signed requests, none of which may be accepted.

use customerio::webhooks::{SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, Verifier};
use http::{HeaderMap, HeaderName, HeaderValue};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const MUTATIONS: usize = 100_000;

/// A request as text. `headers` are in the order in which they were received.
#[derive(Clone, Debug, PartialEq)]
struct Signed {
    key: String,
    headers: Vec<(HeaderName, Vec<u8>)>,
    body: Vec<u8>,
}

impl Signed {
    fn random(rng: &mut StdRng) -> Self {
        let length = rng.random_range(1..80);
        let key: String = (0..length).map(|_| printable(rng)).collect();
        let body = match rng.random_range(0..4) {
            0 => Vec::new(),
            1 => (0..rng.random_range(1..200))
                .map(|_| rng.random())
                .collect(),
            2 => format!("1:{}:{}", rng.random::<u8>(), "0".repeat(9)).into_bytes(),
            _ => format!(r#"{{"event_id":"{}"}}"#, rng.random::<u64>()).into_bytes(),
        };
        let timestamp = rng.random_range(0..10_000_000_000_u64);
        let signature = SigningKey::new(key.as_str())
            .unwrap()
            .sign(timestamp, &body);
        let headers = vec![
            (TIMESTAMP_HEADER, timestamp.to_string().into_bytes()),
            (SIGNATURE_HEADER, signature.into_bytes()),
        ];
        Self { key, headers, body }
    }

    fn is_accepted(&self) -> bool {
        let Ok(key) = SigningKey::new(self.key.as_str()) else {
            return false;
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            // A value that no header can have does not arrive.
            let Ok(value) = HeaderValue::from_bytes(value) else {
                return false;
            };
            headers.append(name, value);
        }
        Verifier::new(key).verify(&headers, &self.body).is_ok()
    }

    fn mutate(&mut self, rng: &mut StdRng) {
        match rng.random_range(0..5) {
            0 => mutate_bytes(&mut self.body, rng),
            1 => mutate_key(&mut self.key, rng),
            2 => mutate_timestamp(&mut self.headers[0].1, rng),
            3 => mutate_signature(&mut self.headers[1].1, rng),
            _ => self.mutate_headers(rng),
        }
    }

    fn mutate_headers(&mut self, rng: &mut StdRng) {
        let [timestamp, signature] = [0, 1].map(|index| self.headers[index].1.clone());
        let which = rng.random_range(0..2);
        match rng.random_range(0..6) {
            0 => drop(self.headers.remove(which)),
            1 => self.headers.push(self.headers[which].clone()),
            2 => self.headers[which].0 = HeaderName::from_static("x-cio-other"),
            3 => (self.headers[0].1, self.headers[1].1) = (signature, timestamp),
            // Moves the boundary between timestamp and body to the next colon. The signature covers
            // the same bytes.
            4 => {
                if let Some(at) = self.body.iter().position(|byte| *byte == b':') {
                    let rest = self.body.split_off(at + 1);
                    self.headers[0].1.push(b':');
                    self.headers[0].1.extend(&self.body[..at]);
                    self.body = rest;
                }
            }
            _ => {
                let at = rng.random_range(0..timestamp.len());
                let moved = self.headers[0].1.split_off(at);
                self.body.splice(..0, [moved, b":".to_vec()].concat());
            }
        }
    }
}

fn printable(rng: &mut StdRng) -> char {
    char::from(rng.random_range(b' '..=b'~'))
}

fn mutate_bytes(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    let at = rng.random_range(0..=bytes.len());
    match rng.random_range(0..6) {
        0 => bytes.insert(at, rng.random()),
        1 => bytes.truncate(at),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        4 if at + 1 < bytes.len() => bytes.swap(at, at + 1),
        _ => bytes.extend_from_within(..at),
    }
}

fn mutate_key(key: &mut String, rng: &mut StdRng) {
    let at = rng.random_range(0..key.len());
    match rng.random_range(0..6) {
        0 => key.insert(at, printable(rng)),
        1 => drop(key.remove(at)),
        2 => key.replace_range(at..=at, &printable(rng).to_string()),
        3 => *key = key.to_uppercase(),
        4 => key.push(' '),
        // HMAC pads a key with NUL.
        _ => key.push('\0'),
    }
}

fn mutate_timestamp(timestamp: &mut Vec<u8>, rng: &mut StdRng) {
    let first = timestamp[0];
    match rng.random_range(0..8) {
        0 => timestamp.insert(0, b'0'),
        1 => timestamp.push(b'0'),
        2 => timestamp.insert(0, b'+'),
        3 => timestamp.insert(0, b' '),
        4 => timestamp.push(b' '),
        5 => timestamp[0] = b'0' + (first - b'0' + 1) % 10,
        6 => *timestamp = rng.random::<u64>().to_string().into_bytes(),
        _ => mutate_bytes(timestamp, rng),
    }
}

fn mutate_signature(signature: &mut Vec<u8>, rng: &mut StdRng) {
    let at = rng.random_range(0..signature.len());
    match rng.random_range(0..8) {
        0 => signature.make_ascii_uppercase(),
        1 => signature[at] = b"0123456789abcdef"[rng.random_range(0..16)],
        2 => signature.truncate(at),
        3 => signature.extend_from_slice(b"00"),
        4 => signature.reverse(),
        5 => signature.rotate_left(2),
        6 => signature.fill(b'0'),
        _ => mutate_bytes(signature, rng),
    }
}

#[test]
fn no_changed_request_is_accepted() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut mutations = 0;
    while mutations < MUTATIONS {
        let original = Signed::random(&mut rng);
        assert!(original.is_accepted(), "{original:?}");
        // A signature is slow to make, so each is changed some times.
        for _ in 0..10 {
            let mut changed = original.clone();
            changed.mutate(&mut rng);
            if changed != original {
                assert!(!changed.is_accepted(), "{original:?} as {changed:?}");
                mutations += 1;
            }
        }
    }
}
