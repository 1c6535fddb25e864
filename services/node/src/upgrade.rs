//! Another executable for this agent, as labd sends it: checked, tried beside the one that runs, and put in its place only once it has
//! reported in. Until then nothing was changed, so that whatever breaks off, the agent stays what it was.

use crate::serve::{Body, Shared, bad, refused};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lab_client::Identity;
use lab_host::program::{Beside, become_program};
use lab_pki::Measured;
use lab_wire::agent::{Refused, Upgrade};
use parking_lot::Mutex;
use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{io::AsyncWriteExt, sync::OwnedMutexGuard, time::Instant};

/// Largest executable that is taken.
const MOST: u64 = 512 << 20;
/// Longest silence while it is sent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long one that is tried has to stay in reach.
const STAY: Duration = Duration::from_secs(5);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(250);
/// For how long one that was gone back from is not tried again.
const REFUSED: Duration = Duration::from_secs(60 * 60);

/// The program that this is, and how another one is tried.
#[derive(Clone)]
pub struct Program {
    /// Where it lies; what is there is replaced.
    pub path: PathBuf,
    /// Its hash: [`executable`].
    pub executable: String,
    /// The arguments it was started with.
    pub arguments: Vec<OsString>,
    /// The arguments by which another one is tried: it reports in as this machine, and says how it stands in a place of its own.
    pub trial: Vec<OsString>,
    /// Whether the one that is tried, of which the process number is said, is in reach.
    pub in_reach: Arc<dyn Fn(u32) -> bool + Send + Sync>,
    /// How long one that is tried may take until it reports in.
    pub patience: Duration,
}

/// The hash of the executable that runs; empty where it cannot be read, and so will not be upgraded.
pub fn executable() -> String {
    let mut measured = Measured::default();
    let read = fs::File::open("/proc/self/exe").and_then(|mut file| io::copy(&mut file, &mut measured));
    match read {
        Ok(_) => measured.hash(),
        Err(error) => {
            tracing::warn!(%error, "this program cannot be read, and so will not be upgraded");
            String::new()
        }
    }
}

/// What is known of executables.
pub(crate) struct Upgrades {
    pub program: Program,
    turn: Arc<tokio::sync::Mutex<()>>,
    refused: Mutex<Option<(Instant, Refused)>>,
}

impl Upgrades {
    pub(crate) fn new(program: Program) -> Self {
        Self { program, turn: Arc::default(), refused: Mutex::default() }
    }

    /// The one that was gone back from, while it is not to be tried again.
    pub(crate) fn refused(&self) -> Option<Refused> {
        let refused = self.refused.lock();
        refused.as_ref().filter(|(at, _)| at.elapsed() < REFUSED).map(|(_, refused)| refused.clone())
    }

    /// Ready when none is tried.
    pub(crate) async fn settled(&self) {
        drop(self.turn.lock().await);
    }

    /// Tries an executable, and becomes it; until then or for good this one goes on.
    async fn carry_out(self: Arc<Self>, new: New, upgrade: Upgrade, _turn: OwnedMutexGuard<()>) {
        tracing::info!(version = upgrade.version, "another executable is tried");
        let why = match self.try_out(&new.0).await {
            Ok(()) => {
                let put =
                    fs::rename(&new.0, &self.program.path).and_then(|()| sync_folder(&self.program.path));
                match put {
                    Ok(()) => {
                        tracing::info!(version = upgrade.version, "it reported in, and takes over");
                        let Program { path, arguments, .. } = &self.program;
                        format!(
                            "it is in place, but could not be started: {}",
                            become_program(path, arguments)
                        )
                    }
                    Err(error) => format!("it could not be put in place: {error}"),
                }
            }
            Err(why) => why,
        };
        tracing::warn!(version = upgrade.version, why, "the agent stays what it was");
        let refused = Refused { executable: upgrade.executable, why };
        *self.refused.lock() = Some((Instant::now(), refused));
    }

