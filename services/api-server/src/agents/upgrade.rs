//! Agents that are to run another executable: it is sent through their tunnel, signed by our authority.

use super::{Tunnel, presence};
use crate::{identity::Issuer, server::ApiServer};
use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use lab_machine::upgrade::{Decision, Standing, decide};
use lab_object::Json;
use lab_pki::Measured;
use lab_wire::agent::{System, Upgrade};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{io::AsyncReadExt, sync::Semaphore, time::Instant};

/// Executables that are sent at once: with ten thousand machines, others want to be heard as well.
const SENDS: usize = 8;
/// When that is tried again which an agent did not take.
const AGAIN: Duration = Duration::from_secs(10 * 60);
/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// The executables that agents can be sent.
pub(super) struct Releases {
    /// What is known of a file, as long as it stays as it is.
    known: Mutex<HashMap<PathBuf, (SystemTime, Upgrade)>>,
    sends: Semaphore,
}

impl Default for Releases {
    fn default() -> Self {
        Self { known: Mutex::default(), sends: Semaphore::new(SENDS) }
    }
}

impl Releases {
    /// What there is in a file; nothing where there is no file.
    async fn find(&self, path: &Path, version: &str, issuer: &Arc<Issuer>) -> io::Result<Option<Upgrade>> {
        let changed = match fs::metadata(path).and_then(|found| found.modified()) {
            Ok(changed) => changed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some((at, known)) = self.known.lock().get(path)
            && *at == changed
        {
            return Ok(Some(known.clone()));
        }
        let (read, version, issuer) = (path.to_owned(), version.to_owned(), issuer.clone());
        let upgrade = tokio::task::spawn_blocking(move || {
            let mut measured = Measured::default();
            let size = io::copy(&mut fs::File::open(&read)?, &mut measured)?;
            let mut upgrade =
                Upgrade { version, executable: measured.hash(), size, signature: String::new() };
            let signed = issuer.authority.sign_statement(&upgrade.statement());
            upgrade.signature = signed.map_err(io::Error::other)?;
            Ok::<_, io::Error>(upgrade)
        });
        let upgrade = upgrade.await.map_err(io::Error::other)??;
        self.known.lock().insert(path.into(), (changed, upgrade.clone()));
        Ok(Some(upgrade))
    }
}

/// Sees to it that an agent runs what its Server says, and that the Server says whether it does.
pub(super) async fn see_to(server: Arc<ApiServer>, tunnel: Arc<Tunnel>, object: Json, system: System) {
    // One at a time; the next report brings the next look.
    let Ok(mut sent) = tunnel.sent.try_lock() else { return };
    let version = object.pointer("/spec/agent/version").and_then(Json::as_str);
    let found = match version {
        Some(version) => release(&server, version, &object).await,
        None => Ok(None),
    };
    let (path, upgrade) = match found {
        Ok(found) => found.unzip(),
        Err(error) => {
            return tracing::warn!(server = tunnel.name, %error, "an agent's executable cannot be read");
        }
    };
    let executable = upgrade.as_ref().map(|upgrade| upgrade.executable.as_str());
    let standing = match (decide(version, executable, &system), path.zip(upgrade)) {
        (Decision::Leave, _) => None,
        (Decision::Say(standing), _) => Some(standing),
        (Decision::Send, None) => return,
        (Decision::Send, Some((path, upgrade))) => {
            // What came of it the agent says with a report, and until then it is not asked again.
            let again = |(at, executable): &(Instant, String)| {
                at.elapsed() < AGAIN && *executable == upgrade.executable
            };
            if sent.as_ref().is_some_and(again) {
                return;
            }
            tracing::info!(server = tunnel.name, version, "an agent is sent another executable");
            let outcome = send(&server, &tunnel, &path, &upgrade).await;
            let version = &upgrade.version;
            let standing = match outcome {
                Ok(()) => Standing::short("Tried", format!("The agent tries version {version}.")),
                Err(why) => {
                    Standing::short("NotTaken", format!("The agent does not take version {version}: {why}."))
                }
            };
            *sent = Some((Instant::now(), upgrade.executable));
            Some(standing)
        }
    };
    presence::upgraded(&server, &tunnel, standing.as_ref()).await;
}

/// The executable of a version for a server's architecture, and where it lies.
async fn release(server: &ApiServer, version: &str, object: &Json) -> io::Result<Option<(PathBuf, Upgrade)>> {
    let Some((folder, issuer)) = server.releases.as_ref().zip(server.issuer.as_ref()) else {
        return Ok(None);
    };
    let architecture = object.pointer("/status/hardware/architecture").and_then(Json::as_str);
    let Some(architecture) = architecture else { return Ok(None) };
    let path = folder.join(format!("lab-agent-{version}-{architecture}"));
    let found = server.agents.releases.find(&path, version, issuer).await?;
    Ok(found.map(|upgrade| (path, upgrade)))
}

/// Sends an executable; why the agent does not take it.
async fn send(server: &ApiServer, tunnel: &Tunnel, path: &Path, upgrade: &Upgrade) -> Result<(), String> {
    // The semaphore is never closed.
    let _turn = server.agents.releases.sends.acquire().await;
    let file = tokio::fs::File::open(path).await.map_err(|error| error.to_string())?;
    let body = StreamBody::new(stream::try_unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await?;
        Ok::<_, io::Error>((read > 0).then(|| (Frame::data(Bytes::from(piece)), file)))
    }));
    tunnel.send_executable(upgrade, body.boxed_unsync()).await
}

/// Whether a Server says anything about its agent's version, or ought to.
pub(super) fn is_about(object: &Json) -> bool {
    let mut conditions = object.pointer("/status/conditions").and_then(Json::as_array).into_iter().flatten();
    object.pointer("/spec/agent/version").is_some()
        || conditions.any(|condition| condition["type"] == presence::UPGRADED)
}
