//! TFTP packets: what is agreed to stays within bounds.
#![no_main]

use lab_netboot::tftp::Settings;
use lab_netboot::tftp::request::{Agreement, Packet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Packet::Read(request)) = Packet::parse(bytes) {
        assert!(!request.path.split('/').any(|part| part == ".."));
        let agreed = Agreement::on(&request, u64::MAX, &Settings::default());
        assert!((8..=1468).contains(&agreed.block) && (1..=64).contains(&agreed.window));
    }
});
