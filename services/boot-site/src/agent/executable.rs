//! The executable of the agent that distributions' installers put into the systems they install. It lies in the site's folder, and answer
//! files say by its SHA-256 which one is meant.

use crate::Site;
use lab_install::agent::served_at;
use lab_kinds::metal::server::hardware::Architecture;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What is known of executables, as long as they stay as they are: when each was changed, its size, and its SHA-256.
#[derive(Debug, Default)]
pub(crate) struct Executables(Mutex<BTreeMap<PathBuf, (SystemTime, u64, String)>>);

impl Executables {
    /// The SHA-256 of a file in hexadecimal digits.
    async fn digest(&self, path: &Path) -> io::Result<String> {
        let found = fs::metadata(path)?;
        let (changed, size) = (found.modified()?, found.len());
        if let Some((at, bytes, digest)) = self.0.lock().get(path)
            && (*at, *bytes) == (changed, size)
        {
            return Ok(digest.clone());
        }
        let read = path.to_owned();
        let hashed = tokio::task::spawn_blocking(move || {
            let digest = Sha256::digest(fs::read(read)?);
            Ok::<_, io::Error>(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        });
        let digest = hashed.await.map_err(io::Error::other)??;
        self.0.lock().insert(path.to_owned(), (changed, size, digest.clone()));
        Ok(digest)
    }
}

impl Site {
    /// The SHA-256 of the agent's executable for a processor; or why there is none, and what can be done.
    pub(crate) async fn executable(&self, architecture: Architecture) -> Result<String, String> {
        let path = self.settings.folder.join(served_at(architecture));
        self.executables.digest(&path).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!(
                "the boot server has no {path:?}; put a statically linked lab-agent there, and let the machine join by hand"
            ),
            _ => format!("the boot server cannot read {path:?}: {error}; mend that, and let the machine join by hand"),
        })
    }
}
