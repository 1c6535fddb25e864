//! A certificate's subject with as many organisations as the user has groups.
//!
//! rcgen's names hold one value of each attribute. So a certificate is made without its subject, the subject is put
//! into what is to be signed, and that is signed. (RFC 5280 §4.1; Kubernetes reads one group from each organisation.)

use crate::Identity;
use rcgen::{CertificateParams, Error, Issuer, KeyPair, PublicKeyData, SigningKey};
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use yasna::{DERWriter, models::ObjectIdentifier};

const ORGANISATION: &[u64] = &[2, 5, 4, 10];
const COMMON_NAME: &[u64] = &[2, 5, 4, 3];

/// Signs a certificate for `key` whose subject is `identity`; `params` says all but the subject.
pub(crate) fn sign_as(
    identity: &Identity,
    params: &CertificateParams,
    key: &impl PublicKeyData,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<CertificateDer<'static>, Error> {
    let draft = params.signed_by(key, issuer)?;
    let (_, parsed) = X509Certificate::from_der(draft.der()).map_err(|_| Error::CouldNotParseCertificate)?;
    let tbs = replace_subject(parsed.tbs_certificate.as_ref(), parsed.subject().as_raw(), identity)
        .ok_or(Error::CouldNotParseCertificate)?;
    let algorithm = signature_algorithm(draft.der()).ok_or(Error::CouldNotParseCertificate)?;
    let signature = issuer.key().sign(&tbs)?;
    let der = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(&tbs);
            writer.next().write_der(algorithm);
            writer.next().write_bitvec_bytes(&signature, signature.len() * 8);
        });
    });
    Ok(der.into())
}

/// The sequence to be signed, with another subject in the old one's place.
fn replace_subject(tbs: &[u8], old: &[u8], identity: &Identity) -> Option<Vec<u8>> {
    let content = content_of(tbs)?;
    // `old` is a slice of `content`; issuer and subject may be equal bytes, so its place is found by address.
    let start = (old.as_ptr() as usize).checked_sub(content.as_ptr() as usize)?;
    let (before, after) = (content.get(..start)?, content.get(start + old.len()..)?);
    let subject = yasna::construct_der(|writer| write_name(writer, identity));
    Some(yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            for part in [before, &subject, after] {
                writer.next().write_der(part);
            }
        });
    }))
}

fn write_name(writer: DERWriter<'_>, identity: &Identity) {
    let groups = identity.groups.iter().map(|group| (ORGANISATION, group));
    writer.write_sequence(|writer| {
        for (attribute, value) in groups.chain([(COMMON_NAME, &identity.user)]) {
            writer.next().write_set(|writer| {
                writer.next().write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(attribute));
                    writer.next().write_utf8_string(value);
                });
            });
        }
    });
}

/// What stands between the header of a DER element and its end.
fn content_of(element: &[u8]) -> Option<&[u8]> {
    let first = *element.get(1)?;
    let header = if first < 0x80 { 2 } else { 2 + usize::from(first & 0x7f) };
    element.get(header..)
}

/// The second element of a certificate: the algorithm it is signed with.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let content = content_of(certificate)?;
    let (rest, _) = x509_parser::der_parser::parse_der(content).ok()?;
    let (end, _) = x509_parser::der_parser::parse_der(rest).ok()?;
    rest.get(..rest.len() - end.len())
}
