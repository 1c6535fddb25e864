//! What can go wrong with keys and certificates.

use std::{io, path::PathBuf};

/// Why a key or certificate could not be read, made or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was being done: `read`, `write`, ….
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file is there, but is not what it should be.
    #[error("{} is damaged ({why}); restore it, together with its neighbour, from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The authority's certificate is there and its key is not.
    #[error(
        "{} is there but its key {} is missing; restore the key from a backup, or remove the certificate to make \
         a new authority, which clients that know the old one will not trust",
        certificate.display(), key.display()
    )]
    KeyMissing {
        /// The certificate's file.
        certificate: PathBuf,
        /// Where its key should be.
        key: PathBuf,
    },
    /// A certificate and a key do not belong together.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate for {subject}")]
    Issue {
        /// Whom the certificate was for.
        subject: String,
        /// Why it failed.
        source: rcgen::Error,
    },
    /// A certificate could not be read.
    #[error("this is not a certificate: {why}")]
    NotACertificate {
        /// What is wrong with it.
        why: String,
    },
    /// A certificate signing request is not taken.
    #[error("this certificate signing request is not taken: {why}")]
    Request {
        /// What is wrong with it.
        why: String,
    },
    /// A service account's token is not taken, or cannot be made.
    #[error("this token of a service account is not taken: {why}")]
    Token {
        /// What is wrong with it.
        why: String,
    },
    /// A password cannot be hashed.
    #[error("this password cannot be hashed: {why}")]
    Password {
        /// What is wrong with it.
        why: String,
    },
    /// An OpenSSH private key cannot be used.
    #[error("this OpenSSH private key cannot be used: {why}")]
    SshKey {
        /// What is wrong with it.
        why: String,
    },
    /// An OpenSSH public key is not taken.
    #[error("this OpenSSH public key is not taken: {why}")]
    SshPublicKey {
        /// What is wrong with it.
        why: String,
    },
    /// TLS could not be set up.
    #[error("cannot set up TLS")]
    Tls {
        /// Why it failed.
        source: rustls::Error,
    },
}
