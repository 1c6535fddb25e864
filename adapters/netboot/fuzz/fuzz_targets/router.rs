//! IPv6 router solicitations.
#![no_main]

#[path = "../../tests/mutated/targets.rs"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::router(bytes));