    async fn try_out(&self, new: &Path) -> Result<(), String> {
        let started = Beside::start(new, &self.program.trial);
        let mut tried = started.map_err(|error| format!("it cannot be started: {error}"))?;
        let (end, mut since) = (Instant::now() + self.program.patience, None);
        let outcome = loop {
            tokio::select! {
                ended = tried.ended() => {
                    return Err(ended.map_or_else(|error| error.to_string(), |status| format!("it ended with {status}")));
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            let in_reach = tried.id().is_some_and(|id| (self.program.in_reach)(id));
            since = if in_reach { since.or(Some(Instant::now())) } else { None };
            if since.is_some_and(|at| at.elapsed() >= STAY) {
                break Ok(());
            }
            if since.is_none() && Instant::now() > end {
                break Err(format!("it did not report in within {} s", self.program.patience.as_secs()));
            }
        };
        tried.end().await;
        outcome
    }
}

/// An executable beside the one that runs; removed unless it took its place.
struct New(PathBuf);

impl Drop for New {
    fn drop(&mut self) {
        // After a renaming there is nothing.
        let _ = fs::remove_file(&self.0);
    }
}

/// Answers an executable.
pub(crate) async fn answer(shared: &Arc<Shared>, query: &str, body: Incoming) -> Response<Body> {
    let upgrade = match Upgrade::from_query(query) {
        Ok(upgrade) => upgrade,
        Err(error) => return bad(&error),
    };
    let Ok(turn) = shared.upgrades.turn.clone().try_lock_owned() else {
        return refused(StatusCode::TOO_MANY_REQUESTS, "another one is tried at this moment");
    };
    match take(shared, &upgrade, body).await {
        Ok(new) => {
            tokio::spawn(shared.upgrades.clone().carry_out(new, upgrade, turn));
            refused(StatusCode::ACCEPTED, "")
        }
        Err(why) => {
            tracing::warn!(version = upgrade.version, why, "an executable is not taken");
            refused(StatusCode::BAD_REQUEST, why)
        }
    }
}

/// Takes what is sent, and finds it to be what labd's authority signed.
async fn take(shared: &Shared, upgrade: &Upgrade, mut body: Incoming) -> Result<New, String> {
    if !is_signed(&shared.identity, upgrade) {
        return Err("it is not signed by the authority that this machine knows labd by".into());
    }
    if upgrade.size > MOST {
        return Err(format!("it is larger than {} MiB", MOST >> 20));
    }
    let mut path = shared.upgrades.program.path.clone().into_os_string();
    path.push(".new");
    let new = New(path.into());
    let failed = |error: io::Error| format!("cannot write {}: {error}", new.0.display());
    let mut file = tokio::fs::File::create(&new.0).await.map_err(failed)?;
    let mut measured = Measured::default();
    while let Some(frame) =
        tokio::time::timeout(SILENCE, body.frame()).await.map_err(|_| "it stopped coming")?
    {
        let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
        measured.write_all(&data).map_err(failed)?;
        if measured.size() > upgrade.size {
            break;
        }
        file.write_all(&data).await.map_err(failed)?;
    }
    if measured.size() != upgrade.size || measured.hash() != upgrade.executable {
        return Err("what was sent is not what was signed".into());
    }
    file.set_permissions(fs::Permissions::from_mode(0o755)).await.map_err(failed)?;
    file.sync_all().await.map_err(failed)?;
    // A file that somebody still writes to cannot be run.
    drop(file.into_std().await);
    Ok(new)
}

fn is_signed(identity: &Identity, upgrade: &Upgrade) -> bool {
    let authority = identity.connection().ok().and_then(|connection| connection.certificate_authority);
    let authority = authority.and_then(|authority| authority.read().ok()).unwrap_or_default();
    lab_pki::is_stated_by(&authority, &upgrade.statement(), &upgrade.signature)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}
