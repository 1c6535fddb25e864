//! Hashes of passwords: argon2id (RFC 9106) in the PHC string format. Both functions compute for tens of milliseconds and use
//! [`MEMORY`] kibibytes: they belong on a thread that may block.

use crate::{Error, random};
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};

/// Memory that one computation uses, in KiB: OWASP's recommendation for argon2id with two passes.
pub const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// What a hash that others made may ask for at most.
const MOST_MEMORY: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY, PASSES, 1, None).expect("the parameters are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Hashes a password with a salt of its own.
///
/// # Errors
/// The password is longer than argon2 takes.
///
/// # Panics
/// When the operating system has no randomness to give.
pub fn hash_password(password: &str) -> Result<String, Error> {
    let salt = random::bytes::<16>();
    let hash: PasswordHash = argon2()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| Error::Password { why: error.to_string() })?;
    Ok(hash.to_string())
}

/// Whether a password is the one that was hashed.
///
/// Without a hash the same work is done, and the answer is no: how long it takes does not say whether there is one.
pub fn verify_password(password: &str, hash: Option<&str>) -> bool {
    let parsed = hash.and_then(|hash| PasswordHash::new(hash).ok()).filter(bearable);
    match parsed {
        Some(parsed) => argon2().verify_password(password.as_bytes(), &parsed).is_ok(),
        None => {
            // Only the time it takes counts.
            let spent: Result<PasswordHash, _> =
                argon2().hash_password_with_salt(password.as_bytes(), &[0; 16]);
            std::hint::black_box(spent.is_ok());
            false
        }
    }
}

fn bearable(hash: &PasswordHash) -> bool {
    Params::try_from(hash).is_ok_and(|params| {
        params.m_cost() <= MOST_MEMORY && params.t_cost() <= MOST_PASSES && params.p_cost() <= 4
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hash_password("correct horse").unwrap(), "each has a salt of its own");
        for (password, hash, expected) in [
            ("correct horse", Some(hash.as_str()), true),
            ("correct horse ", Some(hash.as_str()), false),
            ("", Some(hash.as_str()), false),
            ("correct horse", None, false),
            ("correct horse", Some("correct horse"), false),
            // What would take all memory is not computed.
            ("x", Some("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"), false),
        ] {
            assert_eq!(verify_password(password, hash), expected, "{password:?} {hash:?}");
        }
    }
}
