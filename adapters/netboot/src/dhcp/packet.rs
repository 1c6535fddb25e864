//! DHCP packets: read without judging, written as firmware wants them.

use dhcproto::v4::borrowed::{DhcpOptionIterator, Message as Borrowed};
use dhcproto::v4::{self, DhcpOption, Flags, MessageType, Opcode, OptionCode, encode_long_opt_bytes};
use dhcproto::{Encodable, Encoder};
use lab_object::mac::MacAddress;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The smallest packet that has a place for options.
const HEADER: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// BOOTP's smallest packet, which relays and old firmware may insist on.
const SMALLEST: usize = 300;
/// IP's and UDP's headers, which option 57 counts in.
const IP_AND_UDP: usize = 28;
/// What every client takes as a whole packet (RFC 2131 section 2).
const EVERYONE: usize = 576;
/// What one Ethernet frame carries.
const ETHERNET: usize = 1500;

/// The bytes are no DHCP request that can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too few bytes.
    #[error("{0} bytes are too few for a DHCP packet")]
    Short(usize),
    /// Without the cookie it is BOOTP.
    #[error("it lacks DHCP's magic cookie")]
    Cookie,
    /// Not Ethernet.
    #[error("hardware type {kind} with addresses of {length} bytes is not Ethernet")]
    Hardware {
        /// The hardware type (htype).
        kind: u8,
        /// The hardware addresses' length (hlen).
        length: u8,
    },
    /// Option 53 is missing or unknown.
    #[error("it has no known DHCP message type")]
    Type,
}

/// A DHCP packet that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Whether it is a client's or a server's.
    pub from_server: bool,
    /// What it is (option 53).
    pub message: MessageType,
    /// The transaction.
    pub transaction: u32,
    /// Seconds since the client began, as it says.
    pub seconds: u16,
    /// How many relays it went through.
    pub hops: u8,
    /// Whether the client can only take broadcasts.
    pub broadcast: bool,
    /// The address the client has (ciaddr).
    pub client_address: Option<Ipv4Addr>,
    /// The address the client is given (yiaddr); in servers' packets.
    pub your_address: Option<Ipv4Addr>,
    /// The server of the boot file (siaddr); in servers' packets.
    pub next_server: Option<Ipv4Addr>,
    /// The relay it came through (giaddr).
    pub relay: Option<Ipv4Addr>,
    /// The boot file in the header, where that does not hold options; in servers' packets.
    pub file: Option<String>,
    /// The client's hardware address.
    pub mac: MacAddress,
    /// Its options.
    pub options: Options,
}

/// Options as bytes by their codes, pieces of long ones (RFC 3396) put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<u8, Vec<u8>>);

impl Options {
    /// An option's bytes.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.get(&code).map(Vec::as_slice)
    }

    /// An option's bytes as an address; nothing where they are not four.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.get(code)?).ok().map(Ipv4Addr::from)
    }

    /// An option's bytes as a number; nothing where they are not two.
    pub fn number(&self, code: u8) -> Option<u16> {
        self.get(code)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// Every option, in the order of codes.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.iter().map(|(&code, bytes)| (code, bytes.as_slice()))
    }

    fn read(&mut self, bytes: &[u8]) {
        for option in DhcpOptionIterator::new(bytes) {
            self.0.entry(option.code().into()).or_default().extend_from_slice(option.data());
        }
    }
}

impl Packet {
    /// Reads a packet. What is cut off in its options is left out; what the options mean is the reader's business.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() < HEADER {
            return Err(Malformed::Short(bytes.len()));
        }
        let header = Borrowed::new(bytes).map_err(|_| Malformed::Short(bytes.len()))?;
        let (kind, length) = (bytes[1], header.hlen());
        // The crate reads as many bytes of the hardware address as the packet says, so that this comes first.
        if kind != 1 || length != 6 {
            return Err(Malformed::Hardware { kind, length });
        }
        if bytes[236..HEADER] != MAGIC {
            return Err(Malformed::Cookie);
        }
        let options = options(bytes);
        let message = match options.get(53) {
            Some(&[number @ 1..=8]) => MessageType::from(number),
            _ => return Err(Malformed::Type),
        };
        let mut mac = [0; 6];
        mac.copy_from_slice(header.chaddr());
        let some = |address: Ipv4Addr| (!address.is_unspecified()).then_some(address);
        Ok(Self {
            from_server: header.opcode() == Opcode::BootReply,
            message,
            transaction: header.xid(),
            seconds: header.secs(),
            hops: header.hops(),
            broadcast: header.flags().broadcast(),
            client_address: some(header.ciaddr()),
            your_address: some(header.yiaddr()),
            next_server: some(header.siaddr()),
            file: file(bytes, &options),
            relay: some(header.giaddr()),
            mac: MacAddress(mac),
            options,
        })
    }
}

