//! Time as the API writes it: RFC 3339, whole seconds or microseconds.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{borrow::Cow, fmt, str::FromStr};

/// A moment to the second, such as `2026-11-21T12:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Timestamp);

/// A moment to the microsecond, such as `2026-11-21T12:00:00.000000Z` (Lease, Event).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroTime(pub Timestamp);

impl Time {
    /// The moment cut to the second, so that it is the same after it was written and read.
    pub fn cut(moment: Timestamp) -> Self {
        Self(Timestamp::from_second(moment.as_second()).unwrap_or(moment))
    }
}

impl MicroTime {
    /// The moment cut to the microsecond, so that it is the same after it was written and read.
    pub fn cut(moment: Timestamp) -> Self {
        Self(Timestamp::from_microsecond(moment.as_microsecond()).unwrap_or(moment))
    }
}

const SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
const MICROS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&SECONDS.timestamp_to_string(&self.0))
    }
}

impl fmt::Display for MicroTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&MICROS.timestamp_to_string(&self.0))
    }
}

/// The text is no moment in RFC 3339.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not an RFC 3339 time, such as 2026-11-21T12:00:00Z")]
pub struct TimeError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub source: jiff::Error,
}

macro_rules! as_string {
    ($type:ident) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl FromStr for $type {
            type Err = TimeError;
            fn from_str(text: &str) -> Result<Self, TimeError> {
                text.parse().map(Self).map_err(|source| TimeError { text: text.into(), source })
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(|e: TimeError| D::Error::custom(format!("{e}: {}", e.source)))
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": "date-time"})
            }
        }
    };
}
as_string!(Time);
as_string!(MicroTime);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn written_and_read() {
        for (text, seconds, micros) in [
            ("2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z", "2026-11-21T12:00:00.000000Z"),
            ("2026-11-21T13:00:00.1234567+01:00", "2026-11-21T12:00:00Z", "2026-11-21T12:00:00.123456Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.500000Z"),
        ] {
            let time: Time = serde_json::from_value(json!(text)).unwrap();
            let micro: MicroTime = text.parse().unwrap();
            if !text.starts_with("1969") {
                assert_eq!(json!(time), json!(seconds), "{text}");
                assert_eq!(Time::cut(time.0), seconds.parse().unwrap());
            }
            assert_eq!(json!(micro), json!(micros), "{text}");
            assert_eq!(MicroTime::cut(micro.0), micros.parse().unwrap());
        }
    }

    #[test]
    fn what_is_no_time() {
        for text in ["", "yesterday", "2026-11-21", "2026-11-21T12:00:00"] {
            let error = serde_json::from_value::<Time>(json!(text)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is not an RFC 3339 time, such as")), "{error}");
        }
    }
}
