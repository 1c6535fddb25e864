//! A DHCP client (RFC 2131), for a machine that has nothing but its NIC yet: blocking, one interface, one address.

use dhcproto::v4::{
    CLIENT_PORT, Decodable, Decoder, DhcpOption, Encodable, Flags, Message, MessageType, OptionCode,
    SERVER_PORT,
};
use lab_object::mac::MacAddress;
use socket2::{Domain, Protocol, Type};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// An address that a machine has been given for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// How many bits of it name the network.
    pub prefix: u8,
    /// The way out of the network.
    pub gateway: Option<Ipv4Addr>,
    /// Servers that know names.
    pub dns: Vec<Ipv4Addr>,
    /// Who gave it.
    pub server: Ipv4Addr,
    /// For how many seconds.
    pub seconds: u32,
}

/// Why no address was given.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket failed.
    #[error("speaking DHCP over {interface}")]
    Socket {
        /// The interface.
        interface: String,
        /// Why.
        source: io::Error,
    },
    /// Nobody answered.
    #[error("no DHCP server answered on {interface} within {seconds} s")]
    Silence {
        /// The interface.
        interface: String,
        /// How long was waited.
        seconds: u64,
    },
}

/// Asks for an address until one is given or the time is over. `number` tells this exchange from others, and is to be
/// different each time. `held` is an address that the machine has already, to be kept for longer.
///
/// # Errors
/// The socket fails (it needs `CAP_NET_BIND_SERVICE`), or nobody answers.
pub fn ask(
    interface: &str,
    mac: MacAddress,
    number: u32,
    held: Option<&Lease>,
    within: Duration,
) -> Result<Lease, ClientError> {
    let failed = |source| ClientError::Socket { interface: interface.into(), source };
    let socket = socket(interface).map_err(failed)?;
    let end = Instant::now() + within;
    let mut question = match held {
        Some(lease) => renew(mac, number, lease),
        None => discover(mac, number),
    };
    let mut patience = Duration::from_secs(1);
    while Instant::now() < end {
        // An interface that just came up may not send yet; the next try will.
        if let Err(error) = send(&socket, &question) {
            tracing::debug!(interface, %error, "not sent");
        }
        let until = (Instant::now() + patience).min(end);
        match answer(&socket, number, mac, until).map_err(failed)? {
            Some((MessageType::Offer, offer)) => question = request(mac, number, &offer),
            Some((MessageType::Ack, ack)) => return Ok(lease(&ack)),
            Some((MessageType::Nak, _)) => question = discover(mac, number),
            _ => patience = (patience * 2).min(Duration::from_secs(8)),
        }
    }
    Err(ClientError::Silence { interface: interface.into(), seconds: within.as_secs() })
}

fn socket(interface: &str) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    // Questions go out over this interface also without an address or a route.
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).into())?;
    Ok(socket.into())
}

fn send(socket: &UdpSocket, question: &Message) -> io::Result<()> {
    let bytes = question.to_vec().map_err(io::Error::other)?;
    socket.send_to(&bytes, (Ipv4Addr::BROADCAST, SERVER_PORT)).map(drop)
}

/// The next answer that is meant for this exchange.
fn answer(
    socket: &UdpSocket,
    number: u32,
    mac: MacAddress,
    until: Instant,
) -> io::Result<Option<(MessageType, Message)>> {
    let mut buffer = [0; 1500];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Some(answer) = meant(&buffer[..length], number, mac) {
            return Ok(Some(answer));
        }
    }
}

/// An answer, where the bytes are one to this exchange. Offers of proxies have no address and are left alone.
fn meant(bytes: &[u8], number: u32, mac: MacAddress) -> Option<(MessageType, Message)> {
    let message = Message::decode(&mut Decoder::new(bytes)).ok()?;
    let kind = message.opts().msg_type()?;
    // Whoever writes another length than that of hardware addresses has the library look beyond their end.
    let mine = message.xid() == number && message.hlen() == 6 && message.chaddr() == mac.0;
    let useful = kind == MessageType::Nak || !message.yiaddr().is_unspecified();
    (mine && useful).then_some((kind, message))
}

fn question(mac: MacAddress, number: u32, kind: MessageType) -> Message {
    let nothing = Ipv4Addr::UNSPECIFIED;
    let mut message = Message::new_with_id(number, nothing, nothing, nothing, nothing, &mac.0);
    // Whoever has no address yet cannot be answered at it.
    message.set_flags(Flags::default().set_broadcast());
    let client: Vec<u8> = std::iter::once(1).chain(mac.0).collect();
    let wanted = [
        OptionCode::SubnetMask,
        OptionCode::Router,
        OptionCode::DomainNameServer,
        OptionCode::AddressLeaseTime,
    ];
    let options = message.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ClientIdentifier(client));
    options.insert(DhcpOption::ParameterRequestList(wanted.into()));
    message
}

fn discover(mac: MacAddress, number: u32) -> Message {
    question(mac, number, MessageType::Discover)
}

