//! Heads of HTTP requests.
#![no_main]

use lab_netboot::http::head::Head;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((head, length))) = Head::parse(bytes) {
        assert!(length <= bytes.len());
        assert!(head.path.is_none_or(|path| !path.split('/').any(|part| part == "..")));
        if let Some((from, to)) = head.range.and_then(|range| range.within(1000)) {
            assert!(from < to && to <= 1000);
        }
    }
});
