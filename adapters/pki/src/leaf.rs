//! Certificates for servers and clients, signed by the authority.

use crate::{Authority, Error, Identity, Lifetime, random, subject::sign_as};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
    SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{collections::BTreeSet, fmt, net::IpAddr, time::SystemTime};

/// By which names and addresses a server is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerNames {
    /// DNS names.
    pub dns: BTreeSet<String>,
    /// Addresses.
    pub addresses: BTreeSet<IpAddr>,
}

impl ServerNames {
    /// The names every API server has: loopback, and those by which pods call `kubernetes`.
    pub fn of_api_server() -> Self {
        const DNS: [&str; 5] = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        Self {
            dns: DNS.into_iter().map(Into::into).collect(),
            addresses: [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()].into(),
        }
    }

    /// Adds a DNS name or an address, whichever the text is.
    pub fn add(&mut self, name: &str) {
        match name.parse() {
            Ok(address) => self.addresses.insert(address),
            Err(_) => self.dns.insert(name.to_ascii_lowercase()),
        };
    }
}

/// A certificate with its key. `Debug` does not show the key.
#[derive(Clone)]
pub struct Issued {
    /// The certificate, in DER.
    pub certificate: CertificateDer<'static>,
    /// The certificate, in PEM.
    pub certificate_pem: String,
    /// The private key, in PEM (PKCS#8). Secret.
    pub key_pem: String,
    /// From when until when it holds.
    pub lifetime: Lifetime,
    key: Vec<u8>,
    /// The authority's certificate, in DER.
    authority: CertificateDer<'static>,
}

impl Issued {
    /// The certificate and the authority's, by which whoever knows only the hash of the authority's key recognises it.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone(), self.authority.clone()]
    }

    /// The private key, as TLS takes it. Secret.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a key and a certificate for a server with these names.
    pub fn issue_server(&self, names: &ServerNames, lifetime: Lifetime) -> Result<Issued, Error> {
        let subject = names.dns.first().cloned().unwrap_or_else(|| "server".into());
        let fail = |source| Error::Issue { subject: format!("server {subject}"), source };
        let mut params = params(lifetime, ExtendedKeyUsagePurpose::ServerAuth);
        for name in &names.dns {
            let name = name.as_str().try_into().map_err(|_| Error::Issue {
                subject: format!("server name {name:?}"),
                source: rcgen::Error::UnsupportedExtension,
            })?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params.subject_alt_names.extend(names.addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name.push(DnType::CommonName, subject.clone());
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.signed_by(&key, self.issuer()).map_err(fail)?;
        Ok(Issued::new(certificate.der().clone(), &key, lifetime, self))
    }

    /// Makes a key and a certificate by which a client is `identity`.
    pub fn issue_client(&self, identity: &Identity, lifetime: Lifetime) -> Result<Issued, Error> {
        let fail = |source| Error::Issue { subject: format!("user {}", identity.user), source };
        let params = params(lifetime, ExtendedKeyUsagePurpose::ClientAuth);
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = sign_as(identity, &params, &key, self.issuer()).map_err(fail)?;
        Ok(Issued::new(certificate, &key, lifetime, self))
    }
}

impl Issued {
    fn new(
        certificate: CertificateDer<'static>,
        key: &KeyPair,
        lifetime: Lifetime,
        authority: &Authority,
    ) -> Self {
        let authority = authority.certificate().clone();
        let certificate_pem = crate::authority::to_pem(&certificate);
        let key_pem = key.serialize_pem();
        Self { certificate, certificate_pem, key_pem, lifetime, key: key.serialize_der(), authority }
    }
}

/// All of a leaf certificate but its names.
pub(crate) fn params(lifetime: Lifetime, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    // Random, as otherwise two certificates for one key would share it.
    let mut serial = random::bytes::<16>();
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    set_lifetime(&mut params, lifetime);
    params
}

/// Writes a lifetime into what rcgen signs.
pub(crate) fn set_lifetime(params: &mut CertificateParams, lifetime: Lifetime) {
    let epoch = date_time_ymd(1970, 1, 1);
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + since(lifetime.from);
    params.not_after = epoch + since(lifetime.until);
}