fn request(mac: MacAddress, number: u32, offer: &Message) -> Message {
    let mut message = question(mac, number, MessageType::Request);
    let options = message.opts_mut();
    options.insert(DhcpOption::RequestedIpAddress(offer.yiaddr()));
    options.insert(DhcpOption::ServerIdentifier(server(offer)));
    message
}

/// Asked of all servers, as in the rebinding state (RFC 2131, 4.3.2): the one that gave it may be gone.
fn renew(mac: MacAddress, number: u32, lease: &Lease) -> Message {
    let mut message = question(mac, number, MessageType::Request);
    message.set_ciaddr(lease.address);
    message
}

fn server(message: &Message) -> Ipv4Addr {
    match message.opts().get(OptionCode::ServerIdentifier) {
        Some(DhcpOption::ServerIdentifier(address)) => *address,
        _ => message.siaddr(),
    }
}

fn lease(ack: &Message) -> Lease {
    let options = ack.opts();
    let mask = match options.get(OptionCode::SubnetMask) {
        Some(DhcpOption::SubnetMask(mask)) => *mask,
        _ => Ipv4Addr::new(255, 255, 255, 0),
    };
    let list = |code| match options.get(code) {
        Some(DhcpOption::Router(list) | DhcpOption::DomainNameServer(list)) => list.clone(),
        _ => Vec::new(),
    };
    let seconds = match options.get(OptionCode::AddressLeaseTime) {
        Some(DhcpOption::AddressLeaseTime(seconds)) => *seconds,
        _ => 3600,
    };
    Lease {
        address: ack.yiaddr(),
        prefix: u8::try_from(u32::from(mask).leading_ones()).unwrap_or(32),
        gateway: list(OptionCode::Router).first().copied(),
        dns: list(OptionCode::DomainNameServer),
        server: server(ack),
        seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);

    fn reply(kind: MessageType, address: Ipv4Addr) -> Message {
        let nothing = Ipv4Addr::UNSPECIFIED;
        let mut message = Message::new_with_id(7, nothing, address, nothing, nothing, &MAC.0);
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::ServerIdentifier([10, 9, 0, 1].into()));
        options.insert(DhcpOption::SubnetMask([255, 255, 252, 0].into()));
        options.insert(DhcpOption::Router(vec![[10, 9, 0, 254].into()]));
        options.insert(DhcpOption::AddressLeaseTime(600));
        message
    }

    #[test]
    fn an_exchange() {
        let offer = reply(MessageType::Offer, [10, 9, 1, 5].into());
        let request = request(MAC, 7, &offer);
        let options = request.opts();
        assert_eq!(
            options.get(OptionCode::RequestedIpAddress),
            Some(&DhcpOption::RequestedIpAddress([10, 9, 1, 5].into()))
        );
        assert_eq!(server(&request), Ipv4Addr::new(10, 9, 0, 1));
        let lease = lease(&reply(MessageType::Ack, [10, 9, 1, 5].into()));
        let expected = Lease {
            address: [10, 9, 1, 5].into(),
            prefix: 22,
            gateway: Some([10, 9, 0, 254].into()),
            dns: Vec::new(),
            server: [10, 9, 0, 1].into(),
            seconds: 600,
        };
        assert_eq!(lease, expected);
        let renewal = renew(MAC, 7, &lease);
        assert_eq!(
            (renewal.ciaddr(), renewal.opts().get(OptionCode::ServerIdentifier)),
            (lease.address, None)
        );
    }

    #[test]
    fn whose_answer_it_is() {
        let check = |message: &Message, number, mac, expected: Option<MessageType>| {
            let bytes = message.to_vec().expect("it can be written");
            assert_eq!(meant(&bytes, number, mac).map(|(kind, _)| kind), expected);
        };
        let offer = reply(MessageType::Offer, [10, 9, 1, 5].into());
        check(&offer, 7, MAC, Some(MessageType::Offer));
        check(&offer, 8, MAC, None);
        check(&offer, 7, MacAddress([0; 6]), None);
        // A proxy's offer.
        check(&reply(MessageType::Offer, Ipv4Addr::UNSPECIFIED), 7, MAC, None);
        check(&reply(MessageType::Nak, Ipv4Addr::UNSPECIFIED), 7, MAC, Some(MessageType::Nak));
        assert!(meant(b"no packet", 7, MAC).is_none());
    }

    proptest! {
        /// An answer with bytes changed, or cut off.
        #[test]
        fn no_answer_makes_it_panic(changes: Vec<(usize, u8)>, left in 0_usize..400) {
            let mut bytes = reply(MessageType::Ack, [10, 9, 1, 5].into()).to_vec().expect("it can be written");
            bytes.truncate(left);
            for (at, byte) in changes {
                let length = bytes.len().max(1);
                bytes.get_mut(at % length).into_iter().for_each(|changed| *changed = byte);
            }
            if let Some((_, message)) = meant(&bytes, 7, MAC) {
                prop_assert!(lease(&message).prefix <= 32);
            }
        }
    }
}
