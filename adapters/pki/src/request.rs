//! Certificate signing requests (PKCS #10, RFC 2986): read with suspicion, and signed for who their sender was found to be.

use crate::{Authority, Error, Identity, Lifetime, leaf, subject::sign_as};
use rcgen::{ExtendedKeyUsagePurpose, SubjectPublicKeyInfo};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, pem::PemObject};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

/// Longest request that is read, in bytes of PEM. One for an elliptic curve has about 500.
const MOST: usize = 16 * 1024;

/// A request whose signature shows that its sender has the key.
///
/// Nothing but the key is taken from it. What the certificate says is decided by who signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    /// The subject's common name; empty where the request has no subject.
    pub common_name: String,
    /// SubjectPublicKeyInfo, in DER.
    public_key: Vec<u8>,
}

/// A certificate for somebody else's key.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate, in DER.
    pub certificate: CertificateDer<'static>,
    /// The certificate, in PEM.
    pub certificate_pem: String,
    /// From when until when it holds.
    pub lifetime: Lifetime,
}

impl SigningRequest {
    /// Reads a request in PEM.
    ///
    /// # Errors
    /// It is none; its signature is not by its key; the key is of a kind that is not taken; its subject says more than one
    /// common name; or it asks for anything beside a certificate, such as further names.
    pub fn read(pem: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Request { why: why.into() };
        if pem.len() > MOST {
            return Err(refuse("it is too long"));
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| refuse(&format!("it is not in PEM: {error}")))?;
        let (rest, request) =
            X509CertificationRequest::from_der(&der).map_err(|error| refuse(&error.to_string()))?;
        if !rest.is_empty() {
            return Err(refuse("something follows it"));
        }
        let info = &request.certification_request_info;
        let public_key = info.subject_pki.raw.to_vec();
        let key = SubjectPublicKeyInfo::from_der(&public_key);
        let taken = [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
        if !key.is_ok_and(|key| taken.contains(&rcgen::PublicKeyData::algorithm(&key))) {
            return Err(refuse("its key is neither ECDSA with P-256 or P-384 nor Ed25519"));
        }
        request.verify_signature().map_err(|_| refuse("it is not signed with its own key"))?;
        if !info.attributes().is_empty() && asks_for_something(&request) {
            return Err(refuse("it asks for extensions or other names; ask for none"));
        }
        let names: Vec<_> = info.subject.iter_attributes().collect();
        let common_name = match names.as_slice() {
            [] => String::new(),
            [only] if only.attr_type() == &x509_parser::oid_registry::OID_X509_COMMON_NAME => {
                only.as_str().map_err(|error| refuse(&error.to_string()))?.to_owned()
            }
            _ => return Err(refuse("its subject has more than a common name")),
        };
        Ok(Self { common_name, public_key })
    }
}

/// Whether there is an attribute that is not an empty list of extensions, which some tools always add.
fn asks_for_something(request: &X509CertificationRequest<'_>) -> bool {
    use x509_parser::cri_attributes::ParsedCriAttribute::ExtensionRequest;
    request.certification_request_info.iter_attributes().any(|attribute| match attribute.parsed_attribute() {
        ExtensionRequest(asked) => !asked.extensions.is_empty(),
        _ => true,
    })
}

impl Authority {
    /// Signs a certificate by which who has the request's key is `identity`, as a client and nothing else.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn sign(
        &self,
        request: &SigningRequest,
        identity: &Identity,
        lifetime: Lifetime,
    ) -> Result<Signed, Error> {
        let fail = |source| Error::Issue { subject: format!("user {}", identity.user), source };
        let params = leaf::params(lifetime, ExtendedKeyUsagePurpose::ClientAuth);
        let key = SubjectPublicKeyInfo::from_der(&request.public_key).map_err(fail)?;
        let certificate = sign_as(identity, &params, &key, self.issuer()).map_err(fail)?;
        let certificate_pem = crate::authority::to_pem(&certificate);
        Ok(Signed { certificate, certificate_pem, lifetime })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use std::time::{Duration, SystemTime};

    fn request(key: &KeyPair, names: &[(DnType, &str)], dns: &[&str]) -> String {
        let mut params =
            CertificateParams::new(dns.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn requests_are_read_with_suspicion() {
        let key = KeyPair::generate().unwrap();
        let check = |pem: &str, expected: Result<&str, &str>| match (SigningRequest::read(pem), expected) {
            (Ok(found), Ok(name)) => assert_eq!(found.common_name, name),
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{error}"),
            (found, expected) => panic!("{expected:?}: {found:?}"),
        };
        let plain = request(&key, &[], &[]);
        check(&plain, Ok(""));
        check(&request(&key, &[(DnType::CommonName, "user-1")], &[]), Ok("user-1"));
        let more = [(DnType::CommonName, "user-1"), (DnType::OrganizationName, "system:masters")];
        check(&request(&key, &more, &[]), Err("more than a common name"));
        check(&request(&key, &more[1..], &[]), Err("more than a common name"));
        check(&request(&key, &[], &["labd.example"]), Err("other names"));
        for alg in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384] {
            check(&request(&KeyPair::generate_for(alg).unwrap(), &[], &[]), Ok(""));
        }
        check("", Err("not in PEM"));
        check(&plain.replace("REQUEST", "RESPONSE"), Err("not in PEM"));
        check(&"x".repeat(MOST + 1), Err("too long"));
        // One bit of the signature, and a key put in another one's place.
        let der = CertificateSigningRequestDer::from_pem_slice(plain.as_bytes()).unwrap().to_vec();
        let wrap = |der: &[u8]| pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", der));
        let mut flipped = der.clone();
        *flipped.last_mut().unwrap() ^= 1;
        check(&wrap(&flipped), Err("not signed with its own key"));
        let other = KeyPair::generate().unwrap();
        let at = der.windows(65).position(|part| part == key.public_key_raw()).unwrap();
        let mut swapped = der.clone();
        swapped[at..at + 65].copy_from_slice(other.public_key_raw());
        check(&wrap(&swapped), Err("not signed with its own key"));
        for cut in [1, der.len() / 2, der.len() - 1] {
            assert!(SigningRequest::read(&wrap(&der[..cut])).is_err());
        }
    }

    #[test]
    fn a_certificate_says_what_was_decided() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let authority = Authority::load_or_create(dir.path(), now).unwrap();
        let key = KeyPair::generate().unwrap();
        let read =
            SigningRequest::read(&request(&key, &[(DnType::CommonName, "system:admin")], &[])).unwrap();
        let identity = Identity::new("server:1", ["lab:servers"]);
        let life = Lifetime::starting(now, Duration::from_secs(60));
        let signed = authority.sign(&read, &identity, life).unwrap();
        assert_eq!(Identity::of_certificate(&signed.certificate).unwrap(), identity);
        let (_, parsed) = x509_parser::prelude::X509Certificate::from_der(&signed.certificate).unwrap();
        assert_eq!(*parsed.public_key().subject_public_key.data, *key.public_key_raw());
        assert!(!parsed.is_ca() && parsed.subject_alternative_name().unwrap().is_none());
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        // Also for the same key: a serial number names one certificate.
        let again = authority.sign(&read, &identity, life).unwrap();
        let facts = |der: &[u8]| crate::CertificateFacts::read(der).unwrap();
        assert_ne!(facts(&signed.certificate).serial_number, facts(&again.certificate).serial_number);
        assert_eq!(facts(&signed.certificate).lifetime.issued(), life.issued());
    }
}
