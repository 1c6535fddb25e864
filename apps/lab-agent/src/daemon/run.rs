//! `lab-agent run`: the daemon. Joins where the machine has not joined yet, and keeps it in reach.

use super::{
    join::joiner,
    place::{Config, Place, read_token},
    state::{self, State},
};
use crate::observe;
use anyhow::{Context, bail};
use jiff::Timestamp;
use lab_client::{Backoff, Identity, Invitation, chain};
use lab_node::{
    reach::{Reach, Standing},
    upgrade::Program,
};
use std::{fs, io, path::Path, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Waits until a refused machine asks again: whoever made the token may still be on their way to labd.
const REFUSED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(5 * 60));

/// How long another executable of the agent may take until it reports in, where the configuration does not say.
const UPGRADE: Duration = Duration::from_secs(90);

/// Join where that was not done yet, and keep this machine in reach
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
}

/// A configuration that is not there, which is told apart by the exit code.
#[derive(Debug, thiserror::Error)]
#[error("there is no {0}: `lab-agent join` makes it")]
pub struct NotConfigured(String);

/// Runs until SIGTERM or SIGINT.
pub async fn run(Args { place }: Args) -> anyhow::Result<()> {
    let config = Config::read(&place.config)?;
    let config = config.ok_or_else(|| NotConfigured(place.config.display().to_string()))?;
    let proxy = config.proxy()?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let standing = watch::Sender::new(Standing::Connecting);
    tokio::spawn(state::tell(place.clone(), standing.subscribe()));
    let reached = async {
        let identity = join(&place, &config, &standing).await?;
        let renewed = identity.clone();
        let seed = rand::random();
        let reach = Reach {
            identity,
            proxy,
            version: env!("CARGO_PKG_VERSION").into(),
            inventory: Arc::new(|| observe::discovery(None)),
            sshd: place.sshd(),
            program: program(&place, config.upgrade_patience.map_or(UPGRADE, |patience| patience.0))?,
            seed,
            standing,
        };
        tokio::join!(renewed.keep_renewed(Timestamp::now, seed), reach.keep());
        bail!("the daemon has ended by itself")
    };
    tokio::select! {
        failed = reached => failed,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// This program, and how another one is tried: with the same places, but for where it says how it stands.
fn program(place: &Place, patience: Duration) -> anyhow::Result<Program> {
    let path = std::env::current_exe().context("this program cannot be found")?;
    let trial = Place { run_dir: place.run_dir.join("trial"), ..place.clone() };
    let state = trial.state();
    let arguments = std::env::args_os().skip(1).collect();
    let trial = ["run".into()].into_iter().chain(trial.arguments()).collect();
    // What one that was ended left behind says nothing of this one.
    let in_reach = Arc::new(move |id| {
        State::read(&state).is_some_and(|state| state.connected && u32::try_from(state.pid) == Ok(id))
    });
    let executable = lab_node::upgrade::executable();
    Ok(Program { path, executable, arguments, trial, in_reach, patience })
}

/// This machine's identity: the one it has, or one by the token that lies beside the configuration. What labd refuses is asked again
/// later.
async fn join(
    place: &Place,
    config: &Config,
    standing: &watch::Sender<Standing>,
) -> anyhow::Result<Identity> {
    let seed = rand::random();
    let mut failures = 0;
    loop {
        let token = place.token();
        let invitation = invitation(&token, config)?;
        let has = invitation.is_some();
        let (path, joiner) = (place.identity(), joiner(None));
        let obtained = Identity::obtain(&path, invitation.as_ref(), &joiner, Timestamp::now, seed);
        match obtained.await {
            Ok(identity) => {
                if has {
                    let why =
                        || format!("the token in {} is used up and could not be removed", token.display());
                    fs::remove_file(&token).with_context(why)?;
                }
                return Ok(identity.through(config.proxy()?)?);
            }
            Err(error) if !has => return Err(error).context("this machine has not joined"),
            Err(error) => {
                failures += 1;
                let wait = Backoff { first: REFUSED.0, most: REFUSED.1, seed }.after(failures);
                let why = chain(&error);
                tracing::warn!(error = why, retry_in = ?wait, "labd does not take this machine in");
                standing.send_replace(Standing::Away { since: Timestamp::now(), why });
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// The invitation that an installation left, if it has not been used yet.
fn invitation(token: &Path, config: &Config) -> anyhow::Result<Option<Invitation>> {
    match fs::metadata(token) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.with_context(|| format!("cannot read {}", token.display()))?,
    };
    let (server, ca_hash) = (config.server.clone(), config.ca_hash.clone());
    Ok(Some(Invitation { server, ca_hash, token: read_token(token)?, proxy: config.proxy()? }))
}
