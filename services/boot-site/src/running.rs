//! A site that runs: fed by informers, on the wire, reporting, storing.

use crate::cache::{self, Cache};
use crate::feed::Feeder;
use crate::follow::Following;
use crate::keep::{self, KeepError, LeaseFile, MachineFiles, Objects};
use crate::report::Reporter;
use crate::wire::{OnTheWire, Ports, Wire};
use crate::{Labd, Settings, Site, Surroundings};
use lab_client::{Backoff, Client};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often labd is told what is new.
const TELL: Duration = Duration::from_secs(1);
/// How often it is looked which machines fell silent, and how the networks are.
const LOOK: Duration = Duration::from_secs(10);
/// How often what was heard of machines is written.
const WRITE: Duration = Duration::from_secs(1);
/// How often a copy of changed objects is written, where they are no Networks and not the Bastion.
const COPY: Duration = Duration::from_secs(10);
/// How long the last words to labd may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a site is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of its Bastion object.
    pub name: String,
    /// Where it keeps what is to survive a restart.
    pub state: PathBuf,
    /// The folder with the files it serves.
    pub files: PathBuf,
    /// The ports it serves on; nothing where whoever starts it hands packets in, and says by [`Site::serve_on`] where they come from.
    pub ports: Option<Ports>,
    /// The version of the program, for the Bastion's status.
    pub version: String,
    /// Where agents of installed machines find labd; without it they get none.
    pub labd: Option<Labd>,
    /// Spreads the waits after failures; any random number.
    pub seed: u64,
}

/// A running site. Dropping it ends it where it is.
pub struct Running {
    site: Arc<Site>,
    reporter: Arc<Reporter>,
    following: Arc<Following>,
    files: Arc<MachineFiles>,
    objects: PathBuf,
    tasks: JoinSet<()>,
}

/// How a running site is.
#[derive(Clone)]
pub struct Health(Arc<Following>);

impl Health {
    /// Why what is known may be out of date: what keeps the site from labd. Nothing while all is well.
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }
}

/// Starts a site, in tasks of the current runtime. It answers at once from what it knew when it stopped; what `client` reaches
/// counts from when it answers. Interfaces are served only where a Network says so ([`lab_machine::serving`]).
pub fn start(
    client: &Client,
    options: Options,
    surroundings: Arc<dyn Surroundings>,
) -> Result<Running, KeepError> {
    let Options { name, state, files, ports, version, labd, seed } = options;
    let settings = Settings { http_port: ports.unwrap_or_default().http, folder: files, labd };
    let (since, run) = (surroundings.now(), surroundings.token());
    let site = Arc::new(Site::new(settings, surroundings));
    let (files, objects) = restore(&site, &state)?;
    let files = Arc::new(files);
    let cache = Arc::new(Cache::open(&state.join("artefacts"))?);
    // The site was made a moment ago and has none yet.
    let _ = site.cache.set(cache);
    let reporter =
        Reporter { client: client.clone(), site: site.clone(), name: name.clone(), version, since };
    let reporter = Arc::new(reporter);
    let following = Arc::new(Following::start(client, &site, &name, seed));
    let (tell, wire) = watch::channel(OnTheWire::default());
    let mut tasks = JoinSet::new();
    if let Some(ports) = ports {
        tasks.spawn(Wire::new(site.clone(), ports, tell).tend());
    }
    tasks.spawn(report(reporter.clone(), following.clone(), wire, Backoff::connections(seed)));
    tasks.spawn(Feeder::new(client.clone(), site.clone(), name, run).feed());
    tasks.spawn(cache::fetch_ahead(site.clone()));
    tasks.spawn(write(site.clone(), files.clone()));
    tasks.spawn(copy(site.clone(), objects.clone()));
    Ok(Running { site, reporter, following, files, objects, tasks })
}

/// Lets a site know what it knew when it stopped.
fn restore(site: &Site, state: &Path) -> Result<(MachineFiles, PathBuf), KeepError> {
    keep::private(state)?;
    let (files, machines) = MachineFiles::open(&state.join("machines"))?;
    let (lease_file, leases) = LeaseFile::open(&state.join("leases.jsonl"))?;
    let path = state.join("objects.json");
    let objects = Objects::read(&path)?;
    *site.leases.lock() = Some(lease_file);
    site.with(|known| {
        known.leases = leases;
        objects.into_iter().for_each(|objects| objects.restore(known));
        machines.into_iter().for_each(|(mac, machine)| known.restore(mac, machine));
    });
    Ok((files, path))
}

