//! The keys by which secrets are encrypted at rest: files in a directory of their own, which kinds are encrypted, and what
//! happens when a key is added.
//!
//! Files are called `0001.key`, `0002.key` and so on; the one with the highest number encrypts, all decrypt. A key that was
//! added is taken up while labd runs, and everything that is encrypted is written anew with it.

use anyhow::{Context, ensure};
use lab_keyring::{KEY_LENGTH, Key, KeyId, Keyring, SEED_LENGTH};
use lab_kinds::Registry;
use lab_pki::files;
use lab_store::Embedded;
use parking_lot::RwLock;
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How often it is looked whether a key was added.
const INTERVAL: Duration = Duration::from_secs(5);
const SUFFIX: &str = ".key";

/// The keys in a directory, by the numbers of their files.
fn read(dir: &Path) -> anyhow::Result<BTreeMap<u32, Key>> {
    let mut keys = BTreeMap::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(keys),
        entries => entries.with_context(|| format!("cannot read {}", dir.display()))?,
    };
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", dir.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(number) = name.strip_suffix(SUFFIX).and_then(|number| number.parse().ok()) else { continue };
        let text = files::read_private(&path)?.unwrap_or_default();
        let key = text.parse().with_context(|| format!("cannot use {}", path.display()))?;
        keys.insert(number, key);
    }
    Ok(keys)
}

/// Adds a key, which is the newest from now on.
pub fn add(dir: &Path) -> anyhow::Result<(KeyId, PathBuf)> {
    files::create_private_directory(dir)?;
    let number = read(dir)?.last_key_value().map_or(1, |(number, _)| number + 1);
    let path = dir.join(format!("{number:04}{SUFFIX}"));
    let key = Key::new(rand::random::<[u8; KEY_LENGTH]>());
    files::write(&path, key.to_file().as_bytes(), files::PRIVATE)?;
    Ok((key.id(), path))
}

/// The keyring of a directory; `None` where it holds no key.
pub fn keyring(dir: &Path) -> anyhow::Result<Option<Keyring>> {
    let mut keys = read(dir)?;
    let Some((_, newest)) = keys.pop_last() else { return Ok(None) };
    Ok(Some(Keyring::new(newest, keys.into_values(), seed())))
}

fn seed() -> [u8; SEED_LENGTH] {
    let mut seed = [0; SEED_LENGTH];
    seed.fill_with(rand::random);
    seed
}

/// Copies the keys of one directory into another that has none.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let keys = read(from)?;
    ensure!(!keys.is_empty(), "there is no key in {}", from.display());
    ensure!(read(to)?.is_empty(), "{} holds keys already; name that directory with --keys", to.display());
    files::create_private_directory(to)?;
    for (number, key) in keys {
        let path = to.join(format!("{number:04}{SUFFIX}"));
        files::write(&path, key.to_file().as_bytes(), files::PRIVATE)?;
    }
    Ok(())
}

/// Encrypts objects of confidential kinds, with a keyring that can be exchanged.
#[derive(Debug)]
pub struct Sealer {
    keyring: RwLock<Arc<Keyring>>,
    /// What keys of confidential kinds hold behind the tenant: `/<group>/<plural>/`.
    confidential: HashSet<String>,
}

impl Sealer {
    pub fn new(keyring: Keyring, registry: &Registry) -> Self {
        let confidential = registry.kinds().iter().filter(|kind| kind.confidential).map(|kind| {
            let prefix = lab_api_server::key::prefix("", kind, "");
            prefix.trim_start_matches('/').to_owned()
        });
        Self { confidential: confidential.collect(), keyring: RwLock::new(Arc::new(keyring)) }
    }

    /// Seals a text that is no object, such as a private key, for a name.
    pub fn seal_text(&self, name: &str, text: &str) -> Vec<u8> {
        self.keyring.read().seal(name.as_bytes(), text.as_bytes())
    }

    /// Opens it again.
    pub fn open_text(&self, name: &str, sealed: &[u8]) -> anyhow::Result<String> {
        let text = self.keyring.read().open(name.as_bytes(), sealed)?;
        String::from_utf8(text).context("it is no text")
    }

