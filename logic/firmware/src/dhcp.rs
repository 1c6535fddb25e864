//! What firmware says over DHCP, byte for byte as it was recorded, and what it reads in answers.

use crate::Kind;
use lab_object::mac::MacAddress;
use std::net::Ipv4Addr;

/// Whom a question is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Everybody, at port 67.
    Everybody,
    /// The boot server, at port 4011.
    BootServer(Ipv4Addr),
}

/// A packet that firmware sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// To whom.
    pub to: To,
    /// Option 53: 1 DISCOVER, 3 REQUEST.
    pub message: u8,
    /// Whether the client says that it takes only broadcasts.
    pub broadcast: bool,
    /// The address that the client has (ciaddr).
    pub client_address: Option<Ipv4Addr>,
    /// Its other options, in the order in which they are sent.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Question {
    /// The packet's bytes, without IP's and UDP's headers.
    pub fn bytes(&self, mac: MacAddress, transaction: u32, seconds: u16) -> Vec<u8> {
        let mut bytes = vec![0; 240];
        bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
        bytes[4..8].copy_from_slice(&transaction.to_be_bytes());
        bytes[8..10].copy_from_slice(&seconds.to_be_bytes());
        bytes[10] = if self.broadcast { 0x80 } else { 0 };
        bytes[12..16].copy_from_slice(&self.client_address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        bytes[28..34].copy_from_slice(&mac.0);
        bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
        bytes.extend([53, 1, self.message]);
        for (code, value) in &self.options {
            // No option that was recorded is longer than a length can say.
            for piece in value.chunks(255) {
                bytes.extend([*code, piece.len() as u8]);
                bytes.extend(piece);
            }
        }
        bytes.push(255);
        bytes
    }
}

/// What firmware reads in an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Option 53: 2 OFFER, 5 ACK, 6 NAK.
    pub message: u8,
    /// Who sent it (option 54).
    pub server: Option<Ipv4Addr>,
    /// The address that is given (yiaddr); none in a proxy's answer.
    pub address: Option<Ipv4Addr>,
    /// The server of the boot file (siaddr, or else option 66).
    pub next_server: Option<Ipv4Addr>,
    /// The boot file (option 67, or else the header).
    pub file: Option<String>,
    /// Option 60.
    pub vendor_class: Vec<u8>,
    /// Option 43.
    pub vendor_options: Vec<u8>,
    /// Whether iPXE is told not to wait for proxies (option 175, 176).
    pub no_proxy: bool,
}

impl Answer {
    /// Reads the fields of an answer: yiaddr, siaddr, the header's file, and options by their codes.
    pub fn read<'a>(
        address: Option<Ipv4Addr>,
        next_server: Option<Ipv4Addr>,
        file: Option<&str>,
        option: impl Fn(u8) -> Option<&'a [u8]>,
    ) -> Self {
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        let ip = |code| <[u8; 4]>::try_from(option(code)?).ok().map(Ipv4Addr::from);
        let named = option(67).map(text).filter(|name| !name.is_empty());
        Self {
            message: option(53).and_then(|value| value.first()).copied().unwrap_or_default(),
            server: ip(54),
            address,
            next_server: next_server.or_else(|| text(option(66)?).parse().ok()),
            file: named.or_else(|| file.map(str::to_owned)),
            vendor_class: option(60).unwrap_or_default().to_vec(),
            vendor_options: option(43).unwrap_or_default().to_vec(),
            no_proxy: sub_option(option(175).unwrap_or_default(), 176) == Some(&[1]),
        }
    }

    /// Whether it says that it is a PXE server's.
    pub(crate) fn is_pxe(&self) -> bool {
        self.vendor_class.starts_with(b"PXEClient")
    }

    /// Whether it says that it is an HTTP boot server's.
    pub(crate) fn is_http(&self) -> bool {
        self.vendor_class.starts_with(b"HTTPClient")
    }

    /// Whether it has PXE's own options 6 to 10, without which EDK2 takes it for BINL.
    pub(crate) fn has_pxe_options(&self) -> bool {
        (6..=10).any(|code| sub_option(&self.vendor_options, code).is_some())
    }

    pub(crate) fn is_offer(&self) -> bool {
        self.message == 2
    }

    /// Whether it is a proxy's offer that firmware listens to: all want option 54.
    pub(crate) fn is_proxy(&self) -> bool {
        self.is_offer() && self.address.is_none() && self.server.is_some()
    }
}

/// An option within an option.
fn sub_option(mut bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [code, length, rest @ ..] = bytes {
        if *code == 255 {
            return None;
        }
        let value = rest.get(..usize::from(*length))?;
        if *code == wanted {
            return Some(value);
        }
        bytes = &rest[value.len()..];
    }
    None
}

