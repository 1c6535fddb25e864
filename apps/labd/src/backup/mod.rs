//! `labd backup` and `labd restore`: everything in one file, and back.

mod archive;
pub mod stream;

use crate::{
    config::Settings,
    data_dir::{DataDir, Layout},
    keys::{self, Sealer},
};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use jiff::Timestamp;
use lab_client::{Client, Kubeconfig, config::Overrides};
use lab_object::Time;
use lab_store::Embedded;
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::NamedTempFile;

/// Copies everything into `output`, from the labd that a kubeconfig names, from the one that runs on the data directory, or
/// from the directory itself.
pub fn backup(settings: &Settings, output: &Path, kubeconfig: Option<PathBuf>) -> anyhow::Result<()> {
    let output = std::path::absolute(output).context("the file to write")?;
    let parent = output.parent().context("the file to write needs a name")?;
    // Readable by its owner alone; it takes its name when it is whole, and is removed if that never happens.
    let file = NamedTempFile::with_prefix_in(".labd-backup-", parent)
        .with_context(|| format!("cannot write into {}", parent.display()))?;
    let mut writer = file.reopen().context("cannot write the backup")?;
    let source = Source::find(settings, kubeconfig)?;
    runtime()?.block_on(async {
        tokio::select! {
            copied = source.copy(&mut writer) => copied,
            _ = tokio::signal::ctrl_c() => bail!("interrupted; nothing was written"),
        }
    })?;
    writer.sync_all().context("cannot write the backup")?;
    ensure!(
        archive::ends_well(&mut writer).context("cannot read the backup")?,
        "the backup broke off on its way; nothing was written, and labd's log says why"
    );
    file.persist(&output).with_context(|| format!("cannot write {}", output.display()))?;
    File::open(parent).and_then(|parent| parent.sync_all()).context("cannot write the backup")?;
    writeln!(
        std::io::stderr(),
        "wrote {}; to restore it takes the keys in {} too, which are not in it",
        output.display(),
        settings.keys.display()
    )?;
    Ok(())
}

/// Puts a backup into the data directory, which must be empty.
pub fn restore(settings: &Settings, file: &Path, keys_from: Option<PathBuf>) -> anyhow::Result<()> {
    let restored = archive::restore(file, settings, keys_from.as_deref())?;
    let (objects, created, directory) = (restored.objects, restored.created, settings.data_dir.display());
    writeln!(std::io::stderr(), "restored {objects} objects of {created} into {directory}")?;
    writeln!(std::io::stderr(), "start it with: labd --data-dir {directory}")?;
    Ok(())
}

/// Where a backup comes from.
enum Source {
    /// A directory that no labd runs on, kept from being used meanwhile, and that of its keys.
    Directory(DataDir, PathBuf),
    /// The API, as this kubeconfig says.
    Api(PathBuf),
}

impl Source {
    fn find(settings: &Settings, kubeconfig: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(kubeconfig) = kubeconfig {
            return Ok(Self::Api(kubeconfig));
        }
        let layout = Layout(&settings.data_dir);
        ensure!(
            layout.store().exists(),
            "{} holds no data of labd; name its directory with --data-dir DIR",
            settings.data_dir.display()
        );
        Ok(match DataDir::try_open(&settings.data_dir)? {
            Some(directory) => Self::Directory(directory, settings.keys.clone()),
            None => Self::Api(layout.admin_kubeconfig()),
        })
    }

    async fn copy(&self, out: &mut File) -> anyhow::Result<()> {
        match self {
            Self::Directory(directory, keys) => {
                let layout = directory.layout();
                let keyring = keys::keyring(keys)?.with_context(|| {
                    format!("there is no key in {}; start labd once, or put its keys back", keys.display())
                })?;
                let sealer = Arc::new(Sealer::new(keyring, &lab_kinds::registry()));
                let options = lab_store::Options { seal: Some(sealer.clone()), ..Default::default() };
                let store = Embedded::open(&layout.store(), options)?;
                let out = std::io::BufWriter::new(out);
                archive::write(&store, &layout, &sealer, Time(Timestamp::now()), out)?;
                store.close();
                Ok(())
            }
            Self::Api(kubeconfig) => copy_from_api(kubeconfig, out).await,
        }
    }
}

async fn copy_from_api(kubeconfig: &Path, out: &mut File) -> anyhow::Result<()> {
    let connection = Kubeconfig::read(kubeconfig)?.connection(&Overrides::default())?;
    let client = Client::connect("labd", &connection)?;
    let request = http::Request::get(stream::PATH).body(Bytes::new()).context("cannot ask for a backup")?;
    let mut body = client.send("take a backup", request).await?.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| anyhow::anyhow!(e)).context("the backup broke off on its way")?;
        if let Some(bytes) = frame.data_ref() {
            out.write_all(bytes).context("cannot write the backup")?;
        }
    }
    Ok(())
}

/// What a command that asks labd runs on.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}
