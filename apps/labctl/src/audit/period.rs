//! A period of the audit trail, as it is named on the command line.

use jiff::{SignedDuration, Timestamp};
use std::str::FromStr;

/// From when to when; open at an end that is not named.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Period {
    /// Entries of the audit trail from this time on: a moment (RFC 3339), or how long ago, such as 30m, 2h or 1d
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Entries of the audit trail up to this time
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
}

impl Period {
    /// Whether an end is named.
    pub fn is_set(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }

    /// Its beginning and its end.
    pub fn resolve(&self, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
        let resolve = |moment: Option<Moment>| moment.map(|moment| moment.resolve(now));
        (resolve(self.since), resolve(self.until))
    }
}

/// A moment, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Moment {
    At(Timestamp),
    Ago(SignedDuration),
}

impl FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        let wrong =
            || format!("{text:?} is neither a moment like 2026-11-21T12:00:00Z nor a length of time like 2h");
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
        let number: i64 = number.parse().ok().filter(|n| (0..=1_000_000).contains(n)).ok_or_else(wrong)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(wrong()),
        };
        Ok(Self::Ago(SignedDuration::from_secs(number * seconds)))
    }
}

impl Moment {
    fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now.checked_sub(span).unwrap_or(Timestamp::MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
        for (written, expected) in [
            ("2026-11-21T10:00:00Z", Some("2026-11-21T10:00:00Z")),
            ("30m", Some("2026-11-21T11:30:00Z")),
            ("2d", Some("2026-11-19T12:00:00Z")),
            ("", None),
            ("noon", None),
            ("-1h", None),
            ("2ä", None),
        ] {
            let found = written.parse::<Moment>().ok().map(|moment| moment.resolve(now).to_string());
            assert_eq!(found.as_deref(), expected, "{written}");
        }
    }
}
