//! A trail whose lines somebody edits.
#![no_main]

#[path = "../../tests/mutated/targets.rs"]
#[allow(dead_code, reason = "the other target uses the rest")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::edited(bytes));