    fn is_confidential(&self, key: &str) -> bool {
        let mut parts = key.splitn(5, '/').skip(2);
        match (parts.next(), parts.next()) {
            (Some(group), Some(plural)) => self.confidential.contains(&format!("{group}/{plural}/")),
            _ => false,
        }
    }
}

/// What an object's value is bound to: its place in the store, and the revision of its last change.
fn context(key: &str, revision: u64) -> Vec<u8> {
    [key.as_bytes(), &[0], &revision.to_be_bytes()].concat()
}

impl lab_store::Seal for Sealer {
    fn seal(&self, key: &str, revision: u64, value: &[u8]) -> Option<Vec<u8>> {
        self.is_confidential(key).then(|| self.keyring.read().seal(&context(key, revision), value))
    }

    fn open(&self, key: &str, revision: u64, sealed: &[u8]) -> Result<Vec<u8>, String> {
        self.keyring.read().open(&context(key, revision), sealed).map_err(|error| error.to_string())
    }

    fn is_stale(&self, key: &str, stored: &[u8], sealed: bool) -> bool {
        match (self.is_confidential(key), sealed) {
            (true, true) => lab_keyring::key_of(stored) != Ok(self.keyring.read().newest()),
            (confidential, sealed) => confidential != sealed,
        }
    }
}

/// Encrypts anew what is not encrypted with the newest key, now and whenever a key is added, for as long as labd runs.
pub async fn follow(sealer: Arc<Sealer>, store: Arc<Embedded>, dir: PathBuf) {
    let mut stale = store.stale() > 0;
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        match keyring(&dir) {
            Ok(Some(found)) if found.newest() != sealer.keyring.read().newest() => {
                tracing::info!(key = %found.newest(), "a key was added; secrets are encrypted anew with it");
                *sealer.keyring.write() = Arc::new(found);
                stale = true;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("the directory of keys cannot be read: {error:#}"),
        }
        if !stale {
            continue;
        }
        match store.write_anew().await {
            Ok(()) => {
                stale = false;
                say_what_can_go(&sealer.keyring.read());
            }
            Err(error) => tracing::warn!(%error, "secrets could not be encrypted anew, will try again"),
        }
    }
}

fn say_what_can_go(keyring: &Keyring) {
    let newest = keyring.newest();
    tracing::info!(key = %newest, "every secret is encrypted with the newest key");
    for old in keyring.ids().filter(|id| *id != newest) {
        tracing::info!(key = %old, "this key's file can go, unless a backup of before is to be restored");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_store::Seal;

    #[test]
    fn what_is_secret_is_sealed_in_its_place() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(keyring(dir.path()).expect("it is readable").is_none());
        let (first, _) = add(dir.path()).expect("it is writable");
        let sealer = || {
            let keyring = keyring(dir.path()).expect("it is readable").expect("there is a key");
            Sealer::new(keyring, &lab_kinds::registry())
        };
        let before = sealer();
        for (key, confidential) in [
            ("/default/core/secrets/default/a", true),
            ("/other/iam.lab/users//a", true),
            ("/default/core/configmaps/default/secrets", false),
            ("/default/metal.lab/servers//a", false),
            ("/default", false),
        ] {
            let sealed = before.seal(key, 7, b"value");
            assert_eq!(sealed.is_some(), confidential, "{key}");
            assert_eq!(before.is_stale(key, b"value", false), confidential, "{key}");
            let Some(sealed) = sealed else { continue };
            assert!(!before.is_stale(key, &sealed, true), "{key}");
            assert_eq!(before.open(key, 7, &sealed).as_deref(), Ok(&b"value"[..]));
            assert!(before.open(key, 8, &sealed).is_err() && before.open("/x", 7, &sealed).is_err());
        }
        let sealed = before.seal("/t/core/secrets/n/a", 7, b"value").expect("it is secret");
        let (second, path) = add(dir.path()).expect("it is writable");
        assert!(path.ends_with("0002.key") && first != second);
        let after = sealer();
        assert!(after.is_stale("/t/core/secrets/n/a", &sealed, true));
        assert!(after.open("/t/core/secrets/n/a", 7, &sealed).is_ok());
        let text = after.seal_text("ca.key", "text");
        assert_eq!(after.open_text("ca.key", &text).expect("it opens"), "text");
        assert!(after.open_text("ca.crt", &text).is_err());
    }
}