impl Running {
    /// The site.
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// To ask how it is, also by others.
    pub fn health(&self) -> Health {
        Health(self.following.clone())
    }

    /// Ends it in order: no more answers, then the last words to labd and to the disk.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        let farewell = async {
            if self.following.trouble().is_none() {
                self.reporter.machines().await?;
                self.reporter.goodbye().await?;
            }
            Ok::<(), lab_client::Error>(())
        };
        match tokio::time::timeout(LAST_WORDS, farewell).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the last words were not heard"),
            Err(_) => tracing::debug!("the last words were not heard in time"),
        }
        let (unsaved, forgotten) = self.site.with(|known| known.take_unsaved());
        let copy = self.site.with(|known| Objects::of(known));
        let (files, path) = (self.files.clone(), self.objects.clone());
        let written = tokio::task::spawn_blocking(move || {
            keep::write_machines(&files, unsaved, forgotten);
            write_copy(&copy, &path);
        });
        if let Err(panic) = written.await {
            tracing::error!(%panic, "what was known is not stored");
        }
    }
}

fn write_copy(copy: &Objects, path: &Path) {
    if let Err(error) = copy.write(path) {
        tracing::error!(error = &error as &dyn std::error::Error, "the copy of the objects is not stored");
    }
}

/// Tells labd what is new, for as long as the site runs.
async fn report(
    reporter: Arc<Reporter>,
    following: Arc<Following>,
    mut wire: watch::Receiver<OnTheWire>,
    backoff: Backoff,
) {
    following.synced(&reporter.site).await;
    let (mut failures, mut looked) = (0, None);
    loop {
        let now = tokio::time::Instant::now();
        let look = wire.has_changed().unwrap_or(false) || looked.is_none_or(|last| now - last >= LOOK);
        let outcome = async {
            if look {
                let served = wire.borrow_and_update().clone();
                reporter.listen_for_silence();
                reporter.bastion(&served).await?;
                reporter.networks(&served).await?;
            }
            reporter.machines().await
        };
        let wait = match outcome.await {
            Ok(()) => {
                if look {
                    looked = Some(now);
                }
                failures = 0;
                TELL
            }
            Err(error) => {
                failures += 1;
                let wait = backoff.after(failures).max(TELL);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, ?wait, "labd could not be told what is new, will try again");
                wait
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Writes what was heard of machines, for as long as the site runs.
async fn write(site: Arc<Site>, files: Arc<MachineFiles>) {
    loop {
        tokio::time::sleep(WRITE).await;
        let (unsaved, forgotten) = site.with(|known| known.take_unsaved());
        if unsaved.is_empty() && forgotten.is_empty() {
            continue;
        }
        let files = files.clone();
        let written = tokio::task::spawn_blocking(move || keep::write_machines(&files, unsaved, forgotten));
        if let Err(panic) = written.await {
            tracing::error!(%panic, "what was heard of machines is not stored");
        }
    }
}

/// Writes a copy of the objects where they changed, for as long as the site runs: at once where nothing could be served without them after a
/// crash, a while later where many Servers may change.
async fn copy(site: Arc<Site>, path: PathBuf) {
    let (mut written, mut ground) = site.with(|known| (known.revision, known.ground));
    let mut at = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(WRITE).await;
        let due = at.elapsed() >= COPY;
        let changed = site.with(|known| {
            let wanted = known.ground != ground || (due && known.revision != written);
            wanted.then(|| (known.revision, known.ground, Objects::of(known)))
        });
        let Some((revision, of_ground, objects)) = changed else { continue };
        let path = path.clone();
        let wrote = tokio::task::spawn_blocking(move || write_copy(&objects, &path));
        if let Err(panic) = wrote.await {
            tracing::error!(%panic, "the copy of the objects is not stored");
        }
        (written, ground) = (revision, of_ground);
        at = tokio::time::Instant::now();
    }
}
