//! Values of `Retry-After`: seconds, milliseconds or a date.

#![no_main]

#[path = "../../pacing/tests/fuzzed/retry_after.rs"]
mod retry_after;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (now, value) = input;
    retry_after::check(value, now % retry_after::LAST);
});
