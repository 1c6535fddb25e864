//! MAC addresses, read in any notation and written in one.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};

/// A 48-bit MAC address; written `52:54:00:12:34:56`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

/// The text is in none of the notations of a MAC address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a MAC address (such as 52:54:00:12:34:56, 52-54-00-12-34-56, 5254.0012.3456 or 525400123456)"
)]
pub struct MacError(pub String);

impl MacAddress {
    /// Reads six pairs, three fours or two sixes of hexadecimal digits, parted by `:`, `-` or `.`, or all twelve
    /// together. With colons a leading nought may be left out (`0:1b:21:3:4:5`).
    pub fn parse(text: &str) -> Result<Self, MacError> {
        read(text).map(Self).ok_or_else(|| MacError(text.into()))
    }

    /// `52-54-00-12-34-56`: the form that is allowed in object names.
    pub fn dashed(&self) -> String {
        self.to_string().replace(':', "-")
    }
}

fn read(text: &str) -> Option<[u8; 6]> {
    let separator = text.bytes().find(|b| !b.is_ascii_hexdigit());
    let mut bytes = [0; 6];
    let mut filled = 0;
    let mut put = |pair: &str| {
        let slot = bytes.get_mut(filled)?;
        *slot = u8::from_str_radix(pair, 16).ok()?;
        filled += 1;
        Some(())
    };
    let Some(separator) = separator else {
        return (text.len() == 12)
            .then(|| (0..6).try_for_each(|i| put(&text[2 * i..2 * i + 2])))?
            .map(|()| bytes);
    };
    let groups = text.split(char::from(separator)).count();
    if !matches!(separator, b':' | b'-' | b'.') || !matches!(groups, 2 | 3 | 6) {
        return None;
    }
    for group in text.split(char::from(separator)) {
        // u8::from_str_radix would take a sign.
        if !group.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        if group.len() == 1 && groups == 6 && separator == b':' {
            put(group)?;
        } else if group.len() == 12 / groups {
            (0..group.len() / 2).try_for_each(|i| put(&group[2 * i..2 * i + 2]))?;
        } else {
            return None;
        }
    }
    Some(bytes)
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = MacError;
    fn from_str(text: &str) -> Result<Self, MacError> {
        Self::parse(text)
    }
}

impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'de, str>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl JsonSchema for MacAddress {
    fn schema_name() -> Cow<'static, str> {
        "MacAddress".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "mac"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_notation() {
        let cases = [
            ("52:54:00:12:ab:CD", Some("52:54:00:12:ab:cd")),
            ("52-54-00-12-AB-CD", Some("52:54:00:12:ab:cd")),
            ("5254.0012.abcd", Some("52:54:00:12:ab:cd")),
            ("5254:0012:abcd", Some("52:54:00:12:ab:cd")),
            ("525400-12abcd", Some("52:54:00:12:ab:cd")),
            ("52540012abcd", Some("52:54:00:12:ab:cd")),
            ("0:1b:21:3:4:5", Some("00:1b:21:03:04:05")),
            ("", None),
            ("52:54:00:12:ab", None),
            ("52:54:00:12:ab:cd:ef", None),
            ("52:54-00:12:ab:cd", None),
            ("a-b-c-d-e-f", None),
            ("+1:54:00:12:ab:cd", None),
            ("52 54 00 12 ab cd", None),
            ("52540012abc", None),
            ("52:54:00:12:ab:cg", None),
            ("525:400:12a:bcd", None),
            ("ä2:54:00:12:ab:cd", None),
        ];
        for (text, expected) in cases {
            let found = MacAddress::parse(text).ok().map(|m| m.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_and_read_again(bytes: [u8; 6]) {
            let mac = MacAddress(bytes);
            let text = mac.to_string();
            for form in [text.clone(), mac.dashed(), text.replace(':', ""), text.to_uppercase()] {
                prop_assert_eq!(form.parse(), Ok(mac));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,24}") {
            let _ = MacAddress::parse(&text);
        }
    }
}
