//! What such a frame says: a list of type, length and value (IEEE 802.1AB-2016, clause 8). Pure; the frames are anybody's.

use lab_kinds::metal::server::hardware::LldpNeighbour;
use lab_object::mac::MacAddress;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a neighbour says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who and where it is.
    pub neighbour: LldpNeighbour,
    /// For how many seconds that holds; with 0 it takes leave.
    pub seconds: u16,
}

/// Why a frame is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A value goes beyond the frame's end.
    #[error("at byte {at}, a value of type {kind} goes beyond the end")]
    Short {
        /// Where it begins.
        at: usize,
        /// Its type.
        kind: u8,
    },
    /// It does not begin with chassis, port and time to live, in this order (clause 8.2).
    #[error("where {expected} is required stands none, or one that says nothing")]
    Missing {
        /// What is required.
        expected: &'static str,
    },
}

const CHASSIS: u8 = 1;
const PORT: u8 = 2;
const TIME_TO_LIVE: u8 = 3;
const PORT_DESCRIPTION: u8 = 4;
const SYSTEM_NAME: u8 = 5;
const OF_AN_ORGANISATION: u8 = 127;
/// IEEE 802.1's own, and its number for the port's VLAN (annex D.2.1).
const PORT_VLAN: [u8; 4] = [0x00, 0x80, 0xc2, 1];
/// Subtypes of identifiers that are no text: a MAC address and a network address, of a chassis and of a port (clause 8.5).
const CHASSIS_KINDS: (u8, u8) = (4, 5);
const PORT_KINDS: (u8, u8) = (3, 4);

/// Reads the content of a frame, without its Ethernet header. What is unknown is left out, as a later edition may add to it.
///
/// # Errors
/// It is cut short, or lacks what is required.
pub fn parse(frame: &[u8]) -> Result<Said, Malformed> {
    let mut values = Values { frame, at: 0 };
    let chassis = identifier(values.required(CHASSIS, "the chassis")?, CHASSIS_KINDS)
        .ok_or(Malformed::Missing { expected: "the chassis" })?;
    let port = identifier(values.required(PORT, "the port")?, PORT_KINDS)
        .ok_or(Malformed::Missing { expected: "the port" })?;
    let seconds = values.required(TIME_TO_LIVE, "the time to live")?;
    let seconds = number(seconds).ok_or(Malformed::Missing { expected: "the time to live" })?;
    let mut neighbour = LldpNeighbour { chassis, port, ..LldpNeighbour::default() };
    while let Some((kind, value)) = values.next()? {
        match kind {
            PORT_DESCRIPTION => neighbour.port_description = text(value),
            SYSTEM_NAME => neighbour.system = text(value),
            OF_AN_ORGANISATION => {
                let vlan = value.strip_prefix(&PORT_VLAN).and_then(number).map(i32::from);
                // 0 says that the port has none.
                neighbour.vlan = vlan.filter(|vlan| (1..=4094).contains(vlan)).or(neighbour.vlan);
            }
            _ => {}
        }
    }
    Ok(Said { neighbour, seconds })
}

/// The values of a frame, one after the other.
struct Values<'a> {
    frame: &'a [u8],
    at: usize,
}

impl<'a> Values<'a> {
    /// The next one; nothing at the end. Behind it there may be padding.
    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        let Some([high, low]) = self.frame.get(self.at..self.at + 2) else { return Ok(None) };
        // Seven bits of type, nine of length.
        let (kind, length) = (high >> 1, usize::from(high & 1) << 8 | usize::from(*low));
        if kind == 0 {
            return Ok(None);
        }
        let from = self.at + 2;
        let value = self.frame.get(from..from + length).ok_or(Malformed::Short { at: self.at, kind })?;
        self.at = from + length;
        Ok(Some((kind, value)))
    }

    fn required(&mut self, wanted: u8, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let found = self.next()?.filter(|(kind, _)| *kind == wanted);
        found.map(|(_, value)| value).ok_or(Malformed::Missing { expected })
    }
}

