//! Tokens that are random texts: made and hashed.

use crate::random;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Random bytes in a token: more than anybody could guess.
const BYTES: usize = 32;

/// A new token: the prefix, and 256 random bits in base64url.
///
/// # Panics
/// When the operating system has no randomness to give.
pub fn random_token(prefix: &str) -> String {
    format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(random::bytes::<BYTES>()))
}

/// How a token is stored: `sha256:` and 64 hexadecimal digits.
pub fn hash_token(token: &str) -> String {
    format!("sha256:{}", crate::authority::hex(&Sha256::digest(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let (one, other) = (random_token("lab-api-"), random_token("lab-api-"));
        assert!(one.starts_with("lab-api-") && one.len() == 8 + 43, "{one}");
        assert_ne!(one, other);
        let hash = hash_token("abc");
        assert_eq!(hash, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
