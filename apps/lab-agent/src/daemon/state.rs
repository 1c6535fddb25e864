//! How the running daemon stands, in a file for `lab-agent status`.

use super::place::Place;
use jiff::Timestamp;
use lab_node::reach::Standing;
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};
use tokio::sync::watch;

/// What the daemon says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Its process.
    pub pid: i32,
    /// Whether the machine is in reach.
    pub connected: bool,
    /// Since when it has been, or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl State {
    fn of(standing: &Standing) -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        match standing {
            Standing::Connecting => Self { pid, connected: false, since: None, why: None },
            Standing::Connected { since } => Self { pid, connected: true, since: Some(*since), why: None },
            Standing::Away { since, why } => {
                Self { pid, connected: false, since: Some(*since), why: Some(why.clone()) }
            }
        }
    }

    /// Reads it; nothing where no daemon runs.
    pub fn read(path: &Path) -> Option<Self> {
        let state: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let pid = rustix::process::Pid::from_raw(state.pid)?;
        // It may be another user's, which is as alive.
        let alive = !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH));
        alive.then_some(state)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }
}

/// Writes down how the daemon stands whenever that changes, until nobody says so any more.
pub async fn tell(place: Place, mut standing: watch::Receiver<Standing>) {
    loop {
        let state = State::of(&standing.borrow_and_update());
        if let Err(error) = state.write(&place.state()) {
            tracing::warn!(path = %place.state().display(), %error, "how the daemon stands could not be written");
        }
        if standing.changed().await.is_err() {
            return;
        }
    }
}
