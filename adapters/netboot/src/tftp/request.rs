//! TFTP's packets, and what is agreed about a transfer.

use super::Settings;
use crate::files::clean;
use std::time::Duration;

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// It wants to read a file.
    Read(Request),
    /// It has every block up to this one.
    Ack(u16),
    /// It breaks off.
    Error(u16),
}

/// A request to read a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The file's path, cleaned.
    pub path: String,
    /// The block size that is wanted, in bytes.
    pub block: Option<u16>,
    /// Whether the file's size is asked for.
    pub size: bool,
    /// How many blocks are wanted at a time.
    pub window: Option<u16>,
    /// After how many seconds blocks are wanted again.
    pub timeout: Option<u8>,
}

/// Why a packet is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not TFTP, or nothing a client sends.
    #[error("it is not a TFTP request")]
    Garbage,
    /// The client wants to write.
    #[error("it asks to write")]
    Write,
    /// The mode is mail, or unknown.
    #[error("its mode is neither octet nor netascii")]
    Mode,
    /// The path leads out of the root, or is none.
    #[error("its path leads nowhere")]
    Path,
}

/// The errors that are sent (RFC 1350 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Something else.
    Undefined = 0,
    /// No such file.
    NotFound = 1,
    /// Not allowed.
    AccessViolation = 2,
    /// Not TFTP as it should be.
    Illegal = 4,
}

impl ErrorCode {
    /// The packet that says so.
    pub fn packet(self, why: &str) -> Vec<u8> {
        let mut bytes = vec![0, 5, 0, self as u8];
        bytes.extend(why.bytes());
        bytes.push(0);
        bytes
    }
}

impl Packet {
    /// Reads a client's packet.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        match number(0).ok_or(Malformed::Garbage)? {
            1 => Request::parse(&bytes[2..]).map(Self::Read),
            2 => Err(Malformed::Write),
            4 => number(2).map(Self::Ack).ok_or(Malformed::Garbage),
            5 => number(2).map(Self::Error).ok_or(Malformed::Garbage),
            _ => Err(Malformed::Garbage),
        }
    }
}

impl Request {
    /// Reads name, mode and options. An option with a value that makes no sense is as if it were not there (RFC 2347).
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        // Some ROMs leave the last NUL out, or send the frame's padding.
        let mut words = bytes.split(|&b| b == 0);
        let path = words.next().filter(|name| !name.is_empty()).ok_or(Malformed::Garbage)?;
        let mode = words.next().ok_or(Malformed::Garbage)?;
        // Boot programs are bytes, whatever the ROM calls them.
        if !mode.eq_ignore_ascii_case(b"octet") && !mode.eq_ignore_ascii_case(b"netascii") {
            return Err(Malformed::Mode);
        }
        let mut request = Self { path: clean(path).ok_or(Malformed::Path)?, ..Self::default() };
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            let value: Option<u64> = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            match (name.to_ascii_lowercase().as_slice(), value) {
                (b"blksize", Some(size @ 8..=65464)) => request.block = u16::try_from(size).ok(),
                (b"windowsize", Some(blocks @ 1..=65535)) => request.window = u16::try_from(blocks).ok(),
                (b"timeout", Some(seconds @ 1..=255)) => request.timeout = u8::try_from(seconds).ok(),
                (b"tsize", Some(_)) => request.size = true,
                _ => {}
            }
        }
        Ok(request)
    }
}

/// How a transfer is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The block size in bytes.
    pub block: u16,
    /// Blocks that are sent without waiting.
    pub window: u16,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// The packet that says so, where options were asked for: no other options, as clients take offence (RFC 2347).
    pub packet: Option<Vec<u8>>,
}

