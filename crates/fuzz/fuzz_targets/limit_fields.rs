//! Header fields in which a server states its limits.

#![no_main]

#[path = "../../pacing/tests/fuzzed/limit_fields.rs"]
mod limit_fields;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|fields: Vec<(u8, &[u8])>| limit_fields::check(&fields));
