//! A resolved connection: one server, how it is trusted, who we are.

use super::{ConfigError, Source, Sourced};
use crate::{Proxy, pinned::hash_of_pem};
use std::{fmt, path::PathBuf, time::Duration};

/// What flags and variables say; it wins over files.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The context to use in place of the current one.
    pub context: Option<Sourced<String>>,
    /// The server's URL.
    pub server: Option<Sourced<String>>,
    /// The file with the server's CA.
    pub certificate_authority: Option<Sourced<PathBuf>>,
    /// The name that the server's certificate must be for.
    pub tls_server_name: Option<Sourced<String>>,
    /// A bearer token.
    pub token: Option<Sourced<Material>>,
    /// The namespace.
    pub namespace: Option<Sourced<String>>,
    /// How long an answer may take to begin; `None` waits for ever.
    pub timeout: Option<Duration>,
}

/// All that is needed to ask a server.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The context it came from, where it came from one.
    pub context: Option<String>,
    /// The server's URL.
    pub server: Sourced<String>,
    /// The name that the server's certificate must be for, where it is not the URL's host.
    pub tls_server_name: Option<Sourced<String>>,
    /// The CA that must have signed the server's certificate; `None` for those the system trusts.
    pub certificate_authority: Option<Sourced<Material>>,
    /// The hash of that CA's key (`sha256:` and 64 hexadecimal digits), by which it is recognised where it is not at hand: the
    /// server then has to show it.
    pub certificate_authority_pin: Option<Sourced<String>>,
    /// Who we are.
    pub credentials: Credentials,
    /// The namespace meant where none is named.
    pub namespace: Option<Sourced<String>>,
    /// How long an answer may take to begin; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// The HTTP proxy through which it is reached; `None` where it is reached directly.
    pub proxy: Option<Proxy>,
}

/// Who we are to the server.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Our certificate and its chain, in PEM.
    pub client_certificate: Option<Sourced<Material>>,
    /// Its private key, in PEM.
    pub client_key: Option<Sourced<Material>>,
    /// A bearer token, for the header `Authorization`.
    pub token: Option<Sourced<Material>>,
}

/// A certificate, key or token: itself, or the file it is in. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Material {
    /// The bytes themselves.
    Inline(Vec<u8>),
    /// A file that has them.
    File(PathBuf),
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "Inline({} bytes)", bytes.len()),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Sourced<Material> {
    /// The bytes, from the file if need be.
    pub fn read(&self) -> Result<Vec<u8>, ConfigError> {
        match &self.value {
            Material::Inline(bytes) => Ok(bytes.clone()),
            Material::File(path) => std::fs::read(path)
                .map_err(|e| self.refuse(format!("names {}, which cannot be read: {e}", path.display()))),
        }
    }

    /// The text in it, without blanks around it.
    pub fn read_text(&self) -> Result<String, ConfigError> {
        let text = String::from_utf8(self.read()?).map_err(|_| self.refuse("is not text"))?;
        Ok(text.trim().to_owned())
    }
}

impl Connection {
    /// A connection to `server` with nothing else known.
    pub fn to(server: impl Into<String>, source: Source) -> Self {
        Self {
            context: None,
            server: Sourced::new(server.into(), source),
            tls_server_name: None,
            certificate_authority: None,
            certificate_authority_pin: None,
            credentials: Credentials::default(),
            namespace: None,
            timeout: None,
            proxy: None,
        }
    }

    /// By what others can recognise the server, who do not have its authority: the hash of that authority's key, `sha256:` and 64
    /// hexadecimal digits. `None` where the system's authorities are trusted.
    ///
    /// # Errors
    /// The file with the authority cannot be read.
    pub fn authority_hash(&self) -> Result<Option<String>, ConfigError> {
        if let Some(pin) = &self.certificate_authority_pin {
            return Ok(Some(pin.value.to_ascii_lowercase()));
        }
        let Some(authority) = &self.certificate_authority else { return Ok(None) };
        Ok(hash_of_pem(&authority.read()?))
    }

    /// The same with what flags and variables say.
    #[must_use]
    pub fn overridden(mut self, overrides: &Overrides) -> Self {
        if let Some(ca) = &overrides.certificate_authority {
            self.certificate_authority =
                Some(Sourced::new(Material::File(ca.value.clone()), ca.source.clone()));
        }
        if let Some(token) = &overrides.token {
            // A token given by hand means to be somebody else than the kubeconfig's certificate says.
            self.credentials = Credentials { token: Some(token.clone()), ..Credentials::default() };
        }
        self.tls_server_name = overrides.tls_server_name.clone().or(self.tls_server_name);
        self.namespace = overrides.namespace.clone().or(self.namespace);
        self.timeout = overrides.timeout.or(self.timeout);
        self
    }
}
