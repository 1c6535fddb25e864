//! How a machine comes by its certificate, and by the next one. Its key never leaves it.

use crate::{
    Client, ConfigError, Connection, Error, Invitation, WriteParams,
    config::{Credentials, Material, Source, Sourced},
};
use lab_kinds::iam::enrolment::{CertificateStatus, Enrolment, EnrolmentSpec};
use lab_object::{Time, mac::MacAddress};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use std::{fmt, time::Duration};

/// How long joining may take. It is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A key of our own, for which a certificate is asked.
pub struct NewKey(KeyPair);

/// Who joins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joiner {
    /// Name of the Bastion or the Server. An agent whose token is for one server need not say it.
    pub name: Option<String>,
    /// The machine's MAC addresses, by which its Server is found where no name is given.
    pub macs: Vec<MacAddress>,
}

/// What a machine is known by. `Debug` does not show the key.
#[derive(Clone, PartialEq)]
pub struct Joined {
    /// `bastion:` and a name, or `server:` and a UID.
    pub identity: String,
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its private key, in PEM (PKCS #8). Secret.
    pub key: String,
    /// The certificate of the authority that the server is known by, in PEM.
    pub authority: String,
    /// Until when the certificate holds. It is to be renewed when a third of its life is left.
    pub expires: Option<Time>,
}

/// Why a machine did not come by a certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// What was said about the server cannot be used.
    #[error("cannot get a certificate")]
    Config {
        /// What is wrong.
        #[source]
        source: ConfigError,
    },
    /// The server refused, or was not reached.
    #[error("cannot get a certificate")]
    Call {
        /// Why.
        #[source]
        source: Error,
    },
    /// No key could be made.
    #[error("cannot make a key")]
    Key {
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

impl NewKey {
    /// Makes a key of the curve P-256.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn generate() -> Result<Self, EnrolError> {
        KeyPair::generate().map(Self).map_err(|source| EnrolError::Key { source })
    }

    /// A request for a certificate of this key (PKCS #10, RFC 2986), in PEM. It has no subject: who we are is for the server
    /// to say.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn request(&self) -> Result<String, EnrolError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.0).and_then(|request| request.pem());
        request.map_err(|source| EnrolError::Key { source })
    }

    /// The private key, in PEM (PKCS #8). Secret.
    pub fn pem(&self) -> String {
        self.0.serialize_pem()
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").finish_non_exhaustive()
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("identity", &self.identity)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Joined {
    /// How a server is reached by who is known so.
    pub fn connection(&self, server: &str) -> Connection {
        let inline = |text: &str, what| {
            Some(Sourced::new(Material::Inline(text.as_bytes().to_vec()), Source::Flag(what)))
        };
        let credentials = Credentials {
            client_certificate: inline(&self.certificate, "certificate"),
            client_key: inline(&self.key, "key"),
            token: None,
        };
        Connection {
            certificate_authority: inline(&self.authority, "certificate authority"),
            credentials,
            ..Connection::to(server, Source::Flag("server"))
        }
    }
}

/// Joins with a token: makes a key, finds the server to be the one whose authority's key has this hash (`sha256:…`, as labd
/// prints it), and comes back with a certificate for exactly one identity.
///
/// # Errors
/// The server is not reached, is another one, or refuses; or the URL or the hash is none.
pub async fn enrol(invitation: &Invitation, joiner: &Joiner) -> Result<Joined, EnrolError> {
    let Invitation { server, ca_hash, token, proxy } = invitation;
    let mut connection = Connection::to(server, Source::Flag("server"));
    connection.timeout = Some(PATIENCE);
    connection.certificate_authority_pin = Some(Sourced::new(ca_hash.clone(), Source::Flag("CA hash")));
    connection.proxy.clone_from(proxy);
    let client = Client::connect("lab-join", &connection).map_err(|source| EnrolError::Config { source })?;
    ask(&client, Some(token), joiner).await
}

/// Asks for the next certificate of the same identity, with a new key. The client shows the present one.
///
/// # Errors
/// The server is not reached, or refuses: the certificate has run out or was revoked, or the machine's object is gone.
pub async fn renew(client: &Client) -> Result<Joined, EnrolError> {
    ask(client, None, &Joiner::default()).await
}

async fn ask(client: &Client, token: Option<&str>, joiner: &Joiner) -> Result<Joined, EnrolError> {
    let key = NewKey::generate()?;
    let Joiner { name, macs } = joiner.clone();
    let spec = EnrolmentSpec { token: token.map(Into::into), request: key.request()?, name, macs };
    let enrolment = Enrolment { spec, ..Enrolment::default() };
    let answer = client.resource().create(&enrolment, &WriteParams::default()).await;
    let CertificateStatus { identity, certificate, certificate_authority, expires } =
        answer.map_err(|source| EnrolError::Call { source })?.status;
    Ok(Joined { identity, certificate, key: key.pem(), authority: certificate_authority, expires })
}
