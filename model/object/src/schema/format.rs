//! `format` of strings and numbers.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the text has the format; a format that is not known here has no say.
pub(super) fn text_has(format: &str, text: &str) -> bool {
    match format {
        "date-time" => !text.contains('[') && text.parse::<jiff::Timestamp>().is_ok(),
        "byte" => STANDARD.decode(text).is_ok(),
        "ip" => text.parse::<IpAddr>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" => is_uuid(text),
        _ => true,
    }
}

/// Whether the whole number is in the format's range.
pub(super) fn integer_has(format: &str, number: &serde_json::Number) -> bool {
    match format {
        "int32" => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        "int64" => number.as_i64().is_some(),
        _ => true,
    }
}

/// An address and a prefix length.
fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let plain = prefix.bytes().all(|b| b.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
    plain && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest)
}

/// Six bytes in hexadecimal, between colons or dashes.
fn is_mac(text: &str) -> bool {
    let bytes = text.as_bytes();
    let separator = bytes.get(2).copied().filter(|b| matches!(b, b':' | b'-'));
    bytes.len() == 17
        && separator.is_some()
        && (0..17)
            .all(|i| if i % 3 == 2 { Some(bytes[i]) == separator } else { bytes[i].is_ascii_hexdigit() })
}

/// Groups of 8, 4, 4, 4 and 12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let dash = |i: usize| matches!(i, 8 | 13 | 18 | 23);
    bytes.len() == 36
        && (0..36).all(|i| if dash(i) { bytes[i] == b'-' } else { bytes[i].is_ascii_hexdigit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_text() {
        let check = |format: &str, good: &[&str], bad: &[&str]| {
            good.iter().for_each(|text| assert!(text_has(format, text), "{format}: {text:?}"));
            bad.iter().for_each(|text| assert!(!text_has(format, text), "{format}: {text:?}"));
        };
        check(
            "date-time",
            &["2026-11-21T12:00:00Z", "2026-11-21T12:00:00.123+02:00"],
            &["", "2026-11-21", "2026-13-21T12:00:00Z", "2026-11-21T12:00:00Z[UTC]", "2026-11-21T12:00:00"],
        );
        check("byte", &["", "YQ==", "YWI="], &["YQ", "!", "YQ== "]);
        check("ip", &["10.0.0.1", "fd00::1"], &["", "10.0.0", "10.0.0.1/8"]);
        check("ipv4", &["10.0.0.1"], &["fd00::1", "010.0.0.1"]);
        check("ipv6", &["fd00::1"], &["10.0.0.1"]);
        check(
            "cidr",
            &["10.0.0.0/8", "0.0.0.0/0", "fd00::/64"],
            &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "x/8", "10.0.0.0/+8"],
        );
        check(
            "mac",
            &["52:54:00:ab:CD:ef", "52-54-00-ab-cd-ef"],
            &["", "52:54-00:ab:cd:ef", "525400abcdef", "52:54:00:ab:cd:eg"],
        );
        check("uuid", &["123e4567-e89b-12d3-a456-426614174000"], &["123e4567e89b12d3a456426614174000", ""]);
        check("of another world", &["anything"], &[]);
    }
}