/// Who sends a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    BiosPxe,
    Uefi,
    UefiHttp,
    /// iPXE: as a ROM, loaded on BIOS, loaded on UEFI.
    Rom,
    Undionly,
    Snponly,
}

impl Speaker {
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Bios => Self::Rom,
            Kind::BiosPxe => Self::BiosPxe,
            Kind::UefiPxe | Kind::UefiPxe2016 | Kind::SecureBoot => Self::Uefi,
            Kind::UefiHttp | Kind::SecureBootHttp => Self::UefiHttp,
        }
    }

    pub fn is_ipxe(self) -> bool {
        matches!(self, Self::Rom | Self::Undionly | Self::Snponly)
    }

    fn is_edk2(self) -> bool {
        matches!(self, Self::Uefi | Self::UefiHttp)
    }

    /// EDK2 takes broadcasts only; so does iPXE once a PXE stack came before it.
    fn broadcast(self) -> bool {
        self.is_edk2() || matches!(self, Self::Undionly | Self::BiosPxe)
    }

    fn vendor_class(self) -> &'static [u8] {
        match self {
            Self::BiosPxe | Self::Rom => b"PXEClient:Arch:00000:UNDI:002001",
            Self::Uefi => b"PXEClient:Arch:00007:UNDI:003000",
            Self::UefiHttp => b"HTTPClient:Arch:00016:UNDI:003000",
            // undionly sends back what the ROM was told.
            Self::Undionly => b"PXEClient",
            Self::Snponly => b"PXEClient:Arch:00007:UNDI:003010",
        }
    }

    /// Options 93 and 94.
    fn platform(self) -> ([u8; 2], [u8; 3]) {
        match self {
            Self::BiosPxe | Self::Rom | Self::Undionly => ([0, 0], [1, 2, 1]),
            Self::Uefi => ([0, 7], [1, 3, 0]),
            Self::UefiHttp => ([0, 16], [1, 3, 0]),
            Self::Snponly => ([0, 7], [1, 3, 10]),
        }
    }

    /// Option 55. EDK2's list for HTTP has a byte in it that was never set.
    fn wishes(self) -> Vec<u8> {
        let edk2: Vec<u8> =
            [1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60].into();
        match self {
            Self::Uefi | Self::BiosPxe => {
                [&edk2[..], &[66, 67, 97], &(128..=135).collect::<Vec<_>>()].concat()
            }
            Self::UefiHttp => [&edk2[..], &[235, 67, 97]].concat(),
            _ => [
                &[1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119][..],
                &(128..=135).collect::<Vec<_>>(),
                &[175, 203],
            ]
            .concat(),
        }
    }

    /// Options 77 and 175: iPXE says who it is and what it can do.
    fn own(self, mac: MacAddress) -> Vec<(u8, Vec<u8>)> {
        const BIOS: &[u8] =
            b"\xb1\x05\x01\x1a\xf4\x10\0\xeb\x03\x01\0\0\x17\x01\x01\x22\x01\x01\x13\x01\x01\x11\x01\x01\
            \x27\x01\x01\x19\x01\x01\x29\x01\x01\x10\x01\x02\x21\x01\x01\x15\x01\x01\x18\x01\x01\x12\x01\x01";
        const UEFI: &[u8] =
            b"\xb1\x05\x01\x1a\xf4\x10\0\xeb\x03\x01\0\0\x17\x01\x01\x24\x01\x01\x13\x01\x01\x11\x01\x01\
            \x27\x01\x01\x29\x01\x01\x15\x01\x01\x12\x01\x01";
        if !self.is_ipxe() {
            return Vec::new();
        }
        let features = if self == Self::Snponly { UEFI } else { BIOS };
        let client = [&[1][..], &mac.0].concat();
        vec![(77, b"iPXE".to_vec()), (55, self.wishes()), (175, features.to_vec()), (61, client)]
    }

    fn question(self, mac: MacAddress, uuid: [u8; 16], message: u8, largest: [u8; 2]) -> Question {
        let (architecture, interface) = self.platform();
        let id = [&[0][..], &uuid].concat();
        let said =
            [(93, architecture.to_vec()), (94, interface.to_vec()), (60, self.vendor_class().to_vec())];
        let mut options = vec![(57, largest.to_vec())];
        if self.is_ipxe() {
            options.extend(said);
            options.extend(self.own(mac));
            options.push((97, id));
        } else {
            options.extend([(55, self.wishes()), (97, id)]);
            options.extend(said.into_iter().rev());
        }
        Question { to: To::Everybody, message, broadcast: self.broadcast(), client_address: None, options }
    }

    pub fn discover(self, mac: MacAddress, uuid: [u8; 16]) -> Question {
        self.question(mac, uuid, 1, [0x05, 0xc0])
    }

    pub fn request(self, mac: MacAddress, uuid: [u8; 16], offer: &Answer) -> Question {
        // UEFI's PXE client takes more than any network carries, if it is to be believed.
        let largest = if self == Self::Uefi { [0xff, 0] } else { [0x05, 0xc0] };
        let mut question = self.question(mac, uuid, 3, largest);
        let chosen = |address: Option<Ipv4Addr>| address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets().to_vec();
        question.options.push((54, chosen(offer.server)));
        question.options.push((50, chosen(offer.address)));
        question
    }

    /// PXE's second question: who has an address asks the boot server for its file.
    pub fn second(self, mac: MacAddress, uuid: [u8; 16], address: Ipv4Addr, server: Ipv4Addr) -> Question {
        let question = self.question(mac, uuid, 3, [0x05, 0xc0]);
        Question { to: To::BootServer(server), broadcast: false, client_address: Some(address), ..question }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 1]);
    const UUID: [u8; 16] =
        [0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0];

    /// The options of the first packet of a kind in a trace.
    fn recorded(trace: &str, which: &str) -> Vec<(u8, Vec<u8>)> {
        let line = trace.lines().find(|line| line.contains(which)).expect("the trace has it");
        let words = line.split(' ').filter_map(|word| word.split_once('='));
        let options = words.filter_map(|(code, value)| Some((code.parse::<u8>().ok()?, value)));
        let hex = |text: &str| -> Vec<u8> {
            let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("it is hexadecimal");
            (0..text.len()).step_by(2).map(byte).collect()
        };
        let value = |text: &str| match text.strip_prefix("b'") {
            Some(text) => text.trim_end_matches('\'').as_bytes().to_vec(),
            None if text.starts_with('[') => {
                text.trim_matches(['[', ']']).split(',').map(|n| n.parse().expect("it is a number")).collect()
            }
            None => hex(text),
        };
        options.map(|(code, text)| (code, value(text))).collect()
    }

    #[test]
    fn as_it_was_recorded() {
        const BIOS: &str = include_str!("../../machine/traces/bios.log");
        const UEFI: &str = include_str!("../../machine/traces/pb.log");
        const HTTP: &str = include_str!("../../machine/traces/http-proxy.log");
        let offer = Answer {
            server: Some([10, 9, 0, 1].into()),
            address: Some([10, 9, 0, 50].into()),
            ..Answer::default()
        };
        let check = |trace: &str, which: &str, question: Question| {
            // As a set: requests name the server earlier than they are written here.
            let sorted = |mut options: Vec<(u8, Vec<u8>)>| {
                options.sort();
                options
            };
            let mut said = question.options.clone();
            said.push((53, vec![question.message]));
            assert_eq!(sorted(said), sorted(recorded(trace, which)), "{which}");
        };
        check(BIOS, "DISCOVER", Speaker::Rom.discover(MAC, UUID));
        check(BIOS, "REQUEST", Speaker::Rom.request(MAC, UUID, &offer));
        check(BIOS, "b'PXEClient' ", Speaker::Undionly.discover(MAC, UUID));
        check(UEFI, "DISCOVER", Speaker::Uefi.discover(MAC, UUID));
        check(UEFI, "REQUEST", Speaker::Uefi.request(MAC, UUID, &offer));
        check(UEFI, "4011", Speaker::Uefi.second(MAC, UUID, [10, 9, 0, 50].into(), [10, 9, 0, 2].into()));
        check(UEFI, "DISCOVER 255.255.255.255:67 flags=0000", Speaker::Snponly.discover(MAC, UUID));
        check(HTTP, "DISCOVER", Speaker::UefiHttp.discover(MAC, UUID));
        check(HTTP, "REQUEST", Speaker::UefiHttp.request(MAC, UUID, &offer));
    }

    #[test]
    fn options_within_options() {
        let check =
            |bytes: &[u8], code, expected: Option<&[u8]>| assert_eq!(sub_option(bytes, code), expected);
        check(&[6, 1, 8, 255], 6, Some(&[8]));
        check(&[9, 2, 1, 2, 6, 1, 8], 6, Some(&[8]));
        check(&[255, 6, 1, 8], 6, None);
        check(&[6, 9, 8], 6, None);
        check(&[], 6, None);
    }
}
