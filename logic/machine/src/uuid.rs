//! A machine's SMBIOS UUID as DHCP carries it.

/// Reads option 97 (RFC 4578 section 2.3): a type, which is 0, and 16 bytes of which SMBIOS has the first three fields in
/// little-endian order. UUIDs that name no machine (all noughts, all ones) are as good as none.
pub fn machine_uuid(option: &[u8]) -> Option<String> {
    let (&0, bytes) = option.split_first()? else { return None };
    let b: [u8; 16] = bytes.try_into().ok()?;
    if b == [0; 16] || b == [0xff; 16] {
        return None;
    }
    let ordered = [
        b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15],
    ];
    let mut text = String::with_capacity(36);
    for (at, byte) in ordered.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from_digit(u32::from(byte >> 4), 16)?);
        text.push(char::from_digit(u32::from(byte & 15), 16)?);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_firmware_sends_it() {
        let recorded =
            [0, 0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0];
        assert_eq!(machine_uuid(&recorded).as_deref(), Some("11223344-5566-7788-99aa-bbccddeeff00"));
        assert_eq!(machine_uuid(&[]), None);
        assert_eq!(machine_uuid(&recorded[..16]), None);
        assert_eq!(machine_uuid(&[1; 17]), None);
        assert_eq!(machine_uuid(&[0; 17]), None);
        let mut ones = [0xff; 17];
        ones[0] = 0;
        assert_eq!(machine_uuid(&ones), None);
    }
}