/// The header's boot file, up to its NUL.
fn file(bytes: &[u8], options: &Options) -> Option<String> {
    let overload = options.get(52).and_then(|value| value.first()).copied().unwrap_or_default();
    let name = bytes[108..236].split(|&byte| byte == 0).next().filter(|name| !name.is_empty())?;
    (overload & 1 == 0).then(|| String::from_utf8_lossy(name).into_owned())
}

/// The options of a packet, with those that were put into the header's unused fields (option 52).
fn options(bytes: &[u8]) -> Options {
    let mut options = Options::default();
    options.read(&bytes[HEADER..]);
    let overload = options.get(52).and_then(|value| value.first()).copied().unwrap_or_default();
    if overload & 1 != 0 {
        options.read(&bytes[108..236]);
    }
    if overload & 2 != 0 {
        options.read(&bytes[44..108]);
    }
    options
}

/// An answer. What it holds is decided elsewhere; how it is written, here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// OFFER, ACK or NAK.
    pub message: MessageType,
    /// The server's own address on the client's network (option 54). Firmware ignores answers without it.
    pub server: Ipv4Addr,
    /// The address the client is given (yiaddr); absent in proxy answers.
    pub your_address: Option<Ipv4Addr>,
    /// For how long, in seconds.
    pub lease_seconds: Option<u32>,
    /// The server of the boot file: siaddr, and option 66 in text.
    pub next_server: Option<Ipv4Addr>,
    /// The boot file: in the header, where U-Boot and shim look, and in option 67, which EDK2 prefers.
    pub file: Option<String>,
    /// Option 60.
    pub vendor_class: Option<String>,
    /// Option 43.
    pub vendor_options: Option<Vec<u8>>,
    /// Option 175.
    pub ipxe_options: Option<Vec<u8>>,
    /// Whether option 97 goes back as it came.
    pub echo_machine_id: bool,
    /// The network's prefix length, from which its mask follows.
    pub prefix: Option<u8>,
    /// The router.
    pub router: Option<Ipv4Addr>,
    /// DNS servers.
    pub dns: Vec<Ipv4Addr>,
    /// The DNS domain.
    pub domain: Option<String>,
    /// The client's host name.
    pub hostname: Option<String>,
    /// Largest packet in bytes, where it is not the usual one.
    pub mtu: Option<u16>,
    /// Why the client is refused; with NAK (option 56).
    pub refusal: Option<String>,
}

/// An answer does not fit into what its client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer has {bytes} bytes, and its client takes {most}")]
pub struct TooLarge {
    /// The answer's size in bytes, without IP's and UDP's headers.
    pub bytes: usize,
    /// What the client takes.
    pub most: usize,
}

impl Reply {
    /// An answer with nothing but its sender.
    pub fn new(message: MessageType, server: Ipv4Addr) -> Self {
        Self {
            message,
            server,
            your_address: None,
            lease_seconds: None,
            next_server: None,
            file: None,
            vendor_class: None,
            vendor_options: None,
            ipxe_options: None,
            echo_machine_id: false,
            prefix: None,
            router: None,
            dns: Vec::new(),
            domain: None,
            hostname: None,
            mtu: None,
            refusal: None,
        }
    }

    /// Writes the answer to a request. Names that are only a convenience are left out where it would grow beyond what every client takes.
    pub fn encode(&self, request: &Packet) -> Result<Vec<u8>, TooLarge> {
        let bytes = self.write(request, true);
        let bytes = if bytes.len() + IP_AND_UDP > EVERYONE { self.write(request, false) } else { bytes };
        let most = largest(request);
        if bytes.len() > most { Err(TooLarge { bytes: bytes.len(), most }) } else { Ok(bytes) }
    }

