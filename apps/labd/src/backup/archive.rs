//! The file of a backup: the authority's files and the store in one stream.
//!
//! # Format, version 2
//! A line `LABBACKUP 2`. A line with the SHA-256, in hexadecimal, of the line after it. A line of JSON: when and by which
//! labd it was made, and the files of the authority: its certificate as text, its key sealed
//! and in base64. (Version 1 had the key as text, and nothing sealed in the store.) The store as [`lab_store::backup`] writes it, with its own
//! hash at its end. A line `LABEND`, by which a copy that broke off is told from a whole one.

use crate::{
    config::Settings,
    data_dir::Layout,
    keys::{self, Sealer},
};
use anyhow::{Context, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use lab_object::Time;
use lab_pki::{SSH_KEY, TOKEN_KEY, files};
use lab_store::{Embedded, backup::BackupSummary};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

const MAGIC: &str = "LABBACKUP";
const VERSION: u32 = 2;
const END: &[u8] = b"LABEND\n";
/// Longest line of the head, in bytes; keys and certificates take a few thousand.
const MAX_LINE: u64 = 1 << 20;

/// What stands before the store.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    /// Version of the labd that made it.
    labd: String,
    /// When it was made.
    created: Time,
    /// The authority's public files, by name.
    pki: BTreeMap<String, String>,
    /// Its secret ones, sealed for their names, in base64.
    #[serde(default)]
    sealed: BTreeMap<String, String>,
}

/// What a restored backup held.
pub struct Restored {
    /// When it was made.
    pub created: Time,
    /// Objects in it.
    pub objects: u64,
}

/// Writes a backup of a store and the authority beside it. Blocks.
pub fn write(
    store: &Embedded,
    layout: &Layout<'_>,
    sealer: &Sealer,
    now: Time,
    mut out: impl Write,
) -> anyhow::Result<BackupSummary> {
    let (mut pki, mut sealed) = (BTreeMap::new(), BTreeMap::new());
    for (name, mode) in lab_pki::FILES {
        let path = layout.pki().join(name);
        let text = files::read(&path)?.with_context(|| format!("{} is missing", path.display()))?;
        match mode {
            files::PRIVATE => {
                sealed.insert(name.to_owned(), BASE64_STANDARD.encode(sealer.seal_text(name, &text)))
            }
            _ => pki.insert(name.to_owned(), text),
        };
    }
    // Made anew where they are missing.
    for (name, _) in [TOKEN_KEY, SSH_KEY] {
        if let Some(text) = files::read(&layout.pki().join(name))? {
            sealed.insert(name.to_owned(), BASE64_STANDARD.encode(sealer.seal_text(name, &text)));
        }
    }
    let head = Head { labd: env!("CARGO_PKG_VERSION").into(), created: now, pki, sealed };
    let line = serde_json::to_string(&head).context("cannot write down the backup's head")?;
    writeln!(out, "{MAGIC} {VERSION}\n{}\n{line}", hash(&line)).context("cannot write the backup")?;
    let summary = store.backup(&mut out)?;
    out.write_all(END).and_then(|()| out.flush()).context("cannot write the backup")?;
    Ok(summary)
}

/// Whether a file ends as a whole backup does.
pub fn ends_well(file: &mut File) -> std::io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = [0; END.len()];
    if length < end.len() as u64 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-(end.len() as i64)))?;
    file.read_exact(&mut end)?;
    Ok(end == END)
}

