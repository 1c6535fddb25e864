//! Thousands of agents on one labd: the agents' own code, each with a certificate of its own, in one process. Only what a machine
//! consists of is made up.

use super::{Options, megabytes, site::Site};
use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use lab_client::{Identity, Invitation, Joiner};
use lab_host::sshd::Sshd;
use lab_node::{
    reach::{Reach, Standing},
    upgrade::Program,
};
use lab_wire::site::Discovery;
use std::{
    fs,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinSet};

/// How many join at once.
const JOINING: usize = 16;
/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// Files that labd and this program have open besides the agents' connections.
const OTHER_FILES: u64 = 500;

/// Runs everything and prints the report. What does not hold that should.
pub async fn run(options: &Options, directory: &Path, most_files: u64) -> anyhow::Result<Vec<String>> {
    let fit = usize::try_from(most_files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    let agents = options.agents.min(fit);
    if agents < options.agents {
        eprintln!("only {agents} agents: no more than {most_files} files may be open (`ulimit -Hn`)");
    }
    let site = Site::start(&options.place.programs, directory).await?;
    eprintln!("{agents} agents join");
    let began = Instant::now();
    let identities = join(&site, directory, agents).await?;
    let joined = began.elapsed();
    let site = site.restarted().await?;
    settle(&site, "without agents").await?;
    let alone = site.labd.resident()?;

    let began = Instant::now();
    let crowd = Crowd::start(&options.agent, identities)?;
    crowd.all_connected().await?;
    let first = began.elapsed();
    settle(&site, "what the agents consist of is written").await?;
    let with_all = site.labd.resident()?;
    eprintln!("{} s of heartbeats", options.seconds);
    let (revision, spent) = (site.revision().await?, site.labd.processor()?);
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let spent = site.labd.processor()? - spent;
    let written = site.revision().await? - revision;

    eprintln!("labd is restarted");
    let told_to = Instant::now();
    let site = site.restarted().await?;
    // Whoever asks first waits among all the agents that come back.
    let started = Instant::now() - site.labd.ready_after;
    let half = crowd.half_connected().await? - started;
    let back = crowd.all_connected().await? - started;
    settle(&site, "all are back").await?;
    let (after, most) = (site.labd.resident()?, site.labd.most_resident()?);
    let told = site.connected().await?;

    let each = |mebibytes: f64| mebibytes * 1024.0 / agents as f64;
    let (joins, share) = (agents as f64 / joined.as_secs_f64(), spent.as_secs_f64() / options.seconds as f64);
    println!("\n{agents} agents on one labd");
    println!("  joined, {JOINING} at once: {:.0} s, {joins:.0}/s", joined.as_secs_f64());
    println!("  all connected for the first time within {:.1} s", first.as_secs_f64());
    println!(
        "  labd's memory {:.0} MB without them, {:.0} MB with them: {:.1} KiB each",
        megabytes(alone),
        megabytes(with_all),
        each(with_all - alone)
    );
    println!(
        "  labd's processor time {:.1} % of one processor: {:.1} µs a second each; {written} writes of the store in {} s",
        share * 100.0,
        share * 1e6 / agents as f64,
        options.seconds
    );
    println!(
        "  labd told to stop, and started {:.1} s later: half of them back {:.1} s after its start, all {:.1} s after it; \
         memory {:.0} MB, {:.0} MB at most",
        (started - told_to).as_secs_f64(),
        half.as_secs_f64(),
        back.as_secs_f64(),
        megabytes(after),
        megabytes(most)
    );
    crowd.end().await;
    site.labd.stop()?;
    Ok(if told == agents { vec![] } else { vec![format!("labd counts {told} of {agents} agents")] })
}

/// Joins so many, some at once. Each makes a key of its own and keeps its identity in a file, as an agent does.
async fn join(site: &Site, directory: &Path, agents: usize) -> anyhow::Result<Vec<Identity>> {
    // As for machines of several racks: the uses of one token are counted one after the other.
    let uses = i32::try_from(agents.div_ceil(JOINING)).context("so many agents cannot join")?;
    let mut invitations = Vec::new();
    for _ in 0..JOINING {
        invitations.push(site.invitation(uses).await?);
    }
    let folder = directory.join("identities");
    fs::create_dir_all(&folder)?;
    let one = |at: usize| {
        let (folder, invitation): (&Path, &Invitation) = (&folder, &invitations[at % JOINING]);
        async move {
            let joiner = Joiner { name: Some(format!("simulated-{at}")), macs: vec![] };
            let path = folder.join(at.to_string());
            let seed = at as u64;
            let obtained = Identity::obtain(&path, Some(invitation), &joiner, Timestamp::now, seed).await;
            obtained.with_context(|| format!("agent {at} cannot join"))
        }
    };
    stream::iter((0..agents).map(one)).buffer_unordered(JOINING).try_collect().await
}

/// What a simulated machine consists of: the same as this one, under names of its own. It shares no address with any other.
fn consists_of(like: &Discovery, name: &str) -> Discovery {
    let mut found = Discovery { uuid: None, nics: vec![], ..like.clone() };
    found.hardware.serial = name.into();
    found.disks.iter_mut().for_each(|disk| disk.serial = format!("{name}-{}", disk.name));
    found
}

/// Waits until labd has little to do.
async fn settle(site: &Site, why: &str) -> anyhow::Result<()> {
    eprintln!("waiting until {why}, and labd is at rest");
    let end = Instant::now() + PATIENCE;
    let mut quiet = 0;
    let mut before = site.labd.processor()?;
    while quiet < 3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = site.labd.processor()?;
        quiet = if now - before < Duration::from_millis(250) { quiet + 1 } else { 0 };
        before = now;
        if Instant::now() > end {
            bail!("labd is not at rest within {PATIENCE:?}");
        }
    }
    Ok(())
}