impl Agreement {
    /// What is agreed to of a request for a file of so many bytes.
    pub fn on(request: &Request, size: u64, settings: &Settings) -> Self {
        let block = request.block.map(|block| block.min(settings.largest_block));
        let window = request.window.map(|window| window.min(settings.largest_window));
        let mut packet = vec![0, 6];
        let mut put = |name: &str, value: Option<u64>| {
            if let Some(value) = value {
                packet.extend(name.bytes().chain([0]).chain(value.to_string().bytes()).chain([0]));
            }
        };
        put("tsize", request.size.then_some(size));
        put("blksize", block.map(u64::from));
        put("windowsize", window.map(u64::from));
        put("timeout", request.timeout.map(u64::from));
        Self {
            block: block.unwrap_or(512),
            window: window.unwrap_or(1),
            timeout: request.timeout.map_or(settings.timeout, |seconds| Duration::from_secs(seconds.into())),
            packet: (packet.len() > 2).then_some(packet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<Request, Malformed>) {
        assert_eq!(Packet::parse(bytes), expected.map(Packet::Read));
    }

    fn request(path: &str) -> Request {
        Request { path: path.into(), ..Request::default() }
    }

    /// As they were recorded from firmware, shim, iPXE and GRUB.
    #[test]
    fn recorded_requests() {
        let edk2 = Request { block: Some(1468), window: Some(4), size: true, ..request("snponly.efi") };
        check(b"\0\x01snponly.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0", Ok(edk2.clone()));
        check(
            b"\0\x01snponly.efi\0octet\0blksize\x001468\0windowsize\x004\0",
            Ok(Request { size: false, ..edk2 }),
        );
        let ipxe = Request { block: Some(1432), size: true, ..request("undionly.kpxe") };
        check(b"\0\x01undionly.kpxe\0octet\0blksize\x001432\0tsize\x000\0", Ok(ipxe));
        let shim = Request { block: Some(512), window: Some(4), ..request("grubx64.efi") };
        check(b"\0\x01grubx64.efi\0octet\0blksize\x00512\0windowsize\x004\0", Ok(shim));
        let grub = Request { block: Some(1024), size: true, ..request("grub/grub.cfg") };
        check(b"\0\x01/grub/grub.cfg\0octet\0blksize\x001024\0tsize\x000\0", Ok(grub));
    }

    #[test]
    fn odd_requests() {
        check(b"\0\x01a\0NETASCII\0", Ok(request("a")));
        check(b"\0\x01a\xff\0octet", Ok(request("a")));
        check(b"\0\x01\\a\\b\0octet\0\0\0\0\0", Ok(request("a/b")));
        check(b"\0\x01a\0octet\0BLKSIZE\x007\0windowsize\x000\0x\0y\0", Ok(request("a")));
        check(b"\0\x01a\0octet\0blksize\x00100000\0tsize\0", Ok(request("a")));
        check(b"\0\x01a\0mail\0", Err(Malformed::Mode));
        check(b"\0\x01../a\0octet\0", Err(Malformed::Path));
        check(b"\0\x01a", Err(Malformed::Garbage));
        check(b"\0\x01\0octet\0", Err(Malformed::Garbage));
        check(b"\0\x02a\0octet\0", Err(Malformed::Write));
        check(b"\0\x03\0\x01", Err(Malformed::Garbage));
        check(b"", Err(Malformed::Garbage));
        assert_eq!(Packet::parse(b"\0\x04\xff\xff"), Ok(Packet::Ack(65535)));
        assert_eq!(Packet::parse(b"\0\x05\0\x08User aborted the transfer\0"), Ok(Packet::Error(8)));
        assert_eq!(Packet::parse(b"\0\x04\0"), Err(Malformed::Garbage));
    }

    #[test]
    fn only_what_was_asked_for_is_agreed_to() {
        let settings = Settings::default();
        let check = |request: Request, block, window, packet: Option<&[u8]>| {
            let found = Agreement::on(&request, 70_000, &settings);
            assert_eq!((found.block, found.window, found.packet.as_deref()), (block, window, packet));
        };
        check(request("a"), 512, 1, None);
        check(Request { size: true, ..request("a") }, 512, 1, Some(b"\0\x06tsize\x0070000\0"));
        let all = Request { block: Some(8192), window: Some(500), timeout: Some(3), ..request("a") };
        check(all, 1468, 64, Some(b"\0\x06blksize\x001468\0windowsize\x0064\0timeout\x003\0"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, code in 0u8..7) {
            let _ = Packet::parse(&bytes);
            if let Ok(Packet::Read(request)) = Packet::parse(&[&[0, code][..], &bytes].concat()) {
                let agreed = Agreement::on(&request, u64::MAX, &Settings::default());
                prop_assert!(agreed.block >= 8 && agreed.window >= 1);
            }
        }
    }
}
