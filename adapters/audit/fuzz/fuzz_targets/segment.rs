//! Segments as a crash or an enemy may leave them: what is found of the chain is whole, and its verifier agrees.
#![no_main]

use lab_audit::{Verifier, segment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let report = Verifier::new(None).read(bytes).expect("it is in memory");
    let Ok(scan) = segment::scan(bytes) else { return };
    assert!(scan.length <= scan.written && scan.written <= bytes.len());
    assert!(scan.tail == segment::Tail::Clean || scan.length < scan.written);
    let whole = segment::scan(&bytes[..scan.length]).expect("it has its head");
    assert_eq!((whole.length, whole.tail), (scan.length, segment::Tail::Clean));
    assert!(report.entries >= whole.end.sequence.saturating_sub(whole.header.first.saturating_sub(1)).min(1));
});
