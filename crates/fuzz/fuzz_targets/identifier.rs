//! What a caller names people by, and objects, devices, deliveries and events.

#![no_main]

#[path = "../../customerio/tests/it/fuzzed/identifier.rs"]
mod identifier;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| identifier::check(text));
