//! The certificate authority: one key and its self-signed certificate, kept in a directory.

use crate::{Error, Lifetime, files, leaf::set_lifetime};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long the authority's own certificate holds. It is renewed with the same key, so that what it signed stays valid.
const LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The authority's files in its directory, with their modes, in the order in which they are written.
pub const FILES: [(&str, u32); 2] = [("ca.key", files::PRIVATE), ("ca.crt", files::PUBLIC)];

/// A certificate authority that can sign. `Debug` does not show the key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    lifetime: Lifetime,
}

/// The authority's two files.
struct Paths {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    /// Loads the authority from `ca.crt` and `ca.key` in `directory`, or makes one where there is none.
    ///
    /// A certificate that is running out, or ran out while nobody was looking, is renewed with the same key. A
    /// certificate without its key, a key of another certificate, and damaged files are refused.
    pub fn load_or_create(directory: &Path, now: SystemTime) -> Result<Self, Error> {
        let paths = Paths { certificate: directory.join(FILES[1].0), key: directory.join(FILES[0].0) };
        let certificate = files::read(&paths.certificate)?;
        let key = files::read_private(&paths.key)?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => Self::load(&paths, certificate, &key, now),
            (Some(_), None) => Err(Error::KeyMissing { certificate: paths.certificate, key: paths.key }),
            // The key is written first: a key alone is what an interrupted creation or renewal leaves.
            (None, Some(key)) => Self::self_sign(&paths, parse_key(&paths, &key)?, now),
            (None, None) => {
                files::create_private_directory(directory)?;
                let key = KeyPair::generate()
                    .map_err(|source| Error::Issue { subject: "the authority".into(), source })?;
                files::write(&paths.key, key.serialize_pem().as_bytes(), files::PRIVATE)?;
                Self::self_sign(&paths, key, now)
            }
        }
    }

    fn load(paths: &Paths, certificate_pem: String, key: &str, now: SystemTime) -> Result<Self, Error> {
        let key = parse_key(paths, key)?;
        let damaged = |why: String| Error::Damaged { path: paths.certificate.clone(), why };
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|e| damaged(e.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|e| damaged(e.to_string()))?;
        if !parsed.is_ca() {
            return Err(damaged("it is not the certificate of an authority".into()));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            let (certificate, key) = (paths.certificate.clone(), paths.key.clone());
            return Err(Error::Mismatch { certificate, key });
        }
        let lifetime = lifetime_of(&parsed);
        if lifetime.renewal_due(now) {
            tracing::info!(path = %paths.certificate.display(), "renewing the authority's certificate");
            return Self::self_sign(paths, key, now);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|e| damaged(e.to_string()))?;
        Ok(Self { issuer, certificate, certificate_pem, lifetime })
    }

    fn self_sign(paths: &Paths, key: KeyPair, now: SystemTime) -> Result<Self, Error> {
        let lifetime = Lifetime::starting(now, LIFE);
        let params = authority_params(&key, lifetime);
        let certificate = params
            .self_signed(&key)
            .map_err(|source| Error::Issue { subject: "the authority".into(), source })?;
        let certificate_pem = certificate.pem();
        files::write(&paths.certificate, certificate_pem.as_bytes(), files::PUBLIC)?;
        let certificate = certificate.der().clone();
        Ok(Self { issuer: Issuer::new(params, key), certificate, certificate_pem, lifetime })
    }

    /// The authority's certificate, in DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate, in PEM: what clients are given to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// From when until when the authority's own certificate holds.
    pub fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    /// The authority's fingerprint, by which a client that does not know it yet recognises it: `sha256:` and the hash
    /// of its public key (SubjectPublicKeyInfo) in hexadecimal, as kubeadm writes it. Renewal does not change it.
    pub fn pin(&self) -> String {
        format!("sha256:{}", hex(&Sha256::digest(self.issuer.key().subject_public_key_info())))
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("pin", &self.pin()).field("lifetime", &self.lifetime).finish()
    }
}

impl Lifetime {
    /// Reads the life of the first certificate in a PEM text.
    pub fn of_certificate_pem(pem: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::NotACertificate { why };
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| refuse(e.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|e| refuse(e.to_string()))?;
        Ok(lifetime_of(&parsed))
    }
}

fn authority_params(key: &KeyPair, lifetime: Lifetime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // A name of its own, so that a client that knows several authorities takes the right one.
    let digest = Sha256::digest(key.subject_public_key_info());
    params.distinguished_name.push(DnType::CommonName, format!("Lab CA {}", hex(&digest[..4])));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    set_lifetime(&mut params, lifetime);
    params
}

fn parse_key(paths: &Paths, pem: &str) -> Result<KeyPair, Error> {
    KeyPair::from_pem(pem).map_err(|e| Error::Damaged { path: paths.key.clone(), why: e.to_string() })
}

pub(crate) fn lifetime_of(certificate: &X509Certificate<'_>) -> Lifetime {
    let moment = |seconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    };
    let validity = certificate.validity();
    Lifetime { from: moment(validity.not_before.timestamp()), until: moment(validity.not_after.timestamp()) }
}

/// A certificate in PEM (RFC 7468).
pub(crate) fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let block = pem::Pem::new("CERTIFICATE", certificate.as_ref());
    pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
