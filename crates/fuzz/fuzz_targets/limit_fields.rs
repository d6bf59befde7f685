//! What a server says of its limits, field by field.

#![no_main]

#[path = "../../pacing/tests/fuzzed/limit_fields.rs"]
mod limit_fields;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|fields: Vec<(u8, &[u8])>| limit_fields::check(&fields));