/// An identifier: a byte that says of what kind it is, then itself.
fn identifier(value: &[u8], (mac, network): (u8, u8)) -> Option<String> {
    let (kind, value) = value.split_first()?;
    let address = match value {
        _ if *kind == mac => <[u8; 6]>::try_from(value).ok().map(|mac| MacAddress(mac).to_string()),
        // IANA's address family numbers: 1 for IPv4, 2 for IPv6.
        [1, rest @ ..] if *kind == network => {
            <[u8; 4]>::try_from(rest).ok().map(|ip| Ipv4Addr::from(ip).to_string())
        }
        [2, rest @ ..] if *kind == network => {
            <[u8; 16]>::try_from(rest).ok().map(|ip| Ipv6Addr::from(ip).to_string())
        }
        _ => None,
    };
    Some(address.unwrap_or_else(|| text(value))).filter(|text| !text.is_empty())
}

fn number(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Text that can be shown: it is written on consoles and in tables.
fn text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let shown = text.trim_end_matches('\0').chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).expect("it is short");
        let head = u16::from(kind) << 9 | length;
        [&head.to_be_bytes()[..], value].concat()
    }

    fn frame(values: &[(u8, &[u8])]) -> Vec<u8> {
        values.iter().flat_map(|(kind, bytes)| value(*kind, bytes)).collect()
    }

    const MAC: &[u8] = &[4, 0x02, 0, 0, 0, 0, 9];

    #[track_caller]
    fn check(values: &[(u8, &[u8])], expected: Result<(LldpNeighbour, u16), Malformed>) {
        let found = parse(&frame(values)).map(|said| (said.neighbour, said.seconds));
        assert_eq!(found, expected);
    }

    fn neighbour(chassis: &str, port: &str) -> LldpNeighbour {
        LldpNeighbour { chassis: chassis.into(), port: port.into(), ..LldpNeighbour::default() }
    }

    #[test]
    fn what_switches_say() {
        let all = LldpNeighbour {
            system: "leaf-1".into(),
            port_description: "to db 1".into(),
            vlan: Some(20),
            ..neighbour("02:00:00:00:00:09", "Ethernet7")
        };
        let name: &[u8] = b"\x05Ethernet7";
        let time: &[u8] = &[0, 120];
        check(
            &[
                (1, MAC),
                (2, name),
                (3, time),
                (4, b"to db\n1\0"),
                (5, b"leaf-1"),
                (6, b"its system"),
                (127, &[0, 0x80, 0xc2, 1, 0, 20]),
                (127, &[0, 0x12, 0x0f, 1, 3]),
                (0, b""),
                (5, b"padding"),
            ],
            Ok((all, 120)),
        );
        let by_address = neighbour("192.0.2.1", "2001:db8::1");
        let ip6: Vec<u8> = [&[4, 2][..], &[0x20, 1, 0x0d, 0xb8], &[0; 11], &[1]].concat();
        check(&[(1, &[5, 1, 192, 0, 2, 1]), (2, &ip6), (3, &[0, 0])], Ok((by_address, 0)));
        // The end need not be said, and a port may have no VLAN.
        let local = neighbour("rack 1", "3");
        check(
            &[(1, b"\x07rack 1"), (2, b"\x073"), (3, time), (127, &[0, 0x80, 0xc2, 1, 0, 0])],
            Ok((local, 120)),
        );
    }

    #[test]
    fn what_is_not_understood() {
        let missing = |expected| Err(Malformed::Missing { expected });
        let (port, time): (&[u8], &[u8]) = (b"\x05e1", &[0, 9]);
        check(&[], missing("the chassis"));
        check(&[(2, port), (1, MAC), (3, time)], missing("the chassis"));
        check(&[(1, b""), (2, port), (3, time)], missing("the chassis"));
        check(&[(1, b"\x04"), (2, port), (3, time)], missing("the chassis"));
        check(&[(1, MAC), (3, time)], missing("the port"));
        check(&[(1, MAC), (2, port)], missing("the time to live"));
        check(&[(1, MAC), (2, port), (3, &[1])], missing("the time to live"));
        let cut = frame(&[(1, MAC), (2, port), (3, time), (5, b"leaf-1")]);
        assert_eq!(parse(&cut[..cut.len() - 1]), Err(Malformed::Short { at: 18, kind: 5 }));
    }

    proptest! {
        #[test]
        fn whatever_is_sent(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            // What begins as it has to is read further, and is shown without harm.
            let begun = [frame(&[(1, MAC), (2, b"\x05e1"), (3, &[0, 9])]), bytes].concat();
            if let Ok(said) = parse(&begun) {
                let shown = format!("{}{}", said.neighbour.system, said.neighbour.port_description);
                prop_assert!(!shown.chars().any(char::is_control));
            }
        }
    }
}
