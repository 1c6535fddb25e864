//! What holds of any bytes from the wire. The fuzz targets and the mutation test are both made of these.

use dhcproto::v4::MessageType;
use lab_netboot::dhcp::neighbours::{echoed, has_address};
use lab_netboot::dhcp::{Packet as DhcpPacket, Reply};
use lab_netboot::http::head::Head;
use lab_netboot::router::solicitation;
use lab_netboot::syslog::framing::Framing;
use lab_netboot::syslog::{LONGEST, Message};
use lab_netboot::tftp::Settings;
use lab_netboot::tftp::request::{Agreement, Packet as TftpPacket};

/// DHCP: what is read is answered, and the answer can be read again.
pub fn dhcp(bytes: &[u8]) {
    let Ok(packet) = DhcpPacket::decode(bytes) else { return };
    let reply = Reply {
        file: Some("snponly.efi".into()),
        vendor_class: Some("PXEClient".into()),
        echo_machine_id: true,
        ..Reply::new(MessageType::Offer, [10, 9, 0, 1].into())
    };
    if let Ok(answer) = reply.encode(&packet) {
        let read = DhcpPacket::decode(&answer).expect("what we write can be read");
        assert_eq!(read.mac, packet.mac);
    }
}

/// HTTP: no path leads out of its root, and no range beyond the file.
pub fn http(bytes: &[u8]) {
    if let Ok(Some((head, length))) = Head::parse(bytes) {
        assert!(length <= bytes.len());
        assert!(head.path.is_none_or(|path| !path.split('/').any(|part| part == "..")));
        if let Some((from, to)) = head.range.and_then(|range| range.within(1000)) {
            assert!(from < to && to <= 1000);
        }
    }
}

/// ARP and ICMP: who has an address has one.
pub fn neighbours(bytes: &[u8]) {
    assert!(has_address(bytes).is_none_or(|(address, _)| !address.is_unspecified()));
    assert!(echoed(bytes).is_none() || bytes.len() >= 22);
}

/// ICMPv6: only solicitations are taken for some.
pub fn router(bytes: &[u8]) {
    assert!(solicitation(bytes).is_none() || bytes[0] == 133);
}

/// Syslog: messages are bounded and hold no control characters, alone and in a stream.
pub fn syslog(bytes: &[u8]) {
    let mut take = |message: &[u8]| {
        assert!(message.len() <= LONGEST);
        assert!(!Message::parse(message).text.chars().any(char::is_control));
    };
    take(&bytes[..bytes.len().min(LONGEST)]);
    let mut framing = Framing::default();
    framing.put(bytes, &mut take);
    framing.end(&mut take);
}

/// TFTP: what is agreed to stays within bounds.
pub fn tftp(bytes: &[u8]) {
    if let Ok(TftpPacket::Read(request)) = TftpPacket::parse(bytes) {
        assert!(!request.path.split('/').any(|part| part == ".."));
        let agreed = Agreement::on(&request, u64::MAX, &Settings::default());
        assert!((8..=1468).contains(&agreed.block) && (1..=64).contains(&agreed.window));
    }
}
