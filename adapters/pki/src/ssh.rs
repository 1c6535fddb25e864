//! Signatures by OpenSSH keys, as `ssh-keygen -Y sign` makes them.

use crate::Error;
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

/// Whether one of these public keys (lines as in `authorized_keys`) signed a text for a purpose (`ssh-keygen -n`). Ed25519 keys
/// are believed; keys of other kinds sign nothing here.
pub fn signed_by(keys: &[String], purpose: &str, text: &str, signature: &str) -> bool {
    let Ok(signature) = SshSig::from_pem(signature) else { return false };
    // Whether it is a signature at all is found out first, so that the work does not say whether there is such a key.
    let signer = PublicKey::new(signature.public_key().clone(), "");
    let signs = signer.verify(purpose, text.as_bytes(), &signature).is_ok();
    let known = keys.iter().filter_map(|line| PublicKey::from_openssh(line).ok());
    known.map(|key| key.key_data() == signer.key_data()).fold(false, |found, same| found | same) && signs
}

/// Signs a text for a purpose with an OpenSSH private key; the signature as `ssh-keygen -Y sign` writes it.
///
/// # Errors
/// The text is no private key, it is encrypted, or it is not of the kind Ed25519.
pub fn sign_as_ssh(private_key: &str, purpose: &str, text: &str) -> Result<String, Error> {
    let refuse = |why: String| Error::SshKey { why };
    let key = PrivateKey::from_openssh(private_key).map_err(|error| refuse(error.to_string()))?;
    if key.is_encrypted() {
        return Err(refuse("it is encrypted, and encrypted keys are not read".into()));
    }
    key.sign(purpose, HashAlg::Sha512, text.as_bytes())
        .and_then(|signature| signature.to_pem(LineEnding::LF))
        .map_err(|error| refuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::private::Ed25519Keypair;

    #[test]
    fn signatures() {
        let key = |seed: u8| PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]));
        let public = |seed: u8| format!("{} somebody@example", key(seed).public_key().to_openssh().unwrap());
        let sign = |seed: u8, purpose: &str, text: &str| {
            sign_as_ssh(&key(seed).to_openssh(LineEnding::LF).unwrap(), purpose, text).unwrap()
        };
        let keys = [public(1), "no key at all".to_owned(), public(2)];
        for (signature, expected) in [
            (sign(1, "login", "text"), true),
            (sign(2, "login", "text"), true),
            (sign(3, "login", "text"), false),
            (sign(1, "file", "text"), false),
            (sign(1, "login", "other"), false),
            (String::new(), false),
            (sign(1, "login", "text").replace('A', "B"), false),
        ] {
            assert_eq!(signed_by(&keys, "login", "text", &signature), expected, "{signature}");
        }
        assert!(sign_as_ssh("no key", "login", "text").is_err());
        assert!(!signed_by(&[], "login", "text", &sign(1, "login", "text")));
    }
}
