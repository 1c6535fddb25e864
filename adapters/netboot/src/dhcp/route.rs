//! Where an answer goes (RFC 2131 section 4.1).

use super::packet::Packet;
use dhcproto::v4::MessageType;
use std::net::SocketAddrV4;

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To an address that answers ARP.
    Unicast(SocketAddrV4),
    /// To everybody on the interface's network. So are answers to clients that have no address yet and could take unicast ones:
    /// nobody answers ARP for them, and every client takes broadcasts.
    Broadcast,
}

/// Where the answer to a request goes that came from `sender` to one of our ports.
pub fn destination(request: &Packet, answer: MessageType, sender: SocketAddrV4, port: u16) -> Destination {
    // PXE's second question comes from a configured client, and its answer goes where it came from.
    if port != 67 && !sender.ip().is_unspecified() {
        return Destination::Unicast(sender);
    }
    if let Some(relay) = request.relay {
        return Destination::Unicast(SocketAddrV4::new(relay, 67));
    }
    // A client whose address is refused must not use it any more, so that nothing can be sent to it.
    if answer == MessageType::Nak {
        return Destination::Broadcast;
    }
    match request.client_address {
        Some(address) => Destination::Unicast(SocketAddrV4::new(address, 68)),
        None => Destination::Broadcast,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::Options;
    use lab_object::mac::MacAddress;
    use std::net::Ipv4Addr;

    #[test]
    fn by_the_book() {
        let mac = MacAddress([2, 0, 0, 0, 0, 1]);
        let request = |relay: Option<[u8; 4]>, client: Option<[u8; 4]>, broadcast| Packet {
            from_server: false,
            message: MessageType::Request,
            transaction: 1,
            seconds: 0,
            hops: 0,
            broadcast,
            client_address: client.map(Into::into),
            your_address: None,
            next_server: None,
            file: None,
            relay: relay.map(Into::into),
            mac,
            options: Options::default(),
        };
        let nobody = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
        let to = |address: [u8; 4], port| Destination::Unicast(SocketAddrV4::new(address.into(), port));
        let check = |request, answer, sender, port, expected| {
            assert_eq!(destination(&request, answer, sender, port), expected);
        };
        let ack = MessageType::Ack;
        check(request(None, None, true), ack, nobody, 67, Destination::Broadcast);
        check(request(None, None, false), ack, nobody, 67, Destination::Broadcast);
        check(request(None, None, false), ack, nobody, 67, Destination::Broadcast);
        check(request(None, Some([10, 0, 0, 7]), true), ack, nobody, 67, to([10, 0, 0, 7], 68));
        check(
            request(None, Some([10, 0, 0, 7]), false),
            MessageType::Nak,
            nobody,
            67,
            Destination::Broadcast,
        );
        check(request(Some([10, 1, 0, 1]), None, true), ack, nobody, 67, to([10, 1, 0, 1], 67));
        check(request(Some([10, 1, 0, 1]), None, true), MessageType::Nak, nobody, 67, to([10, 1, 0, 1], 67));
        let sender = SocketAddrV4::new([10, 0, 0, 7].into(), 1234);
        check(request(None, Some([10, 0, 0, 7]), false), ack, sender, 4011, to([10, 0, 0, 7], 1234));
    }
}
