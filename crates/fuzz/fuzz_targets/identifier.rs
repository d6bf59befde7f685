//! Identifiers of people, objects, devices, deliveries and events, as callers state them.

#![no_main]

#[path = "../../customerio/tests/it/fuzzed/identifier.rs"]
mod identifier;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| identifier::check(text));
