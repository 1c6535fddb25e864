//! Sizes as people write them: `33Gi`, `600Mi`, `2T`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr};

/// A number of bytes; written as a whole number with one of the suffixes `Ki`, `Mi`, `Gi`, `Ti` (powers of 1024) or `k`,
/// `M`, `G`, `T` (powers of 1000), or none; at most `i64::MAX` bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    /// How many bytes.
    pub bytes: u64,
}

/// The text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size: a whole number followed by Ki, Mi, Gi or Ti (or k, M, G, T), such as \"33Gi\"")]
pub struct SizeError(pub String);

/// What a size looks like in an object: whatever matches is a number of bytes that `i64` holds, and every size below an exabyte
/// can be written so.
pub const SIZE_PATTERN: &str =
    "^([0-9]{1,18}|[0-9]{1,15}(Ki|k)|[0-9]{1,12}(Mi|M)|[0-9]{1,9}(Gi|G)|[0-9]{1,6}(Ti|T))$";

/// Binary suffixes come first, so that of two equally short forms the binary one is written.
const SUFFIXES: [(&str, u64); 8] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
];

impl Size {
    /// A size of so many bytes.
    pub const fn of_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    /// A size of so many MiB.
    pub const fn of_mib(mib: u64) -> Self {
        Self { bytes: mib << 20 }
    }

    /// A size of so many GiB.
    pub const fn of_gib(gib: u64) -> Self {
        Self { bytes: gib << 30 }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SUFFIXES.iter().filter(|(_, unit)| self.bytes != 0 && self.bytes.is_multiple_of(*unit));
        let shortest =
            exact.map(|(suffix, unit)| format!("{}{suffix}", self.bytes / unit)).min_by_key(String::len);
        f.write_str(&shortest.unwrap_or_else(|| self.bytes.to_string()))
    }
}

impl FromStr for Size {
    type Err = SizeError;
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let error = || SizeError(text.into());
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let unit = match suffix {
            "" => 1,
            _ => SUFFIXES.iter().find(|(s, _)| *s == suffix).ok_or_else(error)?.1,
        };
        let number: u64 = number.parse().map_err(|_| error())?;
        // JSON's integers end with i64 in most clients.
        let bytes = number.checked_mul(unit).filter(|&bytes| i64::try_from(bytes).is_ok());
        bytes.map(Self::of_bytes).ok_or_else(error)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": SIZE_PATTERN})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_write() {
        let cases = [
            ("33Gi", Some((33 << 30, "33Gi"))),
            ("600Mi", Some((600 << 20, "600Mi"))),
            ("1024Mi", Some((1 << 30, "1Gi"))),
            ("2T", Some((2_000_000_000_000, "2T"))),
            ("1500", Some((1500, "1500"))),
            ("1k", Some((1000, "1k"))),
            ("0", Some((0, "0"))),
            ("8388607Ti", Some((8_388_607 << 40, "8388607Ti"))),
            ("8388608Ti", None),
            ("9223372036854775807", Some((i64::MAX as u64, "9223372036854775807"))),
            ("", None),
            ("Gi", None),
            ("-1Gi", None),
            ("+1Gi", None),
            ("1.5Gi", None),
            ("1 Gi", None),
            ("1gi", None),
            ("1K", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in cases {
            let found = text.parse::<Size>().ok().map(|s| (s.bytes, s.to_string()));
            assert_eq!(found, expected.map(|(bytes, written)| (bytes, written.to_owned())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_matches_the_pattern_is_a_size(text in SIZE_PATTERN.trim_matches(['^', '$'])) {
            prop_assert!(text.parse::<Size>().is_ok(), "{}", text);
        }

        #[test]
        fn written_and_read_again(bytes in 0..1_000_000_000_000_000_000u64, shift in 0u32..40) {
            let size = Size::of_bytes(bytes >> shift << shift);
            let text = size.to_string();
            prop_assert_eq!(text.parse(), Ok(size));
            prop_assert!(regex_lite::Regex::new(SIZE_PATTERN).expect("the pattern is valid").is_match(&text));
        }
    }
}
