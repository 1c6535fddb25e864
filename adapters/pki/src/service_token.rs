//! Service accounts' tokens: JWTs (RFC 7519) signed with ES256, with the claims that Kubernetes gives its own.

use crate::{Error, files};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PublicKeyData};
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path, time::SystemTime};

/// Who issues the tokens, and whom they are for where nobody else is named: this API server.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The file of the signing key beside the authority's, with its mode. Without it a new one is made, and tokens signed with
/// the old one end.
pub const TOKEN_KEY: (&str, u32) = ("token.key", files::PRIVATE);

/// Signs service accounts' tokens and recognises them. `Debug` does not show the key.
pub struct ServiceTokens {
    sign: EncodingKey,
    verify: DecodingKey,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// `system:serviceaccount:` and the account's namespace and name.
    pub sub: String,
    /// Whom it may be shown to.
    pub aud: Vec<String>,
    /// Until when it is good, in seconds since 1970.
    pub exp: u64,
    /// From when on it is good.
    pub nbf: u64,
    /// When it was issued.
    pub iat: u64,
    /// A name of its own.
    pub jti: String,
    /// The account.
    #[serde(rename = "kubernetes.io")]
    pub bound: Bound,
}

/// The account that a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Its namespace.
    pub namespace: String,
    /// The account.
    pub serviceaccount: Named,
    /// The tenant that the account is of.
    pub tenant: String,
}

/// An object by its name and UID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl ServiceTokens {
    /// Loads the key from its file in a directory, or makes one where there is none.
    ///
    /// # Errors
    /// The file cannot be read or written, or is no key.
    pub fn load_or_create(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(TOKEN_KEY.0);
        let failed = |source| Error::Issue { subject: "service accounts' tokens".into(), source };
        let key = match files::read_private(&path)? {
            Some(pem) => KeyPair::from_pem(&pem)
                .map_err(|error| Error::Damaged { path: path.clone(), why: error.to_string() })?,
            None => {
                let key = KeyPair::generate().map_err(failed)?;
                files::write(&path, key.serialize_pem().as_bytes(), TOKEN_KEY.1)?;
                key
            }
        };
        if key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(Error::Damaged { path, why: "it is not a key of the curve P-256".into() });
        }
        Ok(Self {
            sign: EncodingKey::from_ec_der(key.serialized_der()),
            verify: DecodingKey::from_ec_der(key.der_bytes()),
        })
    }

    /// Signs a token.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &self.sign)
            .map_err(|error| Error::Token { why: error.to_string() })
    }

    /// Reads a token that was signed with this key, is good now, and is meant for one of these audiences.
    ///
    /// # Errors
    /// It is no such token, and why.
    pub fn verify(&self, token: &str, audiences: &[&str], now: SystemTime) -> Result<Claims, Error> {
        let refuse = |why: &str| Err(Error::Token { why: why.into() });
        let mut validation = Validation::new(Algorithm::ES256);
        // The clock is handed in; the library would read it itself.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verify, &validation)
            .map_err(|error| Error::Token { why: error.to_string() })?
            .claims;
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if now >= claims.exp {
            return refuse("it has expired");
        }
        if now < claims.nbf {
            return refuse("it is not good yet");
        }
        if !claims.aud.iter().any(|meant| audiences.contains(&meant.as_str())) {
            return refuse("it is meant for somebody else");
        }
        Ok(claims)
    }
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use std::time::Duration;

    fn claims() -> Claims {
        let account = Named { name: "a".into(), uid: "u".into() };
        Claims {
            iss: ISSUER.into(),
            sub: "system:serviceaccount:ns:a".into(),
            aud: vec![ISSUER.into()],
            exp: 2_000,
            nbf: 1_000,
            iat: 1_000,
            jti: "j".into(),
            bound: Bound { namespace: "ns".into(), serviceaccount: account, tenant: "default".into() },
        }
    }

    #[test]
    fn tokens() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = ServiceTokens::load_or_create(dir.path()).unwrap();
        let token = tokens.sign(&claims()).unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let check = |token: &str, audience: &str, now: u64, why: &str| match tokens.verify(
            token,
            &[audience],
            at(now),
        ) {
            Ok(found) => assert_eq!((found, why), (claims(), "")),
            Err(error) => assert!(!why.is_empty() && error.to_string().contains(why), "{error}"),
        };
        check(&token, ISSUER, 1_500, "");
        check(&token, ISSUER, 2_000, "expired");
        check(&token, ISSUER, 999, "not good yet");
        check(&token, "https://elsewhere.example", 1_500, "somebody else");
        check(&token[..token.len() - 2], ISSUER, 1_500, "token");
        check(token.rsplit_once('.').unwrap().0, ISSUER, 1_500, "token");
        // The same claims under no algorithm at all, or another one, or another key.
        let parts: Vec<&str> = token.split('.').collect();
        for header in [r#"{"alg":"none","typ":"JWT"}"#, r#"{"alg":"HS256","typ":"JWT"}"#] {
            let forged = format!("{}.{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), parts[1], parts[2]);
            check(&forged, ISSUER, 1_500, "token");
        }
        let other = ServiceTokens::load_or_create(tempfile::tempdir().unwrap().path()).unwrap();
        check(&other.sign(&claims()).unwrap(), ISSUER, 1_500, "token");
        // The key stays.
        let again = ServiceTokens::load_or_create(dir.path()).unwrap();
        assert!(again.verify(&token, &[ISSUER], at(1_500)).is_ok());
        std::fs::write(dir.path().join(TOKEN_KEY.0), "no key").unwrap();
        assert!(ServiceTokens::load_or_create(dir.path()).unwrap_err().to_string().contains("damaged"));
    }
}
