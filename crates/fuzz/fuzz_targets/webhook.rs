//! The headers and the body of a request to a webhook, from a stranger.

#![no_main]

#[path = "../../customerio/tests/it/fuzzed/webhook.rs"]
mod webhook;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8], &[u8])| {
    let (timestamp, signature, body) = input;
    webhook::check(timestamp, signature, body);
});
