//! The tables in which firmware describes the machine (DMTF DSP0134, System Management BIOS 3.x).

use super::bytes::At;
use lab_kinds::metal::server::hardware::Dimm;

/// What the tables say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Smbios {
    /// Who made the machine.
    pub manufacturer: String,
    /// The product's name.
    pub product: String,
    /// Serial number of the machine.
    pub serial: String,
    /// The machine's UUID in lower case; absent where it is all zeros or ones.
    pub uuid: Option<String>,
    /// Who made the firmware.
    pub firmware_vendor: String,
    /// The firmware's version.
    pub firmware_version: String,
    /// The firmware's release date, as it says.
    pub firmware_date: String,
    /// The memory modules, one per filled slot.
    pub dimms: Vec<Dimm>,
    /// Whether there is an IPMI interface, and so a BMC.
    pub has_bmc: bool,
}

/// Reads the structures (`/sys/firmware/dmi/tables/DMI`). What is cut short or contradicts itself is left out.
pub fn parse(tables: &[u8]) -> Smbios {
    let mut found = Smbios::default();
    let mut rest = tables;
    while let Some((structure, after)) = Structure::split(rest) {
        rest = after;
        match structure.kind() {
            0 => {
                found.firmware_vendor = structure.text(0x04);
                found.firmware_version = structure.text(0x05);
                found.firmware_date = structure.text(0x08);
            }
            1 => {
                found.manufacturer = structure.text(0x04);
                found.product = structure.text(0x05);
                found.serial = structure.text(0x07);
                found.uuid = structure.data.get(0x08..0x18).and_then(uuid);
            }
            17 => found.dimms.extend(dimm(&structure)),
            38 => found.has_bmc = true,
            127 => break,
            _ => {}
        }
    }
    found
}

/// One structure: its formatted part and its texts.
struct Structure<'a> {
    data: &'a [u8],
    texts: &'a [u8],
}

impl<'a> Structure<'a> {
    /// The first structure and what follows it.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let length = usize::from(bytes.u8_at(1)?);
        if length < 4 {
            return None;
        }
        let (data, after) = bytes.split_at_checked(length)?;
        // The texts end with two zeros, also when there are none.
        let end = after.windows(2).position(|pair| pair == [0, 0])?;
        Some((Self { data, texts: &after[..end] }, &after[end + 2..]))
    }

    fn kind(&self) -> u8 {
        self.data[0]
    }

    /// The text whose number stands at a place; empty where there is none or only a filler.
    fn text(&self, at: usize) -> String {
        let Some(number) = self.data.u8_at(at).and_then(|number| usize::from(number).checked_sub(1)) else {
            return String::new();
        };
        let text = self.texts.split(|byte| *byte == 0).nth(number).unwrap_or_default();
        let text = String::from_utf8_lossy(text).trim().to_owned();
        if is_filler(&text) { String::new() } else { text }
    }
}

/// What makers write where they have nothing to say.
fn is_filler(text: &str) -> bool {
    let text = text.to_lowercase();
    [
        "to be filled by o.e.m.",
        "not specified",
        "default string",
        "none",
        "unknown",
        "no dimm",
        "n/a",
        "empty",
    ]
    .contains(&text.as_str())
}

/// In SMBIOS the first three fields are little-endian.
fn uuid(bytes: &[u8]) -> Option<String> {
    if bytes.iter().all(|b| *b == 0) || bytes.iter().all(|b| *b == 0xff) {
        return None;
    }
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let digits: Vec<_> = ORDER.iter().map(|&at| format!("{:02x}", bytes[at])).collect();
    let part = |from: usize, to: usize| digits[from..to].concat();
    Some([part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 16)].join("-"))
}

fn dimm(structure: &Structure) -> Option<Dimm> {
    let data = structure.data;
    const MIB: i64 = 1 << 20;
    let size_bytes = match data.u16_at(0x0c)? {
        // 0: the slot is empty; 0xffff: it is not known.
        0 | 0xffff => return None,
        0x7fff => i64::from(data.u32_at(0x1c)? & 0x7fff_ffff) * MIB,
        kib if kib & 0x8000 != 0 => i64::from(kib & 0x7fff) << 10,
        mib => i64::from(mib) * MIB,
    };
    let rate = |at| data.u16_at(at).filter(|rate| !matches!(rate, 0 | 0xffff)).map(i32::from);
    Some(Dimm {
        slot: structure.text(0x10),
        size_bytes,
        kind: data.u8_at(0x12).map(memory_type).unwrap_or_default().into(),
        // What it runs at, and where that is not said, what it could.
        speed_mts: rate(0x20).or_else(|| rate(0x15)),
        manufacturer: structure.text(0x17),
        part: structure.text(0x1a),
        serial: structure.text(0x18),
    })
}

