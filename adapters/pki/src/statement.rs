//! Statements that the authority signs and others check who know its certificate: that a program is one of ours.

use crate::{Authority, Error};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rcgen::SigningKey;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Before every statement, so that none can be taken for a certificate or for something else that the key signs.
const PURPOSE: &str = "Lab statement\n";

impl Authority {
    /// Signs a statement; the signature in base64url.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn sign_statement(&self, text: &str) -> Result<String, Error> {
        let signed = self.issuer().key().sign(format!("{PURPOSE}{text}").as_bytes());
        let signed = signed.map_err(|source| Error::Issue { subject: "a statement".into(), source })?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(signed))
    }
}

/// Whether the authority with this certificate (in PEM) signed a statement.
pub fn is_stated_by(authority_pem: &[u8], text: &str, signature: &str) -> bool {
    let Ok(der) = CertificateDer::from_pem_slice(authority_pem) else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else { return false };
    let Ok(signature) = BASE64_URL_SAFE_NO_PAD.decode(signature) else { return false };
    let key =
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &*certificate.public_key().subject_public_key.data);
    key.verify(format!("{PURPOSE}{text}").as_bytes(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn statements() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [own, other] = dirs.each_ref().map(|dir| {
            Authority::load_or_create(
                dir.path(),
                SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 30),
            )
            .unwrap()
        });
        let signature = own.sign_statement("a").unwrap();
        let check = |pem: &str, text: &str, signature: &str, expected| {
            assert_eq!(is_stated_by(pem.as_bytes(), text, signature), expected, "{text} {signature}");
        };
        check(own.certificate_pem(), "a", &signature, true);
        check(own.certificate_pem(), "b", &signature, false);
        check(other.certificate_pem(), "a", &signature, false);
        check(own.certificate_pem(), "a", &signature[1..], false);
        check(own.certificate_pem(), "a", "", false);
        check("", "a", &signature, false);
    }
}