/// Restores a backup into a directory that is empty or does not exist. Blocks.
///
/// Everything is put together beside the directory and takes its name when it is whole and on disk.
pub fn restore(path: &Path, settings: &Settings, keys_from: Option<&Path>) -> anyhow::Result<Restored> {
    let directory = settings.data_dir.as_path();
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let about = || path.display().to_string();
    let whole = ends_well(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
    file.rewind().with_context(about)?;
    let length = file.metadata().with_context(about)?.len();
    let mut input = BufReader::new(file);
    let (head, head_length) = read_head(&mut input).with_context(about)?;
    ensure!(whole, "{} is cut short: it does not end with LABEND; nothing was restored", path.display());
    ensure_empty(directory)?;
    let staging = Staging::beside(directory)?;
    let store = input.take(length - head_length - END.len() as u64);
    let keys = match settings.keys.strip_prefix(directory) {
        Ok(inside) => staging.0.join(inside),
        Err(_) => settings.keys.clone(),
    };
    if let Some(from) = keys_from {
        keys::copy(from, &keys)?;
    }
    let sealer = keys::keyring(&keys)?.map(|keyring| Arc::new(Sealer::new(keyring, &lab_kinds::registry())));
    let secret = head.open(sealer.as_deref()).with_context(about)?;
    let seal = sealer.map(|sealer| sealer as Arc<dyn lab_store::Seal>);
    let summary = lab_store::backup::restore(store, &Layout(&staging.0).store(), seal).with_context(about)?;
    let pki = Layout(&staging.0).pki();
    files::create_private_directory(&pki)?;
    for (name, mode) in lab_pki::FILES {
        let text = secret
            .get(name)
            .or(head.pki.get(name))
            .with_context(|| format!("{} lacks {name}", path.display()))?;
        files::write(&pki.join(name), text.as_bytes(), mode)?;
    }
    for (name, mode) in [TOKEN_KEY, SSH_KEY] {
        if let Some(text) = secret.get(name).or(head.pki.get(name)) {
            files::write(&pki.join(name), text.as_bytes(), mode)?;
        }
    }
    staging.become_directory(directory)?;
    Ok(Restored { created: head.created, objects: summary.objects })
}

impl Head {
    /// What is sealed in it.
    fn open(&self, sealer: Option<&Sealer>) -> anyhow::Result<BTreeMap<String, String>> {
        let mut opened = BTreeMap::new();
        for (name, sealed) in &self.sealed {
            let sealed = BASE64_STANDARD.decode(sealed).with_context(|| format!("{name} is damaged"))?;
            let hint =
                "its secrets cannot be read; name the directory with the keys of its labd with --keys-from";
            let Some(sealer) = sealer else {
                let key = lab_keyring::key_of(&sealed)?;
                bail!("{hint}: it is encrypted with key {key}, and no key was given");
            };
            opened.insert(name.clone(), sealer.open_text(name, &sealed).context(hint)?);
        }
        Ok(opened)
    }
}

/// Reads the lines before the store; with how many bytes they take.
fn read_head(input: &mut impl BufRead) -> anyhow::Result<(Head, u64)> {
    let magic = read_line(input)?;
    let version = magic.strip_prefix(MAGIC).map(str::trim).and_then(|v| v.parse::<u32>().ok());
    match version {
        None => bail!("this is not a backup of labd: it does not begin with {MAGIC}"),
        Some(newer) if newer > VERSION => {
            bail!(
                "the backup is of version {newer}, and this labd reads none above {VERSION}; use a newer one"
            )
        }
        Some(_) => {}
    }
    let (expected, line) = (read_line(input)?, read_line(input)?);
    ensure!(
        hash(line.trim_end()) == expected.trim_end(),
        "the backup's head is damaged; nothing was restored"
    );
    let head = serde_json::from_str(&line).context("the backup's head cannot be read")?;
    Ok((head, (magic.len() + expected.len() + line.len()) as u64))
}

fn read_line(input: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut line).context("the backup cannot be read")?;
    // What is no text is no line of ours; the checks that follow say so.
    Ok(String::from_utf8(line).unwrap_or_default())
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ensure_empty(directory: &Path) -> anyhow::Result<()> {
    match fs::read_dir(directory) {
        Ok(mut entries) => ensure!(
            entries.next().is_none(),
            "{} is not empty; a backup is restored into an empty directory",
            directory.display()
        ),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", directory.display())),
    }
    Ok(())
}

/// A directory beside the one that is restored into; removed unless it takes its place.
struct Staging(PathBuf);

impl Staging {
    fn beside(directory: &Path) -> anyhow::Result<Self> {
        let name = directory.file_name().context("the data directory has no name")?.to_string_lossy();
        let parent = directory.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let path = parent.join(format!(".{name}.restoring-{}", std::process::id()));
        files::create_private_directory(&path)?;
        Ok(Self(path))
    }

    fn become_directory(self, directory: &Path) -> anyhow::Result<()> {
        // Renaming over an empty directory takes its place, and fails if it is no longer empty.
        fs::rename(&self.0, directory).with_context(|| {
            format!(
                "cannot put the restored data in the place of {}; if that is a mount point, name a directory in it",
                directory.display()
            )
        })?;
        let parent = directory.parent().unwrap_or(Path::new("/"));
        let synced = File::open(parent).and_then(|parent| parent.sync_all());
        synced.with_context(|| format!("cannot write {}", parent.display()))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Once renamed, there is nothing left to remove.
        let _ = fs::remove_dir_all(&self.0);
    }
}
