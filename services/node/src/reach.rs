//! Keeps a machine in reach: one connection to labd, opened outwards, and opened again whenever it breaks.

use crate::{
    report::Inventory,
    serve,
    upgrade::{Program, Upgrades},
};
use jiff::Timestamp;
use lab_client::{Backoff, Error, Identity, Proxy, Upgrader, chain};
use lab_host::sshd::Sshd;
use lab_wire::agent::TUNNEL;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// Waits between attempts: quick at first, as labd may only be restarting; in the end rare, and spread over all machines.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);
/// The longest, where labd itself refuses.
const REFUSED: Duration = Duration::from_secs(5 * 60);
/// How long a connection must have lasted for the next attempt to be the first one again. One that is ended at once by another
/// under the same certificate is no sign that all is well.
const LASTED: Duration = Duration::from_secs(60);

/// How a machine stands with labd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A connection is being made.
    Connecting,
    /// It is in reach.
    Connected {
        /// Since when.
        since: Timestamp,
    },
    /// It is not, and will try again.
    Away {
        /// Since when.
        since: Timestamp,
        /// Why, for people.
        why: String,
    },
}

/// What keeping in reach needs to know.
pub struct Reach {
    /// Who this machine is, and who labd is.
    pub identity: Identity,
    /// The proxy through which labd is reached.
    pub proxy: Option<Proxy>,
    /// Version of the program.
    pub version: String,
    /// Reads what the machine consists of; it may take some seconds.
    pub inventory: Inventory,
    /// The machine's sshd.
    pub sshd: Sshd,
    /// This program, and how another one is tried.
    pub program: Program,
    /// Tells machines apart that try again at the same time.
    pub seed: u64,
    /// Told how the machine stands.
    pub standing: watch::Sender<Standing>,
}

/// Why a connection ended, or did not begin.
struct Ended {
    why: String,
    refused: bool,
}

impl Reach {
    /// Keeps the machine in reach for as long as it is polled.
    pub async fn keep(self) {
        let (version, inventory) = (self.version.clone(), self.inventory.clone());
        let upgrades = Arc::new(Upgrades::new(self.program.clone()));
        let (sshd, identity) = (self.sshd.clone(), self.identity.clone());
        let shared = Arc::new(serve::Shared { version, inventory, sshd, identity, upgrades });
        let mut failures = 0;
        loop {
            let began = Instant::now();
            self.standing.send_replace(Standing::Connecting);
            let Ended { why, refused } = self.connect(&shared).await;
            tracing::warn!(why, "labd is out of reach");
            self.standing.send_replace(Standing::Away { since: Timestamp::now(), why });
            failures = if began.elapsed() > LASTED { 1 } else { failures + 1 };
            let most = if refused { REFUSED } else { MOST };
            let wait = Backoff { first: FIRST, most, seed: self.seed }.after(failures);
            tokio::time::sleep(wait).await;
            // While another executable is tried, the machine is that one's.
            shared.upgrades.settled().await;
        }
    }

    /// Connects, and serves labd until the connection ends.
    async fn connect(&self, shared: &Arc<serve::Shared>) -> Ended {
        let failed =
            |error: &(dyn std::error::Error + 'static), refused| Ended { why: chain(error), refused };
        let name = self.identity.name();
        let Some(uid) = name.strip_prefix("server:") else {
            return Ended { why: format!("{name} is the identity of no server"), refused: true };
        };
        let upgrader = self.identity.connection().and_then(|c| Upgrader::new(&c, self.proxy.clone()));
        let upgrader = match upgrader {
            Ok(upgrader) => upgrader,
            Err(error) => return failed(&error, true),
        };
        let path = format!("/apis/metal.lab/v1alpha1/servers/{uid}/tunnel");
        let upgraded = match upgrader.open("open the tunnel", &path, TUNNEL).await {
            Ok(upgraded) => upgraded,
            Err(error) => return failed(&error, matches!(error, Error::Status { .. })),
        };
        tracing::info!(server = upgrader.server(), "connected");
        self.standing.send_replace(Standing::Connected { since: Timestamp::now() });
        match serve::connection(upgraded, shared.clone()).await {
            Ok(()) => Ended { why: "labd hung up".into(), refused: false },
            Err(error) => failed(&error, false),
        }
    }
}