/// DSP0134, 7.18.2.
fn memory_type(code: u8) -> &'static str {
    match code {
        0x0f => "SDRAM",
        0x12 => "DDR",
        0x13 | 0x14 => "DDR2",
        0x18 => "DDR3",
        0x1a => "DDR4",
        0x1b => "LPDDR",
        0x1c => "LPDDR2",
        0x1d => "LPDDR3",
        0x1e => "LPDDR4",
        0x20 | 0x21 => "HBM",
        0x22 => "DDR5",
        0x23 => "LPDDR5",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A structure with these fields after its header, and these texts.
    fn structure(kind: u8, fields: &[u8], texts: &[&str]) -> Vec<u8> {
        let mut bytes = vec![kind, u8::try_from(fields.len() + 4).unwrap(), 0, 0];
        bytes.extend(fields);
        texts.iter().for_each(|text| bytes.extend(text.bytes().chain([0])));
        bytes.extend(if texts.is_empty() { &[0, 0][..] } else { &[0] });
        bytes
    }

    fn module(size: u16, extended: u32) -> Vec<u8> {
        let mut fields = [0; 0x24];
        fields[0x0c..0x0e].copy_from_slice(&size.to_le_bytes());
        fields[0x10] = 1;
        fields[0x12] = 0x22;
        fields[0x15..0x17].copy_from_slice(&5600_u16.to_le_bytes());
        fields[0x17] = 2;
        fields[0x18] = 3;
        fields[0x1c..0x20].copy_from_slice(&extended.to_le_bytes());
        fields[0x20..0x22].copy_from_slice(&4800_u16.to_le_bytes());
        structure(17, &fields[4..], &["DIMM_A1", "Micron", "Not Specified"])
    }

    #[test]
    fn a_machine() {
        let mut id = vec![1, 2, 0, 3];
        id.extend(0x00..0x10);
        let tables = [
            structure(0, &[1, 2, 0, 0, 3], &["EDK II", "2024.05", "05/01/2024"]),
            structure(1, &id, &["QEMU", "Standard PC", " S1 "]),
            module(0x4000, 0),
            module(0, 0),
            module(0x7fff, 65536),
            module(0x8400, 0),
            structure(38, &[], &[]),
            structure(127, &[], &[]),
            structure(0, &[1, 0, 0, 0, 0], &["after the end"]),
        ];
        let found = parse(&tables.concat());
        assert_eq!(
            (found.manufacturer.as_str(), found.product.as_str(), found.serial.as_str()),
            ("QEMU", "Standard PC", "S1")
        );
        assert_eq!(found.uuid.as_deref(), Some("03020100-0504-0706-0809-0a0b0c0d0e0f"));
        assert_eq!(
            (found.firmware_vendor.as_str(), found.firmware_version.as_str(), found.firmware_date.as_str()),
            ("EDK II", "2024.05", "05/01/2024")
        );
        assert!(found.has_bmc);
        let sizes: Vec<_> = found.dimms.iter().map(|dimm| dimm.size_bytes >> 10).collect();
        assert_eq!(sizes, [16 << 20, 64 << 20, 1024]);
        let expected = Dimm {
            slot: "DIMM_A1".into(),
            size_bytes: 16 << 30,
            kind: "DDR5".into(),
            speed_mts: Some(4800),
            manufacturer: "Micron".into(),
            ..Dimm::default()
        };
        assert_eq!(found.dimms[0], expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            parse(&bytes);
        }

        #[test]
        fn a_cut_loses_only_what_it_cuts(at in 0usize..200) {
            let whole = [structure(1, &[1, 0, 0, 0], &["QEMU"]), module(0x4000, 0), module(0x4000, 0)].concat();
            let found = parse(&whole[..at.min(whole.len())]);
            prop_assert!(found.dimms.len() <= 2);
            prop_assert_eq!(found.manufacturer.is_empty(), at < 14);
        }
    }
}
