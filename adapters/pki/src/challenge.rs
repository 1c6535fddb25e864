//! Challenges: texts that show they were made here a moment ago, for a purpose, without being remembered.

use crate::random;
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use std::time::{Duration, SystemTime};

/// How long a challenge may take to be answered.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes challenges and recognises them. Its key lives as long as the process.
pub struct Challenges {
    key: hmac::Key,
}

impl Default for Challenges {
    fn default() -> Self {
        Self::new()
    }
}

impl Challenges {
    /// With a key of its own.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn new() -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &random::bytes::<32>()) }
    }

    /// A challenge for somebody.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn make(&self, whom: &str, now: SystemTime) -> String {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut body = seconds.to_be_bytes().to_vec();
        body.extend(random::bytes::<16>());
        let tag = hmac::sign(&self.key, &Self::bound(&body, whom));
        body.extend(tag.as_ref());
        BASE64_URL_SAFE_NO_PAD.encode(body)
    }

    /// Whether a challenge was made here for somebody, not long ago.
    pub fn holds(&self, challenge: &str, whom: &str, now: SystemTime) -> bool {
        let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(challenge) else { return false };
        let Some((body, tag)) = bytes.split_at_checked(24) else { return false };
        let Some(made) = body.first_chunk::<8>().map(|bytes| Duration::from_secs(u64::from_be_bytes(*bytes)))
        else {
            return false;
        };
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        hmac::verify(&self.key, &Self::bound(body, whom), tag).is_ok()
            && since.checked_sub(made).is_some_and(|age| age <= PATIENCE)
    }

    fn bound(body: &[u8], whom: &str) -> Vec<u8> {
        [body, whom.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges() {
        let (challenges, others) = (Challenges::new(), Challenges::new());
        let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds);
        let one = challenges.make("a", at(0));
        assert_ne!(one, challenges.make("a", at(0)));
        for (challenge, whom, now, expected) in [
            (one.as_str(), "a", 0, true),
            (&one, "a", 120, true),
            (&one, "a", 121, false),
            (&one, "b", 0, false),
            (&one[..one.len() - 4], "a", 0, false),
            ("", "a", 0, false),
            (&others.make("a", at(0)), "a", 0, false),
        ] {
            assert_eq!(challenges.holds(challenge, whom, at(now)), expected, "{challenge} {whom} {now}");
        }
    }
}