    fn write(&self, request: &Packet, names: bool) -> Vec<u8> {
        let mut header = v4::Message::default();
        let unspecified = Ipv4Addr::UNSPECIFIED;
        header
            .set_opcode(Opcode::BootReply)
            .set_xid(request.transaction)
            .set_flags(if request.broadcast { Flags::default().set_broadcast() } else { Flags::default() })
            .set_ciaddr(
                request.client_address.filter(|_| self.message == MessageType::Ack).unwrap_or(unspecified),
            )
            .set_yiaddr(self.your_address.unwrap_or(unspecified))
            .set_siaddr(self.next_server.unwrap_or(unspecified))
            .set_giaddr(request.relay.unwrap_or(unspecified))
            .set_chaddr(&request.mac.0);
        // The field has 128 bytes with the NUL; a longer name, such as a URL, is in option 67 alone.
        if let Some(file) = self.file.as_deref().filter(|file| file.len() < 128) {
            header.set_fname(file.as_bytes());
        }
        let mut bytes = Vec::with_capacity(EVERYONE);
        let mut encoder = Encoder::new(&mut bytes);
        // Writing into memory fails for nothing but header fields that are too long, and they are not.
        let written = header.encode(&mut encoder).and_then(|()| self.options(request, names, &mut encoder));
        debug_assert!(written.is_ok(), "{written:?}");
        bytes.resize(bytes.len().max(SMALLEST), 0);
        bytes
    }

    fn options(
        &self,
        request: &Packet,
        names: bool,
        encoder: &mut Encoder,
    ) -> Result<(), dhcproto::error::EncodeError> {
        // Some ROMs read no further when these two are not the first.
        DhcpOption::MessageType(self.message).encode(encoder)?;
        DhcpOption::ServerIdentifier(self.server).encode(encoder)?;
        for option in self.configuration() {
            option.encode(encoder)?;
        }
        let mut put = |code: u8, bytes: &[u8]| encode_long_opt_bytes(OptionCode::from(code), bytes, encoder);
        if names {
            put(15, self.domain.as_deref().unwrap_or_default().as_bytes())?;
            put(12, self.hostname.as_deref().unwrap_or_default().as_bytes())?;
        }
        put(56, self.refusal.as_deref().unwrap_or_default().as_bytes())?;
        put(60, self.vendor_class.as_deref().unwrap_or_default().as_bytes())?;
        put(43, self.vendor_options.as_deref().unwrap_or_default())?;
        put(175, self.ipxe_options.as_deref().unwrap_or_default())?;
        if self.echo_machine_id {
            // A length that firmware would not send is not sent back to it.
            put(97, request.options.get(97).filter(|id| id.len() == 17).unwrap_or_default())?;
        }
        if let Some(server) = self.next_server {
            put(66, server.to_string().as_bytes())?;
        }
        if let Some(file) = &self.file {
            put(67, file.as_bytes())?;
            // EDK2 ends the name by writing a NUL over whatever stands after it.
            DhcpOption::Pad.encode(encoder)?;
        }
        // A relay takes out what it put in, and wants it last (RFC 3046).
        let mut put = |code: u8, bytes: &[u8]| encode_long_opt_bytes(OptionCode::from(code), bytes, encoder);
        put(82, request.options.get(82).unwrap_or_default())?;
        DhcpOption::End.encode(encoder)
    }

    /// What the client configures its address with.
    fn configuration(&self) -> Vec<DhcpOption> {
        let mut options = Vec::new();
        if let Some(seconds) = self.lease_seconds {
            options.push(DhcpOption::AddressLeaseTime(seconds));
            options.push(DhcpOption::Renewal(seconds / 2));
            options.push(DhcpOption::Rebinding(seconds / 8 * 7));
        }
        options.extend(self.prefix.and_then(mask).map(DhcpOption::SubnetMask));
        options.extend(self.router.map(|router| DhcpOption::Router(vec![router])));
        if !self.dns.is_empty() {
            options.push(DhcpOption::DomainNameServer(self.dns.clone()));
        }
        options.extend(self.mtu.map(DhcpOption::InterfaceMtu));
        options
    }
}

