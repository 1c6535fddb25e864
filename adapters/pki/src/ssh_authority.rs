//! The authority for SSH: one Ed25519 key that signs certificates of users and hosts in OpenSSH's form
//! (PROTOCOL.certkeys of OpenSSH).

use crate::{Error, Lifetime, files, random};
use ssh_key::{
    LineEnding, PrivateKey, PublicKey,
    certificate::{Builder, CertType},
    private::Ed25519Keypair,
};
use std::{fmt, path::Path};

/// The file of the signing key beside the authority's, with its mode. Where it is lost, a new one is made, and machines are told.
pub const SSH_KEY: (&str, u32) = ("ssh.key", files::PRIVATE);

/// What somebody may do who logged in with a certificate: what sshd allows without one.
const EXTENSIONS: [&str; 5] = [
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
];

/// Signs certificates of users and hosts. `Debug` does not show the key.
pub struct SshAuthority {
    key: PrivateKey,
    public: String,
}

impl SshAuthority {
    /// Loads the key from its file in a directory, or makes one where there is none.
    ///
    /// # Errors
    /// The file cannot be read or written, or is no Ed25519 key.
    pub fn load_or_create(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(SSH_KEY.0);
        let damaged = |why: String| Error::Damaged { path: path.clone(), why };
        let key = match files::read_private(&path)? {
            Some(text) => PrivateKey::from_openssh(&text).map_err(|error| damaged(error.to_string()))?,
            None => {
                let key = new_key("Lab");
                let text = key.to_openssh(LineEnding::LF).map_err(|error| damaged(error.to_string()))?;
                files::write(&path, text.as_bytes(), SSH_KEY.1)?;
                key
            }
        };
        if key.key_data().ed25519().is_none() {
            return Err(damaged("it is not a key of the kind Ed25519 without a passphrase".into()));
        }
        let public = line(key.public_key()).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { key, public })
    }

    /// The public key, as a line such as `ssh-ed25519 AAAA…`.
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// A certificate by which who has a key may log in where `principal` may. `id` stands in sshd's log.
    ///
    /// # Errors
    /// `public_key` is no line with an Ed25519 key.
    pub fn certify_user(
        &self,
        public_key: &str,
        id: &str,
        principal: &str,
        lifetime: Lifetime,
    ) -> Result<String, Error> {
        self.certify(CertType::User, public_key, (id, principal), lifetime)
    }

    /// A certificate by which the sshd that has a key is known as `principal`.
    ///
    /// # Errors
    /// `public_key` is no line with an Ed25519 key.
    pub fn certify_host(
        &self,
        public_key: &str,
        principal: &str,
        lifetime: Lifetime,
    ) -> Result<String, Error> {
        self.certify(CertType::Host, public_key, (principal, principal), lifetime)
    }

    fn certify(
        &self,
        kind: CertType,
        public_key: &str,
        (id, principal): (&str, &str),
        lifetime: Lifetime,
    ) -> Result<String, Error> {
        let refuse = |error: ssh_key::Error| Error::SshPublicKey { why: error.to_string() };
        let subject = PublicKey::from_openssh(public_key).map_err(refuse)?;
        if subject.key_data().ed25519().is_none() {
            return Err(Error::SshPublicKey { why: "it is not of the kind Ed25519".into() });
        }
        let nonce = random::bytes::<{ Builder::RECOMMENDED_NONCE_SIZE }>();
        let key = subject.key_data().clone();
        let mut builder =
            Builder::new_with_validity_times(nonce, key, lifetime.from, lifetime.until).map_err(refuse)?;
        builder.cert_type(kind).map_err(refuse)?;
        builder.serial(u64::from_be_bytes(random::bytes::<8>())).map_err(refuse)?;
        builder.key_id(id).map_err(refuse)?;
        builder.valid_principal(principal).map_err(refuse)?;
        if kind == CertType::User {
            for name in EXTENSIONS {
                builder.extension(name, "").map_err(refuse)?;
            }
        }
        builder.sign(&self.key).and_then(|certificate| certificate.to_openssh()).map_err(refuse)
    }
}

impl fmt::Debug for SshAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshAuthority").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A new Ed25519 key of OpenSSH's form: the private one in PEM, which is secret, and the line of the public one.
///
/// # Errors
/// It cannot be written down.
///
/// # Panics
/// When the operating system has no randomness to give.
pub fn new_ssh_key() -> Result<(String, String), Error> {
    let key = new_key("");
    let refuse = |error: ssh_key::Error| Error::SshKey { why: error.to_string() };
    let private = key.to_openssh(LineEnding::LF).map_err(refuse)?;
    Ok((private.to_string(), line(key.public_key()).map_err(refuse)?))
}

fn new_key(comment: &str) -> PrivateKey {
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&random::bytes::<32>()));
    key.set_comment(comment);
    key
}

/// A public key as a line without a comment.
fn line(key: &PublicKey) -> Result<String, ssh_key::Error> {
    PublicKey::new(key.key_data().clone(), "").to_openssh().map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::{Certificate, HashAlg};
    use std::time::{Duration, SystemTime};

    #[test]
    fn certificates() {
        let dir = tempfile::tempdir().unwrap();
        let authority = SshAuthority::load_or_create(dir.path()).unwrap();
        let again = SshAuthority::load_or_create(dir.path()).unwrap();
        assert_eq!(authority.public_key(), again.public_key(), "the key is kept");
        assert!(authority.public_key().starts_with("ssh-ed25519 AAAA"), "{}", authority.public_key());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let life = Lifetime::starting(now, Duration::from_secs(300));
        let (_, public) = new_ssh_key().unwrap();
        let user = authority.certify_user(&public, "somebody", "lab@1", life).unwrap();
        let host = authority.certify_host(&public, "1", life).unwrap();
        let trusted = [PublicKey::from_openssh(authority.public_key()).unwrap().fingerprint(HashAlg::Sha256)];
        let check = |text: &str, kind, principal: &str, extensions| {
            let found = Certificate::from_openssh(text).unwrap();
            assert_eq!((found.cert_type(), found.valid_principals()), (kind, &[principal.to_owned()][..]));
            assert_eq!(found.extensions().len(), extensions);
            for (seconds, holds) in [(0, true), (299, true), (301, false)] {
                let at = (now + Duration::from_secs(seconds)).duration_since(SystemTime::UNIX_EPOCH).unwrap();
                assert_eq!(found.validate_at(at.as_secs(), &trusted).is_ok(), holds, "after {seconds} s");
            }
        };
        check(&user, CertType::User, "lab@1", EXTENSIONS.len());
        check(&host, CertType::Host, "1", 0);
        for bad in ["", "no key", "ssh-rsa AAAA", &user] {
            let refused = authority.certify_user(bad, "somebody", "lab@1", life);
            assert!(matches!(refused, Err(Error::SshPublicKey { .. })), "{bad}");
        }
        std::fs::write(dir.path().join(SSH_KEY.0), "no key").unwrap();
        let damaged = SshAuthority::load_or_create(dir.path()).unwrap_err();
        assert!(damaged.to_string().contains("ssh.key is damaged"), "{damaged}");
    }
}
