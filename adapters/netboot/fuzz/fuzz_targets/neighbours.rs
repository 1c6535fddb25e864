//! ARP and ICMP echo replies.
#![no_main]

#[path = "../../tests/mutated/targets.rs"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::neighbours(bytes));