fn mask(prefix: u8) -> Option<Ipv4Addr> {
    let host_bits = 32_u32.checked_sub(prefix.into())?;
    Some(Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0)))
}

/// How many bytes of DHCP a client takes. UEFI's PXE client says 65280 in its request, whatever the network carries; clients that
/// say nothing take 576 with the headers.
fn largest(request: &Packet) -> usize {
    let said = request.options.number(57).map_or(EVERYONE, usize::from);
    said.clamp(EVERYONE, ETHERNET) - IP_AND_UDP
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(message: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
        bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
        bytes[10] = 0x80;
        bytes[28..34].copy_from_slice(&[0x52, 0x54, 0, 0, 0, 1]);
        bytes[236..].copy_from_slice(&MAGIC);
        bytes.extend([53, 1, message]);
        for (code, value) in options {
            bytes.extend([*code, u8::try_from(value.len()).expect("it is short")]);
            bytes.extend(*value);
        }
        bytes.push(255);
        bytes
    }

    const UUID: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

    fn boot_reply() -> Reply {
        Reply {
            your_address: Some([10, 9, 0, 50].into()),
            lease_seconds: Some(30),
            next_server: Some([10, 9, 0, 1].into()),
            file: Some("snponly.efi".into()),
            vendor_class: Some("PXEClient".into()),
            vendor_options: Some(vec![6, 1, 8, 255]),
            echo_machine_id: true,
            prefix: Some(24),
            router: Some([10, 9, 0, 1].into()),
            dns: vec![[10, 9, 0, 1].into()],
            domain: Some("lab.example".into()),
            ..Reply::new(MessageType::Offer, [10, 9, 0, 1].into())
        }
    }

    #[test]
    fn what_is_read() {
        let bytes = packet(1, &[(60, b"PXEClient"), (93, &[0, 7]), (57, &[5, 0xc0])]);
        let read = Packet::decode(&bytes).expect("it is a packet");
        assert_eq!(
            (read.message, read.transaction, read.broadcast),
            (MessageType::Discover, 0x0102_0304, true)
        );
        assert_eq!((read.options.get(60), read.options.number(93)), (Some(&b"PXEClient"[..]), Some(7)));
        assert_eq!((read.client_address, read.relay, read.from_server), (None, None, false));
    }

    #[test]
    fn what_is_refused() {
        let good = packet(1, &[]);
        let check = |change: &dyn Fn(&mut Vec<u8>), expected| {
            let mut bytes = good.clone();
            change(&mut bytes);
            assert_eq!(Packet::decode(&bytes).err(), expected);
        };
        check(&|_| (), None);
        check(&|b| b.truncate(239), Some(Malformed::Short(239)));
        check(&|b| b.clear(), Some(Malformed::Short(0)));
        check(&|b| b[236] = 0, Some(Malformed::Cookie));
        check(&|b| b[2] = 255, Some(Malformed::Hardware { kind: 1, length: 255 }));
        check(&|b| b[1] = 6, Some(Malformed::Hardware { kind: 6, length: 6 }));
        check(&|b| b.truncate(HEADER), Some(Malformed::Type));
        check(&|b| b[HEADER + 2] = 0, Some(Malformed::Type));
        check(&|b| b[HEADER + 1] = 9, Some(Malformed::Type));
    }

    #[test]
    fn options_in_pieces_and_in_the_header() {
        let mut bytes = packet(1, &[(60, b"PXE"), (12, b"x"), (60, b"Client"), (52, &[3])]);
        bytes[108..113].copy_from_slice(&[43, 2, 7, 8, 255]);
        bytes[44..49].copy_from_slice(&[77, 2, 9, 9, 255]);
        let read = Packet::decode(&bytes).expect("it is a packet");
        assert_eq!(read.options.get(60), Some(&b"PXEClient"[..]));
        assert_eq!(read.options.get(43), Some(&[7, 8][..]));
        assert_eq!(read.options.get(77), Some(&[9, 9][..]));
    }

    #[test]
    fn an_answer_as_firmware_wants_it() {
        let request = Packet::decode(&packet(1, &[(97, UUID), (82, b"circuit")])).expect("it is a packet");
        let bytes = boot_reply().encode(&request).expect("it fits");
        assert!((SMALLEST..=EVERYONE - IP_AND_UDP).contains(&bytes.len()));
        assert_eq!(bytes[0], 2);
        assert_eq!(bytes[4..8], [1, 2, 3, 4]);
        assert_eq!(bytes[16..20], [10, 9, 0, 50]);
        assert_eq!(bytes[20..24], [10, 9, 0, 1]);
        assert_eq!(&bytes[108..120], b"snponly.efi\0");
        // The kind of packet and its sender come first.
        assert_eq!(bytes[HEADER..HEADER + 9], [53, 1, 2, 54, 4, 10, 9, 0, 1]);
        // A PAD stands after the file's name, and the relay's option last.
        let end = b"\x43\x0bsnponly.efi\0\x52\x07circuit\xff";
        assert!(bytes.windows(end.len()).any(|window| window == end));
        let read = Packet::decode(&bytes).expect("it is a packet");
        let option = |code| read.options.get(code).unwrap_or_default();
        assert_eq!(option(97), UUID);
        assert_eq!(
            (option(66), option(60), option(43)),
            (&b"10.9.0.1"[..], &b"PXEClient"[..], &[6, 1, 8, 255][..])
        );
        assert_eq!((option(1), option(51)), (&[255, 255, 255, 0][..], &[0, 0, 0, 30][..]));
        assert_eq!((read.your_address, read.from_server), (Some([10, 9, 0, 50].into()), true));
    }

    #[test]
    fn no_answer_grows_beyond_what_its_client_takes() {
        let request = |largest: &[u8]| Packet::decode(&packet(1, &[(57, largest)])).expect("it is a packet");
        let long = Reply { domain: Some("a".repeat(200)), file: Some("f".repeat(100)), ..boot_reply() };
        let bytes = long.encode(&request(&[5, 0xc0])).expect("it fits");
        assert!(bytes.len() + IP_AND_UDP <= EVERYONE);
        assert_eq!(Packet::decode(&bytes).expect("it is a packet").options.get(15), None);
        let longer = Reply { file: Some(format!("http://10.9.0.1/{}", "f".repeat(500))), ..boot_reply() };
        assert!(longer.encode(&request(&[5, 0xc0])).is_ok());
        // The largest that EDK2 names in its request is no size that a network carries.
        assert!(longer.encode(&request(&[0xff, 0])).is_ok());
        assert!(matches!(longer.encode(&request(&[0, 1])), Err(TooLarge { most: 548, .. })));
        assert!(matches!(
            longer.encode(&Packet::decode(&packet(1, &[])).expect("it is a packet")),
            Err(TooLarge { .. })
        ));
    }

    #[test]
    fn masks() {
        for (prefix, expected) in
            [(0, Some([0, 0, 0, 0])), (24, Some([255, 255, 255, 0])), (32, Some([255; 4])), (33, None)]
        {
            assert_eq!(mask(prefix), expected.map(Ipv4Addr::from));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), sane: bool) {
            if sane && bytes.len() > HEADER {
                bytes[..3].copy_from_slice(&[1, 1, 6]);
                bytes[236..HEADER].copy_from_slice(&MAGIC);
            }
            if let Ok(packet) = Packet::decode(&bytes) {
                let _ = boot_reply().encode(&packet);
            }
        }

        #[test]
        fn options_survive_any_value(options in proptest::collection::vec((1u8..255, proptest::collection::vec(any::<u8>(), 0..255)), 0..10)) {
            let listed: Vec<_> = options.iter().filter(|(code, _)| !matches!(code, 52 | 53)).map(|(c, v)| (*c, v.as_slice())).collect();
            let read = Packet::decode(&packet(1, &listed)).expect("it is a packet");
            for (code, value) in &listed {
                prop_assert!(read.options.get(*code).is_some_and(|found| found.windows(value.len().max(1)).any(|w| w == *value) || value.is_empty()));
            }
        }
    }
}
