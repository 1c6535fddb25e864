//! Machines that joined: commands and streams through labd beside OpenSSH over a connection that is kept open, what an agent takes,
//! and thousands of agents on one labd that is restarted.

mod crowd;
mod openssh;
mod site;
mod stream;

use crate::{
    figures::{Row, ms, percentile, print},
    process::Place,
};
use anyhow::{Context, bail};
use openssh::OpenSsh;
use site::{Machine, Site};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What an agent may take, in MB.
const MEMORY: f64 = 12.0;

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    place: Place,
    /// The agent's executable, as installed machines have it.
    #[arg(long)]
    agent: PathBuf,
    /// Only this: exec, stream, memory, crowd; everything without.
    #[arg(long)]
    only: Vec<String>,
    /// Commands of each way to run them; the 50th and the 99th percentile are printed.
    #[arg(long, default_value_t = 300)]
    commands: usize,
    /// Size of the file that is streamed, in MB.
    #[arg(long, default_value_t = 300)]
    megabytes: usize,
    /// How often it is streamed each way; the median is printed.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Simulated agents on one labd. Each takes an open file of labd and one of the benchmark.
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// For how many seconds the agents only send their heartbeats while processor time is counted.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

impl Options {
    fn wants(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == what)
    }
}

/// Runs everything and prints the report.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let most_files = open_many_files();
    let directory = tempfile::tempdir_in(&options.place.directory)?;
    let mut complaints = Vec::new();
    if ["exec", "stream", "memory"].iter().any(|what| options.wants(what)) {
        complaints.extend(one_machine(options, &directory.path().join("one")).await?);
    }
    if options.wants("crowd") {
        complaints.extend(crowd::run(options, &directory.path().join("crowd"), most_files).await?);
    }
    if !complaints.is_empty() {
        bail!("{}", complaints.join("; "));
    }
    Ok(())
}

/// Both ends of every connection are files, here and in labd, which begins with the limit that this program has. How many there may be.
fn open_many_files() -> u64 {
    let of = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(of);
    let most = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = rustix::process::setrlimit(of, most) {
        eprintln!("the limit of open files stays as it is: {error}");
    }
    rustix::process::getrlimit(of).current.unwrap_or(u64::MAX)
}

/// A real agent on this machine, beside an sshd on it. What does not hold that should.
async fn one_machine(options: &Options, directory: &Path) -> anyhow::Result<Vec<String>> {
    let site = Site::start(&options.place.programs, directory).await?;
    let machine = Machine::join(&site, &options.agent, "m1").await?;
    let mut complaints = Vec::new();
    // What it read of the machine at its start is given back by then.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let at_rest = megabytes(machine.process.resident()?);
    let ssh = OpenSsh::start(&directory.join("sshd")).await?;
    if options.wants("exec") {
        print("OpenSSH", &commands(options, &site, &ssh).await?);
    }
    let after_commands = megabytes(machine.process.resident()?);
    if options.wants("stream") {
        print("OpenSSH", &[streams(options, &site, &ssh)?]);
    }
    let most = megabytes(machine.process.most_resident()?);
    println!(
        "the agent's memory: {at_rest:.1} MB at rest, {after_commands:.1} MB after the commands, {:.1} MB after all, \
         {most:.1} MB at most (wanted: at most {MEMORY:.0})",
        megabytes(machine.process.resident()?)
    );
    if most > MEMORY {
        complaints.push(format!("the agent took {most:.1} MB"));
    }
    ssh.stop()?;
    machine.process.stop()?;
    site.labd.stop()?;
    Ok(complaints)
}

/// Both in turns, so that whatever else the machine does meets both.
async fn commands(options: &Options, site: &Site, ssh: &OpenSsh) -> anyhow::Result<Vec<Row>> {
    eprintln!("{} commands of each way to run them", options.commands);
    let straight = stream::Straight::new(site)?;
    let (mut labctl, mut open, mut shared, mut fresh) = (vec![], vec![], vec![], vec![]);
    for _ in 0..options.commands {
        labctl.push(whole(&mut site.labctl(&["exec", "m1", "--", "true"]))?);
        shared.push(whole(&mut ssh.shared(&["true"]))?);
        open.push(ms(straight.run("m1", "true").await?));
    }
    for _ in 0..options.commands.div_ceil(10) {
        fresh.push(whole(&mut ssh.fresh(&["true"]))?);
    }
    let p99 = |times: &[f64]| [percentile(times, 99.0)];
    Ok(vec![
        Row::cost("labctl exec, ssh with a shared connection", "ms", &labctl, &shared),
        Row::cost("their p99", "ms", &p99(&labctl), &p99(&shared)),
        Row::cost("exec on an open connection, the same ssh", "ms", &open, &shared),
        Row::cost("their p99", "ms", &p99(&open), &p99(&shared)),
        Row::cost("labctl exec, ssh with a connection of its own", "ms", &labctl, &fresh),
    ])
}

/// Runs a command to its end: how long the whole process took, in milliseconds.
fn whole(command: &mut Command) -> anyhow::Result<f64> {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {command:?}"))?;
    let took = ms(began.elapsed());
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(took)
}

fn streams(options: &Options, site: &Site, ssh: &OpenSsh) -> anyhow::Result<Row> {
    let big = site.directory.join("big");
    fs::write(&big, vec![0x5a; options.megabytes * 1_000_000])?;
    let big = big.to_string_lossy();
    eprintln!("{} MB, {} times each way", options.megabytes, options.runs);
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..options.runs {
        ours.push(rate(options, &mut site.labctl(&["exec", "m1", "--", "cat", &big]))?);
        theirs.push(rate(options, &mut ssh.shared(&["cat", &big]))?);
    }
    Ok(Row::rate(format!("cat of {} MB", options.megabytes), "MB/s", &ours, &theirs))
}

/// MB/s of a command whose output nobody looks at.
fn rate(options: &Options, command: &mut Command) -> anyhow::Result<f64> {
    let began = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(options.megabytes as f64 / began.elapsed().as_secs_f64())
}

/// MB of so many MiB.
fn megabytes(mebibytes: f64) -> f64 {
    mebibytes * f64::from(1 << 20) / 1e6
}
