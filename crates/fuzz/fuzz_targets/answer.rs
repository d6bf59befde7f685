//! Responses of a server, or of a proxy before it, to requests of the Track API.

#![no_main]

#[path = "../../customerio/tests/it/fuzzed/answer.rs"]
mod answer;

use libfuzzer_sys::fuzz_target;

/// The parts of the API's responses. A byte from [`FIRST`] on selects one of them, so the fuzzer
/// soon finds every shape.
const WORDS: [&[u8]; 14] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":1",
    br#""meta":{"#,
    br#""error":"#,
    br#""errors":["#,
    br#""batch_index":"#,
    br#""message":"#,
    br#""reason":"field","#,
    br#""detail":"#,
    br#""region":"eu""#,
];
const FIRST: u8 = 128;

fuzz_target!(|input: (u16, &[u8], &[u8])| {
    let (status, field, bytes) = input;
    let body: Vec<u8> = bytes.iter().flat_map(word_or_byte).copied().collect();
    answer::check(100 + status % 900, field, &body);
});

fn word_or_byte(byte: &u8) -> &[u8] {
    let word = byte.checked_sub(FIRST).map(usize::from);
    let word = word.and_then(|word| WORDS.get(word));
    word.copied().unwrap_or(std::slice::from_ref(byte))
}
