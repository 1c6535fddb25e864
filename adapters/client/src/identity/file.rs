//! The file in which an identity is kept: a kubeconfig, as JSON, so that kubectl can be used as the machine too. Key and
//! certificate stand in one file, which is replaced as a whole.

use super::IdentityError;
use crate::{ConfigError, Connection, Joined, Kubeconfig, Proxy, config::Overrides};
use base64::{Engine, prelude::BASE64_STANDARD};
use lab_object::{Json, Time};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::Path,
};
use tempfile::NamedTempFile;

/// What is kept. Secret.
#[derive(Clone)]
pub(super) struct Kept {
    pub identity: String,
    pub server: String,
    pub issued: Time,
    pub expires: Time,
    /// Digest of the token that it was got by.
    pub token: Option<String>,
    pub certificate: String,
    pub key: String,
    pub authority: String,
    /// The proxy through which the server is reached. It is no part of the file: where the machine stands may change.
    pub proxy: Option<Proxy>,
}

/// What a kubeconfig has no field for, as an extension of its user.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extension {
    issued: Time,
    expires: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

const EXTENSION: &str = "lab";

impl Kept {
    pub(super) fn new(joined: Joined, server: &str, token: Option<String>, now: jiff::Timestamp) -> Self {
        let Joined { identity, certificate, key, authority, expires } = joined;
        let (server, issued) = (server.into(), Time(now));
        // Without an end it is renewed at once: nobody promised that it holds.
        Self {
            identity,
            server,
            issued,
            expires: expires.unwrap_or(issued),
            token,
            certificate,
            key,
            authority,
            proxy: None,
        }
    }

    fn render(&self) -> String {
        let data = |pem: &str| BASE64_STANDARD.encode(pem);
        let extension = Extension { issued: self.issued, expires: self.expires, token: self.token.clone() };
        let document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {
                "server": self.server, "certificate-authority-data": data(&self.authority)}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": self.identity}}],
            "users": [{"name": self.identity, "user": {
                "client-certificate-data": data(&self.certificate),
                "client-key-data": data(&self.key),
                "extensions": [{"name": EXTENSION, "extension": extension}]}}],
        });
        format!("{document:#}\n")
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let document: Json = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
        let said = |pointer| document.pointer(pointer).and_then(Json::as_str).map(ToOwned::to_owned);
        let pem = |pointer| {
            let bytes = BASE64_STANDARD.decode(said(pointer)?).ok()?;
            String::from_utf8(bytes).ok()
        };
        let extension = document.pointer("/users/0/user/extensions/0/extension").cloned();
        let Extension { issued, expires, token } = extension
            .and_then(|extension| serde_json::from_value(extension).ok())
            .ok_or("it does not say since when and until when it holds")?;
        let (cluster, user) = ("/clusters/0/cluster", "/users/0/user");
        Ok(Self {
            identity: said("/users/0/name").ok_or("it has no user")?,
            server: said(&format!("{cluster}/server")).ok_or("it has no server")?,
            authority: pem(&format!("{cluster}/certificate-authority-data")).ok_or("it has no authority")?,
            certificate: pem(&format!("{user}/client-certificate-data")).ok_or("it has no certificate")?,
            key: pem(&format!("{user}/client-key-data")).ok_or("it has no key")?,
            issued,
            expires,
            token,
            proxy: None,
        })
    }

    /// How the server is reached; errors name the file at `path`.
    pub(super) fn connection(&self, path: &Path) -> Result<Connection, ConfigError> {
        let connection = Kubeconfig::of_text(path, &self.render())?.connection(&Overrides::default())?;
        Ok(Connection { proxy: self.proxy.clone(), ..connection })
    }
}

/// What a token is recognised by without being kept.
pub(super) fn digest(token: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(token))
}

pub(super) fn read(path: &Path) -> Result<Option<Kept>, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => Kept::parse(&text)
            .map(Some)
            .map_err(|why| IdentityError::Content { path: path.into(), why: why.into() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::Read { path: path.into(), source }),
    }
}

/// Whether the file could be written, before anything is spent on it.
pub(super) fn try_write(path: &Path) -> Result<(), IdentityError> {
    beside(path).map(drop).map_err(|source| IdentityError::Write { path: path.into(), source })
}

/// Replaces the file: a crash leaves the old one or the new one.
pub(super) fn write(path: &Path, kept: &Kept) -> Result<(), IdentityError> {
    let replace = || {
        let mut file = beside(path)?;
        file.write_all(kept.render().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder(path))?.sync_all()
    };
    replace().map_err(|source| IdentityError::Write { path: path.into(), source })
}

/// A file beside it that only its owner may read, gone when dropped.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    fs::create_dir_all(folder(path))?;
    NamedTempFile::new_in(folder(path))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn kept() -> Kept {
        let at = |second| Time(jiff::Timestamp::from_second(second).unwrap());
        Kept {
            identity: "bastion:home-1".into(),
            server: "https://192.0.2.1:6443".into(),
            issued: at(1000),
            expires: at(4000),
            token: Some(digest("t")),
            certificate: "certificate".into(),
            key: "key".into(),
            authority: "authority".into(),
            proxy: None,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/identity");
        assert!(read(&path).unwrap().is_none());
        try_write(&path).unwrap();
        assert!(!path.exists());
        write(&path, &kept()).unwrap();
        write(&path, &kept()).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().render(), kept().render());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1, "nothing is left behind");
        let connection = kept().connection(&path).unwrap();
        assert_eq!(connection.server.value, "https://192.0.2.1:6443");
        assert_eq!(connection.credentials.client_key.unwrap().read().unwrap(), b"key");
    }

    #[test]
    fn what_is_none_is_told_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let without = |pointer: &str| {
            let mut document: Json = serde_json::from_str(&kept().render()).unwrap();
            *document.pointer_mut(pointer).unwrap() = Json::Null;
            document.to_string()
        };
        for (text, expected) in [
            ("kind: Config".to_owned(), "(it is not JSON)"),
            (without("/users/0/user/client-key-data"), "(it has no key)"),
            (without("/clusters/0/cluster/server"), "(it has no server)"),
            (without("/users/0/user/extensions"), "(it does not say since when and until when it holds)"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