/// Agents that are connected, or try to be.
struct Crowd {
    standings: Vec<watch::Receiver<Standing>>,
    tasks: JoinSet<()>,
}

impl Crowd {
    fn start(agent: &Path, identities: Vec<Identity>) -> anyhow::Result<Self> {
        let observed = Command::new(agent).arg("observe").output()?;
        let like: Discovery = serde_json::from_slice(&observed.stdout).context("reading this machine")?;
        let executable = lab_node::upgrade::executable();
        let (mut standings, mut tasks) = (Vec::new(), JoinSet::new());
        for (at, identity) in identities.into_iter().enumerate() {
            let standing = watch::Sender::new(Standing::Connecting);
            standings.push(standing.subscribe());
            let (like, name) = (like.clone(), format!("simulated-{at}"));
            let reach = Reach {
                identity,
                proxy: None,
                version: env!("CARGO_PKG_VERSION").into(),
                inventory: Arc::new(move || consists_of(&like, &name)),
                sshd: Sshd { dir: "/nonexistent".into(), pid_file: "/nonexistent".into() },
                program: Program {
                    path: "/nonexistent".into(),
                    executable: executable.clone(),
                    arguments: vec![],
                    trial: vec![],
                    in_reach: Arc::new(|_| false),
                    patience: Duration::ZERO,
                },
                seed: at as u64,
                standing,
            };
            tasks.spawn(reach.keep());
        }
        Ok(Self { standings, tasks })
    }

    fn connected(&self) -> usize {
        let is =
            |standing: &&watch::Receiver<Standing>| matches!(*standing.borrow(), Standing::Connected { .. });
        self.standings.iter().filter(is).count()
    }

    async fn half_connected(&self) -> anyhow::Result<Instant> {
        self.reaches(self.standings.len() / 2).await
    }

    async fn all_connected(&self) -> anyhow::Result<Instant> {
        self.reaches(self.standings.len()).await
    }

    /// Waits until so many are connected.
    async fn reaches(&self, wanted: usize) -> anyhow::Result<Instant> {
        let end = Instant::now() + PATIENCE;
        loop {
            let (now, connected) = (Instant::now(), self.connected());
            if connected >= wanted {
                return Ok(now);
            }
            if now > end {
                let away = |standing: &watch::Receiver<Standing>| match &*standing.borrow() {
                    Standing::Away { why, .. } => Some(why.clone()),
                    _ => None,
                };
                let why = self.standings.iter().find_map(away).unwrap_or_default();
                bail!("{connected} of {wanted} agents are connected within {PATIENCE:?}; one says: {why}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}
