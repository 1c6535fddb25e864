//! DHCP packets: what is read is answered, and the answer can be read again.
#![no_main]

use dhcproto::v4::MessageType;
use lab_netboot::dhcp::{Packet, Reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = Packet::decode(bytes) else { return };
    let reply = Reply {
        file: Some("snponly.efi".into()),
        vendor_class: Some("PXEClient".into()),
        echo_machine_id: true,
        ..Reply::new(MessageType::Offer, [10, 9, 0, 1].into())
    };
    if let Ok(answer) = reply.encode(&packet) {
        let read = Packet::decode(&answer).expect("what we write can be read");
        assert_eq!(read.mac, packet.mac);
    }
});
